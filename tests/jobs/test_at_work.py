"""A start, or a park, that takes longer than usual is left to the worker that is at it; if that died, it is not."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from jobs import commands as c
from jobs.at_work import somebody_is_at
from jobs.events import ParkBegan
from jobs.image_records import Image
from jobs.operations import park_box, start_box
from jobs.session import Status
from jobs.store import Store
from jobs.upkeep import Upkeep
from tests.jobs.shop import ROCKET, SECONDS, Bench, bench


@pytest.fixture
async def at(store: Store, redis_url: str) -> AsyncIterator[Bench]:
    async with bench(store, redis_url) as opened:
        await store.images.add(Image(repository=ROCKET, snapshot="0" * 16, built_at=1.0, bytes=1))
        yield opened


async def slow_start(at: Bench, go_on: asyncio.Event) -> asyncio.Task[None]:
    """A worker that is making the box of the last try, for longer than a start usually may take."""
    begun = asyncio.Event()

    async def wait() -> None:
        begun.set()
        await go_on.wait()

    at.provider.before["create"] = wait
    await at.ask()
    for generation in range(at.shop.settings.rules.max_failures - 1):
        await at.do(c.BeginStart(generation))
        await at.do(c.FailStart(generation + 1, "no space", 0.0))
    starting = asyncio.create_task(start_box(at.shop, at.sid))
    async with asyncio.timeout(SECONDS):
        await begun.wait()
        while not await somebody_is_at(at.shop.store, "start", await at.session()):
            await asyncio.sleep(0.01)
    at.clock.ahead = at.shop.settings.rules.start_seconds + 10
    return starting


async def test_a_slow_start_is_neither_doubled_nor_given_up(at: Bench) -> None:
    go_on = asyncio.Event()
    starting = await slow_start(at, go_on)
    before = (await at.session()).generation
    await Upkeep(at.shop).sweep()
    await start_box(at.shop, at.sid)
    session = await at.session()
    assert (session.status, session.generation) == (Status.BOOTING, before)
    go_on.set()
    await starting
    session = await at.session()
    assert (session.status, session.box) == (Status.CONNECTING, f"{at.sid}-{before}")


async def test_a_start_whose_worker_died_is_lost(at: Bench) -> None:
    starting = await slow_start(at, asyncio.Event())
    starting.cancel()
    await asyncio.wait({starting})
    assert not await somebody_is_at(at.shop.store, "start", await at.session())
    await Upkeep(at.shop).sweep()
    assert (await at.session()).status is Status.FAILED


async def slow_park(at: Bench, go_on: asyncio.Event) -> asyncio.Task[None]:
    """A worker that is putting a box to sleep, for longer than that usually may take."""
    begun = asyncio.Event()

    async def wait() -> None:
        begun.set()
        await go_on.wait()

    await at.ask()
    await start_box(at.shop, at.sid)
    at.provider.before["terminate"] = wait
    parking = asyncio.create_task(park_box(at.shop, at.sid))
    async with asyncio.timeout(SECONDS):
        await begun.wait()
        while not await somebody_is_at(at.shop.store, "park", await at.session()):
            await asyncio.sleep(0.01)
    at.clock.ahead = at.shop.settings.rules.park_seconds + 10
    return parking


async def begun(at: Bench) -> int:
    return sum(isinstance(event, ParkBegan) for event in await at.events())


async def test_a_slow_park_is_begun_once(at: Bench) -> None:
    go_on = asyncio.Event()
    parking = await slow_park(at, go_on)
    asked = (await at.shop.queue.depth())["boxes"]
    await Upkeep(at.shop).sweep()
    assert (await at.shop.queue.depth())["boxes"] == asked, "nobody is asked for it again"
    await park_box(at.shop, at.sid)
    assert ((await at.session()).status, await begun(at)) == (Status.PARKING, 1)
    go_on.set()
    await parking
    assert (await at.session()).box is None
    assert await begun(at) == 1


async def test_a_park_whose_worker_died_is_begun_again(at: Bench) -> None:
    parking = await slow_park(at, asyncio.Event())
    parking.cancel()
    await asyncio.wait({parking})
    at.provider.before.clear()
    asked = (await at.shop.queue.depth())["boxes"]
    await Upkeep(at.shop).sweep()
    assert (await at.shop.queue.depth())["boxes"] == asked + 1, "it is asked for again"
    await park_box(at.shop, at.sid)
    assert (await at.session()).box is None
    assert await begun(at) == 2
