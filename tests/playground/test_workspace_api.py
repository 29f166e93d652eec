"""The workspace's Web API through the real SDK, and through every form in which a client may send arguments."""

import json
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from bot.playground import workspace_people as people
from tests.playground.workspaces import BOT, DEV, DM, GENERAL, PARTNERS, SECRET, Served, refused
from tests.playground.workspaces import served as served

HELLO = [{"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}]


# -- how a call may be sent ------------------------------------------------------------------------------------------


ENCODINGS: dict[str, dict[str, Any]] = {
    "query of a post": {"method": "POST", "params": {"channel": DEV, "text": "hi"}},
    "query of a get": {"method": "GET", "params": {"channel": DEV, "text": "hi"}},
    "form": {"method": "POST", "data": {"channel": DEV, "text": "hi"}},
    "json": {"method": "POST", "json": {"channel": DEV, "text": "hi"}},
    "json and query": {"method": "POST", "params": {"channel": DEV}, "json": {"text": "hi"}},
    "put": {"method": "PUT", "json": {"channel": DEV, "text": "hi"}},
}


@pytest.mark.parametrize("how", ENCODINGS)
async def test_arguments_come_in_every_encoding(served: Served, how: str) -> None:
    headers = {"Authorization": f"Bearer {served.workspace.tokens.bot}"}
    async with served.http.request(url=f"{served.url}/api/chat.postMessage", headers=headers, **ENCODINGS[how]) as got:
        said = await got.json()
    assert (said["ok"], said["message"]["text"]) == (True, "hi")


async def test_arguments_come_as_multipart_too_and_the_token_among_them(served: Served) -> None:
    with aiohttp.MultipartWriter("form-data") as form:
        for name, value in (("token", served.workspace.tokens.bot), ("channel", DEV), ("text", "hi")):
            form.append(value).set_content_disposition("form-data", name=name)
    async with served.http.post(f"{served.url}/api/chat.postMessage", data=form) as got:
        assert (await got.json())["ok"]


async def test_json_without_a_body_is_no_arguments(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.workspace.tokens.bot}", "Content-Type": "application/json"}
    async with served.http.post(f"{served.url}/api/auth.test", headers=headers) as got:
        assert (await got.json())["user_id"] == BOT
        assert "chat:write" in got.headers["x-oauth-scopes"].split(",")


async def test_structures_may_be_json_within_a_form(served: Served) -> None:
    sent = {"token": served.workspace.tokens.bot, "channel": DEV, "text": "hi", "blocks": json.dumps(HELLO)}
    async with served.http.post(f"{served.url}/api/chat.postMessage", data=sent) as got:
        assert (await got.json())["message"]["blocks"][0]["text"] == HELLO[0]["text"]


BODIES = {
    b"{": "invalid_json",
    b"[1]": "json_not_object",
    b'{"text": "\\ud800"}': "invalid_json",
    b"[" * 100_000: "invalid_json",
    b'{"channel": {}}': "not_authed",
}


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_a_body_that_is_no_object_is_refused(served: Served, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with served.http.post(f"{served.url}/api/chat.postMessage", data=body, headers=headers) as got:
        assert (got.status, (await got.json())["error"]) == (200, BODIES[body])


# -- who may do what -------------------------------------------------------------------------------------------------


async def test_every_token_is_known_for_whose_it_is(served: Served) -> None:
    assert (await served.ada.auth_test())["user_id"] == people.ADA.id
    told = await served.bot.auth_test()
    assert (told["bot_id"], told["team_id"], told["url"]) == (people.BOT.bot_id, people.TEAM, served.url + "/")
    assert await refused(served.client("xoxb-wrong").auth_test()) == "invalid_auth"
    assert await refused(served.client("").auth_test()) == "not_authed"
    assert await refused(served.client(served.workspace.tokens.app).auth_test()) == "not_allowed_token_type"
    assert await refused(served.bot.apps_connections_open(app_token=served.workspace.tokens.bot)) == (
        "not_allowed_token_type"
    )


REFUSALS: dict[str, tuple[str, dict[str, Any], str]] = {
    "no such method": ("chat.shout", {}, "unknown_method"),
    "no channel": ("chat.postMessage", {"text": "hi"}, "invalid_arguments"),
    "unknown channel": ("chat.postMessage", {"channel": "C0NOWHERE", "text": "hi"}, "channel_not_found"),
    "a channel without the bot": ("chat.postMessage", {"channel": GENERAL, "text": "hi"}, "not_in_channel"),
    "nothing said": ("chat.postMessage", {"channel": DEV}, "no_text"),
    "only blanks": ("chat.postMessage", {"channel": DEV, "text": " \n"}, "no_text"),
    "no thread": ("chat.postMessage", {"channel": DEV, "text": "hi", "thread_ts": "1.000000"}, "invalid_thread_ts"),
    "gone thread": (
        "chat.postMessage",
        {"channel": DEV, "text": "hi", "thread_ts": "1111111111.000000"},
        "thread_not_found",
    ),
    "two texts": (
        "chat.postMessage",
        {"channel": DEV, "text": "hi", "markdown_text": "*hi*"},
        "markdown_text_conflict",
    ),
    "blocks that are words": ("chat.postMessage", {"channel": DEV, "blocks": "hi"}, "invalid_blocks_format"),
    "blocks that are none": ("chat.postMessage", {"channel": DEV, "blocks": [{"type": "poem"}]}, "invalid_blocks"),
    "metadata without type": (
        "chat.postMessage",
        {"channel": DEV, "text": "hi", "metadata": {"event_payload": {}}},
        "invalid_metadata_format",
    ),
    "much metadata": (
        "chat.postMessage",
        {"channel": DEV, "text": "hi", "metadata": {"event_type": "a", "event_payload": {"x": "y" * 9_000}}},
        "metadata_too_large",
    ),
    "no such message": ("chat.update", {"channel": DEV, "ts": "1111111111.000000", "text": "a"}, "message_not_found"),
    "a long update": ("chat.update", {"channel": DEV, "ts": "1111111111.000000", "text": "a" * 4_001}, "msg_too_long"),
    "no user": ("chat.postEphemeral", {"channel": DEV, "text": "hi", "user": "U0NOBODY"}, "user_not_found"),
    "a user elsewhere": (
        "chat.postEphemeral",
        {"channel": SECRET, "text": "a", "user": "U0GRACE"},
        "user_not_in_channel",
    ),
    "no such user": ("users.info", {"user": "U0NOBODY"}, "user_not_found"),
    "no such address": ("users.lookupByEmail", {"email": "nobody@acme.example"}, "users_not_found"),
    "no such bot": ("bots.info", {"bot": "B0NOBODY"}, "bot_not_found"),
    "no replies": ("conversations.replies", {"channel": DEV, "ts": "1111111111.000000"}, "thread_not_found"),
    "history elsewhere": ("conversations.history", {"channel": GENERAL}, "not_in_channel"),
    "bad limit": ("conversations.history", {"channel": DEV, "limit": "many"}, "invalid_limit"),
    "bad cursor": ("conversations.history", {"channel": DEV, "cursor": "x"}, "invalid_cursor"),
    "bad oldest": ("conversations.history", {"channel": DEV, "oldest": "x"}, "invalid_ts_oldest"),
    "bad types": ("conversations.list", {"types": "dungeons"}, "invalid_types"),
    "no file": ("files.info", {"file": "F0"}, "file_not_found"),
    "no thread of an agent": (
        "agents.sessions.setStatus",
        {"channel_id": DEV, "status": "active"},
        "thread_ts_required",
    ),
    "no status": (
        "agents.sessions.setStatus",
        {"channel_id": DEV, "status": "merry", "thread_ts": "1111111111.000000"},
        "invalid_status",
    ),
    "no trigger": ("views.open", {"trigger_id": "1.a", "view": {"type": "modal", "blocks": []}}, "invalid_trigger_id"),
    "no view": ("views.open", {"trigger_id": "1.a", "view": {"type": "home", "blocks": []}}, "invalid_arguments"),
    "not ours to write": ("reactions.add", {"channel": DEV, "timestamp": "1", "name": "a"}, "missing_scope"),
    "not ours to open": ("conversations.open", {"users": "U0ADA"}, "missing_scope"),
    "not ours to ask": ("team.info", {}, "missing_scope"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_what_the_bot_may_not_do_is_refused_in_slacks_words(served: Served, case: str) -> None:
    method, arguments, word = REFUSALS[case]
    assert await refused(served.bot.api_call(method, json=arguments)) == word


async def test_a_missing_scope_is_named(served: Served) -> None:
    with pytest.raises(SlackApiError) as caught:
        await served.bot.reactions_add(channel=DEV, timestamp="1", name="eyes")
    assert caught.value.response["needed"] == "reactions:write"
    assert "chat:write" in caught.value.response["provided"]


async def test_a_private_channel_is_there_for_its_members_only(served: Served) -> None:
    assert await refused(served.grace.chat_postMessage(channel=SECRET, text="hi")) == "channel_not_found"
    assert await refused(served.grace.conversations_info(channel=SECRET)) == "channel_not_found"
    listed = await served.grace.conversations_list(types="public_channel,private_channel,im")
    assert {c["id"] for c in listed["channels"]} == {DEV, GENERAL, PARTNERS, "D0GRACE"}
    assert (await served.bot.conversations_info(channel=SECRET))["channel"]["is_private"]
    await served.ada.conversations_invite(channel=SECRET, users=people.GRACE.id)
    assert (await served.grace.chat_postMessage(channel=SECRET, text="hi"))["ok"]
    await served.ada.conversations_kick(channel=SECRET, user=people.GRACE.id)
    assert await refused(served.grace.conversations_history(channel=SECRET)) == "channel_not_found"


async def test_a_stranger_sees_shared_channels_only(served: Served) -> None:
    assert {c["id"] for c in (await served.olga.conversations_list())["channels"]} == {PARTNERS}
    assert await refused(served.olga.chat_postMessage(channel=DEV, text="hi")) == "channel_not_found"
    said = await served.olga.chat_postMessage(channel=PARTNERS, text="hi")
    assert said["message"]["user_team"] == people.OTHER_TEAM
    assert (await served.bot.users_info(user=people.OUTSIDER.id))["user"]["is_stranger"]


async def test_members_come_and_go(served: Served) -> None:
    made = (await served.ada.conversations_create(name="garden"))["channel"]["id"]
    assert await refused(served.ada.conversations_create(name="garden")) == "name_taken"
    await served.grace.conversations_join(channel=made)
    assert await refused(served.ada.conversations_invite(channel=made, users="U0GRACE")) == "already_in_channel"
    await served.grace.conversations_invite(channel=made, users=BOT)
    assert (await served.bot.conversations_members(channel=made))["members"] == ["U0ADA", "U0GRACE", BOT]
    await served.grace.conversations_leave(channel=made)
    assert await refused(served.grace.chat_postMessage(channel=made, text="hi")) == "not_in_channel"
    await served.ada.conversations_archive(channel=made)
    assert await refused(served.bot.chat_postMessage(channel=made, text="hi")) == "is_archived"


async def test_lists_come_in_pages(served: Served) -> None:
    seen: list[str] = []
    cursor = None
    while cursor != "":
        page = await served.bot.conversations_members(channel=DEV, limit=3, cursor=cursor)
        seen += page["members"]
        cursor = page["response_metadata"]["next_cursor"]
    assert seen == list(served.workspace.state.channels[DEV].members)


async def test_a_direct_conversation_is_opened_once(served: Served) -> None:
    known = await served.ada.conversations_open(users=[BOT])
    assert (known["channel"]["id"], known["already_open"]) == (DM, True)
    with_grace = await served.ada.conversations_open(users=["U0GRACE"], return_im=True)
    assert with_grace["channel"]["user"] == "U0GRACE"
    several = await served.ada.conversations_open(users=["U0GRACE", BOT])
    assert (await served.bot.conversations_info(channel=several["channel"]["id"]))["channel"]["is_mpim"]
    assert (await served.ada.chat_postMessage(channel="U0GRACE", text="hi"))["channel"] == with_grace["channel"]["id"]


async def test_people_are_told_apart_from_bots_and_have_addresses(served: Served) -> None:
    ada = (await served.bot.users_info(user="U0ADA"))["user"]
    assert (ada["profile"]["email"], ada["real_name"], ada["is_bot"]) == ("ada@acme.example", "Ada Lovelace", False)
    assert (await served.bot.users_info(user=people.OTHER_BOT.id))["user"]["is_bot"]
    assert (await served.bot.users_lookupByEmail(email="grace@acme.example"))["user"]["id"] == "U0GRACE"
    assert (await served.bot.bots_info(bot=people.BOT.bot_id))["bot"]["user_id"] == BOT
    assert len((await served.bot.users_list())["members"]) == len(people.ACCOUNTS)
