"""The link over the real socket and the real record: what comes up, nothing lost and nothing doubled (docs/wire.md)."""

import asyncio
import gzip
import json
import time
from typing import Any

import aiohttp
import pytest
import redis

from bot.gateway.link_up import PIECE_FRAMES
from bot.gateway.pace import BATCHES_AT_ONCE
from jobs.events import Noted, PhaseReached, StepStarted, TurnEnded
from jobs.session import Status
from tests.gateway.conftest import SOON, Json, Site, boxes, ended, frame, one_box, ready, step, two_ways, words

LINK_KEY = "shipmate:{s1}:link"


async def test_a_frame_that_is_sent_to_two_processes_is_stored_once(site: Site) -> None:
    await site.box()
    async with two_ways(site) as (box, again):
        await box.get_ready()
        again.epoch = box.epoch
        batch = [step(2, "Read"), words(3), step(4, "Run")]
        answers = await asyncio.gather(*(each.up(*batch) for each in (box, again) for _ in range(5)))
        assert [answer.body for answer in answers] == [{"acked": 4}] * 10
    assert [event.title for event in await site.log("s1", StepStarted)] == ["Read", "Run"]
    assert [entry.body["text"] for entry in await site.store.transcript("s1")] == ["hello"]


async def test_frames_that_overlap_what_is_stored_add_only_what_is_new(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.get_ready()
        assert (await box.up(step(2, "a"), step(3, "b"))).body == {"acked": 3}
        assert (await box.up(step(2, "a"), step(3, "b"), step(4, "c"))).body == {"acked": 4}
        assert (await box.up(step(2, "a"))).body == {"acked": 4}
    assert [event.title for event in await site.log("s1", StepStarted)] == ["a", "b", "c"]


async def test_a_gap_makes_the_runner_attach_again(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.get_ready()
        answer = await box.up(step(3))
        assert (answer.status, "generation" in answer.body["error"]) == (409, False)
        assert (await box.attach(frame=3)).body["acked"] == 1
        assert (await box.up(step(2), step(3))).body == {"acked": 3}


BAD_BATCHES: list[tuple[str, Json, int | None]] = [
    ("garbage among good ones", {"frames": [words(2), frame(3, "shout"), words(4)]}, 3),
    ("an oversized text", {"frames": [words(2, "x" * 70_000)]}, 2),
    ("too many", {"frames": [words(n) for n in range(2, 300)]}, None),
    ("no frames", {"frames": "all"}, None),
]


@pytest.mark.parametrize(("body", "n"), [row[1:] for row in BAD_BATCHES], ids=[row[0] for row in BAD_BATCHES])
async def test_a_bad_frame_is_refused_for_good_and_named(site: Site, body: Json, n: int | None) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.get_ready()
        answer = await box.post("/link/up", {"epoch": box.epoch, **body})
        assert (answer.status, answer.body.get("n")) == (400, n)
        assert answer.body["error"]
        assert (await box.up(frame(2, "dropped", reason="it was refused"))).body == {"acked": 2}
    assert [event.text for event in await site.log("s1", Noted)] == ["The box's report was cut: it was refused"]


async def test_a_large_batch_is_stored_in_pieces_between_which_others_have_their_turn(
    site: Site, redis_url: str
) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.get_ready()
        with redis.Redis.from_url(redis_url) as record:
            calls = [record.info("commandstats")["cmdstat_evalsha"]["calls"]]
            for batch in ([words(2)], [words(3 + n) for n in range(2 * PIECE_FRAMES + 1)]):
                assert (await box.up(*batch)).body == {"acked": batch[-1]["n"]}
                calls.append(record.info("commandstats")["cmdstat_evalsha"]["calls"])
    assert calls[2] - calls[1] == 3 * (calls[1] - calls[0]), "two whole pieces, and the last frame"


async def test_a_batch_beyond_a_megabyte_is_not_read_to_its_end(site: Site) -> None:
    await site.box()

    async def endless() -> Any:
        while True:
            yield b" " * 65_536

    async with site.gateway() as socket, one_box(socket) as box:
        await box.get_ready()
        assert (await box.post("/link/up", b" " * (1 << 20) + b"{}")).status == 413
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as http:
            headers = {"Authorization": "Bearer t-1"}
            async with http.post("http://gateway/link/up", data=endless(), headers=headers) as answer:
                assert answer.status == 413


async def test_batches_that_never_come_whole_are_few_and_cost_a_box_its_own_link_alone(site: Site) -> None:
    await site.box()
    await site.box("s2", "t-2")
    never = asyncio.Event()

    async def half() -> Any:
        yield b'{"epoch":'
        await never.wait()

    async def sent(http: aiohttp.ClientSession) -> int:
        headers = {"Authorization": "Bearer t-1"}
        async with http.post("http://gateway/link/up", data=half(), headers=headers) as answer:
            return answer.status

    async with site.gateway() as socket, boxes(socket, "t-1", "t-2") as (box, other):
        await box.get_ready()
        connector = aiohttp.UnixConnector(str(socket), limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            sending = [asyncio.ensure_future(sent(http)) for _ in range(BATCHES_AT_ONCE + 1)]
            done, rest = await asyncio.wait(sending, timeout=SOON, return_when=asyncio.FIRST_COMPLETED)
            assert [task.result() for task in done] == [503]
            assert (await box.up(words(2))).status == 503
            await other.get_ready()
            for task in rest:
                task.cancel()
            await asyncio.wait(rest)
        async with asyncio.timeout(SOON):
            while (await box.up(words(2))).status == 503:
                await asyncio.sleep(0.01)
        assert (await box.up(words(3))).body == {"acked": 3}


async def test_a_box_that_guesses_its_epoch_is_not_heard_before_it_attached(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        box.epoch = await site.store.begin_epoch("s1", 1)
        answer = await box.up(frame(1, "phase", phase="syncing"), ready(2))
        assert (answer.status, answer.body["n"]) == (400, 1)
    session = await site.store.load("s1")
    assert session is not None and session.status is Status.CONNECTING


async def test_frames_of_a_turn_that_is_over_are_taken_and_mean_nothing(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.get_ready()
        assert (await box.up(ended(2), step(3), ended(4), frame(5, "turn_started", turn=9))).body == {"acked": 5}
    assert len(await site.log("s1", TurnEnded)) == 1
    assert await site.log("s1", StepStarted) == []


async def test_a_compressed_body_is_not_unpacked(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.get_ready()
        packed = gzip.compress(json.dumps({"epoch": 1, "frames": [words(2)]}).encode())
        headers = {"Authorization": "Bearer t-1", "Content-Encoding": "gzip"}
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as http,
            http.post("http://gateway/link/up", data=packed, headers=headers) as answer,
        ):
            assert answer.status == 400


async def test_a_thousand_frames_are_stored_quickly_and_in_order(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.get_ready()
        started = time.monotonic()
        for first in range(2, 1002, 50):
            batch = [words(n, str(n)) if n % 2 else step(n, str(n)) for n in range(first, first + 50)]
            assert (await box.up(*batch)).body == {"acked": first + 49}
        assert time.monotonic() - started < 5.0
    assert [event.title for event in await site.log("s1", StepStarted)] == [str(n) for n in range(2, 1002, 2)]
    assert [entry.body["text"] for entry in await site.store.transcript("s1")] == [str(n) for n in range(3, 1002, 2)]


async def test_a_turn_goes_through_two_processes_as_if_it_were_one(site: Site) -> None:
    await site.box()
    async with two_ways(site) as (box, other):
        await box.attach()
        await box.up(frame(1, "phase", phase="syncing"), ready(2))
        await box.up(frame(3, "turn_started", turn=1), step(4))
        assert (await other.attach(frame=5)).body["acked"] == 4
        assert (await other.up(words(5), ended(6))).body == {"acked": 6}
    (end,) = await site.log("s1", TurnEnded)
    assert (end.outcome, end.summary) == ("done", "Done.")
    assert len(await site.log("s1", PhaseReached)) == 1
    await site.until("s1", lambda session: session.status is Status.IDLE)


async def test_trouble_inside_costs_a_runner_a_moment_and_nothing_else(site: Site, redis_url: str) -> None:
    """Whatever fails inside is no 4xx: a runner that hears one would give something up."""
    await site.box()
    async with site.gateway() as socket, one_box(socket) as box:
        await box.get_ready()
        with redis.Redis.from_url(redis_url) as record:
            record.rename(LINK_KEY, "aside")
            record.set(LINK_KEY, "not what it should be")
            assert (await box.up(words(2))).status == 500
            record.delete(LINK_KEY)
            record.rename("aside", LINK_KEY)
        assert (await box.up(words(2))).body == {"acked": 2}
