"""One box as a folder on disk: all that is true of it, for any process to read. `folder_provider.py` calls this.

record.json   labels, birth, and the layers below; written once, before the folder has its name
lock          an open file with a lock that lives as long as the box does: two makers can never share one tree
status        bwrap (or a shell) writes here itself which process the box is, and how it ended; locked until then
log           what bwrap and the runner print
control.sock  where the runner takes commands from the host; no box can see it
outbox        the runner's frames that wait
frozen        there while somebody takes a snapshot; locked by him
tree/         belongs to the box's user alone: upper/ (what the box writes), work/ (the kernel's)
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox import host_processes, trees
from sandbox.ownership import Owner
from sandbox.provider import Permanent

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
SOCKET_PATH_BYTES = 100
LOG_TAIL = 2000


@dataclass(frozen=True)
class Record:
    """What was said when the box was made. `chain`: the layers below it, the oldest first. `boot`: of which start of
    this machine it is, for numbers of processes mean nothing after the next one. The rest is what it may use."""

    labels: dict[str, str]
    born: float
    chain: tuple[str, ...]
    boot: str
    disk_bytes: int | None = None
    memory_bytes: int | None = None


class BoxFolder:
    """The folder of one box."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        self.log, self.status = path / "log", path / "status"
        self.outbox, self.frozen = path / "outbox", path / "frozen"
        self.tree, self.upper, self.work = path / "tree", path / "tree/upper", path / "tree/work"

    @classmethod
    def make(cls, boxes: Path, name: str, record: Record, owner: Owner) -> tuple["BoxFolder", int]:
        """A new box's folder and its lock, held. It appears whole and locked; FileExistsError if the name is taken."""
        making = boxes / f".{name}.{secrets.token_hex(4)}"
        making.mkdir()
        making.chmod(0o711)
        lock = -1
        try:
            owner.folder(making / "tree", 0o700)
            owner.folder(making / "tree/upper", 0o755)
            owner.folder(making / "tree/work", 0o700)
            (making / "record.json").write_text(json.dumps(asdict(record)))
            lock = os.open(making / "lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            making.rename(boxes / name)
        except BaseException as failed:
            trees.remove(making)
            if lock >= 0:
                os.close(lock)
            if isinstance(failed, OSError) and failed.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise FileExistsError(name) from None
            raise
        return cls(boxes / name), lock

    @property
    def last_snapshot(self) -> str:
        """The id of the snapshot of this box's last state, decided beforehand so that taking it can be repeated."""
        return hashlib.sha256(f"last state of {self.name}".encode()).hexdigest()[:16]

    def snapshot_of(self, moment: str) -> str:
        """The id of a live snapshot: the same for the same moment, so that taking it can be repeated."""
        if not moment:
            return secrets.token_hex(8)
        return hashlib.sha256(f"{moment} of {self.name}".encode()).hexdigest()[:16]

    def record(self) -> Record | None:
        """What was said when it was made; None if there is no such box."""
        try:
            said = json.loads((self.path / "record.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        limits = said.get("disk_bytes"), said.get("memory_bytes")
        return Record(said["labels"], said["born"], tuple(said["chain"]), said["boot"], *limits)

    def said(self) -> dict[str, Any]:
        """Everything that `status` holds; empty until the box has a process."""
        found: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self.status.read_text().splitlines():
                with contextlib.suppress(ValueError):  # a line that is being written
                    found.update(json.loads(line))
        return found

    def lock(self) -> int | None:
        """Take the lock; None while the box (or whoever works on it) has it. Close the descriptor to let go."""
        return _lock(self.path / "lock", os.O_RDONLY)

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        fd = self.lock()
        if fd is None:
            return self.path.exists()
        os.close(fd)
        return False

    def watch(self) -> int:
        """Open `status` for whoever will watch the box: he holds it locked until he has written how the box ended."""
        fd = _lock(self.status, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        if fd is None:
            raise FileExistsError(f"box {self.name} is watched already")
        return fd

    def watched(self) -> bool:
        """Whether somebody still watches, and may have something to write down."""
        fd = _lock(self.status, os.O_RDONLY)
        if fd is None:
            return self.status.exists()
        os.close(fd)
        return False

    def listen(self) -> socket.socket:
        """The listening control socket of a new box."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with self.control() as address:
            listening.bind(address)
            Path(address).chmod(0o600)
        listening.listen(64)
        return listening

    @contextlib.contextmanager
    def control(self) -> Iterator[str]:
        """An address of the control socket. A long path is reached through its folder's descriptor."""
        path = self.path / "control.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
            yield str(path)
            return
        if not Path("/proc/self/fd").is_dir():
            raise Permanent(f"the path {path} is too long for a socket: choose a shorter folder for the boxes")
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{folder}/control.sock"
        finally:
            os.close(folder)

    def log_tail(self) -> str:
        """The end of what was printed."""
        with contextlib.suppress(FileNotFoundError):
            return self.log.read_bytes()[-LOG_TAIL:].decode("utf-8", "replace").strip()
        return ""

    def remove(self) -> None:
        """Forget the box. Its name is free at once."""
        gone = self.path.with_name(f".{self.name}.{secrets.token_hex(4)}")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(gone)
            trees.remove(gone)


def _lock(path: Path, flags: int) -> int | None:
    try:
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def named_by_namespace(boxes_dir: Path, namespace: int) -> str:
    """The live box that has this pid namespace; empty if there is none. The kernel gives a dead one's number again."""
    for path in (boxes_dir / "box").glob("[!.]*") if namespace else ():
        said = BoxFolder(path).said()
        known = said.get("pid-namespace") == namespace and "exit-code" not in said
        if known and host_processes.namespace_of(said["child-pid"]) == namespace:
            return path.name
    return ""


def checked_name(name: str) -> str:
    """The name, if it is one; raises Permanent."""
    if not NAME.fullmatch(name):
        raise Permanent(f"{name!r} is not a name for a box: lower-case letters, digits and hyphens, at most 48")
    return name
