"""What a box wrote, as files on the host: measured, made durable, copied, merged, removed. Called by `layers.py`.

A tree is the upper side of an overlay: a deleted name is a character device 0:0, a folder that hides the one below has
the attribute `user.overlay.opaque`. Whatever is in it was made by a box, so no name in it is ever followed, and only
regular files are opened. Nothing runs in a box while its tree is worked on: it is dead or frozen.
"""

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sandbox import weigh

OPAQUE = "user.overlay.opaque"
SINGLE_SYNCS = 2000  # beyond this many files one sync of everything is quicker
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
LINUX = hasattr(os, "listxattr")
LIFTED = 12  # so many of the longest names fit into a path
UNBEARABLE = (OSError, RecursionError)  # a box can make folders deeper than any path may be long


def measure(tree: Path) -> int:
    """The disk space that a tree takes, however deep it is."""
    return weigh.weigh(tree).bytes


def settle(tree: Path) -> None:
    """Make sure that what is in a tree outlives a power cut."""
    try:
        found = [entry for entry in _everything(tree) if _is_plain(entry.stat(follow_symlinks=False).st_mode)]
    except UNBEARABLE:
        os.sync()
        return
    if len(found) > SINGLE_SYNCS:
        os.sync()
        return
    for path in (tree, *(Path(entry.path) for entry in found)):
        try:
            settle_one(path)
        except UNBEARABLE:  # also a file that its own owner may not open
            os.sync()
            return


def settle_one(path: Path) -> None:
    """Make one file or folder durable."""
    with _opened(path, READ) as fd:
        os.fsync(fd)


def copy(source: Path, target: Path) -> None:
    """Copy a tree with its whiteouts, attributes, owners, hard links and holes. `target` must not exist."""
    links: dict[tuple[int, int], Path] = {}
    _copy_folder(source, target, links)


def merge(layers: Sequence[Path], target: Path) -> None:
    """Stack layers, the oldest first, into one tree that shows the same. Files are hard links: layers never change."""
    _make_like(layers[0], target)
    for layer in layers:
        _merge_folder(layer, target)


def remove(tree: Path) -> None:
    """Delete a tree, also where its owner took the right to do so away from himself."""

    def retry(call: Callable[[str], object], name: str, _: object) -> None:
        path = Path(name)
        with contextlib.suppress(FileNotFoundError):
            path.parent.chmod(0o700)
            if stat.S_ISDIR(path.lstat().st_mode):
                path.chmod(0o700)
                shutil.rmtree(path, onerror=retry) if call is not os.rmdir else path.rmdir()
            else:
                path.unlink()

    if tree.is_symlink() or not tree.exists():
        return
    try:
        shutil.rmtree(tree, onerror=retry)
    except UNBEARABLE:
        _lift(tree)
        shutil.rmtree(tree, onerror=retry)


def _lift(tree: Path) -> None:
    """Bring up to the top whatever lies so deep that no path names it."""
    waiting = [(tree, 0)]
    while waiting:
        folder, depth = waiting.pop()
        folder.chmod(0o700)
        with os.scandir(folder) as entries:
            below = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        for path in below:
            if depth < LIFTED:
                waiting.append((path, depth + 1))
                continue
            path.chmod(0o700)
            waiting.append((path.rename(tree / f".{secrets.token_hex(8)}"), 1))


