"""The link over the real socket and the real record: attach, and what goes down (docs/wire.md)."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.gateway import link_stream
from bot.gateway.access import Access
from bot.gateway.bells import Bells
from bot.gateway.link import Link
from bot.gateway.lookout import Lookout
from jobs import commands as c
from jobs.events import LinkAttached
from tests.gateway.conftest import Site, boxes, ended, frame, one_box, ready, two_ways, words
from tests.logs import GRACE, RULES

# -- attach ------------------------------------------------------------------------------------------------------------


async def test_an_attach_takes_an_epoch_and_says_what_is_stored(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        assert (await box.attach()).body == {"epoch": 1, "acked": 0}
        assert (await box.up(ready(1))).body == {"acked": 1}
        assert (await box.up(frame(2, "turn_started", turn=1))).body == {"acked": 2}
        assert (await box.attach(frame=2)).body == {"epoch": 2, "acked": 2}
    assert [event.epoch for event in await site.log("s1", LinkAttached)] == [1, 2]
    assert {"attached", "delivered"} <= (await site.store.stamps("s1")).keys()


async def test_a_box_that_calls_before_it_is_on_record_is_asked_to_wait(site: Site) -> None:
    await site.ask("s1", 1)
    booting = await site.inbox.handle("s1", c.BeginStart(0))
    await site.grant(booting, "t-1")
    async with site.gateway() as socket, one_box(socket) as box:
        assert (await box.attach()).status == 503
        await site.inbox.handle("s1", c.FinishStart(1, "s1-1", "cold", None, True))
        assert (await box.attach()).status == 200


async def test_another_wire_is_refused_with_a_sentence(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        answer = await box.attach(wire=2)
        assert (answer.status, "version 1" in answer.body["error"]) == (426, True)


async def test_a_box_of_an_older_generation_is_told_that_it_is_over(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.get_ready()
        await site.inbox.handle("s1", c.LoseBox(1, "it was thought dead"))
        await site.inbox.handle("s1", c.BeginStart(1))
        stale = (409, {"error": "stale generation"})
        for answer in (await box.up(words(2)), await box.attach(), await box.attach(generation=2)):
            assert (answer.status, answer.body) == stale


BAD_ATTACHES: list[tuple[Any, int]] = [
    (b"", 400),
    (b"not json", 400),
    (b"[]", 400),
    (b"[" * 3_000, 400),
    (b"x" * 5_000, 413),
    ({"wire": 1}, 400),
    ({"wire": 1, "generation": "one", "frame": 0}, 400),
    ({"wire": 1, "generation": 1, "frame": -1}, 400),
    ({"wire": "1", "generation": 1, "frame": 0}, 426),
]


async def test_garbage_does_not_attach_and_changes_nothing(site: Site) -> None:
    await site.box()
    before = await site.log("s1")
    async with site.gateway() as socket, one_box(socket) as box:
        for body, status in BAD_ATTACHES:
            assert (await box.post("/link/attach", body)).status == status, body
    assert await site.log("s1") == before


# -- down --------------------------------------------------------------------------------------------------------------


async def test_a_prompt_goes_down_as_soon_as_it_is_delivered(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        assert (await box.attach()).status == 200
        async with box.down() as down:
            await box.up(ready(1))
            line = await down.next()
            assert line is not None
            assert (line["kind"], line["turn"], line["text"]) == ("prompt_delivered", 1, "Fix the fuel test")
            started = time.monotonic()
            await site.inbox.handle("s1", c.Stop(GRACE))
            assert (await down.next() or {})["kind"] == "stop_requested"
            assert time.monotonic() - started < 0.5


async def test_beats_come_while_nothing_happens(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.attach()
        async with box.down() as down:
            assert await down.next(beats=True) == {"kind": "beat"}
            started = time.monotonic()
            assert await down.next(beats=True) == {"kind": "beat"}
            assert 1.0 < time.monotonic() - started < 3.5


async def test_a_lost_bell_costs_no_more_than_a_second_or_two(site: Site) -> None:
    async def deaf() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""

    await site.box()
    access = Access(site.store.granted)
    app = web.Application(middlewares=[access.check])
    link = Link(site.store, site.inbox, Bells(deaf), RULES)
    lookout = Lookout(site.store, link.streams)
    lookout.start()
    app.add_routes(link.routes)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    socket = site.folder / "deaf.sock"
    await web.UnixSite(runner, str(socket)).start()
    async with one_box(socket) as box:
        await box.attach()
        async with box.down() as down:
            assert await down.next(beats=True) == {"kind": "beat"}
            started = time.monotonic()
            await box.up(ready(1))
            assert (await down.next() or {})["kind"] == "prompt_delivered"
            assert time.monotonic() - started < link_stream.LOOK_SECONDS + 0.7
    await runner.cleanup()
    await lookout.close()


async def test_what_was_handled_is_not_sent_again_and_what_was_not_is(site: Site) -> None:
    await site.box()
    async with site.gateway("old") as socket, one_box(socket) as box:
        await box.get_ready()
        async with box.down() as down:
            prompt = await down.next()
    assert prompt is not None
    await site.inbox.handle("s1", c.Stop(GRACE))  # nobody is there to hear it
    async with site.gateway("new") as socket, one_box(socket) as box:
        await box.attach(after=prompt["seq"], frame=1)
        async with box.down(after=prompt["seq"]) as down:
            assert (await down.next() or {})["kind"] == "stop_requested"
        async with box.down(after=0) as down:
            assert await down.next() == prompt
            assert (await down.next() or {})["kind"] == "stop_requested"


async def test_an_attach_through_another_process_replaces_the_first_ones_stream(site: Site) -> None:
    await site.box()
    async with two_ways(site) as (before, after):
        await before.attach()
        async with before.down() as down:
            assert await down.next(beats=True) == {"kind": "beat"}
            await after.attach()
            assert await down.next() == {"kind": "replaced"}
            assert await down.next() is None
        assert (await before.up(ready(1))).body == {"error": "stale epoch"}
        async with before.down() as down:
            assert down.status == 409
        assert (await after.up(ready(1))).body == {"acked": 1}


async def test_of_two_streams_of_one_attachment_the_later_one_goes_on(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.attach()
        async with box.down() as first:
            assert await first.next(beats=True) == {"kind": "beat"}
            async with box.down() as second:
                assert await first.next() is None
                await box.up(ready(1))
                assert (await second.next() or {})["kind"] == "prompt_delivered"


async def test_a_new_box_replaces_the_stream_of_the_old_one(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.attach()
        async with box.down() as down:
            await site.inbox.handle("s1", c.LoseBox(1, "it was thought dead"))
            await site.inbox.handle("s1", c.BeginStart(1))
            assert await down.next() == {"kind": "replaced"}


async def test_the_stream_of_a_revoked_box_ends_with_the_next_beat(site: Site) -> None:
    grant = await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.attach()
        async with box.down() as down:
            assert await down.next(beats=True) == {"kind": "beat"}
            await site.store.revoke(grant.box)
            assert await down.next(beats=True) is None


QUERIES = ["", "epoch=1", "after=0", "epoch=x&after=0", "epoch=1&after=-1", "epoch=1e3&after=0"]


@pytest.mark.parametrize("query", QUERIES)
async def test_a_stream_needs_its_two_numbers(site: Site, query: str) -> None:
    await site.box()
    async with site.gateway() as socket, aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as http:
        url, headers = f"http://gateway/link/down?{query}", {"Authorization": "Bearer t-1"}
        async with http.get(url, headers=headers) as answer:
            assert answer.status == 400


async def test_a_box_that_dials_without_end_is_told_to_wait_and_its_log_stays_short(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        answers = [await box.attach() for _ in range(60)]
        assert [answer.status for answer in answers[:40]] == [200] * 40
        assert {(answer.status, answer.body["seconds"]) for answer in answers[-5:]} == {(503, 1.0)}
    assert len(await site.log("s1", LinkAttached)) < 60


async def test_a_reader_that_takes_nothing_holds_up_nobody_else(site: Site) -> None:
    await site.box("s1", "t-1")
    await site.box("s2", "t-2")
    async with site.gateway() as socket, boxes(socket, "t-1", "t-2") as (slow, quick):
        for n in range(2, 14):
            await site.ask("s1", n, "x" * 100_000)
        await slow.attach()
        await quick.attach()
        async with slow.down(), quick.down() as down:  # whatever is written to the slow one is never read
            await slow.up(ready(1))
            for turn in range(1, 13):
                await slow.up(ended(turn + 1, turn))
            started = time.monotonic()
            await quick.up(ready(1))
            assert (await down.next() or {})["kind"] == "prompt_delivered"
            assert time.monotonic() - started < 1.0
