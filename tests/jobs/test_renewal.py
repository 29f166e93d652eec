"""What a place far away needs now and then: once an hour for all processes, whatever happened to the last one."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobs import renewal
from jobs.store import Store
from sandbox.provider import Temporary
from sandbox.side_by_side import HERE, SideBySide
from tests.jobs.shop import Bench, bench
from tests.sandbox.test_side_by_side import Place


class Rented(Place):
    """A place that keeps snapshots for longer, some at a time, and may be out of reach."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.prepares = asyncio.Event()

    async def prepare(self) -> None:
        self.prepares.set()
        if self.silent:
            raise Temporary("it does not answer")
        await super().prepare()

    async def renew(self, before: float) -> int:
        found = [due for due in self.due if due < before][:2]
        self.due = [due for due in self.due if due not in found]
        return len(found)


@pytest.fixture
async def far(tmp_path: Path) -> Rented:
    return Rented(tmp_path / "far")


@pytest.fixture
async def at(store: Store, redis_url: str, far: Rented) -> AsyncIterator[Bench]:
    async with bench(store, redis_url) as opened:
        places = SideBySide({HERE: opened.provider._real, "modal": far})  # type: ignore[dict-item]
        opened.shop = dataclasses.replace(opened.shop, provider=places)
        yield opened


async def test_whatever_is_let_go_within_a_week_is_renewed_by_one_of_all_processes(at: Bench, far: Rented) -> None:
    now, day = at.clock(), 86_400.0
    far.due = [now + day, now + 2 * day, now + 6 * day, now + 30 * day]
    assert await asyncio.gather(*(renewal.renew(at.shop) for _ in range(3))) in ([3, 0, 0], [0, 3, 0], [0, 0, 3])
    assert far.due == [now + 30 * day]


async def test_a_place_that_cannot_prepare_is_left_to_the_first_box(at: Bench, far: Rented) -> None:
    far.silent = True
    tending = asyncio.create_task(renewal.tend(at.shop))
    await far.prepares.wait()
    await asyncio.sleep(0)
    assert not tending.done(), "it goes on"
    tending.cancel()
    await asyncio.wait({tending})
