"""The ceiling on boxes: never passed, first come first served, each told its place; who is idle makes room."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from rq.job import JobStatus

from jobs import berths
from jobs import commands as c
from jobs.decide import decide
from jobs.events import BoxAwaited, Prompt
from jobs.operations import park_box, park_if_due, start_box
from jobs.records import Offer
from jobs.session import Session, Status
from jobs.store import Store
from jobs.upkeep import Upkeep
from jobs.wants import wants
from jobs.warm_rules import Wanted, within
from sandbox.provider import Permanent, Temporary, Unreachable
from tests.jobs import test_commands as given_a
from tests.jobs.shop import ON_ROCKET, ROCKET, Bench, bench
from tests.logs import ADA, PLACE, RULES, Log

S = Status


def of(log: Log) -> Session:
    assert log.session is not None
    return log.session


def test_a_place_in_the_queue_is_told_when_it_changes_and_is_over_with_the_wait() -> None:
    log = given_a.waiting().do(c.AwaitBox(3))
    assert of(log).position == 3 and wants(of(log), log.now, RULES) == ()
    assert decide(of(log), c.AwaitBox(3), log.now, RULES) == ()
    assert [event.kind for event in decide(of(log), c.AwaitBox(2), log.now, RULES)] == ["box_awaited"]
    assert [o.kind for o in wants(of(log.do(c.AwaitBox(0))), log.now, RULES)] == ["start"]
    assert of(given_a.waiting().do(c.AwaitBox(3)).do(c.BeginStart(0))).position == 0
    assert of(given_a.waiting().do(c.AwaitBox(3)).do(c.Stop(ADA)).ask(2)).position == 0
    assert decide(of(given_a.working()), c.AwaitBox(1), 5_000.0, RULES) == ()


def test_warm_boxes_are_cut_to_the_room_there_is_and_give_way_to_who_waits() -> None:
    wanted = (Wanted("a/a", 3, "f", "img"), Wanted("b/b", 2, "f", "img"))
    assert [one.number for one in within(wanted, {"a/a": 1}, 3)] == [3, 1]
    assert [one.number for one in within(wanted, {"a/a": 2, "b/b": 2}, 0)] == [2, 2]
    assert [one.number for one in within(wanted, {"a/a": 2, "b/b": 2}, -1)] == [0, 0]


@pytest.fixture
async def at(store: Store, redis_url: str) -> AsyncIterator[Bench]:
    async with bench(store, redis_url, SHIPMATE_BOXES="2") as opened:
        yield opened


async def ask(at: Bench, sid: str, n: int = 1) -> None:
    prompt = Prompt(id=f"{sid}:{n}", author=ADA, text="Fix the fuel test", received_at=at.clock())
    await at.shop.inbox.handle(sid, c.Submit(sid, PLACE, prompt, ON_ROCKET, "rehearsal"))


async def asked(at: Bench, *sids: str) -> None:
    """Sessions that ask one after the other, each of which a worker then looks at."""
    for sid in sids:
        await ask(at, sid)
    for sid in sids:
        await start_box(at.shop, sid)


async def how(at: Bench, *sids: str) -> list[tuple[str, int]]:
    found = [await at.shop.store.load(sid) for sid in sids]
    return [(session.status.value, session.position) for session in found if session is not None]


async def ready(at: Bench, sid: str) -> None:
    session = await at.shop.store.load(sid)
    assert session is not None
    await at.shop.inbox.handle(sid, c.Attach(session.generation, 1))
    await at.shop.inbox.handle(sid, given_a.hear(given_a.READY))
    await at.shop.inbox.handle(sid, given_a.hear(given_a.ENDED))


async def box_of(at: Bench, sid: str) -> str:
    session = await at.shop.store.load(sid)
    assert session is not None and session.box is not None
    return session.box


async def jobs_of(at: Bench) -> dict[str, int]:
    return await at.shop.queue.depth()


async def test_who_comes_when_all_boxes_are_taken_waits_and_is_told_as_which(at: Bench) -> None:
    await asked(at, "s1", "s2", "s3", "s4")
    assert await how(at, "s1", "s2", "s3", "s4") == [
        ("connecting", 0), ("connecting", 0), ("waiting", 1), ("waiting", 2),
    ]  # fmt: skip
    assert len(await at.shop.provider.list()) == 2


async def test_a_burst_never_passes_the_ceiling_and_keeps_its_order(at: Bench) -> None:
    sids = [f"s{n}" for n in range(8)]
    for sid in sids:
        await ask(at, sid)
    await asyncio.gather(*(start_box(at.shop, sid) for sid in reversed(sids)))
    assert len(await at.shop.provider.list()) <= 2
    await Upkeep(at.shop).sweep()
    waiting = [sid for sid in sids if await how(at, sid) != [("connecting", 0)]]
    assert await at.shop.store.berths.queued() == waiting and len(waiting) >= 6


async def test_a_box_that_is_gone_lets_in_who_has_waited_longest(at: Bench) -> None:
    await asked(at, "s1", "s2", "s3", "s4")
    await ready(at, "s1")
    await park_box(at.shop, "s1")
    assert (await jobs_of(at))["boxes"] > 0
    await start_box(at.shop, "s4")
    await start_box(at.shop, "s3")
    await Upkeep(at.shop).sweep()
    assert await how(at, "s3", "s4") == [("connecting", 0), ("waiting", 1)]


async def test_a_start_that_no_worker_takes_up_is_not_asked_for_anew_in_every_sweep(at: Bench) -> None:
    await ask(at, "s1")
    for seconds in range(10):
        at.clock.ahead = float(seconds)
        await Upkeep(at.shop).sweep()
    assert (await jobs_of(at))["boxes"] == 1


async def test_one_who_waited_long_is_asked_for_again_soon_if_a_worker_died_at_it(at: Bench) -> None:
    await asked(at, "s1", "s2", "s3")
    at.clock.ahead = 600.0
    await ready(at, "s1")
    await park_box(at.shop, "s1")
    boxes = at.shop.queue._queues["boxes"]
    (job,) = [job for job in boxes.jobs if job.args == ["s3"] and job.id.endswith("-5")]
    boxes.remove(job)
    job.last_heartbeat = datetime.now(UTC) - timedelta(seconds=20)
    job.set_status(JobStatus.STARTED)
    job.save()
    at.clock.ahead = 620.0
    await Upkeep(at.shop).sweep()
    assert f"{job.id}-again" in boxes.job_ids


async def test_one_who_stops_waiting_leaves_the_queue(at: Bench) -> None:
    await asked(at, "s1", "s2", "s3", "s4")
    await at.shop.inbox.handle("s3", c.Stop(ADA))
    await Upkeep(at.shop).sweep()
    assert await at.shop.store.berths.queued() == ["s4"]
    assert await how(at, "s4") == [("waiting", 1)]
    told = [event.position for event in await at.shop.store.events("s4") if isinstance(event, BoxAwaited)]
    assert told == [2, 1]


async def test_a_start_that_fails_gives_its_place_back(at: Bench) -> None:
    at.fails("create", Permanent("no isolation"))
    await asked(at, "s1", "s2", "s3")
    at.fails("create", None)
    assert await at.shop.store.berths.room(2) == 2


async def test_a_start_that_is_tried_again_later_keeps_no_other_from_a_box_until_then(at: Bench) -> None:
    await asked(at, "s1")
    at.fails("create", Temporary("the place is busy", 60.0))
    await asked(at, "s2")
    at.fails("create", None)
    await Upkeep(at.shop).sweep()
    await asked(at, "s3")
    assert await how(at, "s2", "s3") == [("waiting", 0), ("connecting", 0)]
    at.clock.ahead = 61.0
    await Upkeep(at.shop).sweep()
    assert await how(at, "s2") == [("waiting", 1)]


async def test_a_box_with_nothing_to_do_is_put_to_sleep_early_when_others_wait(at: Bench) -> None:
    await asked(at, "s1", "s2")
    await ready(at, "s1")
    await ready(at, "s2")
    await Upkeep(at.shop).sweep()
    assert await how(at, "s1", "s2") == [("idle", 0), ("idle", 0)]
    at.clock.ahead = berths.IDLE_LEAST_SECONDS + 1
    await asked(at, "s3")
    sessions = [await at.shop.store.load(sid) for sid in ("s1", "s2", "s3")]
    assert [s.id for s in berths.idle([s for s in sessions if s], at.clock())] == ["s1", "s2"]
    before = (await jobs_of(at))["boxes"]
    await Upkeep(at.shop).sweep()
    assert (await jobs_of(at))["boxes"] > before
    await park_if_due(at.shop, "s1")
    await start_box(at.shop, "s3")
    await park_if_due(at.shop, "s2")
    assert await how(at, "s1", "s2", "s3") == [("asleep", 0), ("idle", 0), ("connecting", 0)]


def test_a_box_that_is_paused_at_its_budget_has_nothing_to_do_although_prompts_wait_for_it() -> None:
    paused = of(given_a.paused().ask(2))
    assert paused.status is S.IDLE and paused.queue
    assert berths.idle([paused], paused.since + berths.IDLE_LEAST_SECONDS) == [paused]
    working = of(given_a.working().ask(2))
    assert berths.idle([working], working.since + 60.0) == []


async def test_warm_boxes_take_places(at: Bench) -> None:
    await at.shop.store.warm.make(Offer("warm-1", "acme/rocket", "f", "img", True, "h", ""))
    assert await berths.room_for_warm(at.shop) == 1
    await asked(at, "s1", "s2")
    assert await how(at, "s1", "s2") == [("connecting", 0), ("waiting", 1)]
    assert await berths.room_for_warm(at.shop) == -1
    late = Offer("warm-2", "acme/rocket", "f", "img", True, "h", "")
    assert not await berths.make_warm(at.shop, late), "a session has taken the place that was seen to be free"
    await at.shop.store.warm.forget("warm-1")
    await start_box(at.shop, "s2")
    assert await how(at, "s2") == [("connecting", 0)]


async def test_a_build_takes_a_place_that_nobody_waits_for_and_is_told_if_there_is_none(at: Bench) -> None:
    async with berths.spare(at.shop, ROCKET, "build-1"):
        assert await at.shop.store.berths.room(2) == 1
        await asked(at, "s1", "s2")
        assert await how(at, "s1", "s2") == [("connecting", 0), ("waiting", 1)]
        with pytest.raises(Temporary, match="as many boxes as there may be"):
            async with berths.spare(at.shop, ROCKET, "build-2"):
                pytest.fail("there is no place")
    await start_box(at.shop, "s2")
    assert await how(at, "s2") == [("connecting", 0)]


async def test_a_build_is_given_up_for_a_session_that_has_waited_for_a_while(at: Bench) -> None:
    async with asyncio.timeout(20):
        with pytest.raises(Temporary, match="needed for a session"):
            async with berths.spare(at.shop, ROCKET, "build-1"):
                await asked(at, "s1", "s2")
                at.clock.ahead = berths.YIELD_SECONDS + 1
                await asyncio.Event().wait()
    assert await at.shop.store.berths.room(2) == 1


async def test_a_build_whose_worker_was_killed_keeps_no_place(at: Bench) -> None:
    assert await at.shop.store.berths.take_spare("build-1", at.clock(), 2)
    await Upkeep(at.shop).sweep()
    assert await at.shop.store.berths.room(2) == 1, "it may be at it"
    at.clock.ahead = 11.0
    await Upkeep(at.shop).sweep()
    assert await at.shop.store.berths.room(2) == 2
    assert await at.shop.store.berths.take_spare("build-2", at.clock(), 2)
    at.clock.ahead = -3_600.0
    await Upkeep(at.shop).sweep()
    assert await at.shop.store.berths.room(2) == 2, "its clock was put back meanwhile"


async def test_what_is_counted_is_set_right_by_the_logs(at: Bench) -> None:
    await asked(at, "s1", "s2", "s3")
    await at.shop.store.berths.give_back("s1")
    await at.shop.store.berths.take("snobody", 1.0, 1.0, 9)
    await Upkeep(at.shop).sweep()
    assert await at.shop.store.berths.room(2) == 0
    assert await at.shop.store.berths.queued() == ["s3"]


async def test_who_waits_here_and_is_to_have_a_box_elsewhere_by_now_is_let_go_on(
    at: Bench, store: Store, redis_url: str
) -> None:
    await asked(at, "s1", "s2", "s3")
    elsewhere = {"SHIPMATE_REPOSITORIES": f"{ROCKET}:modal", "SHIPMATE_PUBLIC_URL": "https://shipmate.test"}
    async with bench(store, redis_url, SHIPMATE_BOXES="2", **elsewhere) as moved:
        await Upkeep(moved.shop).sweep()
    assert await how(at, "s3") == [("waiting", 0)]
    session = await at.shop.store.load("s3")
    assert session is not None and [o.kind for o in wants(session, at.clock(), RULES)] == ["start"]


async def test_a_session_that_could_not_be_looked_at_keeps_its_place(at: Bench) -> None:
    await asked(at, "s1", "s2", "s3")
    await at.shop.provider.terminate(await box_of(at, "s1"), 0.0)
    at.fails("status", Unreachable("it does not answer"))
    for ahead in (11.0, 22.0):
        at.clock.ahead = ahead
        await Upkeep(at.shop).sweep()
    assert await at.shop.store.berths.room(2) == 0
    assert await how(at, "s1", "s3") == [("connecting", 0), ("waiting", 1)]


async def test_without_a_ceiling_nobody_waits_any_more(at: Bench, store: Store, redis_url: str) -> None:
    await asked(at, "s1", "s2", "s3")
    async with bench(store, redis_url) as unlimited:
        await Upkeep(unlimited.shop).sweep()
    assert await how(at, "s3") == [("waiting", 0)]
