"""First the record, then the acknowledgement: over sockets and over signed HTTP; and nothing is delivered for ever."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.playground import workspace_people as people
from bot.playground.workspace_delivery import Outcome
from bot.playground.workspace_records import Delivery
from jobs.inbox import Inbox
from jobs.session import Rules, Session
from jobs.store import Store
from jobs.wants import Operation
from tests.jobs.servers import Server
from tests.playground.workspaces import DEV
from tests.slack.scene import Scene, staged
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene

PERSON = {"id": people.ADA.id, "name": "ada", "team_id": people.TEAM}
ENVELOPE: dict[str, Any] = {"team_id": people.TEAM, "api_app_id": people.APP, "type": "event_callback", "event_id": "E"}
BODY: dict[str, Any] = {"user": PERSON, "team": {"id": people.TEAM}, "api_app_id": people.APP, "token": "t"}


def event(kind: str, **fields: Any) -> Delivery:
    return Delivery(id="Ev1", type="events_api", payload=ENVELOPE | {"event": {"type": kind} | fields})


def interactive(kind: str, **fields: Any) -> Delivery:
    return Delivery(id="Ia1", type="interactive", payload=BODY | {"type": kind} | fields)


ALL_SORTS = {
    "an event that we do not know": event("something_new", user=people.ADA.id),
    "a join": event("message", subtype="channel_join", channel=DEV, user=people.ADA.id, ts="1.000001"),
    "a subtype that we do not know": event("message", subtype="huddle_thread", channel=DEV, ts="1.000001"),
    "a message without anything": event("message"),
    "a mention without anything": event("app_mention"),
    "a reaction": event("reaction_added", user=people.ADA.id, item={"type": "message", "channel": DEV, "ts": "1.1"}),
    "a stop without a thread": event("agent_session_stopped", channel=DEV, user=people.ADA.id),
    "a button": interactive("block_actions", actions=[{"action_id": "unknown", "block_id": "b", "type": "button"}]),
    "an old button": interactive("interactive_message", callback_id="old", actions=[{"name": "x", "type": "button"}]),
    "a global shortcut": interactive("shortcut", callback_id="ship"),
    "a shortcut of a message": interactive("message_action", callback_id="ship", message={"ts": "1.1"}),
    "a form": interactive("view_submission", view={"type": "modal", "callback_id": "form", "state": {"values": {}}}),
    "a form that is closed": interactive("view_closed", view={"type": "modal", "callback_id": "form"}),
    "options": interactive("block_suggestion", action_id="pick", block_id="b", value="a"),
    "a command": interactive("").model_copy(update={"type": "slash_commands", "payload": BODY | {"command": "/ship"}}),
}


async def test_whatever_slack_sends_over_a_socket_is_acknowledged(office: Scene) -> None:
    for name, delivery in ALL_SORTS.items():
        assert await office.served.workspace.deliveries.ask(delivery) is not None, name
    assert await office.store.all_sessions() == []


async def test_whatever_slack_sends_over_http_is_acknowledged(scene: Scene) -> None:
    async with scene.at_addresses():
        for name in ALL_SORTS.keys() - {"a command"}:  # which comes as a form, like nothing else does
            assert await scene.served.workspace.deliveries.ask(ALL_SORTS[name]) is not None, name
    assert await scene.store.all_sessions() == []


async def test_a_mention_and_a_stop_work_over_signed_http(scene: Scene) -> None:
    async with scene.at_addresses():
        ts = await scene.says()
        assert len(await scene.prompts(ts)) == 1
        assert (await scene.presses("stop", await scene.card(ts)))[0] == 200
        assert await scene.queue(ts) == []


async def test_what_is_not_signed_is_not_taken(scene: Scene) -> None:
    async with scene.at_addresses() as url:
        mention = event("app_mention", channel=DEV, user=people.ADA.id, ts="1.000001", text="x").payload
        for headers in ({}, {"X-Slack-Signature": "v0=00", "X-Slack-Request-Timestamp": "1"}):
            for path in ("/slack/events", "/slack/actions"):
                async with scene.served.http.post(url + path, data=json.dumps(mention), headers=headers) as answer:
                    assert answer.status == 401
    assert await scene.store.all_sessions() == []


# -- the record is gone ----------------------------------------------------------------------------------------------


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[tuple[Scene, Server]]:
    """A scene on a server of its own, which may be killed."""

    async def enqueue(_session: Session, _operation: Operation) -> None:
        """Nobody works here."""

    async with Server.running(tmp_path / "redis") as server:
        store = await Store.open(server.url, archive=tmp_path / "archive")
        async with staged(tmp_path / "workspace", store, Inbox(store, enqueue, Rules())) as scene:
            yield scene, server
        await store.close()


@pytest.mark.parametrize("way", ["socket", "http"])
async def test_what_cannot_be_on_record_is_not_acknowledged_and_counts_once_when_it_comes_again(
    own: tuple[Scene, Server], way: str
) -> None:
    scene, server = own
    async with scene.listening() if way == "socket" else scene.at_addresses():
        await scene.says("nothing yet")
        server.kill()
        ts = await scene.posts()
        again = next(iter(scene.served.workspace.state.pending.values()))
        assert await scene.served.workspace.deliveries.ask(again) is None
        assert len(scene.served.workspace.state.pending) == 2
        await server.start()
        async with asyncio.timeout(20):
            await scene.served.workspace.deliveries.settled()
        assert len(await scene.prompts(ts)) == 1
        await scene.card(ts)


async def test_slack_is_told_500_when_the_record_is_gone(own: tuple[Scene, Server]) -> None:
    scene, server = own
    async with scene.at_addresses():
        server.kill()
        mention = event("app_mention", channel=DEV, user=people.ADA.id, ts="1.000001", text="fix acme/rocket")
        way = scene.served.workspace.deliveries._way
        result = await way.try_(scene.served.workspace.deliveries._attempt(mention))
        assert (result.outcome, result.reason) == (Outcome.REFUSED, "http_error")
        await server.start()


async def test_what_comes_too_late_is_to_come_again_and_is_no_error_of_ours(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene.at_addresses(accept_seconds=0.0):
        mention = event("app_mention", channel=DEV, user=people.ADA.id, ts="1.000001", text="fix acme/rocket")
        result = await scene.served.workspace.deliveries._way.try_(
            scene.served.workspace.deliveries._attempt(mention)
        )  # fmt: skip
        assert (result.outcome, result.reason) == (Outcome.REFUSED, "http_error")
    assert await scene.store.all_sessions() == []
    assert [record.levelname for record in caplog.records if record.name.startswith(("bot", "slack_bolt"))] == [
        "WARNING"
    ]


async def test_what_happens_while_we_are_away_is_taken_when_we_are_back(scene: Scene) -> None:
    ts = await scene.posts()
    reply = await scene.posts("quickly", ts)
    async with scene.listening():
        await scene.delivered()
        assert sorted(prompt.id[-17:] for prompt in await scene.prompts(ts)) == [ts, reply]
        await scene.card(reply, ts)
