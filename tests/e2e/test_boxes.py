"""Boxes that are lost with all they had, and boxes of which there are not enough."""

import pytest

from jobs.events import AgentReady, SnapshotTaken
from jobs.session import Session, Status
from sandbox.provider import BoxState
from tests.e2e.conftest import open_office
from tests.e2e.people import Office, Thread, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_box_that_is_lost_with_all_it_had_costs_nothing_that_a_turn_had_ended(office: Office) -> None:
    thread = await office.ada.says("@shipmate add a line to the README saying kept")
    await thread.settled()
    session = await thread.until(lambda s: s.saved.turn == 1)
    assert session.box is not None
    await office.shop.provider.discard(session.box)  # as if its disk had broken
    assert (await office.shop.provider.status(session.box)).state is BoxState.GONE
    await thread.until(lambda s: s.box is None)
    await office.ada.replies(thread, "add a line to the README saying again")
    session = await thread.settled(prompts=2)
    await thread.hears("What the lost box had could not be read. I go on from the snapshot after turn 1")
    log = await thread.log()
    assert [event.resumed for event in log if isinstance(event, AgentReady)] == [False, True]
    assert [event.turn for event in log if isinstance(event, SnapshotTaken)][0] == 1
    assert session.pull_request is not None
    patch = await office.patch(session.pull_request.number)
    assert "+kept" in patch and "+again" in patch


async def test_a_repository_that_was_left_half_made_in_a_lost_box_is_made_anew_in_the_next(office: Office) -> None:
    thread = await office.ada.says("@shipmate add a line to the README saying pushed")
    await thread.settled()
    session = await thread.until(lambda s: s.saved.turn == 1)
    assert session.box is not None
    await office.shop.provider.exec(session.box, ("rm", "-r", ".git/HEAD", ".git/refs"))
    await office.shop.provider.terminate(session.box, grace=0)
    await thread.until(lambda s: s.box is None)
    await office.ada.replies(thread, "add a line to the README saying after all")
    session = await thread.settled(prompts=2)
    assert await outcomes(thread) == ["done", "done"] and session.pull_request is not None
    patch = await office.patch(session.pull_request.number)
    assert "+pushed" in patch and "+after all" in patch


async def test_with_one_box_for_all_threads_take_turns_and_each_says_its_place() -> None:
    async with open_office(SHIPMATE_BOXES="1") as office:
        first = await office.ada.says("@shipmate count slowly to 200")
        await first.at_work()
        second = await office.grace.says("@shipmate add a line to the README saying second")
        await second.hears("1st in the queue for a box")
        third = await office.ada.says("@shipmate add a line to the README saying third")
        await third.hears("2nd in the queue for a box")
        assert len(await office.shop.provider.list()) == 1
        await office.ada.ends_what_runs(first)
        await first.settled()
        await second.settled()
        await third.hears("1st in the queue for a box")
        await third.settled()
        assert [await outcomes(thread) for thread in (first, second, third)] == [["stopped"], ["done"], ["done"]]

        async def asleep() -> list[Session | None]:
            return [await office.shop.store.load(thread.sid) for thread in (first, second)]

        await until(asleep, lambda found: all(s is not None and s.status is Status.ASLEEP for s in found))
        assert len(await office.shop.provider.list()) == 1


async def outcomes(thread: Thread) -> list[str]:
    return [ending.outcome for ending in await thread.endings()]