def _is_plain(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _everything(tree: Path) -> Iterator["os.DirEntry[str]"]:
    with _listed(tree) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _everything(Path(entry.path))


@contextlib.contextmanager
def _readable(path: Path, bits: int) -> Iterator[None]:
    """Give ourselves access for a moment to something of ours that forbids it."""
    mode = stat.S_IMODE(path.lstat().st_mode)
    path.chmod(mode | bits)
    try:
        yield
    finally:
        path.chmod(mode)


@contextlib.contextmanager
def _listed(folder: Path) -> Iterator[list["os.DirEntry[str]"]]:
    with contextlib.ExitStack() as stack:
        if not os.access(folder, os.R_OK | os.X_OK):
            stack.enter_context(_readable(folder, 0o500))
        with os.scandir(folder) as entries:
            yield list(entries)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    with contextlib.ExitStack() as stack:
        try:
            fd = os.open(path, flags)
        except PermissionError:
            stack.enter_context(_readable(path, 0o400))
            fd = os.open(path, flags)
        stack.callback(os.close, fd)
        yield fd


def _copy_folder(source: Path, target: Path, links: dict[tuple[int, int], Path]) -> None:
    target.mkdir(mode=0o700)
    with _listed(source) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            path = target / entry.name
            if stat.S_ISDIR(status.st_mode):
                _copy_folder(Path(entry.path), path, links)
            else:
                _copy_other(Path(entry.path), path, status, links)
    _dress(source, target)


def _copy_other(source: Path, target: Path, status: os.stat_result, links: dict[tuple[int, int], Path]) -> None:
    inode = (status.st_dev, status.st_ino)
    if status.st_nlink > 1 and inode in links:
        os.link(links[inode], target, follow_symlinks=False)
        return
    if stat.S_ISREG(status.st_mode):
        _copy_file(source, target, status.st_size)
    elif stat.S_ISLNK(status.st_mode):
        target.symlink_to(source.readlink())
    elif _is_whiteout(status):
        os.mknod(target, stat.S_IFCHR, 0)
    elif stat.S_ISFIFO(status.st_mode):
        os.mkfifo(target)
    else:
        return  # a socket: nobody can listen at its copy
    _dress(source, target)
    if status.st_nlink > 1:
        links[inode] = target


def _copy_file(source: Path, target: Path, size: int) -> None:
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _opened(source, READ) as origin:
        copied = os.open(target, new, 0o600)
        try:
            for start, end in _filled(origin, size):
                _copy_range(origin, copied, start, end)
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


def _copy_range(origin: int, copied: int, start: int, end: int) -> None:
    if not hasattr(os, "copy_file_range"):
        os.lseek(copied, start, os.SEEK_SET)
        while start < end:
            piece = os.pread(origin, min(end - start, 1 << 20), start)
            start += os.write(copied, piece)
            if not piece:
                return
        return
    while start < end:
        done = os.copy_file_range(origin, copied, end - start, start, start)
        if done == 0:
            return
        start += done


def _make_like(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    _dress(source, target)


def _dress(source: Path, target: Path) -> None:
    """Give `target` the owner, attributes, mode and times of `source`."""
    status = source.lstat()
    link = stat.S_ISLNK(status.st_mode)
    if os.geteuid() == 0:
        os.lchown(target, status.st_uid, status.st_gid)
    if not link:
        if LINUX and _is_plain(status.st_mode):
            _copy_attributes(source, target)
        if not _is_whiteout(status):
            target.chmod(stat.S_IMODE(status.st_mode))
    with contextlib.suppress(PermissionError, NotImplementedError):
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _copy_attributes(source: Path, target: Path) -> None:
    try:
        for name in os.listxattr(source, follow_symlinks=False):
            if name.startswith("user."):
                os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    except PermissionError:  # unreadable by its owner: then an overlay set no attribute on it either
        return
    except OSError as failed:
        if failed.errno != errno.ENOTSUP:
            raise


def _merge_folder(layer: Path, target: Path) -> None:
    with _listed(layer) as entries:
        for entry in entries:
            _merge_entry(entry, target / entry.name)


def _merge_entry(entry: "os.DirEntry[str]", path: Path) -> None:
    status = entry.stat(follow_symlinks=False)
    source = Path(entry.path)
    folder = stat.S_ISDIR(status.st_mode)
    if os.path.lexists(path) and not (folder and _is_folder(path) and not _is_opaque(source)):
        remove(path) if _is_folder(path) else path.unlink()
    if folder:
        if not os.path.lexists(path):
            path.mkdir(mode=0o700)
        with _readable(path, 0o700):
            _merge_folder(source, path)
        _dress(source, path)
        _forget_opaque(path)
    elif not _is_whiteout(status):  # nothing lies below, so nothing has to be hidden
        os.link(source, path, follow_symlinks=False)


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(folder: Path) -> bool:
    if not LINUX:
        return False
    try:
        return os.getxattr(folder, OPAQUE, follow_symlinks=False) in (b"y", b"x")
    except OSError:
        return False


def _forget_opaque(folder: Path) -> None:
    if _is_opaque(folder):
        os.removexattr(folder, OPAQUE, follow_symlinks=False)
