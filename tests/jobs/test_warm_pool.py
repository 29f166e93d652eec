"""Warm boxes are made one at a time, kept as many as are wanted, and ended without leaving anything. Real boxes.

No gateway runs here: the test offers a box in its runner's place.
"""

from collections.abc import AsyncIterator

import pytest

from jobs import commands as c
from jobs.events import BoxLost
from jobs.image_records import Image
from jobs.inbox import hash_token
from jobs.operations import start_box
from jobs.records import Grant, Offer
from jobs.session import Status
from jobs.store import Store
from jobs.upkeep import Upkeep
from jobs.warm import AGAIN_SECONDS, GONE_SECONDS, WarmPool, fill_pool, warm_up, watch
from jobs.warm_rules import QUIET_SECONDS, WISH_SECONDS
from sandbox.provider import BoxInfo, BoxSpec, BoxState, Temporary
from tests.jobs import test_commands as given_a
from tests.jobs.shop import ROCKET, Bench, bench
from tests.logs import ADA

S = Status


@pytest.fixture
async def at(store: Store, redis_url: str) -> AsyncIterator[Bench]:
    async with bench(store, redis_url, SHIPMATE_WARM=f"{ROCKET}:1") as opened:
        await new_image(opened, "image-1")
        yield opened


async def new_image(at: Bench, name: str) -> str:
    """An image of an empty tree is the newest from here on."""
    await at.shop.provider.create(BoxSpec(name=name, greeting=b"{}\n"))
    await at.shop.provider.terminate(name)
    left = await at.shop.provider.last_state(name)
    assert left is not None
    await at.shop.provider.discard(name)
    await at.shop.store.images.add(Image(repository=ROCKET, snapshot=left.id, built_at=1.0, bytes=1))
    return left.id


async def boxes(at: Bench) -> dict[str, BoxInfo]:
    return {box.name: box for box in await at.shop.provider.list() if "warm" in box.labels}


async def offered(at: Bench, box: str) -> Offer:
    """As its link does every second."""
    made = await at.shop.store.warm.made(box)
    assert made is not None
    assert await at.shop.store.warm.offer(made) is not None
    return made


async def filled(at: Bench) -> str:
    """A warm box that waits; its name."""
    before = await boxes(at)
    await fill_pool(at.shop, ROCKET)
    (fresh,) = (await boxes(at)).keys() - before.keys()
    await offered(at, fresh)
    return fresh


async def test_one_is_made_at_a_time_from_the_newest_image_and_then_enough_is_enough(at: Bench) -> None:
    await fill_pool(at.shop, ROCKET)
    await fill_pool(at.shop, ROCKET)
    (box,) = await boxes(at)
    made = await offered(at, box)
    image = await at.shop.store.images.newest(ROCKET)
    assert image is not None
    assert (made.base, made.repository, made.isolated) == (image.snapshot, ROCKET, False)
    grant = await at.shop.store.granted(made.token)
    assert grant is not None and (grant.purpose, grant.session, grant.branch) == ("warm", "", "")
    await fill_pool(at.shop, ROCKET)
    assert list(await boxes(at)) == [box]
    assert [(pool.wanted, pool.waiting) for pool in await WarmPool(at.shop).count((await boxes(at)).values())] == [
        (1, 1)
    ]


async def test_the_upkeep_asks_for_what_is_missing_once(at: Bench) -> None:
    upkeep = Upkeep(at.shop)
    await upkeep.sweep()
    await upkeep.sweep()
    assert (await at.shop.queue.depth())["boxes"] == 1
    for at.clock.ahead in range(10, 100, 10):
        await upkeep.sweep()
    assert (await at.shop.queue.depth())["boxes"] <= 3, "there may be nobody to do them for long"
    await filled(at)


async def test_a_taken_box_makes_room_for_the_next_and_is_the_sessions_own(at: Bench) -> None:
    box = await filled(at)
    session = await at.ask()
    assert session.box == box
    await at.do(c.Attach(1, 1))
    await fill_pool(at.shop, ROCKET)
    assert len(await boxes(at)) == 2
    at.clock.ahead = 3_600
    await Upkeep(at.shop).sweep()
    assert await at.state(box) is BoxState.RUNNING, "nobody but its session ends it"


