"""A live box's tree, copied while the box holds still. What did not change since the last time costs nothing.

Beside each such copy lies `stamps.json`: what its files were like. A file is taken for unchanged only where that is
certain: not if it was written just before the copy, when its time of change could not tell a later write, nor if a
process has it mapped and could write without any. `folder_provider.py` calls `copy`.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sandbox import copies, freezing
from sandbox.box_folder import BoxFolder
from sandbox.copies import Earlier, Stamp
from sandbox.host_processes import Process

STAMPS, KEPT = "stamps.json", "kept"
BELOW = b"/work/"  # where an isolated box has its tree
JUST_NOW_NS = 50_000_000  # far more than between two ticks of the clock that files are stamped with


def copy(
    folder: BoxFolder, process: Process, target: Path, tree_of: Callable[[str], Path], look: Callable[[], None]
) -> Sequence[Path]:
    """Copy what a live box has written; what is not durable yet. `tree_of`: where the tree of a snapshot lies. `look`
    is called all the time while the box stands still, and may raise."""
    earlier = _earlier(folder, tree_of)
    with freezing.still(folder, process, look):
        began = time.time_ns()
        copied = copies.copy(folder.upper, target, earlier, look)
        mapped = _mapped(process.members(), folder.upper)
    if mapped is not None:
        certain = {
            name: stamp
            for name, stamp in copied.stamps.items()
            if stamp[1] < began - JUST_NOW_NS and stamp[0] not in mapped
        }
        (target.parent / STAMPS).write_text(json.dumps(certain))
    return copied.fresh


def remember(folder: BoxFolder, snapshot: str) -> None:
    """The next copy of this box is compared with this one."""
    with contextlib.suppress(OSError):
        (folder.path / KEPT).write_text(snapshot)


def _earlier(folder: BoxFolder, tree_of: Callable[[str], Path]) -> Earlier | None:
    try:
        tree = tree_of((folder.path / KEPT).read_text())
        said: dict[str, list[int]] = json.loads((tree.parent / STAMPS).read_text())
        stamps: dict[str, Stamp] = {name: (inode, at, size) for name, (inode, at, size) in said.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    return Earlier(tree, stamps)


def _mapped(pids: Iterable[int], upper: Path) -> set[int] | None:
    """The inodes of files that these processes may write without a call; None if that cannot be known."""
    found: set[int] = set()
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/maps").read_bytes().split(b"\n")
        except FileNotFoundError:
            if not Path("/proc/self/maps").exists():
                return None
            continue  # it has ended
        except OSError:
            return None
        for line in lines:
            words = line.split(maxsplit=5)
            if len(words) > 4 and words[1][1:2] == b"w" and words[1][3:4] == b"s":
                found.update((int(words[4]), _inode(upper, words[5] if len(words) > 5 else b"")))
    return found


def _inode(upper: Path, seen: bytes) -> int:
    """The inode of a file that a box sees at this path: one that came from a lower layer keeps that one's number for
    the box, and has another one here. 0 if there is none."""
    below = seen.removeprefix(BELOW).replace(b"\\012", b"\n")
    with contextlib.suppress(OSError, ValueError):
        if seen.startswith(BELOW):
            return (upper / os.fsdecode(below)).lstat().st_ino
    return 0
