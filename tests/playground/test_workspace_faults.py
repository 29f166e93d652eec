"""The workspace's knobs, by which tests make it lose, repeat, reorder and refuse; and its own rates."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.playground.workspaces import DEV, MENTION, SECRET, App, Served, connected, refused, serving
from tests.playground.workspaces import served as served


def told(app: App) -> list[tuple[str, str | None]]:
    return [(event["type"], event.get("subtype")) for event in app.events()]


async def test_duplicates_reordering_and_losses_can_be_asked_for(served: Served) -> None:
    async with connected(served) as app:
        await served.faults(duplicate=1)
        await served.ada.chat_postMessage(channel=DEV, text="twice")
        one, other = await app.until_heard(2)
        assert one["event_id"] == other["event_id"]
        app.heard.clear()
        await served.faults(reorder=2)
        await served.ada.chat_postMessage(channel=DEV, text="first")
        await served.ada.chat_postMessage(channel=DEV, text="second")
        await app.until_heard(2)
        assert [event["text"] for event in app.events()] == ["second", "first"]
        app.heard.clear()
        await served.faults(drop_mentions=1)
        await served.ada.chat_postMessage(channel=DEV, text=f"{MENTION} one")
        await app.until_heard(1)
        await served.faults(drop_messages=1)
        await served.ada.chat_postMessage(channel=DEV, text=f"{MENTION} two")
        await app.until_heard(2)
        await served.workspace.deliveries.settled()
    assert told(app) == [("message", None), ("app_mention", None)]


async def test_what_is_held_for_reordering_is_let_go_when_that_ends(served: Served) -> None:
    async with connected(served) as app:
        await served.faults(reorder=5)
        await served.ada.chat_postMessage(channel=DEV, text="held")
        await served.faults(reorder=0)
        await app.until_heard(1)


async def test_the_web_api_breaks_for_apps_and_for_nobody_else(served: Served) -> None:
    await served.faults(rate_limit=1, retry_after=7, methods=["chat.postMessage"])
    assert (await served.bot.auth_test())["ok"]
    assert (await served.ada.chat_postMessage(channel=DEV, text="fine"))["ok"]
    headers = {"Authorization": f"Bearer {served.workspace.tokens.bot}"}
    call = {"url": f"{served.url}/api/chat.postMessage", "json": {"channel": DEV, "text": "a"}, "headers": headers}
    async with served.http.post(**call) as got:
        assert (got.status, got.headers["Retry-After"], (await got.json())["error"]) == (429, "7", "ratelimited")
    await served.faults(fail=1)
    async with served.http.post(**call) as got:
        assert got.status == 503
    await served.faults(fail_after=1)
    async with served.http.post(**call) as got:
        assert got.status == 503
    texts = [m["text"] for m in (await served.ada.conversations_history(channel=DEV))["messages"]]
    assert texts == ["a", "fine"]


async def test_a_workspace_that_is_down_shuts_every_door_of_the_app(served: Served) -> None:
    async with connected(served):
        await served.faults(down=True)
        assert served.workspace.sockets.count == 0
        async with served.http.post(
            f"{served.url}/api/apps.connections.open",
            headers={"Authorization": f"Bearer {served.workspace.tokens.app}"},
        ) as got:
            assert got.status == 503
        assert (await served.ada.chat_postMessage(channel=DEV, text="hi"))["ok"]
        await served.faults(down=False)
        async with asyncio.timeout(30):
            await served.workspace.sockets.connected()
            await served.workspace.deliveries.settled()


WRONG_FAULTS: dict[str, tuple[Any, str]] = {
    "an unknown one": ({"gremlins": 1}, "There is no fault called gremlins"),
    "a word": ({"delay": "long"}, "delay: a number"),
    "a number for a switch": ({"down": 1}, "down: true or false"),
    "below zero": ({"duplicate": -1}, "duplicate: a number"),
    "methods": ({"methods": "all"}, "methods: a list"),
    "a way to close": ({"disconnect": "slam"}, "disconnect: one of"),
    "a list": ([], "json_not_object"),
}


@pytest.mark.parametrize("case", WRONG_FAULTS)
async def test_a_fault_that_cannot_be_is_refused_in_words_and_changes_nothing(served: Served, case: str) -> None:
    wish, words = WRONG_FAULTS[case]
    before = served.workspace.faults.show()
    status, said = await served.post_json("/playground/faults", wish | {"fail": 3} if isinstance(wish, dict) else wish)
    assert status == 400
    assert words in said["error"]
    assert served.workspace.faults.show() == before


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[tuple[Served, list[float]]]:
    """A workspace, and the time of its clock."""
    now = [1_700_000_000.0]
    async with serving(tmp_path, clock=lambda: now[0]) as served:
        yield served, now


async def test_apps_are_held_to_slacks_rates_and_told_when_to_come_again(timed: tuple[Served, list[float]]) -> None:
    served, now = timed
    ts = (await served.bot.chat_postMessage(channel=DEV, text="x"))["ts"]
    for number in range(50):
        await served.bot.chat_update(channel=DEV, ts=ts, text=str(number))
    now[0] += 59.5
    assert await refused(served.bot.chat_update(channel=DEV, ts=ts, text="more")) == "ratelimited"
    now[0] += 0.5
    assert (await served.bot.chat_update(channel=DEV, ts=ts, text="more"))["ok"]
    await served.faults(unlimited=True)
    for number in range(51):
        await served.bot.chat_update(channel=DEV, ts=ts, text=str(number))


async def test_posts_are_limited_by_channel(timed: tuple[Served, list[float]]) -> None:
    served, now = timed
    for _ in range(5):
        await served.bot.chat_postMessage(channel=DEV, text="x")
    assert await refused(served.bot.chat_postMessage(channel=DEV, text="x")) == "ratelimited"
    assert (await served.bot.chat_postMessage(channel=SECRET, text="x"))["ok"]
    now[0] += 5.0
    assert (await served.bot.chat_postMessage(channel=DEV, text="x"))["ok"]
    assert (await served.robbie.chat_postMessage(channel=DEV, text="x"))["ok"]
