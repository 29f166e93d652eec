"""The log's bells, from the real record to whoever waits in this process."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

from bot.gateway.bells import Bells
from tests.gateway.conftest import SOON, Site


@contextlib.asynccontextmanager
async def hearing(bells: Bells) -> AsyncIterator[None]:
    bells.start()
    try:
        yield
    finally:
        async with asyncio.timeout(SOON):
            await bells.close()


async def rung(bell: asyncio.Event) -> None:
    async with asyncio.timeout(SOON):
        await bell.wait()


async def test_everybody_who_waits_for_a_session_hears_its_bell_and_nobody_else(site: Site) -> None:
    bells = Bells(site.store.bells)
    first, second, other = asyncio.Event(), asyncio.Event(), asyncio.Event()
    with bells.ringing("s1", first), bells.ringing("s1", second), bells.ringing("s2", other):
        async with hearing(bells), asyncio.timeout(SOON):
            for n in itertools.count():  # the subscription may not be there yet
                await site.ask("s1", n)
                await asyncio.sleep(0.01)
                if first.is_set():
                    break
            await rung(second)
            assert not other.is_set()


async def test_a_subscription_that_breaks_is_opened_again() -> None:
    opened = 0

    async def breaking() -> AsyncIterator[str]:
        nonlocal opened
        opened += 1
        if opened == 1:
            raise ConnectionError("the record is away")
        yield "s1"
        await asyncio.Event().wait()

    bell = asyncio.Event()
    bells = Bells(breaking)
    with bells.ringing("s1", bell):
        async with hearing(bells):
            await rung(bell)
    assert opened == 2


async def test_a_bell_that_nobody_waits_for_any_more_is_forgotten() -> None:
    async def ringing() -> AsyncIterator[str]:
        for _ in range(3):
            yield "s1"
        done.set()
        await asyncio.Event().wait()

    done, bell = asyncio.Event(), asyncio.Event()
    bells = Bells(ringing)
    with bells.ringing("s1", bell):
        pass
    async with hearing(bells):
        await rung(done)
    assert not bell.is_set()


async def test_bells_are_closed_in_any_moment_of_their_beginning(site: Site) -> None:
    for steps in range(30):
        bells = Bells(site.store.bells)
        async with hearing(bells):
            for _ in range(steps):
                await asyncio.sleep(0)
