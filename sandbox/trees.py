"""What a box wrote, as files on the host: measured, made durable, merged, removed. `layers.py` and `copies.py` call it.

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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox import weigh

OPAQUE = "user.overlay.opaque"
SYNCS_AT_ONCE = 16
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
    settle_these([tree, *(Path(entry.path) for entry in found)])


def settle_these(paths: Sequence[Path]) -> None:
    """Make sure that these files and folders outlive a power cut. Many at a time: the disk does them together."""
    if len(paths) > SINGLE_SYNCS:
        os.sync()
        return
    try:
        with ThreadPoolExecutor(min(SYNCS_AT_ONCE, len(paths) or 1)) as together:
            for _ in together.map(settle_one, paths):
                pass
    except UNBEARABLE:  # also a file that its own owner may not open
        os.sync()


def settle_one(path: Path) -> None:
    """Make one file or folder durable."""
    with opened(path, READ) as fd:
        os.fsync(fd)


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
    with listed(tree) as entries:
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
def listed(folder: Path) -> Iterator[list["os.DirEntry[str]"]]:
    """What is in a folder, also where its owner took the right to look away from himself."""
    with contextlib.ExitStack() as stack:
        if not os.access(folder, os.R_OK | os.X_OK):
            stack.enter_context(_readable(folder, 0o500))
        with os.scandir(folder) as entries:
            yield list(entries)


@contextlib.contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """A file's descriptor, also where its owner may not read it."""
    with contextlib.ExitStack() as stack:
        try:
            fd = os.open(path, flags)
        except PermissionError:
            stack.enter_context(_readable(path, 0o400))
            fd = os.open(path, flags)
        stack.callback(os.close, fd)
        yield fd


def _make_like(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    dress(source, target)


def dress(source: Path, target: Path) -> None:
    """Give `target` the owner, attributes, mode and times of `source`."""
    status = source.lstat()
    link = stat.S_ISLNK(status.st_mode)
    if os.geteuid() == 0:
        os.lchown(target, status.st_uid, status.st_gid)
    if not link:
        if LINUX and _is_plain(status.st_mode):
            _copy_attributes(source, target)
        if not is_whiteout(status):
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
    with listed(layer) as entries:
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
        dress(source, path)
        _forget_opaque(path)
    elif not is_whiteout(status):  # nothing lies below, so nothing has to be hidden
        os.link(source, path, follow_symlinks=False)


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this stands for a name that was deleted."""
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
