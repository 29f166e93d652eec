"""Packs the runner and the rehearsal agent into one zipapp, which a provider mounts at /opt/shipmate/runner.pyz.

Byte code lies beside the sources: the interpreter that it was made by starts without compiling (100 ms less), and any
other falls back to the sources. The same sources give the same bytes, so a file that is there and equal is left alone.
"""

import base64
import io
import json
import secrets
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PARTS = ("runner", "rehearsal")
LONG_AGO = (2020, 1, 1, 0, 0, 0)
COMPILE_SECONDS = 60
ENTRY = '''\
"""Begins the runner: this file is the archive's own entry."""

import sys
from zipimport import zipimporter


class Once(zipimporter):
    """Reads each module once. The library's own reads one for its file's name, and again to run it."""

    def get_filename(self, fullname):
        name = fullname.rpartition(".")[2]
        return f"{self.archive}/{self.prefix}{name}" + ("/__init__.pyc" if self.is_package(fullname) else ".pyc")


sys.path_hooks.insert(0, Once)

from sandbox.runner.__main__ import main

sys.exit(main(sys.argv[1:]))
'''
# Run by the interpreter that the box will use. Byte code that is never checked against its source: PEP 552.
# Marshal version 2, because later ones depend on what else the process holds.
COMPILER = """\
import base64, importlib.util, json, marshal, sys
for name, text in sorted(json.load(sys.stdin).items()):
    code = marshal.dumps(compile(text, name, "exec", dont_inherit=True, optimize=0), 2)
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(text.encode())
    print(json.dumps([name, base64.b64encode(head + code).decode()]))
"""


def build(target: Path, python: str = sys.executable) -> Path:
    """Write the archive to `target` and return it; `python` is the interpreter that will run it.

    Atomic: whoever starts it meanwhile has the old or the new one.
    """
    packed = pack(python)
    if target.exists() and target.read_bytes() == packed:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        fresh.write_bytes(packed)
        fresh.chmod(0o755)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return target


def pack(python: str = sys.executable) -> bytes:
    """The archive's bytes. Nothing is compressed: unpacking would cost more than reading."""
    files = {"__main__.py": ENTRY, "sandbox/__init__.py": (ROOT / "__init__.py").read_text(encoding="utf-8")}
    for part in PARTS:
        for path in sorted((ROOT / part).glob("*.py")):
            files[f"sandbox/{part}/{path.name}"] = path.read_text(encoding="utf-8")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, code in _compiled(files, python).items():
            _add(archive, name + "c", code)
        for name, text in files.items():
            _add(archive, name, text.encode())
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, LONG_AGO)
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)


def _compiled(files: Mapping[str, str], python: str) -> dict[str, bytes]:
    """The byte code of each file; raises RuntimeError if the interpreter cannot make it."""
    done = subprocess.run(
        (python, "-I", "-S", "-c", COMPILER),
        input=json.dumps(files),
        capture_output=True,
        text=True,
        timeout=COMPILE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{python} could not compile the runner: {done.stderr.strip()[-500:]}")
    return {name: base64.b64decode(code) for name, code in map(json.loads, done.stdout.splitlines())}
