"""Anybody in the thread stops a turn, by a word, a button or Slack's own sign, and hears what came of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.playground import workspace_people as people
from bot.playground.workspace_records import Delivery
from bot.slack.courtesies import NOTHING_HERE, STOP_WHERE
from jobs.events import StopRequested
from tests.playground.workspaces import DEV, MENTION
from tests.slack.scene import Scene, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

ADA, GRACE = people.ADA.id, people.GRACE.id
WORDS = "fix the fuel test in acme/rocket"


async def stops(office: Scene, thread: str) -> list[str]:
    """Who asked the running turn to stop, each time."""
    events = await office.store.events(office.sid(thread))
    return [event.by.id for event in events if isinstance(event, StopRequested) and event.by]


async def press_native_stop(office: Scene, thread: str) -> None:
    said = {"token": office.served.token(GRACE), "channel": DEV, "thread_ts": thread}
    assert (await office.served.post_json("/playground/stop", said))[0] == 200
    await office.delivered()


async def press_stop(office: Scene, thread: str) -> None:
    assert (await office.presses("stop", await office.card(thread), by=GRACE))[0] == 200


STOPS: dict[str, Callable[[Scene, str], Awaitable[Any]]] = {
    "the word": lambda office, ts: office.says("Stop!", ts, by=office.served.grace),
    "the word, with a mention": lambda office, ts: office.says(f"{MENTION} stop", ts, by=office.served.grace),
    "the button": press_stop,
    "Slack's own": press_native_stop,
}


@pytest.mark.parametrize("way", STOPS)
async def test_anybody_stops_the_turn_in_any_way(office: Scene, way: str) -> None:
    ts = await office.says()
    await office.work(ts).begin()
    await until(lambda: asyncio.sleep(0, office.status(ts)), lambda status: status == "processing")
    await office.served.faults(duplicate=3)
    await STOPS[way](office, ts)
    assert await stops(office, ts) == [GRACE]
    card = await office.shown(ts, "Stopping, as Grace Hopper asked")
    assert "stop" not in card.buttons
    assert office.whispers(GRACE) == []
    assert await office.texts(ts) == [WORDS]


async def test_a_stop_that_is_delivered_again_spares_what_was_asked_since(office: Scene) -> None:
    ts = await office.says()
    await office.says("stop", ts)
    again = _last_event(office, "stop")
    assert await office.queue(ts) == []
    await office.says("do it after all", ts)
    assert await office.served.workspace.deliveries.ask(again) is not None
    assert await office.queue(ts) == ["do it after all"]
    assert office.whispers(ADA) == []


def _last_event(office: Scene, text: str) -> Delivery:
    """The delivery about the message with this text, as it was made."""
    entries = [e for e in office.served.workspace.journal.read() if e.kind == "delivery"]
    found = [e.value for e in entries if e.value["payload"]["event"].get("text") == text]
    return Delivery.model_validate(found[-1])


async def test_stop_withdraws_everything_that_waits_and_says_by_whom(office: Scene) -> None:
    ts = await office.says()
    await office.says("and the docs", ts)
    await office.says("stop", ts, by=office.served.grace)
    assert await office.queue(ts) == []
    await until(lambda: office.ours(ts), lambda said: [("stopped by Grace" in s.words) for s in said] == [True] * 2)


async def test_a_stop_with_nothing_to_stop_is_answered_to_its_author_alone(office: Scene) -> None:
    ts = await office.says()
    await (await office.work(ts).begin()).end(commits=0)
    await office.says("stop", ts, by=office.served.grace)
    await office.whispered(GRACE, "there is nothing left to stop")
    assert office.whispers(ADA) == []


async def test_people_may_say_stop_to_each_other(office: Scene) -> None:
    thread = await office.says("he sings again")
    await office.says("stop", thread)
    await office.says(f"{MENTION} stop", thread, by=office.served.grace)
    await office.whispered(GRACE, NOTHING_HERE)
    assert (office.whispers(ADA), await office.ours(thread)) == ([], [])


async def test_stop_said_to_a_whole_channel_begins_no_session_and_is_told_where_to_say_it(office: Scene) -> None:
    ts = await office.says(f"{MENTION} stop")
    assert (await office.shown(ts, STOP_WHERE)).buttons == ()
    assert await office.session(ts) is None
