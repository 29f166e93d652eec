"""What a box costs: `box_create_small` and `box_create_large`, on trees of 20 and of 100 000 files."""

import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from jobs.settings import JobSettings
from jobs.wiring import provider
from sandbox.provider import BoxSpec, BoxState, Provider, SnapshotKind
from tests.bench.measure import ROUNDS, Row, interleaved, milliseconds, row

SMALL, LARGE = 20, 100_000
LARGEST_RATIO = 1.2
IDLE = json.dumps({"wire": 1, "token": "none", "mode": "idle", "gateway": None}).encode() + b"\n"
MAKE_FILES = """\
import os, sys
for n in range(int(sys.argv[1])):
    folder = f"/work/repo/{n // 1000}"
    n % 1000 or os.makedirs(folder, exist_ok=True)
    open(f"{folder}/{n}", "w").write("x")
"""


class Boxes:
    """Makes and forgets boxes that grow from one snapshot."""

    def __init__(self, boxes: Provider, base: str, names: "count[int]") -> None:
        self._boxes, self._base, self._names = boxes, base, names

    async def create(self) -> float:
        """Create → the box's first byte: its first process exists and has been told of."""
        name = f"bench-{next(self._names)}"
        began = time.perf_counter()
        await self._boxes.create(BoxSpec(name=name, greeting=IDLE, base=self._base))
        taken = milliseconds(time.perf_counter() - began)
        await self._boxes.discard(name)
        return taken


@asynccontextmanager
async def snapshots() -> AsyncIterator[tuple[Boxes, Boxes]]:
    """A small tree and a large one, as snapshots of a provider of their own."""
    with tempfile.TemporaryDirectory(prefix="shipmate-bench-") as folder:
        Path(folder).chmod(0o711)
        settings = JobSettings.from_env({"SHIPMATE_DATA_DIR": folder})
        boxes, names = provider(settings), count()
        small, large = [await _snapshot(boxes, f"base-{files}", files) for files in (SMALL, LARGE)]
        yield Boxes(boxes, small, names), Boxes(boxes, large, names)
        for box in await boxes.list():
            await boxes.discard(box.name)


async def _snapshot(boxes: Provider, name: str, files: int) -> str:
    await boxes.create(BoxSpec(name=name, greeting=IDLE))
    made = await boxes.exec(name, ("python3", "-c", MAKE_FILES, str(files)), timeout=300.0)
    if made.code != 0:
        raise RuntimeError(f"the tree could not be made: {made.stderr.decode()}")
    await boxes.terminate(name)
    assert (await boxes.status(name)).state is BoxState.DEAD
    left = await boxes.last_state(name, SnapshotKind.BASE)
    assert left is not None
    return left.id


async def box_create(rounds: int = ROUNDS) -> list[Row]:
    """Both sizes, and a plain process with the same first sign of life, interleaved."""
    began = time.time()
    async with snapshots() as (small, large):
        ours_small, ours_large, bare = await interleaved(rounds, small.create, large.create, _plain_process)
    note = "create → first sign of life of the box's pid 1"
    made = row("box_create_small", ours_small, bare, began, f"{note}, {SMALL} files; bare: a plain process; aim 15 ms")
    ratio = sorted(ours_large)[len(ours_large) // 2] / sorted(ours_small)[len(ours_small) // 2]
    words = f"{note}, {LARGE} files; ratio: large/small; aim ≤ {LARGEST_RATIO}"
    return [made, row("box_create_large", ours_large, bare, began, words, ratio=ratio)]


async def _plain_process() -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec("/bin/echo", "x", stdout=subprocess.PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    taken = milliseconds(time.perf_counter() - began)
    await process.wait()
    return taken