async def test_a_box_that_no_session_has_a_use_for_any_more_is_ended(at: Bench) -> None:
    box = await filled(at)
    await at.ask()
    await at.do(c.LoseBox(1, "it does not answer"))
    await Upkeep(at.shop).sweep()
    assert await at.state(box) is BoxState.GONE


async def test_a_taken_box_that_is_dead_is_replaced_in_a_moment_and_one_that_does_not_answer_soon_after(
    at: Bench,
) -> None:
    box = await filled(at)
    await at.shop.provider.terminate(box, 0.0)
    session = await at.ask()
    assert session.box == box, "nobody knew"
    await watch(at.shop, session)
    (lost,) = [event for event in await at.events() if isinstance(event, BoxLost)]
    assert lost.at - session.since < 1.0
    after = await at.session()
    assert (after.status, after.lost_box) == (S.WAITING, None)
    assert (await at.shop.queue.depth())["boxes"] >= 1, "the usual start is on its way"


async def test_a_taken_box_that_is_lost_takes_no_place_from_the_session_that_had_it(
    store: Store, redis_url: str
) -> None:
    async with bench(store, redis_url, SHIPMATE_WARM=f"{ROCKET}:1", SHIPMATE_BOXES="1") as at:
        await new_image(at, "image-1")
        box = await filled(at)
        assert (await at.ask()).box == box
        for command in (c.Attach(1, 1), given_a.hear(given_a.READY)):
            await at.do(command)
        await at.shop.provider.terminate(box, 0.0)
        await Upkeep(at.shop).sweep()
        lost = await at.session()
        assert (lost.status, lost.lost_box) == (S.WAITING, box)
        await start_box(at.shop, at.sid)
        assert ((await at.session()).status, (await at.session()).position) == (S.CONNECTING, 0)


async def test_a_dead_box_of_a_session_at_rest_takes_no_place(store: Store, redis_url: str) -> None:
    async with bench(store, redis_url, SHIPMATE_WARM=f"{ROCKET}:1", SHIPMATE_BOXES="1") as at:
        await new_image(at, "image-1")
        box = await filled(at)
        for command in (await at.ask(), c.Attach(1, 1), given_a.hear(given_a.READY))[1:]:
            await at.do(command)
        await at.do(c.LoseBox(1, "its processes ended"))
        await at.do(c.Stop(ADA))
        await at.shop.provider.terminate(box, 0.0)
        await Upkeep(at.shop).sweep()
        assert await at.state(box) is BoxState.DEAD, "it has the last state of a session"
        assert await at.shop.store.berths.room(1) == 1


async def test_the_upkeep_gives_up_a_taken_box_that_does_not_answer(at: Bench) -> None:
    await filled(at)
    await at.ask()
    at.clock.ahead = 3.0
    await Upkeep(at.shop).sweep()
    assert (await at.session()).status is S.WAITING


async def test_a_new_image_replaces_what_grew_from_the_old_one_without_a_gap(at: Bench) -> None:
    old, upkeep = await filled(at), Upkeep(at.shop)
    await new_image(at, "image-2")
    await upkeep.sweep()
    assert old in await boxes(at)
    new = await filled(at)
    await offered(at, old)
    await upkeep.sweep()
    assert list(await boxes(at)) == [new]
    assert (await at.shop.store.counts.totals())["warm:unused"] == 1


async def test_a_box_that_never_gets_ready_is_ended_and_the_next_one_is_not_made_at_once(at: Bench) -> None:
    upkeep = Upkeep(at.shop)
    await fill_pool(at.shop, ROCKET)
    await upkeep.sweep()
    at.clock.ahead = QUIET_SECONDS + 1
    await upkeep.sweep()
    assert await boxes(at) == {}
    await fill_pool(at.shop, ROCKET)
    assert await boxes(at) == {}
    assert await at.shop.store.recall(f"warm-trouble:{ROCKET}") == "the last one did not get ready"
    assert AGAIN_SECONDS >= 60


async def test_a_box_that_cannot_be_made_leaves_nothing_behind(at: Bench) -> None:
    at.fails("create", Temporary("the machine is too busy"))
    await fill_pool(at.shop, ROCKET)
    assert await at.shop.store.warm.all_made() == {}
    assert await at.shop.store.recall(f"warm-trouble:{ROCKET}") == "the machine is too busy"


