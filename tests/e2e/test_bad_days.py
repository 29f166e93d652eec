"""Slack on its worst days, everything at once: nothing is lost, nothing doubled, all is right within a minute after."""

import asyncio

import pytest

from jobs.events import PromptReceived, PromptWithdrawn
from tests.e2e.people import Office, Thread, until
from tests.kills.checker import check

pytestmark = pytest.mark.asyncio(loop_scope="session")
AFTERWARDS = 60.0
MANY = 40


async def prompts(thread: Thread) -> list[str]:
    return [event.prompt.text for event in await thread.log() if isinstance(event, PromptReceived)]


async def test_forty_messages_in_two_seconds_are_forty_prompts_and_one_stop_ends_them(office: Office) -> None:
    await office.slack(duplicate=30, delay=0.05)
    thread = await office.ada.says("@shipmate count slowly to 30")
    await thread.at_work()
    began = asyncio.get_running_loop().time()
    people = (office.ada, office.grace)
    await asyncio.gather(*(people[n % 2].replies(thread, f"what is this repository? ({n})") for n in range(MANY)))
    await until(lambda: prompts(thread), lambda all_: len(all_) == MANY + 1, AFTERWARDS)
    assert asyncio.get_running_loop().time() - began < AFTERWARDS
    await office.slack(duplicate=0, delay=0)
    await asyncio.gather(office.ada.replies(thread, "stop"), office.grace.replies(thread, "stop"))
    await until(lambda: given_up(thread), lambda number: number == MANY, AFTERWARDS)
    await thread.settled(prompts=1, seconds=AFTERWARDS)
    assert sorted(await prompts(thread)) == sorted(
        ["count slowly to 30", *(f"what is this repository? ({n})" for n in range(MANY))]
    )
    assert [ending.outcome for ending in await thread.endings()] == ["stopped"]
    assert (await check(thread)).all() == []


async def given_up(thread: Thread) -> int:
    return sum(isinstance(event, PromptWithdrawn) for event in await thread.log())


@pytest.mark.parametrize(
    "storm",
    [
        {"fail": 100_000},
        {"fail_after": 25, "duplicate": 8, "reorder": 2},
        {"rate_limit": 60, "drop_acks": 2, "duplicate": 4},
        {"slow": 0.5, "drop_mentions": 1, "delay": 0.2},
    ],
    ids=["5xx", "answers-lost", "429", "slow"],
)
async def test_a_storm_of_slacks_loses_and_doubles_nothing(office: Office, storm: dict[str, float]) -> None:
    """While it lasts people ask, follow up, edit what waits, and both press Stop on what runs."""
    await office.slack(**storm, methods=["chat.postMessage", "chat.update"])
    thread = await office.ada.says("@shipmate count slowly to 30")
    await until(lambda: prompts(thread), bool, AFTERWARDS)
    await office.grace.replies(thread, "add a line to the README saying through the storm")
    waiting = await office.ada.replies(thread, "add a line to the README saying wrong")
    await until(lambda: prompts(thread), lambda all_: len(all_) == 3, AFTERWARDS)
    await office.ada.edits(thread, waiting, "add a line to the README saying right")
    await until(lambda: edited(thread), bool, AFTERWARDS)
    await thread.at_work()
    await office.slack(**dict.fromkeys(storm, 0), methods=[])
    card = await thread.card()
    await asyncio.gather(*(person.presses(thread, card, "stop") for person in (office.ada, office.grace, office.ada)))
    session = await thread.settled(prompts=3, seconds=AFTERWARDS)
    assert [ending.outcome for ending in await thread.endings()] == ["stopped", "done", "done"]
    assert session.pull_request is not None
    patch = await office.patch(session.pull_request.number)
    assert "+through the storm" in patch and "+right" in patch and "+wrong" not in patch
    assert (await check(thread)).all() == []


async def edited(thread: Thread) -> bool:
    return any(event.kind == "prompt_edited" for event in await thread.log())
