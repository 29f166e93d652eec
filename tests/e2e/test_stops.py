"""Every way to stop, in every phase: what runs ends, what waits is dropped, and the thread says who did it."""

import time
from collections.abc import Awaitable, Callable

import pytest

from jobs.session import Status
from tests.e2e.people import Office, Thread, held_still

pytestmark = pytest.mark.asyncio(loop_scope="session")
PROMPTLY = 20.0  # an agent that counts for 200 seconds did not end by itself


async def press_stop(office: Office, thread: Thread) -> None:
    await office.grace.presses(thread, await thread.card(), "stop")


async def type_stop(office: Office, thread: Thread) -> None:
    await office.grace.replies(thread, "stop")


async def press_slacks_own_stop(office: Office, thread: Thread) -> None:
    await office.grace.presses_slacks_own_stop(thread)


@pytest.mark.parametrize("stop", [press_stop, type_stop, press_slacks_own_stop])
async def test_anybody_stops_a_running_turn(office: Office, stop: Callable[[Office, Thread], Awaitable[None]]) -> None:
    thread = await office.ada.says("@shipmate count slowly to 200")
    await thread.at_work()
    began = time.monotonic()
    await stop(office, thread)
    session = await thread.settled()
    assert time.monotonic() - began < PROMPTLY
    assert session.status is Status.IDLE
    [ending] = await thread.endings()
    assert ending.outcome == "stopped"
    await thread.hears(f"<@{office.ada.id}> Stopped by Grace Hopper. No commits, so no pull request.")
    card = await thread.card()
    assert "Stopped by Grace Hopper" in card.words and not any(button.startswith("stop") for button in card.buttons)


async def test_a_command_that_runs_is_stopped_and_the_next_turn_works(office: Office) -> None:
    thread = await office.ada.says("@shipmate run a slow command for 200 seconds")
    await thread.until(lambda s: s.status is Status.WORKING)
    await thread.hears("› sleep 200")
    await press_stop(office, thread)
    await thread.settled()
    await office.ada.replies(thread, "add a line to the README saying after the stop")
    session = await thread.settled(prompts=2)
    assert session.pull_request is not None
    assert [ending.outcome for ending in await thread.endings()] == ["stopped", "done"]


async def test_a_stop_before_the_box_is_there_drops_the_prompt(office: Office) -> None:
    with held_still(office.stack, "boxes"):
        thread = await office.ada.says("@shipmate fix the failing test")
        await press_stop(office, thread)
        session = await thread.until(lambda s: not s.queue)
        assert session.box is None
    await thread.settled()
    assert "Withdrawn: stopped by Grace Hopper before it began" in (await thread.card()).words
    assert await thread.endings() == []


async def test_a_stop_of_one_waiting_prompt_leaves_the_others(office: Office) -> None:
    thread = await office.ada.says("@shipmate count slowly to 200")
    await thread.at_work()
    dropped = await office.grace.replies(thread, "add a line to the README saying dropped")
    kept = await office.grace.replies(thread, "add a line to the README saying kept")
    await thread.until(lambda s: len(s.queue) == 2)
    await office.ada.presses(thread, await thread.card(dropped), "stop")
    await thread.until(lambda s: len(s.queue) == 1)
    await office.ada.ends_what_runs(thread)
    session = await thread.settled(prompts=3)
    assert session.pull_request is not None
    patch = await office.patch(session.pull_request.number)
    assert "+kept" in patch and "dropped" not in patch
    assert "Withdrawn: stopped by Ada Lovelace" in (await thread.card(dropped)).words
    assert "Done" in (await thread.card(kept)).words


async def test_the_typed_word_stops_what_runs_and_what_waits(office: Office) -> None:
    thread = await office.ada.says("@shipmate count slowly to 200")
    await thread.at_work()
    waiting = await office.grace.replies(thread, "add a line to the README saying never")
    await thread.until(lambda s: len(s.queue) == 1)
    await office.ada.replies(thread, "@shipmate stop")
    session = await thread.settled(prompts=2)
    assert session.turns == 1 and session.pull_request is None
    assert "Withdrawn: stopped by Ada Lovelace" in (await thread.card(waiting)).words


async def test_a_stop_after_the_end_is_answered_to_who_pressed(office: Office) -> None:
    thread = await office.ada.says("@shipmate what is this repository?")
    await thread.settled()
    await office.grace.replies(thread, "stop")
    await office.grace.is_told_alone("That is over already: there is nothing left to stop.")
    assert len(await thread.endings()) == 1
