"""What the workspace gives to its page: people, the live stream, presses, Stop, forms."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.playground import workspace_people as people
from tests.playground.workspaces import BOT, DEV, DM, SECONDS, SECRET, Served, connected, refused, serving
from tests.playground.workspaces import served as served

STOP = {"type": "button", "text": {"type": "plain_text", "text": "Stop"}, "action_id": "stop", "value": "p1"}
BUTTONS = [{"type": "actions", "block_id": "b1", "elements": [STOP]}]


class Stream:
    """A page's live stream: what it is told, one by one."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            while True:
                line = (await self._answer.content.readline()).decode()
                assert line, "the stream ended"
                if line.startswith("data: "):
                    told: dict[str, Any] = json.loads(line.removeprefix("data: "))
                    return told


@asynccontextmanager
async def live(served: Served, account: str, cursor: int | str = "") -> AsyncIterator[Stream]:
    url = f"{served.url}/playground/live?token={served.token(account)}&cursor={cursor}"
    async with served.http.get(url) as answer:
        assert answer.content_type == "text/event-stream"
        yield Stream(answer)


async def bootstrap(served: Served) -> dict[str, Any]:
    async with served.http.get(f"{served.url}/playground/bootstrap") as got:
        found: dict[str, Any] = await got.json()
        return found


async def test_bootstrap_says_who_and_what_there_is(served: Served) -> None:
    found = await bootstrap(served)
    assert (found["team"]["id"], found["bot"]["user_id"], found["bot"]["bot_id"]) == (
        people.TEAM, BOT, people.BOT.bot_id,
    )  # fmt: skip
    by_name = {person["name"]: person for person in found["people"]}
    assert by_name["ada"]["email"] == "ada@acme.example"
    assert (await served.client(by_name["grace"]["token"]).auth_test())["user_id"] == people.GRACE.id
    channels = {channel["name"]: channel for channel in found["channels"]}
    assert (channels["dev"]["id"], channels["secret-plans"]["is_private"]) == (DEV, True)
    assert served.workspace.tokens.bot not in json.dumps(found)


async def test_the_stream_tells_each_change_once_from_the_cursor_on(served: Served) -> None:
    cursor = (await bootstrap(served))["cursor"]
    root = (await served.ada.chat_postMessage(channel=DEV, text="root"))["ts"]
    async with live(served, people.GRACE.id, cursor) as stream:
        first = await stream.next()
        assert (first["type"], first["message"]["text"], first["channel"]) == ("message", "root", DEV)
        reply = (await served.bot.chat_postMessage(channel=DEV, text="reply", thread_ts=root))["ts"]
        second = await stream.next()
        assert (second["message"]["ts"], second["root"]["reply_count"]) == (reply, 1)
        assert (await stream.next())["type"] == "status"
    await served.ada.chat_update(channel=DEV, ts=root, text="edited")
    await served.bot.chat_delete(channel=DEV, ts=reply)
    async with live(served, people.GRACE.id, second["n"]) as stream:
        assert (await stream.next())["type"] == "status"
        assert (await stream.next())["message"]["text"] == "edited"
        gone = await stream.next()
        assert (gone["type"], gone["ts"], gone["root"]) == ("deleted", reply, root)


async def test_a_browsers_own_number_counts_when_it_connects_again(served: Served) -> None:
    await served.ada.chat_postMessage(channel=DEV, text="one")
    n = served.workspace.journal.number
    await served.ada.chat_postMessage(channel=DEV, text="two")
    headers = {"Last-Event-ID": str(n)}
    url = f"{served.url}/playground/live?token={served.token('U0ADA')}&cursor=0"
    async with served.http.get(url, headers=headers) as answer:
        while (told := await Stream(answer).next())["type"] != "message":
            pass
        assert told["message"]["text"] == "two"


async def test_a_page_with_the_cursor_of_another_workspace_is_told_to_begin_again(served: Served) -> None:
    async with live(served, people.ADA.id, 10**9) as stream:
        assert (await stream.next())["type"] == "reset"
        await served.ada.chat_postMessage(channel=DEV, text="on")
        assert (await stream.next())["message"]["text"] == "on"


