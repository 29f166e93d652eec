"""How much disk a tree takes, counted with bounds, also while a box is writing it. `trees.py` and `overgrown.py` ask.

A tree was made by a box: it may be deeper than any path is long, wider than anybody has time for, and have folders that
its owner shut. Nothing in it is followed, and nothing but the mode of a shut folder is touched.
"""

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PATH_CHARS = 2000


class Weight(NamedTuple):
    """What was seen of a tree. `whole`: all of it was."""

    bytes: int
    entries: int
    whole: bool


class _Anchor:
    """An open folder that paths are told from; closed with the last of them."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


def weigh(tree: Path, seconds: float = 60.0, most: int | None = None) -> Weight:
    """Count until all is counted, the time is over, or there are more than `most` bytes."""
    end = time.monotonic() + seconds
    size, entries, whole = 0, 0, True
    waiting = [(_Anchor(os.open(tree, FOLDER)), ".")]
    linked = set[int]()
    while waiting:
        if time.monotonic() > end or (most is not None and size > most):
            return Weight(size, entries, False)
        anchor, path = waiting.pop()
        try:
            folder = _Anchor(_entered(anchor, path))
            for name, status in _listed(folder):
                entries += 1
                if stat.S_ISDIR(status.st_mode):
                    far = len(path) > PATH_CHARS
                    waiting.append((folder, name) if far else (anchor, f"{path}/{name}"))
                elif status.st_nlink > 1:
                    if status.st_ino in linked:
                        continue
                    linked.add(status.st_ino)
                size += status.st_blocks * 512
        except FileNotFoundError:
            continue  # it was removed meanwhile
        except OSError:
            whole = False
    return Weight(size, entries, whole)


def _listed(folder: _Anchor) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder.fd) as found:
        for entry in found:
            with contextlib.suppress(FileNotFoundError):
                yield entry.name, entry.stat(follow_symlinks=False)


def _entered(anchor: _Anchor, path: str) -> int:
    """The folder, opened; one that is shut is opened for its owner, who could do so himself."""
    try:
        return os.open(path, FOLDER, dir_fd=anchor.fd)
    except PermissionError:
        shut = os.open(path, os.O_PATH | FOLDER, dir_fd=anchor.fd)
        try:
            name = f"/proc/self/fd/{shut}"  # this very folder, whatever lies at the path by now
            os.chmod(name, stat.S_IMODE(os.fstat(shut).st_mode) | 0o500)  # noqa: PTH101 - as are all names here
        finally:
            os.close(shut)
        return os.open(path, FOLDER, dir_fd=anchor.fd)
