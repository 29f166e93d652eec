"""A box's tree copied: whiteouts, attributes, owners, hard links and holes with it, and no name in it followed.

What has not changed since an earlier copy of the same tree is linked to that copy instead: the cost is what changed.
`keeping.py` copies live boxes with it; `unisolated.py` lays a snapshot out as a tree.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sandbox.trees import READ, dress, is_whiteout, listed, opened

PIECE = 16 << 20  # so much is copied between two looks
Stamp = tuple[int, int, int]  # inode, time of its last change in nanoseconds, size: no box can set the second


class Earlier(NamedTuple):
    """A copy that was made before, and what the files were like then, by their path below the tree."""

    tree: Path
    stamps: Mapping[str, Stamp]


class Copied(NamedTuple):
    """What came of it: every file's stamp, and what is new on disk and not durable yet."""

    stamps: dict[str, Stamp]
    fresh: list[Path]


def copy(source: Path, target: Path, earlier: Earlier | None = None, look: Callable[[], None] = lambda: None) -> Copied:
    """Copy a tree; `target` must not exist. Nothing may change in `source` meanwhile. `look` is called before each file
    and between the pieces of a large one; if it raises, that was it."""
    copying = _Copying(earlier, look)
    copying.folder(source, target, "")
    return Copied(copying.stamps, copying.fresh)


class _Copying:
    """One copy under way."""

    def __init__(self, earlier: Earlier | None, look: Callable[[], None]) -> None:
        self._earlier, self._look = earlier, look
        self._links: dict[tuple[int, int], Path] = {}
        self.stamps: dict[str, Stamp] = {}
        self.fresh: list[Path] = []

    def folder(self, source: Path, target: Path, name: str) -> None:
        """A folder with everything in it. `name`: its path below the tree, with a slash at its end."""
        target.mkdir(mode=0o700)
        with listed(source) as entries:
            for entry in entries:
                self._look()
                status = entry.stat(follow_symlinks=False)
                path = target / entry.name
                if stat.S_ISDIR(status.st_mode):
                    self.folder(Path(entry.path), path, f"{name}{entry.name}/")
                else:
                    self._other(Path(entry.path), path, status, f"{name}{entry.name}")
        dress(source, target)
        self.fresh.append(target)

    def _other(self, source: Path, target: Path, status: os.stat_result, name: str) -> None:
        inode = (status.st_dev, status.st_ino)
        if stat.S_ISREG(status.st_mode):
            self.stamps[name] = stamp(status)
        if status.st_nlink > 1 and inode in self._links:
            os.link(self._links[inode], target, follow_symlinks=False)
            return
        if not self._linked_to_earlier(target, status, name):
            if not _make(source, target, status, self._look):
                return
            dress(source, target)
            if stat.S_ISREG(status.st_mode):
                self.fresh.append(target)
        if status.st_nlink > 1:
            self._links[inode] = target

    def _linked_to_earlier(self, target: Path, status: os.stat_result, name: str) -> bool:
        """Whether the file is as it was, and is the earlier copy's now. That one may have been let go meanwhile."""
        if self._earlier is None or self._earlier.stamps.get(name) != self.stamps.get(name, ()):
            return False
        try:
            os.link(self._earlier.tree / name, target, follow_symlinks=False)
        except OSError:
            return False
        return True


def stamp(status: os.stat_result) -> Stamp:
    """What changes whenever the file does."""
    return status.st_ino, status.st_ctime_ns, status.st_size


def _make(source: Path, target: Path, status: os.stat_result, look: Callable[[], None]) -> bool:
    """Make what is no folder; whether there is something. A socket is not copied: nobody can listen at its copy."""
    if stat.S_ISREG(status.st_mode):
        _copy_file(source, target, status.st_size, look)
    elif stat.S_ISLNK(status.st_mode):
        target.symlink_to(source.readlink())
    elif is_whiteout(status):
        os.mknod(target, stat.S_IFCHR, 0)
    elif stat.S_ISFIFO(status.st_mode):
        os.mkfifo(target)
    else:
        return False
    return True


def _copy_file(source: Path, target: Path, size: int, look: Callable[[], None]) -> None:
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with opened(source, READ) as origin:
        copied = os.open(target, new, 0o600)
        try:
            for start, end in _filled(origin, size):
                _copy_range(origin, copied, start, end, look)
            os.ftruncate(copied, size)
        finally:
            os.close(copied)


def _filled(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that hold something; a box may claim a terabyte of nothing."""
    start = 0
    while start < size:
        try:
            start = os.lseek(fd, start, os.SEEK_DATA)
            end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        except OSError as none_left:
            if none_left.errno == errno.ENXIO:
                return
            raise
        yield start, end
        start = end


def _copy_range(origin: int, copied: int, start: int, end: int, look: Callable[[], None]) -> None:
    if not hasattr(os, "copy_file_range"):
        os.lseek(copied, start, os.SEEK_SET)
        while start < end:
            look()
            piece = os.pread(origin, min(end - start, 1 << 20), start)
            start += os.write(copied, piece)
            if not piece:
                return
        return
    while start < end:
        look()
        done = os.copy_file_range(origin, copied, min(end - start, PIECE), start, start)
        if done == 0:
            return
        start += done