@pytest.mark.parametrize("later", [False, True], ids=["now", "by the upkeep"])
async def test_a_box_that_was_made_unheard_is_ended(at: Bench, later: bool) -> None:
    at.loses_the_reply("create")
    if later:
        at.fails("discard", Temporary("it does not answer"))
    await fill_pool(at.shop, ROCKET)
    assert len(await boxes(at)) == len(await at.shop.store.warm.all_made()) == later
    at.fails("discard", None)
    upkeep = Upkeep(at.shop)
    for at.clock.ahead in (0.0, QUIET_SECONDS + 1, QUIET_SECONDS + 2):
        await upkeep.sweep()
    assert await boxes(at) == {} == await at.shop.store.warm.all_made()


async def test_somebody_about_to_ask_gets_one_more_for_some_minutes(at: Bench) -> None:
    first, upkeep = await filled(at), Upkeep(at.shop)
    assert await warm_up(at.shop, ROCKET, "somebody types")
    assert not await warm_up(at.shop, ROCKET, "somebody types on")
    second = await filled(at)
    await offered(at, first)
    await upkeep.sweep()
    assert set(await boxes(at)) == {first, second}
    at.clock.ahead = WISH_SECONDS + 1
    await upkeep.sweep()
    assert len(await boxes(at)) == 1


async def test_what_is_not_enabled_or_too_many_at_once_is_not_warmed_up(at: Bench) -> None:
    assert not await warm_up(at.shop, "acme/other", "somebody types")
    now = at.clock()
    assert await at.shop.store.warm.wish("a/1", now + 9, now, 2)
    assert await at.shop.store.warm.wish("a/2", now + 9, now, 2)
    assert not await warm_up(at.shop, ROCKET, "somebody types")


async def test_a_box_that_this_record_does_not_know_is_left_alone(at: Bench) -> None:
    box = await filled(at)
    await at.shop.store.warm.forget(box)  # as after the record was lost
    at.clock.ahead = 3_600
    await Upkeep(at.shop).sweep()
    assert await at.state(box) is BoxState.RUNNING


async def test_a_box_that_is_taken_while_it_is_to_be_ended_is_not_ended(at: Bench) -> None:
    box = await filled(at)
    await at.ask()
    assert not await at.shop.store.warm.retire(box)
    assert await at.shop.store.granted((await made(at, box)).token) is not None


async def made(at: Bench, box: str) -> Offer:
    found = await at.shop.store.warm.made(box)
    assert found is not None
    return found


async def test_what_was_written_down_and_never_made_is_forgotten(at: Bench) -> None:
    upkeep, token = Upkeep(at.shop), hash_token("t")
    await at.shop.store.warm.make(Offer("warm-0", ROCKET, "f", None, False, token, ""))
    await at.shop.store.grant(token, Grant("", "warm-0", 0, ROCKET, "warm", ""))  # and the worker dies
    await upkeep.sweep()
    assert "warm-0" in await at.shop.store.warm.all_made(), "it may be in the making"
    at.clock.ahead = GONE_SECONDS + 1
    await upkeep.sweep()
    assert await at.shop.store.warm.all_made() == {}
    assert await at.shop.store.granted(token) is None


async def test_a_box_that_is_gone_with_its_session_is_forgotten(at: Bench) -> None:
    upkeep, box = Upkeep(at.shop), await filled(at)
    await at.ask()
    await at.do(c.LoseBox(1, "it does not answer"))
    await at.shop.provider.discard(box)
    await upkeep.sweep()
    at.clock.ahead = GONE_SECONDS + 1
    await upkeep.sweep()
    assert box not in await at.shop.store.warm.claims()


async def test_all_that_nobody_took_can_be_ended(at: Bench) -> None:
    taken = await filled(at)
    await at.ask()
    await filled(at)
    await WarmPool(at.shop).end_all()
    assert list(await boxes(at)) == [taken]
    assert await at.shop.store.granted(hash_token("nobody's")) is None


async def test_a_session_that_begins_on_another_branch_takes_none_that_is_at_the_usual_one(at: Bench) -> None:
    box = await filled(at)
    assert (await at.ask(c.Choice(ROCKET, "release-1"))).box is None
    at.sid = "s1111111111111111"
    assert (await at.ask()).box == box
