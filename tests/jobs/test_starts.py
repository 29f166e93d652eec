"""A start that takes longer than usual is left to the worker that is at it, and one whose worker died is not."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from jobs import commands as c
from jobs.image_records import Image
from jobs.operations import start_box
from jobs.session import Status
from jobs.starts import is_at_start
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
        while not await is_at_start(at.shop.store, await at.session()):
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
    assert not await is_at_start(at.shop.store, await at.session())
    await Upkeep(at.shop).sweep()
    assert (await at.session()).status is Status.FAILED
