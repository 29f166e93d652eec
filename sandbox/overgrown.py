"""Boxes that take more than they may: disk, and memory where the host has no limit for it. `folder_provider.py` asks.

No file system that everybody has limits a folder, so a box is looked at again and again, the sooner the nearer it is
to its limit: at the fastest that a disk takes, it cannot be far beyond it when it is seen. Files that have no name any
more are found at the processes that hold them open. What a box holds in no place where we look (in flight between
sockets, mapped and closed) is bounded only by the host; see docs/decisions.
"""

import contextlib
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sandbox.provider import Limits
from sandbox.weigh import weigh

FASTEST_BYTES = 1 << 30  # in a second: what a box may be able to write
SOONEST, LATEST = 1.0, 60.0
SHARE = 20  # of our time, one part in so many may go into weighing one box
WEIGH_SECONDS = 5.0
ENTRIES_MOST = 2_000_000
DESCRIPTORS_MOST = 20_000


@dataclass
class _Look:
    """When a box is to be weighed again."""

    due: float = 0.0


class Scales:
    """Remembers when each box is due; forgetting it only means to look at once."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}

    def forget_all_but(self, boxes: Iterable[str]) -> None:
        """These boxes are the ones that there are."""
        self._looks = {name: look for name, look in self._looks.items() if name in set(boxes)}

    def too_much(self, box: str, upper: Path, limits: Limits, pids: list[int], counted: bool) -> str:
        """What a live box has too much of, in words that end a sentence; empty if nothing. `counted`: the kernel
        limits its memory."""
        began, worked = time.monotonic(), time.thread_time()
        look = self._looks.setdefault(box, _Look())
        nameless = _nameless(pids)
        if not counted and limits.memory_bytes is not None:
            memory = memory_of(pids, limits.memory_bytes) + nameless.memory
            if memory > limits.memory_bytes:
                return f"it has more than {limits.memory_bytes >> 20} MB of memory"
        if limits.disk_bytes is None or (began < look.due and nameless.disk < limits.disk_bytes):
            return ""
        weight = weigh(upper, WEIGH_SECONDS, limits.disk_bytes)
        size = weight.bytes + nameless.disk
        if size > limits.disk_bytes:
            return f"it has written more than {limits.disk_bytes >> 20} MB to its disk"
        if weight.entries > ENTRIES_MOST:
            return f"it has made more than {ENTRIES_MOST} files on its disk"
        took, room = time.thread_time() - worked, limits.disk_bytes - size
        look.due = began + max(took * SHARE, min(max(room / FASTEST_BYTES, SOONEST), LATEST))
        return ""


@dataclass
class _Nameless:
    """Bytes in open files that have no name: on the disk, and in memory."""

    disk: int = 0
    memory: int = 0


def _nameless(pids: list[int]) -> _Nameless:
    found, seen, left = _Nameless(), set[tuple[int, int]](), DESCRIPTORS_MOST
    for pid in pids:
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as listed:
            for entry in listed:
                left -= 1
                if left < 0:
                    return found
                _count(entry.path, found, seen)
    return found


def _count(path: str, found: _Nameless, seen: set[tuple[int, int]]) -> None:
    with contextlib.suppress(OSError):
        status = os.stat(path)  # noqa: PTH116 - of what is open, not of the link
        if not stat.S_ISREG(status.st_mode) or status.st_nlink or (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        if os.readlink(path).startswith("/work/"):  # noqa: PTH115 - as above
            found.disk += status.st_blocks * 512
        else:
            found.memory += status.st_blocks * 512


def memory_of(pids: list[int], most: int) -> int:
    """The memory of these processes: quickly, and exactly only if that seems to be more than `most`."""
    page = os.sysconf("SC_PAGE_SIZE")
    quick = sum(_field(f"/proc/{pid}/statm", 1) * page for pid in pids)
    return quick if quick <= most else sum(_proportional(pid) for pid in pids)


def _field(path: str, at: int) -> int:
    try:
        return int(Path(path).read_text().split()[at])
    except (OSError, ValueError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    """Shared pages count in parts."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return _field(f"/proc/{pid}/statm", 1) * os.sysconf("SC_PAGE_SIZE")
