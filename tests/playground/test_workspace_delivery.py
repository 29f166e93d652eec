"""What the app is told, and how often: Socket Mode through a real Bolt app, with the faults that Slack has."""

import asyncio
import json
from typing import Any

import pytest

from bot.playground import workspace_people as people
from tests.playground.workspaces import (
    BOT,
    DEV,
    DM,
    GENERAL,
    MENTION,
    PARTNERS,
    SECONDS,
    SECRET,
    Served,
    bolt_app,
    connected,
)
from tests.playground.workspaces import served as served

# -- what is told ----------------------------------------------------------------------------------------------------


async def test_a_mention_is_told_twice_with_the_same_ts_and_different_ids(served: Served) -> None:
    async with connected(served) as app:
        ts = (await served.ada.chat_postMessage(channel=DEV, text=f"{MENTION} hello"))["ts"]
        mention, message = sorted(await app.until_heard(2), key=lambda body: body["event"]["type"])
    assert mention["event"]["ts"] == message["event"]["ts"] == ts
    assert mention["event_id"] != message["event_id"]
    assert (mention["event"]["type"], message["event"]["type"]) == ("app_mention", "message")
    assert "channel_type" not in mention["event"]
    assert message["event"]["channel_type"] == "channel"


async def test_the_envelope_says_whose_event_it_is(served: Served) -> None:
    async with connected(served) as app:
        await served.olga.chat_postMessage(channel=PARTNERS, text="hi")
        await served.ada.chat_postMessage(channel=DEV, text="hi")
        shared, plain = await app.until_heard(2)
    assert (shared["type"], shared["team_id"], shared["api_app_id"]) == ("event_callback", people.TEAM, people.APP)
    assert shared["authorizations"][0]["user_id"] == BOT
    assert (shared["is_ext_shared_channel"], plain["is_ext_shared_channel"]) == (True, False)
    assert (shared["event"]["team"], shared["event"]["user_team"]) == (people.OTHER_TEAM, people.OTHER_TEAM)
    assert "user_team" not in plain["event"]


PLACES = {
    "a channel": (DEV, "channel", ["app_mention", "message"]),
    "a private one": (SECRET, "group", ["app_mention", "message"]),
    "a direct one": (DM, "im", ["message"]),
}


@pytest.mark.parametrize("place", PLACES)
async def test_where_the_bot_is_it_is_told_what_is_said_and_where(served: Served, place: str) -> None:
    channel, kind, expected = PLACES[place]
    async with connected(served) as app:
        await served.ada.chat_postMessage(channel=channel, text=f"{MENTION} hello")
        await app.until_heard(len(expected))
        await served.workspace.deliveries.settled()
    assert [event["type"] for event in app.events()] == expected
    assert app.events("message")[0]["channel_type"] == kind


async def test_where_the_bot_is_not_it_is_told_nothing(served: Served) -> None:
    async with connected(served) as app:
        await served.ada.chat_postMessage(channel=GENERAL, text=f"{MENTION} hello")
        await served.ada.chat_postMessage(channel=DEV, text="the end")
        await app.until_heard(1)
    assert [event["text"] for event in app.events()] == ["the end"]


async def test_edits_deletions_and_tombstones_are_told(served: Served) -> None:
    async with connected(served) as app:
        root = (await served.ada.chat_postMessage(channel=DEV, text="one"))["ts"]
        await served.workspace.deliveries.settled()
        await served.ada.chat_update(channel=DEV, ts=root, text="two")
        await served.workspace.deliveries.settled()
        reply = (await served.ada.chat_postMessage(channel=DEV, text="reply", thread_ts=root))["ts"]
        await app.until_heard(4)
        await served.ada.chat_delete(channel=DEV, ts=root)
        await served.workspace.deliveries.settled()
        await served.ada.chat_delete(channel=DEV, ts=reply)
        await app.until_heard(6)
    written, edited, *both, buried, gone = app.events()
    replied, counted = sorted(both, key=lambda event: event.get("subtype", ""))
    assert (written["text"], replied["thread_ts"], replied["parent_user_id"]) == ("one", root, "U0ADA")
    assert (edited["previous_message"]["text"], edited["message"]["text"], edited["message"]["ts"]) == (
        "one",
        "two",
        root,
    )
    assert edited["message"]["edited"]["user"] == "U0ADA"
    assert (counted["message"]["reply_count"], counted["message"]["text"]) == (1, counted["previous_message"]["text"])
    assert (buried["subtype"], buried["message"]["subtype"]) == ("message_changed", "tombstone")
    assert (gone["subtype"], gone["deleted_ts"], gone["previous_message"]["thread_ts"]) == (
        "message_deleted",
        reply,
        root,
    )


async def test_what_the_bots_write_is_told_as_theirs_and_bolt_drops_our_own(served: Served) -> None:
    async with connected(served) as app:
        await served.bot.chat_postMessage(channel=DEV, text="ours")
        await served.robbie.chat_postMessage(channel=DEV, text=f"{MENTION} theirs")
        await app.until(lambda: len(app.events("app_mention")) == 1 and len(app.events("message")) == 1)
        await served.workspace.deliveries.settled()
    assert {event["bot_id"] for event in app.events()} == {people.OTHER_BOT.bot_id}


