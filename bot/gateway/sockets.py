"""The folder of sockets that boxes see, and our own socket in it (docs/wire.md, fixed places). Used by `server.py`.

A socket appears under its name only once it listens, and a process that was killed leaves a dead one, which the next
process clears away. Boxes may connect; they cannot write here.
"""

import errno
import os
import socket
from pathlib import Path

from sandbox.ownership import Owner, open_folder

BACKLOG = 512
PATTERN = "web-*.sock"


class UnsafeFolder(ValueError):
    """The folder is not ours alone, so a stranger could stand in for the gateway."""


def prepare(folder: Path) -> None:
    """Make the folder ours, open for the boxes' user to read, and clear it of dead sockets."""
    owner = Owner.here()
    open_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.geteuid():
        raise UnsafeFolder(f"{folder} belongs to somebody else. Remove it, or set SHIPMATE_GATEWAY_DIR.")
    folder.chmod(0o750)
    os.chown(folder, -1, owner.gid)
    for path in folder.glob(PATTERN):
        if not answers(path):
            path.unlink(missing_ok=True)


def answers(path: Path) -> bool:
    """Whether somebody listens at this socket. One that is too busy to say so does."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        refused = asking.connect_ex(str(path)) in (errno.ECONNREFUSED, errno.ENOENT)
    return not refused


def listen(folder: Path) -> tuple[socket.socket, Path]:
    """A listening socket of this process, and its path."""
    path = folder / f"web-{os.getpid()}.sock"
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(fresh))
        listening.listen(BACKLOG)
        os.chown(fresh, -1, Owner.here().gid)
        fresh.chmod(0o660)
        fresh.replace(path)
    except BaseException:
        listening.close()
        fresh.unlink(missing_ok=True)
        raise
    return listening, path
