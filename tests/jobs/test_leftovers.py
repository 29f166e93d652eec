"""Snapshots are let go when nobody names them any more, and never before. Real boxes, real layers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio as redis

from jobs import commands as c
from jobs.events import SnapshotForgotten
from jobs.image_records import Image
from jobs.operations import park_box, start_box
from jobs.records import Unnamed
from jobs.session import Status
from jobs.store import Store
from jobs.store_leftovers import MOST
from jobs.store_scripts import UNNAMED
from jobs.upkeep import AGAIN_SECONDS, ARCHIVE_SECONDS, CLEAN_SECONDS, ORPHAN_SECONDS, UNNAMED_SECONDS, Upkeep
from sandbox.provider import BoxSpec, BoxState, Permanent, Unreachable
from tests.jobs.shop import ROCKET, Bench, bench
from tests.logs import GRACE

S = Status
IDLE = b'{"wire": 1, "mode": "idle"}\n'


@pytest.fixture
async def at(store: Store, redis_url: str) -> AsyncIterator[Bench]:
    async with bench(store, redis_url) as opened:
        yield opened


async def there_is(at: Bench, snapshot: str | None) -> bool:
    """Whether a box could grow from this snapshot."""
    assert snapshot is not None
    probe = f"probe-{snapshot}-{at.asked}"
    at.asked += 1
    try:
        await at.shop.provider.create(BoxSpec(name=probe, greeting=IDLE, base=snapshot))
    except Permanent:
        return False
    await at.shop.provider.discard(probe)
    return True


async def slept(at: Bench, generation: int) -> str:
    """Ask, start, stop, park: the snapshot."""
    await at.ask()
    await start_box(at.shop, at.sid)
    await at.do(c.Attach(generation, 1))
    await at.do(c.Stop(GRACE))
    await park_box(at.shop, at.sid)
    session = await at.session()
    assert (session.status, session.box) == (S.ASLEEP, None)
    return session.snapshot or ""


async def sweep(at: Bench, seconds: float = 0.0) -> None:
    """Later, the upkeep looks."""
    at.clock.ahead += seconds
    await Upkeep(at.shop).sweep()


async def test_the_older_snapshot_of_a_session_is_let_go_a_day_later_and_the_newer_stays(at: Bench) -> None:
    older, newer = await slept(at, 1), await slept(at, 2)
    await sweep(at, UNNAMED_SECONDS - 60)
    assert await there_is(at, older), "a backup of the record may name it"
    await sweep(at, 120)
    assert (await there_is(at, older), await there_is(at, newer)) == (False, True)
    assert await at.shop.store.leftovers.unnamed(at.clock() + 1) == []
    await at.ask()
    await start_box(at.shop, at.sid)
    assert (await at.session()).start == "snapshot"


async def test_what_cannot_be_let_go_keeps_no_other_from_it(at: Bench, redis_url: str) -> None:
    old = at.clock() - 2 * UNNAMED_SECONDS
    async with redis.Redis.from_url(redis_url) as client:
        await client.zadd(UNNAMED, {f"s1 away-{n}": old + n for n in range(MOST)} | {"s1 here": old + MOST})
    at.fails("forget_snapshot", Unreachable("its place is away"))
    await sweep(at)
    at.fails("forget_snapshot", None)
    leftovers = at.shop.store.leftovers
    assert await leftovers.unnamed(at.clock() - UNNAMED_SECONDS) == [Unnamed("s1", "here")]
    assert len(await leftovers.unnamed(at.clock() - UNNAMED_SECONDS + AGAIN_SECONDS + 1)) == MOST
    await sweep(at, AGAIN_SECONDS + 1)
    await sweep(at, CLEAN_SECONDS + 1)
    assert await leftovers.unnamed(at.clock()) == []


async def test_one_whose_session_cannot_be_read_stays_and_is_looked_at_later(
    at: Bench, redis_url: str, archive: Path
) -> None:
    archive.mkdir()
    (archive / "s1.json.gz").write_bytes(b"no gzip")
    async with redis.Redis.from_url(redis_url) as client:
        await client.zadd(UNNAMED, {"s1 here": at.clock() - 2 * UNNAMED_SECONDS})
    await sweep(at)
    leftovers = at.shop.store.leftovers
    assert await leftovers.unnamed(at.clock() - UNNAMED_SECONDS) == []
    assert await leftovers.unnamed(at.clock()) == [Unnamed("s1", "here")]


async def test_a_snapshot_that_is_named_again_is_not_let_go(at: Bench) -> None:
    one, two = await slept(at, 1), await slept(at, 2)
    for snapshot in (one, two, one):
        await at.shop.store.images.add(Image(repository=ROCKET, snapshot=snapshot, built_at=at.clock(), bytes=1))
        await at.shop.store.images.keep_only(ROCKET, 1, at.clock())
    unnamed = await at.shop.store.leftovers.unnamed(at.clock() + 1)
    assert {Unnamed(ROCKET, one), Unnamed(ROCKET, two)} <= set(unnamed)
    # as if the log of the session had never let go of the one, and as if the other were the image's alone
    await at.shop.store.leftovers.let_go(Unnamed(at.sid, one))
    await sweep(at, UNNAMED_SECONDS + 60)
    assert await there_is(at, one)
    assert not await there_is(at, two)


async def test_what_a_session_left_that_was_closed_long_ago_is_let_go_and_a_prompt_begins_from_the_branch(
    at: Bench,
) -> None:
    rules = at.shop.settings.rules
    snapshot = await slept(at, 1)
    await sweep(at, rules.close_seconds + 60)
    assert (await at.session()).status is S.CLOSED
    await sweep(at, ARCHIVE_SECONDS + 60)
    assert await at.shop.store.all_sessions() == [], "it is in the archive"
    await sweep(at, rules.keep_seconds - ARCHIVE_SECONDS - 180)
    assert await at.shop.store.leftovers.kept(1e12) == [at.sid]
    await sweep(at, 240)
    assert isinstance((await at.events())[-1], SnapshotForgotten)
    session = await at.session()
    assert (session.status, session.snapshot, session.conversation) == (S.CLOSED, None, None)
    assert await there_is(at, snapshot)
    await sweep(at, UNNAMED_SECONDS + 60)
    assert not await there_is(at, snapshot)
    assert await at.shop.store.leftovers.kept(1e12) == []
    await at.ask()
    await start_box(at.shop, at.sid)
    assert (await at.session()).start == "cold"


async def test_the_box_that_a_closed_session_lost_stays_with_it_in_the_archive_and_goes_when_it_is_let_go(
    at: Bench, archive: Path
) -> None:
    rules, box = at.shop.settings.rules, f"{at.sid}-1"
    await at.ask()
    await start_box(at.shop, at.sid)
    await at.do(c.Stop(GRACE))
    await at.shop.provider.terminate(box)
    await sweep(at)
    assert (await at.session()).lost_box == box
    for seconds in (rules.close_seconds, ARCHIVE_SECONDS):
        await sweep(at, seconds + 60)
    histories = at.shop.store.histories
    archived = await histories.archived_since(0.0)
    await sweep(at, ARCHIVE_SECONDS + 60)
    assert (await histories.archived_since(0.0), await at.shop.store.all_sessions()) == (archived, [])
    assert list(archived) == [at.sid], "nobody has brought it back meanwhile, not even for a moment"
    assert await at.state(box) is BoxState.DEAD
    (file,) = archive.iterdir()
    whole = file.read_bytes()
    file.write_bytes(b"broken")
    await sweep(at, rules.keep_seconds)
    leftovers = at.shop.store.leftovers
    assert await leftovers.kept(at.clock() - rules.keep_seconds) == [], "it is put off"
    file.write_bytes(whole)
    await sweep(at, AGAIN_SECONDS + 60)
    await sweep(at, CLEAN_SECONDS + 60)
    assert await at.state(box) is BoxState.GONE
    assert await leftovers.kept(1e12) == []


async def test_a_session_that_was_opened_again_keeps_what_it_left(at: Bench) -> None:
    rules = at.shop.settings.rules
    snapshot = await slept(at, 1)
    await sweep(at, rules.close_seconds + 60)
    await sweep(at, ARCHIVE_SECONDS + 60)
    await at.ask()
    await at.do(c.Stop(GRACE))
    await sweep(at, rules.close_seconds - 60)
    await sweep(at, rules.keep_seconds - rules.close_seconds)
    await sweep(at, UNNAMED_SECONDS)
    session = await at.session()
    assert (session.status, session.snapshot) == (S.CLOSED, snapshot)
    assert await there_is(at, snapshot)


async def test_of_a_worker_that_died_before_it_named_the_image_nothing_stays(at: Bench) -> None:
    await at.shop.provider.create(BoxSpec(name="image-1", greeting=IDLE, labels={"image": ROCKET}))
    await at.shop.provider.terminate("image-1")
    left = await at.shop.provider.last_state("image-1")
    assert left is not None and await there_is(at, left.id)
    await sweep(at, 3_600)
    assert await at.state("image-1") is BoxState.GONE
    assert not await there_is(at, left.id)


async def test_a_worker_that_died_after_it_named_the_snapshot_loses_nothing(at: Bench) -> None:
    async def die() -> None:
        raise KeyboardInterrupt

    await at.ask()
    await start_box(at.shop, at.sid)
    await at.do(c.Attach(1, 1))
    await at.do(c.Stop(GRACE))
    at.provider.before["discard"] = die
    with pytest.raises(KeyboardInterrupt):
        await park_box(at.shop, at.sid)
    at.provider.before.clear()
    box = f"{at.sid}-1"
    assert await at.state(box) is BoxState.DEAD
    await sweep(at, ORPHAN_SECONDS + CLEAN_SECONDS)
    assert await at.state(box) is BoxState.GONE
    assert await there_is(at, (await at.session()).snapshot)