async def test_nobody_is_told_what_is_not_for_them(served: Served) -> None:
    async with live(served, people.GRACE.id) as stream:
        await served.ada.chat_postMessage(channel=SECRET, text="secret")
        await served.ada.chat_postMessage(channel=DM, text="direct")
        await served.bot.chat_postEphemeral(channel=DEV, user=people.ADA.id, text="for Ada")
        await served.bot.chat_postEphemeral(channel=DEV, user=people.GRACE.id, text="for Grace")
        told = await stream.next()
        assert (told["type"], told["message"]["text"], told["message"]["is_ephemeral"]) == (
            "whisper", "for Grace", True,
        )  # fmt: skip
        await served.ada.conversations_invite(channel=SECRET, users=people.GRACE.id)
        assert (await stream.next())["channel"]["id"] == SECRET
        await served.ada.chat_postMessage(channel=SECRET, text="not any more")
        assert (await stream.next())["message"]["text"] == "not any more"
        await served.ada.conversations_kick(channel=SECRET, user=people.GRACE.id)
        await served.ada.chat_postMessage(channel=SECRET, text="secret again")
        left = await stream.next()
        assert (left["type"], left["channel"]) == ("left", SECRET)
        await served.ada.chat_postMessage(channel=DEV, text="the end")
        assert (await stream.next())["message"]["text"] == "the end"


async def test_a_stream_wants_a_token_that_is_good(served: Served) -> None:
    async with served.http.get(f"{served.url}/playground/live?token=xoxp-no") as got:
        assert got.status == 401


async def test_what_agents_say_of_their_work_is_told_and_is_in_the_bootstrap(served: Served) -> None:
    root = (await served.ada.chat_postMessage(channel=DEV, text="x"))["ts"]
    async with live(served, people.ADA.id) as stream:
        await served.bot.agents_sessions_setStatus(channel_id=DEV, thread_ts=root, status="processing", title="T")
        told = await stream.next()
        assert (told["session"]["status"], told["session"]["thread_ts"]) == ("processing", root)
        await served.bot.assistant_threads_setStatus(channel_id=DEV, thread_ts=root, status="is reading")
        line = await stream.next()
        assert (line["type"], line["status"]) == ("status", "is reading")
        found = await bootstrap(served)
        assert (found["sessions"][0]["title"], found["statuses"][0]["status"]) == ("T", "is reading")
        await served.bot.chat_postMessage(channel=DEV, text="done", thread_ts=root)
        await stream.next()
        assert (await stream.next())["status"] == ""
        prompts = [{"title": "Fix", "message": "fix it"}]
        await served.bot.assistant_threads_setSuggestedPrompts(channel_id=DM, thread_ts=root, prompts=prompts)
        assert (await stream.next())["prompts"] == prompts
        await served.bot.assistant_threads_setTitle(channel_id=DM, thread_ts=root, title="Title")
        assert (await stream.next())["title"] == "Title"
    assert (await bootstrap(served))["statuses"] == []


# -- buttons ---------------------------------------------------------------------------------------------------------


async def test_a_pressed_button_reaches_the_app_with_its_place_and_its_value(served: Served) -> None:
    root = (await served.ada.chat_postMessage(channel=DEV, text="x"))["ts"]
    ts = (await served.bot.chat_postMessage(channel=DEV, text="card", thread_ts=root, blocks=BUTTONS))["ts"]
    press = {"token": served.token("U0GRACE"), "channel": DEV, "ts": ts, "action_id": "stop"}
    async with connected(served) as app:
        assert await served.post_json("/playground/press", press) == (200, {"ok": True})
    body = app.heard[-1]
    assert (body["type"], body["user"]["id"], body["user"]["team_id"]) == ("block_actions", "U0GRACE", people.TEAM)
    assert (body["container"]["thread_ts"], body["container"]["message_ts"]) == (root, ts)
    assert (body["channel"], body["message"]["ts"]) == ({"id": DEV, "name": "dev"}, ts)
    assert (body["actions"][0]["value"], body["actions"][0]["block_id"]) == ("p1", "b1")


async def test_a_button_of_a_message_that_one_person_sees_can_be_pressed_by_them(served: Served) -> None:
    ts = (await served.bot.chat_postEphemeral(channel=DEV, user="U0ADA", text="psst", blocks=BUTTONS))["message_ts"]
    press = {"channel": DEV, "ts": ts, "action_id": "stop"}
    async with connected(served) as app:
        status, said = await served.post_json("/playground/press", press | {"token": served.token("U0GRACE")})
        assert (status, said["error"]) == (400, "message_not_found")
        assert (await served.post_json("/playground/press", press | {"token": served.token("U0ADA")}))[0] == 200
    assert app.heard[-1]["container"]["is_ephemeral"]
    assert "message" not in app.heard[-1]


WRONG_PRESSES = {
    "another button": ({"action_id": "go"}, "no_such_button"),
    "another value": ({"value": "p2"}, "no_such_button"),
    "another message": ({"ts": "1111111111.000000"}, "message_not_found"),
    "nobody": ({"token": "xoxp-no"}, "invalid_auth"),
    "no place": ({"channel": ""}, "invalid_arguments"),
}


