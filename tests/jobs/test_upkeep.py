"""The sweep: what was lost is asked for again, what died is noticed, what nobody knows is ended. Real boxes."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest
from redis import Redis

from jobs import commands as c
from jobs import wire
from jobs.events import BoxLost
from jobs.frames import Ready
from jobs.hindsight import RENEW_SECONDS
from jobs.image_records import Image, Standing
from jobs.inbox import hash_token
from jobs.operations import park_if_due, start_box
from jobs.records import Grant
from jobs.session import Status
from jobs.store import Store
from jobs.store_scripts import ACTIVE, key
from jobs.upkeep import ARCHIVE_SECONDS, LEASE_SECONDS, ORPHAN_SECONDS, Upkeep
from sandbox.provider import BoxSpec, BoxState, Unreachable
from tests.jobs.shop import ROCKET, Bench, Interrupted, bench
from tests.waiting import until

S = Status
SUPERSEDED = {"session": Bench.sid, "generation": "0"}
READY = Ready(n=1, at=1.0, kind="ready", conversation="talk", resumed=False, head="a" * 40)


@pytest.fixture
async def at(store: Store, redis_url: str) -> AsyncIterator[Bench]:
    async with bench(store, redis_url) as opened:
        await store.images.add(Image(repository=ROCKET, snapshot="0" * 16, built_at=1.0, bytes=1))
        yield opened


async def connected(at: Bench) -> str:
    await at.ask()
    await start_box(at.shop, at.sid)
    return f"{at.sid}-1"


async def depth(at: Bench, queue: str = "boxes") -> int:
    return (await at.shop.queue.depth())[queue]


async def test_an_operation_whose_hint_was_lost_is_asked_for(at: Bench, redis_url: str) -> None:
    await at.ask()
    await forget_jobs(at)
    assert await depth(at) == 0
    for _ in range(3):
        await Upkeep(at.shop).sweep()
    assert await depth(at) == 1


async def forget_jobs(at: Bench) -> None:
    """As if Redis had been unreachable when the hint was given."""
    for queue in at.shop.queue._queues.values():
        await asyncio.to_thread(queue.empty)


async def test_a_box_that_died_is_noticed_and_its_token_ends(at: Bench) -> None:
    box = await connected(at)
    await at.shop.store.grant(hash_token("t"), Grant(at.sid, box, 1, ROCKET, "serve", "b"))
    await Upkeep(at.shop).sweep()
    assert (await at.session()).box == box, "it lives"
    await at.shop.provider.terminate(box)
    await Upkeep(at.shop).sweep()
    session = await at.session()
    assert (session.status, session.lost_box) == (S.WAITING, box)
    assert await at.shop.store.granted(hash_token("t")) is None
    assert await depth(at) == 2, "the first start, and the next one"


async def test_nothing_is_concluded_while_the_provider_cannot_say(at: Bench) -> None:
    box = await connected(at)
    await at.shop.provider.terminate(box)
    at.fails("list", Unreachable("the place does not answer"))
    await Upkeep(at.shop).sweep()
    assert (await at.session()).box == box
    at.fails("list", None)
    at.fails("status", Unreachable("the place does not answer"))
    await Upkeep(at.shop).sweep()
    assert not [event for event in await at.events() if isinstance(event, BoxLost)]


async def test_time_is_told_to_sessions_that_are_under_way(at: Bench) -> None:
    await at.ask()
    for generation in range(at.shop.settings.rules.max_failures - 1):
        await at.do(c.BeginStart(generation))
        await at.do(c.FailStart(generation + 1, "no space", 1.0))
    await at.do(c.BeginStart(3))
    at.clock.ahead = at.shop.settings.rules.start_seconds + 10
    await Upkeep(at.shop).sweep()
    assert (await at.session()).status is S.FAILED


async def test_what_slept_for_very_long_is_closed(at: Bench) -> None:
    await at.ask()
    await at.do(c.WithdrawPrompt("T1:C1:1", "deleted"))
    await Upkeep(at.shop).sweep()
    assert (await at.session()).status is S.ASLEEP
    at.clock.ahead = at.shop.settings.rules.close_seconds + 60
    await Upkeep(at.shop).sweep()
    assert (await at.session()).status is S.CLOSED


async def test_an_archive_that_takes_nothing_is_told_once_a_round_and_not_for_each_session(
    at: Bench, archive: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive.write_text("no folder")
    for at.sid in ("s1", "s2", "s3"):
        await at.ask()
        await at.do(c.WithdrawPrompt(f"T1:C1:{at.asked}", "deleted"))
    for seconds in (at.shop.settings.rules.close_seconds + 60, ARCHIVE_SECONDS + 60):
        at.clock.ahead += seconds
        await Upkeep(at.shop).sweep()
    told = [record.getMessage() for record in caplog.records if record.name == "jobs.upkeep"]
    assert len(told) == 1 and "nothing can be written to the archive" in told[0]
    archive.unlink()
    await Upkeep(at.shop).sweep()
    assert await at.shop.store.all_sessions() == []


async def test_a_box_whose_runner_is_too_old_is_parked_and_the_next_prompt_starts_a_new_one(at: Bench) -> None:
    await at.ask()
    await at.do(c.BeginStart(0))
    box = f"{at.sid}-1"
    labels = {"session": at.sid, "generation": "1", wire.LABEL: "0"}
    await at.shop.provider.create(BoxSpec(name=box, greeting=b'{"wire": 1, "mode": "idle"}\n', labels=labels))
    await at.do(c.FinishStart(1, box, "cold", None, False))
    await at.do(c.Attach(1, 1))
    await at.do(c.Hear(1, (READY,)))
    session = await at.session()
    assert (session.status, session.conversation) == (S.WORKING, "talk")
    before = await depth(at)
    await Upkeep(at.shop).sweep()
    assert await depth(at) == before + 1
    await park_if_due(at.shop, at.sid)
    session = await at.session()
    assert (session.status, session.conversation, session.interrupted) == (S.WAITING, "talk", "T1:C1:1")
    assert session.snapshot is not None
    await start_box(at.shop, at.sid)
    await Upkeep(at.shop).sweep()
    session = await at.session()
    assert (session.status, session.start) == (S.CONNECTING, "snapshot")
    assert wire.spoken_with((await at.shop.provider.status(f"{at.sid}-2")).labels)


@pytest.mark.parametrize(
    ("labels", "spoken"), [({}, True), ({"wire": "1"}, True), ({"wire": "0"}, False), ({"wire": "99"}, False)]
)
def test_with_which_boxes_this_release_speaks(labels: dict[str, str], spoken: bool) -> None:
    assert wire.spoken_with(labels) is spoken


@pytest.mark.parametrize(
    ("labels", "old", "stays"),
    [
        (SUPERSEDED, True, False),
        (SUPERSEDED, False, True),
        ({"session": "snobody", "generation": "1"}, True, True),
        ({}, True, True),
    ],
    ids=["superseded", "superseded a moment ago", "of a session that the record lost", "not ours"],
)
async def test_only_a_box_whose_session_has_done_with_it_is_ended(
    at: Bench, labels: dict[str, str], old: bool, stays: bool
) -> None:
    await connected(at)
    await at.shop.provider.create(BoxSpec(name="stray", greeting=b'{"wire": 1, "mode": "idle"}\n', labels=labels))
    at.clock.ahead = ORPHAN_SECONDS + 1 if old else 0
    await Upkeep(at.shop).sweep()
    assert (await at.state("stray") is not BoxState.GONE) is stays


async def test_a_box_that_builds_an_image_is_left_alone_only_while_its_build_is_under_way(at: Bench) -> None:
    for build in ("build-1", "build-2"):
        labels = {"image": ROCKET, "build": build}
        await at.shop.provider.create(BoxSpec(name=f"of-{build}", greeting=b"{}\n", labels=labels))
    await at.shop.store.lease(f"image:{ROCKET}", "build-2", 60)
    await Upkeep(at.shop).sweep()
    assert [await at.state(f"of-build-{number}") is BoxState.GONE for number in (1, 2)] == [True, False]
    await at.shop.store.release(f"image:{ROCKET}", "build-2")
    await Upkeep(at.shop).sweep()
    assert await at.state("of-build-2") is BoxState.GONE
    assert not list((at.shop.settings.boxes_dir / "layers").glob("[!.]*")), "what they left is let go"


async def test_boxes_that_are_used_waited_for_or_being_made_are_nobodys_orphans(at: Bench) -> None:
    box = await connected(at)
    at.clock.ahead = ORPHAN_SECONDS + 1
    await Upkeep(at.shop).sweep()
    assert await at.state(box) is BoxState.RUNNING
    await at.shop.provider.terminate(box)
    await Upkeep(at.shop).sweep()
    await Upkeep(at.shop).sweep()
    assert await at.state(box) is BoxState.DEAD, "the next box begins with what it left"
    await at.do(c.BeginStart(1))
    await Upkeep(at.shop).sweep()
    assert await at.state(box) is BoxState.DEAD
    await at.do(c.FinishStart(2, f"{at.sid}-2", "snapshot", "x", False))
    await Upkeep(at.shop).sweep()
    assert await at.state(box) is BoxState.GONE


async def test_a_build_is_asked_for_when_it_is_due_and_not_before(at: Bench, redis_url: str, store: Store) -> None:
    await store.images.save_standing(ROCKET, Standing(next_at=at.clock() + 1_000))
    await Upkeep(at.shop).sweep()
    assert await depth(at, "images") == 0
    async with bench(store, redis_url, SHIPMATE_REPOSITORIES=f"{ROCKET},acme/site") as other:
        await Upkeep(other.shop).sweep()
        await Upkeep(other.shop).sweep()
        assert await depth(other, "images") == 1
    at.clock.ahead = 1_001
    await asyncio.gather(*(Upkeep(at.shop).sweep() for _ in range(2)))
    assert await depth(at, "images") == 2, "two upkeeps ask for one and the same build"


async def test_what_became_of_sessions_is_summed_up_and_a_summary_that_is_old_is_renewed(at: Bench) -> None:
    upkeep = Upkeep(at.shop)
    await upkeep.sweep()
    await at.ask()
    for ahead, sessions in ((RENEW_SECONDS / 2, 0), (RENEW_SECONDS, 1)):
        at.clock.ahead = ahead
        await upkeep.sweep()
        summary = await at.shop.store.histories.summary()
        assert summary is not None and summary.whole.sessions == sessions


async def test_of_two_copies_one_works(at: Bench) -> None:
    await at.ask()
    await forget_jobs(at)
    assert await at.shop.store.lease("upkeep", "another copy", LEASE_SECONDS)
    store, tries = Interrupted(at.shop.store), []

    async def count() -> None:
        tries.append(await depth(at))

    store.before["lease"] = count
    at.shop = dataclasses.replace(at.shop, store=cast(Store, store))
    with running(at):
        await until(lambda: len(tries) == 2)
        assert tries == [0, 0], "the lease was asked for twice, and no sweep came of it"
        await at.shop.store.release("upkeep", "another copy")
        await until_asked(at)


@contextlib.contextmanager
def running(at: Bench) -> Iterator[None]:
    task = asyncio.create_task(Upkeep(at.shop).run())
    try:
        yield
    finally:
        task.cancel()


async def until_asked(at: Bench) -> None:
    async with asyncio.timeout(20):
        while await depth(at) == 0:
            await asyncio.sleep(0.02)


async def test_a_fault_in_a_sweep_is_survived(at: Bench, caplog: pytest.LogCaptureFixture) -> None:
    at.fails("list", RuntimeError("a bug"))
    with running(at):
        await until(lambda: "a sweep failed" in caplog.text)
        await at.ask()
        await forget_jobs(at)
        at.fails("list", None)
        await until_asked(at)


async def test_a_box_that_uses_too_much_is_ended_and_its_people_are_told_of_what(at: Bench) -> None:
    box = await connected(at)
    why = "it has written more than 8 MB to its disk"

    async def overgrown() -> dict[str, str]:
        return {box: why, "another-1": "it is nobody's"}

    vars(at.provider)["overgrown"] = overgrown
    await Upkeep(at.shop).sweep()
    assert await at.state(box) is BoxState.DEAD
    assert [event.reason for event in await at.events() if isinstance(event, BoxLost)] == [why]
    assert (await at.session()).lost_box == box, "what it left is gone on from"


async def test_a_session_that_cannot_be_read_keeps_no_other_from_being_looked_at(at: Bench, redis_url: str) -> None:
    box = await connected(at)
    await at.shop.provider.terminate(box)
    with Redis.from_url(redis_url) as plain:
        for sid in ("s0damaged", "szdamaged"):
            plain.set(key(sid, "session"), "no JSON")
            plain.sadd(ACTIVE, sid)
    await Upkeep(at.shop).sweep()
    assert (await at.session()).lost_box == box
