"""Killed without warning, in mid-turn: nothing is lost, nothing is doubled, and the thread is told once."""

import os
import signal

import pytest

from jobs.session import Status
from sandbox.box_folder import BoxFolder
from sandbox.provider import BoxState
from tests.e2e.people import Office, Thread, held_still, kill, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def is_shown_once(thread: Thread, prompts: int) -> None:
    cards = [said.card for said in await thread.from_us()]
    assert len(set(cards)) == len(cards)
    assert len([card for card in cards if card.startswith("end:")]) == prompts


async def counted_to(thread: Thread, number: int) -> str:
    """All that the agent has said, once it has counted so far."""

    async def words() -> str:
        entries = await thread.office.shop.store.transcript(thread.sid)
        return "".join(str(entry.body.get("text", "")) for entry in entries if entry.kind == "text")

    return await until(words, lambda said: f"{number}," in said)


async def test_killing_the_web_process_in_mid_turn_loses_and_doubles_nothing(office: Office) -> None:
    thread = await office.ada.says("@shipmate count slowly to 4")
    await counted_to(thread, 3)
    kill(office.stack, "web")
    reply = await office.grace.replies(thread, "add a line to the README saying meanwhile")
    session = await thread.settled(prompts=2)
    assert session.generation == 1 and session.turns == 2 and session.pull_request is not None
    assert [ending.outcome for ending in await thread.endings()] == ["done", "done"]
    said = await counted_to(thread, 16)
    assert [said.count(f" {number},") for number in range(2, 17)] == [1] * 15
    assert "Done" in (await thread.card(reply)).words
    await is_shown_once(thread, prompts=2)


async def test_killing_the_workers_while_a_box_is_made_makes_one_all_the_same(office: Office) -> None:
    with held_still(office.stack, "boxes"):
        thread = await office.ada.says("@shipmate add a line to the README saying in spite of it")
        await thread.until(lambda s: s.status is Status.WAITING)
    await thread.until(lambda s: s.generation == 1)
    kill(office.stack, "boxes")
    session = await thread.settled()
    assert session.pull_request is not None

    async def running() -> list[str]:
        boxes = await office.shop.provider.list()
        return [box.name for box in boxes if box.labels.get("session") == thread.sid and box.state is BoxState.RUNNING]

    await until(running, lambda names: names == [session.box], seconds=90)
    await is_shown_once(thread, prompts=1)


async def test_killing_redis_in_mid_turn_loses_and_doubles_nothing(office: Office) -> None:
    thread = await office.ada.says("@shipmate count slowly to 4")
    await counted_to(thread, 3)
    kill(office.stack, "redis")
    await office.grace.replies(thread, "add a line to the README saying still here")
    session = await thread.settled(prompts=2, seconds=60)
    assert session.generation == 1 and session.pull_request is not None
    said = await counted_to(thread, 16)
    assert [said.count(f" {number},") for number in range(2, 17)] == [1] * 15
    await is_shown_once(thread, prompts=2)


async def test_killing_a_box_in_mid_turn_delivers_the_prompt_once_more_and_says_so(office: Office) -> None:
    thread = await office.ada.says("@shipmate add a line to the README saying before the storm")
    await thread.settled()
    await office.grace.replies(thread, "run a slow command for 3 seconds")
    session = await thread.until(lambda s: s.status is Status.WORKING)
    await thread.hears("› sleep 3")
    kill_box(office, session.box)
    await thread.hears("Working on it again, after it was interrupted")
    after = await thread.settled(prompts=2)
    assert after.generation == 2
    delivered = [event.again for event in await thread.log() if event.kind == "prompt_delivered"]
    assert delivered == [False, False, True]
    assert [ending.outcome for ending in await thread.endings()] == ["done", "done"]
    ready = [event.resumed for event in await thread.log() if event.kind == "agent_ready"]
    assert ready == [False, True]
    await is_shown_once(thread, prompts=2)


def kill_box(office: Office, box: str | None) -> None:
    """End a box at once, as the kernel might: with its first process go all others."""
    said = BoxFolder(office.stack.settings.jobs.boxes_dir / "box" / str(box)).said()
    os.kill(said["child-pid"], signal.SIGKILL)
