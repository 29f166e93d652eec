"""Two web processes and two workers on one Redis, when one of them hangs, is late, or does not hear."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis.asyncio as redis

from jobs import events as e
from jobs.commands import LoseBox
from jobs.session import Status
from tests.e2e.people import Thread, until
from tests.kills.checker import check
from tests.kills.moments import said
from tests.kills.site import WEBS, Site, frozen, runner_of

pytestmark = pytest.mark.asyncio(loop_scope="session")
WIRE_SECONDS = 5.0  # of silence, after which a runner dials again (docs/wire.md)
SLACK_SECONDS = 4.0
SECONDS = 60.0


async def is_well(thread: Thread, *outcomes: str) -> None:
    """At rest, with these endings, and nothing lost or doubled."""
    await thread.settled(prompts=len(outcomes), seconds=SECONDS)
    assert [ending.outcome for ending in await thread.endings()] == list(outcomes)
    assert (await check(thread)).all() == []


def newest_web(site: Site) -> str:
    """The web process whose socket a new box dials first."""
    sockets = site.office.stack.settings.jobs.gateway_dir.glob("web-*.sock")
    pids = {site.office.stack.supervisor.pid(name): name for name in WEBS}
    newest = max((path for path in sockets if _pid(path.stem) in pids), key=lambda path: path.stat().st_mtime)
    return pids[_pid(newest.stem)]


def _pid(name: str) -> int:
    return int(name.rpartition("-")[2])


async def attached(thread: Thread) -> list[e.LinkAttached]:
    return [event for event in await thread.log() if isinstance(event, e.LinkAttached)]


async def test_boxes_leave_a_web_process_that_hangs_and_keeps_its_socket(site: Site) -> None:
    """And a stop that comes while the end of its turn is still on the way is a stop of nothing."""
    long = await site.office.ada.says("@shipmate count slowly to 7")
    short = await site.office.ada.says("@shipmate count slowly to 0.75")
    await asyncio.gather(said(long, " 2,"), said(short, " 2,"))
    hung = newest_web(site)
    with site.still(hung):
        began = asyncio.get_running_loop().time()
        await site.office.grace.replies(short, "stop")
        await until(lambda: attached(long), lambda all_: len(all_) == 2, SECONDS)
        assert asyncio.get_running_loop().time() - began < WIRE_SECONDS + SLACK_SECONDS
        await said(long, " 22,")
        await until(short.endings, bool, SECONDS)
    assert [event.kind for event in await short.log()].count("stop_requested") <= 1
    await is_well(short, "done")
    await is_well(long, "done")


@asynccontextmanager
async def deaf(site: Site) -> AsyncIterator[None]:
    """Nobody hears a bell: whoever listens is cut off again and again."""

    async def cut() -> None:
        async with redis.Redis.from_url(site.office.stack.env["REDIS_URL"]) as record:
            while True:
                await record.client_kill_filter(_type="pubsub")
                await asyncio.sleep(0.02)

    cutting = asyncio.create_task(cut())
    try:
        yield
    finally:
        cutting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cutting


async def test_a_session_gets_on_when_no_bell_is_heard(site: Site) -> None:
    async with deaf(site):
        thread = await site.office.ada.says("@shipmate add a line to the README saying unheard")
        await site.office.grace.replies(thread, "what is this repository?")
        await thread.settled(prompts=2, seconds=SECONDS)
    await is_well(thread, "done", "done")


async def test_a_redis_that_is_restarted_in_order_and_again_is_waited_for(site: Site) -> None:
    thread = await site.office.ada.says("@shipmate count slowly to 2")
    for number in (2, 5):
        await said(thread, f" {number},")
        pid = site.office.stack.supervisor.pid("redis")
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        await until(lambda gone=pid: restarted(site, gone), bool, SECONDS)  # type: ignore[misc]
    await site.office.grace.replies(thread, "add a line to the README saying after both")
    await is_well(thread, "done", "done")


async def restarted(site: Site, before: int) -> bool:
    return site.office.stack.supervisor.pid("redis") not in (None, before)


async def test_late_frames_of_a_box_that_was_replaced_are_refused(site: Site) -> None:
    thread = await site.office.ada.says("@shipmate count slowly to 1.5")
    await said(thread, " 2,")
    session = await thread.session()
    assert session is not None
    runner = runner_of(site.box(session.box))
    assert runner is not None
    with frozen([runner]):  # its agent goes on talking
        await site.office.shop.inbox.handle(thread.sid, LoseBox(1, "it was silent"))
    await thread.until(lambda s: s.generation >= 2 and s.status is Status.IDLE, SECONDS)
    await is_well(thread, "done")
    log = await thread.log()
    lost = next(event.seq for event in log if isinstance(event, e.BoxLost))
    words = [entry.turn for entry in await site.office.shop.store.transcript(thread.sid, limit=10_000)]
    assert sorted(set(words)) == [1, 2] and words == sorted(words), "nothing of the first turn after the second began"
    assert not [v for v in log if v.seq > lost and getattr(v, "generation", 2) == 1]
