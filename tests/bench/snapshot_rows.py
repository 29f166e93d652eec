"""What a live snapshot and a restore cost: on trees of 20 files, and of 100 000 files with 1 GB."""

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from jobs.settings import JobSettings
from jobs.wiring import provider
from sandbox.provider import BoxSpec, Provider, SnapshotKind
from tests.bench.box_rows import IDLE
from tests.bench.measure import ROUNDS, Row, interleaved, milliseconds, percentile, row

SMALL, LARGE = (20, 20 << 10), (100_000, 1 << 30)  # files, bytes
CHANGED_FILES, CHANGED_BYTES = 100, 10 << 20
RATIO_MOST, SNAPSHOT_MS, RESTORE_MS = 1.2, 100, 50
MAKE_TREE = """\
import os, sys
files, size = int(sys.argv[1]), int(sys.argv[2])
piece = os.urandom(size // files)
for n in range(files):
    folder = f"/work/repo/{n // 1000}"
    n % 1000 or os.makedirs(folder, exist_ok=True)
    open(f"{folder}/{n}", "wb").write(piece)
"""
CHANGE = """\
import os, sys
files, size = int(sys.argv[1]), int(sys.argv[2])
os.makedirs("/work/repo/changed", exist_ok=True)
for n in range(files):
    open(f"/work/repo/changed/{n}", "wb").write(os.urandom(size // files))
"""


class Live:
    """A box on a tree of some size: each round changes files and takes a snapshot, or restores one."""

    def __init__(self, boxes: Provider, base: str, name: str) -> None:
        self._boxes, self._base, self._name = boxes, base, name
        self._moments, self._restored, self._kept = count(), count(), ""

    async def start(self) -> None:
        """Make the box, with everything changed once and kept."""
        await self._boxes.create(BoxSpec(self._name, IDLE, base=self._base))
        await self.change()
        self._kept = (await self._boxes.snapshot(self._name, SnapshotKind.TURN, "kept")).id

    async def change(self) -> None:
        """Write 10 MB in 100 files."""
        argv = ("python3", "-c", CHANGE, str(CHANGED_FILES), str(CHANGED_BYTES))
        done = await self._boxes.exec(self._name, argv)
        assert done.code == 0, done.stderr

    async def snapshot(self) -> float:
        """Change, and time the snapshot of it."""
        await self.change()
        began = time.perf_counter()
        taken = await self._boxes.snapshot(self._name, SnapshotKind.TURN, f"turn {next(self._moments)}")
        spent = milliseconds(time.perf_counter() - began)
        await self._boxes.forget_snapshot(taken.id)
        return spent

    async def restore(self) -> float:
        """Restore → first byte: a box that grows from the snapshot has its first process."""
        name = f"{self._name}-{next(self._restored)}"
        began = time.perf_counter()
        await self._boxes.create(BoxSpec(name, IDLE, base=self._kept))
        spent = milliseconds(time.perf_counter() - began)
        await self._boxes.discard(name)
        return spent


@asynccontextmanager
async def lives() -> AsyncIterator[tuple[Live, Live, Path]]:
    """A box on a small tree, one on a large one, and a folder beside them for bare copies."""
    with tempfile.TemporaryDirectory(prefix="shipmate-bench-") as folder:
        Path(folder).chmod(0o711)
        boxes = provider(JobSettings.from_env({"SHIPMATE_DATA_DIR": folder}))
        found = []
        for word, (files, size) in (("small", SMALL), ("large", LARGE)):
            found.append(Live(boxes, await _base(boxes, word, files, size), f"bench-{word}"))
            await found[-1].start()
        yield found[0], found[1], Path(folder)
        for box in await boxes.list():
            await boxes.discard(box.name)


async def _base(boxes: Provider, word: str, files: int, size: int) -> str:
    name = f"bench-base-{word}"
    await boxes.create(BoxSpec(name, IDLE))
    made = await boxes.exec(name, ("python3", "-c", MAKE_TREE, str(files), str(size)), timeout=600.0)
    assert made.code == 0, made.stderr
    await boxes.terminate(name)
    left = await boxes.last_state(name, SnapshotKind.BASE)
    await boxes.discard(name)
    assert left is not None
    return left.id


async def snapshot(rounds: int = ROUNDS) -> list[Row]:
    """Both sizes, and a bare copy of the same 100 files, each made durable, interleaved."""
    began = time.time()
    async with lives() as (small, large, folder):
        ours_small, ours_large, bare = await interleaved(rounds, small.snapshot, large.snapshot, Bare(folder).copy)
    note = "a live box, 10 MB changed in 100 files → snapshot on disk"
    first = f"{note}, tree of 20 files; bare: copy and fsync of the same; aim {SNAPSHOT_MS} ms"
    second = f"{note}, tree of 100 000 files, 1 GB; ratio: large/small; aim {SNAPSHOT_MS} ms, ratio ≤ {RATIO_MOST}"
    ratio = percentile(ours_large, 0.5) / percentile(ours_small, 0.5)
    return [
        row("snapshot_small", ours_small, bare, began, first),
        row("snapshot_large", ours_large, bare, began, second, ratio=ratio),
    ]


async def restore(rounds: int = ROUNDS) -> list[Row]:
    """Both sizes, interleaved."""
    began = time.time()
    async with lives() as (small, large, _):
        ours_small, ours_large = await interleaved(rounds, small.restore, large.restore)
    note = "a snapshot with 10 MB changed in 100 files → first sign of life of a box from it"
    second = f"{note}, tree of 100 000 files, 1 GB; ratio: large/small; aim {RESTORE_MS} ms, ratio ≤ {RATIO_MOST}"
    ratio = percentile(ours_large, 0.5) / percentile(ours_small, 0.5)
    return [
        row("restore_small", ours_small, [], began, f"{note}, tree of 20 files; aim {RESTORE_MS} ms"),
        row("restore_large", ours_large, [], began, second, ratio=ratio),
    ]


class Bare:
    """The same work without a box."""

    def __init__(self, folder: Path) -> None:
        self._source, self._numbers = folder / "bare", count()
        self._source.mkdir()
        for number in range(CHANGED_FILES):
            (self._source / str(number)).write_bytes(os.urandom(CHANGED_BYTES // CHANGED_FILES))

    async def copy(self) -> float:
        """Copy the files and make each durable."""
        target = self._source.with_name(f"bare-{next(self._numbers)}")
        began = time.perf_counter()
        shutil.copytree(self._source, target)
        for path in target.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        spent = milliseconds(time.perf_counter() - began)
        shutil.rmtree(target)
        return spent