async def test_a_file_comes_with_its_message_and_its_mention(served: Served) -> None:
    async with connected(served) as app:
        await served.ada.files_upload_v2(
            channel=DEV, content="a,b\n", filename="numbers.csv", initial_comment=f"{MENTION} add these"
        )
        await app.until_heard(2)
    (mention,), (message,) = app.events("app_mention"), app.events("message")
    assert (message["subtype"], message["text"]) == ("file_share", f"{MENTION} add these")
    assert "subtype" not in mention
    shape = mention["files"][0]
    assert (shape["name"], shape["size"], shape["mimetype"]) == ("numbers.csv", 4, "text/csv")
    bearer = {"Authorization": f"Bearer {served.workspace.tokens.bot}"}
    async with served.http.get(shape["url_private"], headers=bearer) as got:
        assert (await got.text(), got.headers["Content-Disposition"]) == ("a,b\n", "attachment")
        assert "sandbox" in got.headers["Content-Security-Policy"]
    async with served.http.get(shape["url_private"], headers={"Authorization": "Bearer no"}) as got:
        assert (got.status, got.content_type) == (200, "text/html")


async def test_only_what_the_manifest_subscribes_to_is_told(served: Served) -> None:
    async with connected(served) as app:
        ts = (await served.ada.chat_postMessage(channel=DEV, text="one"))["ts"]
        await served.ada.reactions_add(channel=DEV, timestamp=ts, name="eyes")
        await served.ada.chat_postMessage(channel=DEV, text="two")
        await app.until_heard(2)
        await served.workspace.deliveries.settled()
    assert [event["text"] for event in app.events()] == ["one", "two"]


# -- how it is told --------------------------------------------------------------------------------------------------


async def test_an_acknowledgement_that_is_lost_brings_the_same_event_again(served: Served) -> None:
    await served.faults(drop_acks=1)
    async with connected(served) as app:
        await served.ada.chat_postMessage(channel=DEV, text="hi")
        first, second = await app.until_heard(2)
        await served.workspace.deliveries.settled()
    assert first == second
    assert app.retries == [("0", ""), ("1", "timeout")]


async def test_an_error_of_the_app_brings_the_event_again(served: Served) -> None:
    async with connected(served) as app:
        app.failing = 2
        await served.ada.chat_postMessage(channel=DEV, text="hi")
        await app.until_heard(1)
    assert [number for number, _ in app.retries][1:] == ["1", "2"]


async def test_an_app_that_never_takes_an_event_is_left_in_peace(served: Served) -> None:
    async with connected(served) as app:
        app.failing = 100
        await served.ada.chat_postMessage(channel=DEV, text="hi")
        await served.workspace.deliveries.settled()
    assert len(app.retries) == 4
    assert served.workspace.state.pending == {}


async def test_what_happens_while_nobody_listens_is_told_when_somebody_does(served: Served) -> None:
    for number in range(3):
        await served.ada.chat_postMessage(channel=DEV, text=str(number))
    async with connected(served) as app:
        await app.until_heard(3)
    assert [event["text"] for event in app.events()] == ["0", "1", "2"]


@pytest.mark.parametrize("how", ["refresh_requested", "cut"])
async def test_what_a_closed_socket_did_not_acknowledge_comes_over_another_one(served: Served, how: str) -> None:
    app = bolt_app(served)
    asked, may_go_on = asyncio.Event(), asyncio.Event()

    async def dawdle(body: dict[str, Any], next: Any) -> None:
        asked.set()
        await may_go_on.wait()
        await next()

    app.bolt.middleware(dawdle)
    async with asyncio.timeout(SECONDS), connected(served, app):
        await served.ada.chat_postMessage(channel=DEV, text="hi")
        await asked.wait()
        await served.faults(disconnect=how)
        may_go_on.set()
        await app.until_heard(2)
        await served.workspace.deliveries.settled()
    assert app.heard[0]["event_id"] == app.heard[1]["event_id"]


async def test_each_event_goes_to_one_of_several_sockets(served: Served) -> None:
    async with connected(served) as one, connected(served) as two:
        for number in range(6):
            await served.ada.chat_postMessage(channel=DEV, text=str(number))
        await served.workspace.deliveries.settled()
        assert (len(one.heard), len(two.heard)) == (3, 3)
    assert {event["text"] for event in one.events() + two.events()} == set("012345")


async def test_an_eleventh_socket_is_turned_away_and_a_ticket_is_good_once(served: Served) -> None:
    sockets = []
    for _ in range(10):
        url = f"{served.url}/socket/{served.workspace.sockets.ticket()}"
        socket = await served.http.ws_connect(url)
        assert (await socket.receive_json(timeout=SECONDS))["type"] == "hello"
        sockets.append(socket)
    more = await served.http.ws_connect(f"{served.url}/socket/{served.workspace.sockets.ticket()}")
    assert (await more.receive_json(timeout=SECONDS))["reason"] == "too_many_websockets"
    async with served.http.get(url) as got:
        assert got.status == 403
    for socket in sockets:
        await socket.close()


async def test_a_socket_answers_pings_with_their_own_words(served: Served) -> None:
    url = (await served.bot.apps_connections_open(app_token=served.workspace.tokens.app))["url"]
    async with served.http.ws_connect(url, autoping=False) as socket:
        assert (await socket.receive_json(timeout=SECONDS))["connection_info"]["app_id"] == people.APP
        await socket.ping(b"sdk-ping-pong:1")
        assert (await socket.receive(timeout=SECONDS)).data == b"sdk-ping-pong:1"
        await socket.send_str("not json")
        await socket.send_str("[]")
        await served.ada.chat_postMessage(channel=DEV, text="still here")
        envelope = await socket.receive_json(timeout=SECONDS)
        assert {"type", "envelope_id", "payload", "accepts_response_payload", "retry_attempt"} <= set(envelope)
        await socket.send_str(json.dumps({"envelope_id": envelope["envelope_id"]}))
        await served.workspace.deliveries.settled()
