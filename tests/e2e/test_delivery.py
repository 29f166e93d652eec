"""Slack's deliveries going wrong, over the socket and as signed HTTP: each message is one prompt, whatever happens."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from jobs.session import Status
from tests.e2e.conftest import QUIET_SLACK, open_office
from tests.e2e.people import Office, Thread, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def prompts_of(thread: Thread) -> list[str]:
    """The texts of what was accepted, in order."""
    return [event.prompt.text for event in await thread.log() if event.kind == "prompt_received"]


async def is_shown_once(thread: Thread, prompts: int) -> None:
    """One card and one ending for each prompt, and no message twice."""
    cards = [said.card for said in await thread.from_us()]
    assert len(set(cards)) == len(cards)
    assert len([card for card in cards if card.startswith("end:")]) == prompts
    assert len([card for card in cards if card.startswith(f"{thread.office.team}:")]) == prompts


@pytest.mark.parametrize(
    "fault",
    [{"duplicate": 4}, {"delay": 0.3}, {"drop_acks": 2}, {"drop_mentions": 1}, {"drop_messages": 1}],
    ids=["twice", "late", "unheard-acknowledgements", "no-app-mention", "no-message"],
)
async def test_a_mention_is_one_prompt_whatever_becomes_of_its_events(office: Office, fault: dict[str, float]) -> None:
    await office.slack(**fault)
    thread = await office.ada.says("@shipmate what is this repository?")
    await thread.settled()
    await office.slack(duplicate=0, delay=0)
    await is_delivered(office)
    assert await prompts_of(thread) == ["what is this repository?"]
    await is_shown_once(thread, prompts=1)


async def is_delivered(office: Office) -> None:
    """Until the workspace has nothing more to deliver: a later message's prompt is taken."""
    thread = await office.grace.says("@shipmate")
    await thread.hears("Mention me with a task")


async def test_a_reply_that_overtakes_its_mention_waits_for_it(office: Office) -> None:
    await office.slack(reorder=3)
    thread = await office.ada.says("@shipmate count slowly to 1")  # two events; the reply is the third
    await office.grace.replies(thread, "add a line to the README saying early")
    session = await thread.settled(prompts=2)
    assert session.pull_request is not None
    assert sorted(await prompts_of(thread)) == ["add a line to the README saying early", "count slowly to 1"]
    await is_shown_once(thread, prompts=2)


async def test_an_edit_that_overtakes_its_message_wins(office: Office) -> None:
    await office.slack(reorder=3)
    thread = await office.ada.says("@shipmate add a line to the README saying old")
    await office.ada.edits(thread, thread.ts, "@shipmate add a line to the README saying new")
    session = await thread.settled()
    assert session.pull_request is not None
    assert "+new" in await office.patch(session.pull_request.number)


async def test_a_deletion_that_overtakes_its_message_leaves_nothing(office: Office) -> None:
    await office.slack(reorder=3)
    thread = await office.ada.says("@shipmate add a line to the README saying gone")
    await office.ada.deletes(thread, thread.ts)
    await is_delivered(office)
    assert await thread.session() is None


async def test_two_mentions_at_once_in_one_thread_are_one_session_with_both(office: Office) -> None:
    thread = await office.ada.says("good morning")
    await asyncio.gather(
        office.ada.replies(thread, "@shipmate add a line to the README saying mine"),
        office.grace.replies(thread, "@shipmate add a line to the README saying yours"),
    )
    session = await thread.settled(prompts=2)
    assert session.pull_request is not None and session.generation == 1
    patch = await office.patch(session.pull_request.number)
    assert "+mine" in patch and "+yours" in patch
    await is_shown_once(thread, prompts=2)


@pytest.mark.parametrize("how", ["warning", "refresh_requested", "cut"])
async def test_a_socket_that_goes_away_loses_nothing(office: Office, how: str) -> None:
    thread = await office.ada.says("@shipmate count slowly to 2")
    await thread.at_work()
    await office.slack(disconnect=how)
    await office.grace.replies(thread, "what is this repository?")
    await thread.settled(prompts=2)
    await is_shown_once(thread, prompts=2)


async def test_words_that_slack_did_not_take_are_said_once_it_does(office: Office) -> None:
    await office.slack(fail=2, fail_after=2, rate_limit=2, methods=["chat.postMessage", "chat.update"])
    thread = await office.ada.says("@shipmate add a line to the README saying through the storm")
    session = await thread.settled()
    assert session.pull_request is not None
    await thread.hears(f"<@{office.ada.id}> Done.")
    await is_shown_once(thread, prompts=1)


async def test_work_goes_on_while_slack_is_down_and_the_words_come_later(office: Office) -> None:
    thread = await office.ada.says("@shipmate count slowly to 1 and think about the README")
    await thread.at_work()
    await office.slack(down=True)
    await thread.until(lambda s: s.status is Status.IDLE)
    await office.slack(down=False)
    await thread.settled()
    await thread.hears(f"<@{office.ada.id}> Done.")
    await is_shown_once(thread, prompts=1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def by_http() -> AsyncIterator[Office]:
    """A stack that Slack calls, instead of a socket."""
    async with open_office(SLACK_APP_TOKEN="") as office:
        web = office.stack.web_url
        await office.post(
            "playground/request-url", {"events": f"{web}/slack/events", "actions": f"{web}/slack/actions"}
        )
        yield office


async def test_the_main_job_works_over_signed_http_instead_of_a_socket(by_http: Office) -> None:
    office = by_http
    await office.slack(unlimited=True, drop_acks=1, duplicate=1)
    thread = await office.ada.says("@shipmate fix the failing test")
    await thread.until(lambda s: s.status is Status.WORKING)
    await office.grace.replies(thread, "add a line to the README saying over HTTP")
    session = await thread.settled(prompts=2)
    assert session.pull_request is not None
    assert len(await office.commits(session.pull_request.number)) == 2
    await is_shown_once(thread, prompts=2)
    slow = await office.ada.says("@shipmate count slowly to 100")
    await slow.at_work()
    await office.grace.presses(slow, await slow.card(), "stop")
    await slow.settled()
    assert [ending.outcome for ending in await slow.endings()] == ["stopped"]


async def test_without_agent_sessions_the_plain_status_line_is_used(by_http: Office) -> None:
    office = by_http  # the last test of it: that a workspace has none is remembered for hours
    await office.slack(**QUIET_SLACK | {"no_agent_sessions": True})
    thread = await office.ada.says("@shipmate count slowly to 1")

    async def statuses() -> list[str]:
        async with office.http.get(office.stack.page_url + "playground/bootstrap") as answer:
            found = await answer.json()
        return [status["status"] for status in found["statuses"] if status["thread_ts"] == thread.ts]

    await until(statuses, lambda seen: seen == ["is working on it…"])
    await thread.settled()
    await until(statuses, lambda seen: not any(seen))