@pytest.mark.parametrize("case", WRONG_PRESSES)
async def test_a_press_that_cannot_be_is_refused_and_not_told(served: Served, case: str) -> None:
    changes, word = WRONG_PRESSES[case]
    ts = (await served.bot.chat_postMessage(channel=DEV, text="card", blocks=BUTTONS))["ts"]
    press = {"token": served.token("U0ADA"), "channel": DEV, "ts": ts, "action_id": "stop", **changes}
    async with connected(served) as app:
        status, said = await served.post_json("/playground/press", press)
        await served.workspace.deliveries.settled()
    assert (status, said["error"]) == (400, word)
    assert app.heard == []


async def test_a_press_that_no_app_answers_is_told_to_be_so(served: Served) -> None:
    ts = (await served.bot.chat_postMessage(channel=DEV, text="card", blocks=BUTTONS))["ts"]
    press = {"token": served.token("U0ADA"), "channel": DEV, "ts": ts, "action_id": "stop"}
    assert (await served.post_json("/playground/press", press))[1]["error"] == "no_answer"


async def test_a_press_must_be_json(served: Served) -> None:
    async with served.http.post(f"{served.url}/playground/press", data={"token": served.token("U0ADA")}) as got:
        assert (got.status, (await got.json())["error"]) == (400, "json_only")


async def test_an_app_answers_a_press_at_its_own_address_five_times(served: Served) -> None:
    ts = (await served.bot.chat_postMessage(channel=DEV, text="card", blocks=BUTTONS))["ts"]
    press = {"token": served.token("U0GRACE"), "channel": DEV, "ts": ts, "action_id": "stop"}
    async with connected(served) as app:
        assert (await served.post_json("/playground/press", press))[0] == 200
    answer = AsyncWebhookClient(app.heard[-1]["response_url"])
    async with live(served, people.GRACE.id) as stream:
        await answer.send(text="only for you")
        told = await stream.next()
        assert (told["type"], told["message"]["text"]) == ("whisper", "only for you")
    await answer.send(text="for all", response_type="in_channel")
    await answer.send(text="stopped", replace_original=True)
    messages = (await served.ada.conversations_history(channel=DEV))["messages"]
    assert [(m["text"], "blocks" in m) for m in messages] == [("for all", False), ("stopped", False)]
    assert (await answer.send(text=" ")).status_code == 400
    await answer.send(text="", delete_original=True)
    assert len((await served.ada.conversations_history(channel=DEV))["messages"]) == 1
    await answer.send(text="the fifth")
    assert (await answer.send(text="one more")).status_code == 404


async def test_slacks_own_stop_is_told_while_an_agent_is_at_work_and_only_then(served: Served) -> None:
    root = (await served.ada.chat_postMessage(channel=DEV, text="x"))["ts"]
    stop = {"token": served.token("U0GRACE"), "channel": DEV, "thread_ts": root}
    async with connected(served) as app:
        assert (await served.post_json("/playground/stop", stop))[1]["error"] == "not_processing"
        await served.bot.agents_sessions_setStatus(channel_id=DEV, thread_ts=root, status="processing")
        assert (await served.post_json("/playground/stop", stop))[0] == 200
        await app.until(lambda: bool(app.events("agent_session_stopped")))
    event = app.events("agent_session_stopped")[0]
    assert (event["channel"], event["thread_ts"], event["user"]) == (DEV, root, "U0GRACE")
    assert event["streaming_message_ts"] == []


async def test_a_trigger_opens_one_form_and_soon(tmp_path: Path) -> None:
    now = [1_700_000_000.0]
    async with serving(tmp_path, clock=lambda: now[0]) as served:
        await _open_forms(served, now)


async def _open_forms(served: Served, now: list[float]) -> None:
    form = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": []}
    trigger = served.workspace.views.trigger("U0ADA")
    async with live(served, people.ADA.id) as stream:
        view = (await served.bot.views_open(trigger_id=trigger, view=form))["view"]
        assert (await stream.next())["view"]["id"] == view["id"]
        assert await refused(served.bot.views_open(trigger_id=trigger, view=form)) == "exchanged_trigger_id"
        late = served.workspace.views.trigger("U0ADA")
        now[0] += 3.1
        assert await refused(served.bot.views_open(trigger_id=late, view=form)) == "expired_trigger_id"
        again = (await served.bot.views_update(view_id=view["id"], hash=view["hash"], view=form))["view"]
        assert again["hash"] != view["hash"]
        old = served.bot.views_update(view_id=view["id"], hash=view["hash"], view=form)
        assert await refused(old) == "hash_conflict"
        large = form | {"private_metadata": "x" * 250_000}
        assert await refused(served.bot.views_update(view_id=view["id"], view=large)) == "view_too_large"
        home = (await served.bot.views_publish(user_id="U0ADA", view={"type": "home", "blocks": []}))["view"]
        assert home["type"] == "home"
