"""A limit on the memory of a whole box, one share of the processor, and a freezer, where this process may make cgroups.

As root it may, version 1 or 2. Elsewhere the kernel limits nothing, which is said once, and `overgrown.py` counts
instead; a service of systemd limits all boxes together with MemoryMax=. `local.py` calls.
"""

import contextlib
import hashlib
import logging
import os
import time
from pathlib import Path

from sandbox.freezer import VERSION_1, VERSION_2, Freezer

log = logging.getLogger(__name__)
ROOT = Path("/sys/fs/cgroup")
EMPTY_SECONDS = 1.0
PROCESSOR, FREEZER = "cpu", "freezer"  # hierarchies of version 1
SHARES = "128"  # of 1024, which is what one process has
# hierarchy: the file with what a cgroup weighs, what one of our processes does, and what a box does
WEIGHTS = ((PROCESSOR, "cpu.shares", "1024", SHARES), ("", "cpu.weight", "100", "12"))
# hierarchy: the file that limits memory, and the one for swap (version 1 counts both together)
VERSIONS = (("memory", "memory.limit_in_bytes", ""), ("", "memory.max", "memory.swap.max"))


class Cgroups:
    """The cgroups of all boxes below one folder."""

    def __init__(self, boxes: Path, root: Path = ROOT) -> None:
        self._mark = hashlib.sha256(os.fsencode(boxes)).hexdigest()[:12]
        self._root = root
        self._refused = False

    def usable(self) -> bool:
        """Whether limits can be set here."""
        return any(
            self._offers(hierarchy) and os.access(self._root / hierarchy, os.W_OK) for hierarchy, _, _ in VERSIONS
        )

    def freezes(self) -> bool:
        """Whether boxes that are made here get a freezer."""
        first = self._root / FREEZER
        if os.access(first, os.W_OK) and (first / "cgroup.procs").exists():
            return True
        return self._offers("") and os.access(self._root, os.W_OK)

    def add(self, box: str, pid: int, memory_bytes: int | None) -> None:
        """Put a box's first process under a limit before it has started another."""
        self._put(PROCESSOR, "cpu.shares", box, pid)
        self._put(FREEZER, VERSION_1.file, box, pid)
        if memory_bytes is None or self._refused:
            return
        for hierarchy, limit, swap in VERSIONS:
            folder = self._folder(hierarchy, box)
            if self._offers(hierarchy) and _limited(folder, limit, swap, memory_bytes, pid):
                return
        self._refused = True
        log.warning("this host does not let us limit the memory of boxes")

    def weigh_less(self, box: str) -> None:
        """Let a box, however many processes it has, weigh an eighth of one of ours when the processor is short."""
        for hierarchy, file, ours, less in WEIGHTS:
            weight = self._folder(hierarchy, box) / file
            with contextlib.suppress(OSError):
                if weight.read_text().strip() == ours:
                    weight.write_text(less)

    def _put(self, hierarchy: str, file: str, box: str, pid: int) -> None:
        """Put the process into a cgroup of this hierarchy, if there is one, whose cgroups have this file."""
        folder = self._folder(hierarchy, box)
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
            if (folder / file).exists():
                (folder / "cgroup.procs").write_text(str(pid))

    def freezer(self, box: str) -> Freezer | None:
        """What holds this box still; None where the kernel offers nothing, or the box was made before it did."""
        for hierarchy, version in ((FREEZER, VERSION_1), ("", VERSION_2)):
            folder = self._folder(hierarchy, box)
            if os.access(folder / version.file, os.W_OK):
                return Freezer(folder / version.file, version, self._folder(PROCESSOR, box) / "cpu.shares", SHARES)
        return None

    def counts(self, box: str) -> bool:
        """Whether the kernel limits this box's memory."""
        return any(self._folder(hierarchy, box).is_dir() for hierarchy, _, _ in VERSIONS)

    def remove(self, box: str) -> None:
        """Forget a dead box's cgroup."""
        for hierarchy in (PROCESSOR, FREEZER, *(hierarchy for hierarchy, _, _ in VERSIONS)):
            _removed(self._folder(hierarchy, box))

    def _folder(self, hierarchy: str, box: str) -> Path:
        return self._root / hierarchy / f"shipmate-{self._mark}-{box}"

    def _offers(self, hierarchy: str) -> bool:
        if hierarchy:
            return (self._root / hierarchy / "memory.limit_in_bytes").exists()
        with contextlib.suppress(OSError):
            return "memory" in (self._root / "cgroup.subtree_control").read_text().split()
        return False


def _limited(folder: Path, limit: str, swap: str, memory_bytes: int, pid: int) -> bool:
    try:
        folder.mkdir(exist_ok=True)
        (folder / limit).write_text(str(memory_bytes))
        if swap and (folder / swap).exists():
            (folder / swap).write_text("0")
        (folder / "cgroup.procs").write_text(str(pid))
    except OSError:
        _removed(folder)
        return False
    return True


def _removed(folder: Path) -> None:
    end = time.monotonic() + EMPTY_SECONDS
    while folder.is_dir():
        with contextlib.suppress(OSError):
            folder.rmdir()
            return
        if time.monotonic() > end:
            return
        time.sleep(0.005)
