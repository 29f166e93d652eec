"""Messages, threads, reactions and agents' sessions, through the real SDK."""

from bot.playground import workspace_people as people
from bot.playground import workspace_places as places
from tests.playground.workspaces import BOT, DEV, MENTION, Served, refused
from tests.playground.workspaces import served as served

HELLO = [{"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}]


async def test_what_a_person_types_becomes_rich_text_and_what_a_bot_sends_is_kept(served: Served) -> None:
    typed = (await served.ada.chat_postMessage(channel=DEV, text=f"{MENTION} *now*"))["message"]
    kinds = [each["type"] for each in typed["blocks"][0]["elements"][0]["elements"]]
    assert (typed["blocks"][0]["type"], kinds) == ("rich_text", ["user", "text", "text"])
    assert "bot_id" not in typed
    given = (await served.ada.chat_postMessage(channel=DEV, text="hi", blocks=HELLO))["message"]
    assert given["blocks"][0]["type"] == "section"
    sent = (await served.bot.chat_postMessage(channel=DEV, text="hi", blocks=HELLO))["message"]
    assert (sent["bot_id"], sent["app_id"], sent["user"]) == (people.BOT.bot_id, people.APP, BOT)
    assert sent["blocks"][0]["block_id"]


async def test_a_thread_counts_its_replies(served: Served) -> None:
    root = (await served.ada.chat_postMessage(channel=DEV, text="root"))["ts"]
    first = (await served.bot.chat_postMessage(channel=DEV, text="one", thread_ts=root))["ts"]
    last = (await served.grace.chat_postMessage(channel=DEV, text="two", thread_ts=root))["ts"]
    told = (await served.ada.conversations_history(channel=DEV))["messages"]
    assert [m["ts"] for m in told] == [root]
    assert (told[0]["reply_count"], told[0]["latest_reply"], told[0]["thread_ts"]) == (2, last, root)
    assert told[0]["reply_users"] == [BOT, "U0GRACE"]
    replies = (await served.bot.conversations_replies(channel=DEV, ts=root))["messages"]
    assert [m["ts"] for m in replies] == [root, first, last]
    assert replies[1]["parent_user_id"] == "U0ADA"
    assert await refused(served.ada.chat_postMessage(channel=DEV, text="x", thread_ts=first)) == "thread_not_found"
    await served.grace.chat_delete(channel=DEV, ts=last)
    assert (await served.ada.conversations_history(channel=DEV))["messages"][0]["reply_count"] == 1


async def test_a_broadcast_reply_stands_in_the_channel_too(served: Served) -> None:
    root = (await served.ada.chat_postMessage(channel=DEV, text="root"))["ts"]
    await served.ada.chat_postMessage(channel=DEV, text="all", thread_ts=root, reply_broadcast=True)
    told = (await served.ada.conversations_history(channel=DEV))["messages"]
    assert [m.get("subtype") for m in told] == ["thread_broadcast", None]


async def test_replies_come_in_pages_with_their_metadata(served: Served) -> None:
    root = (await served.ada.chat_postMessage(channel=DEV, text="root"))["ts"]
    served.workspace.faults.unlimited = True
    for number in range(5):
        metadata = {"event_type": "card", "event_payload": {"number": number}}
        await served.bot.chat_postMessage(channel=DEV, text=str(number), thread_ts=root, metadata=metadata)
    found: list[int] = []
    cursor = None
    while cursor != "":
        page = await served.bot.conversations_replies(
            channel=DEV, ts=root, limit=2, cursor=cursor, include_all_metadata=True
        )
        found += [m["metadata"]["event_payload"]["number"] for m in page["messages"] if "metadata" in m]
        cursor = page["response_metadata"]["next_cursor"]
    assert found == [0, 1, 2, 3, 4]
    assert "metadata" not in (await served.bot.conversations_replies(channel=DEV, ts=root))["messages"][1]


async def test_history_can_be_cut_by_time(served: Served) -> None:
    stamps = [(await served.ada.chat_postMessage(channel=DEV, text=str(n)))["ts"] for n in range(4)]
    between = await served.ada.conversations_history(channel=DEV, oldest=stamps[0], latest=stamps[3])
    assert [m["text"] for m in between["messages"]] == ["2", "1"]
    with_edges = await served.ada.conversations_history(channel=DEV, oldest=stamps[1], latest=stamps[2], inclusive=True)
    assert [m["text"] for m in with_edges["messages"]] == ["2", "1"]


async def test_everyone_edits_and_deletes_their_own_only(served: Served) -> None:
    mine = (await served.ada.chat_postMessage(channel=DEV, text="mine"))["ts"]
    assert await refused(served.bot.chat_update(channel=DEV, ts=mine, text="yours")) == "cant_update_message"
    assert await refused(served.grace.chat_delete(channel=DEV, ts=mine)) == "cant_delete_message"
    changed = (await served.ada.chat_update(channel=DEV, ts=mine, text="still mine"))["message"]
    assert changed["edited"]["user"] == "U0ADA"
    assert changed["blocks"][0]["elements"][0]["elements"] == [{"type": "text", "text": "still mine"}]
    await served.ada.chat_delete(channel=DEV, ts=mine)
    assert (await served.ada.conversations_history(channel=DEV))["messages"] == []


async def test_a_deleted_root_leaves_a_tombstone(served: Served) -> None:
    root = (await served.ada.chat_postMessage(channel=DEV, text="root"))["ts"]
    await served.grace.chat_postMessage(channel=DEV, text="reply", thread_ts=root)
    await served.ada.chat_delete(channel=DEV, ts=root)
    told = (await served.ada.conversations_replies(channel=DEV, ts=root))["messages"]
    assert (told[0]["subtype"], told[0]["user"], len(told)) == ("tombstone", "USLACKBOT", 2)
    assert await refused(served.ada.chat_update(channel=DEV, ts=root, text="back")) == "cant_update_message"


async def test_an_update_keeps_the_blocks_that_it_does_not_name(served: Served) -> None:
    ts = (await served.bot.chat_postMessage(channel=DEV, text="a", blocks=HELLO))["ts"]
    assert (await served.bot.chat_update(channel=DEV, ts=ts, text="b"))["message"]["blocks"][0]["type"] == "section"
    assert "blocks" not in (await served.bot.chat_update(channel=DEV, ts=ts, text="c", blocks=[]))["message"]


async def test_a_long_message_is_cut_where_slack_cuts_it(served: Served) -> None:
    assert len((await served.ada.chat_postMessage(channel=DEV, text="a" * 50_000))["message"]["text"]) == 40_000


async def test_no_two_messages_of_a_channel_have_one_ts(served: Served) -> None:
    served.workspace.clock = lambda: 1_700_000_000.25
    stamps = [(await served.ada.chat_postMessage(channel=DEV, text="x"))["ts"] for _ in range(3)]
    assert stamps == ["1700000000.250000", "1700000000.250001", "1700000000.250002"]
    await served.ada.chat_delete(channel=DEV, ts=stamps[-1])
    assert (await served.ada.chat_postMessage(channel=DEV, text="x"))["ts"] == "1700000000.250003"


async def test_reactions_are_added_once_and_taken_away_once(served: Served) -> None:
    ts = (await served.ada.chat_postMessage(channel=DEV, text="x"))["ts"]
    await served.grace.reactions_add(channel=DEV, timestamp=ts, name="eyes")
    assert await refused(served.grace.reactions_add(channel=DEV, timestamp=ts, name="eyes")) == "already_reacted"
    shown = (await served.ada.reactions_get(channel=DEV, timestamp=ts))["message"]["reactions"]
    assert shown == [{"name": "eyes", "users": ["U0GRACE"], "count": 1}]
    await served.grace.reactions_remove(channel=DEV, timestamp=ts, name="eyes")
    assert await refused(served.grace.reactions_remove(channel=DEV, timestamp=ts, name="eyes")) == "no_reaction"
    assert await refused(served.grace.reactions_add(channel=DEV, timestamp=ts, name="Not a name")) == "invalid_name"


async def test_a_permalink_leads_to_the_page(served: Served) -> None:
    root = (await served.ada.chat_postMessage(channel=DEV, text="x"))["ts"]
    reply = (await served.ada.chat_postMessage(channel=DEV, text="y", thread_ts=root))["ts"]
    link = (await served.bot.chat_getPermalink(channel=DEV, message_ts=reply))["permalink"]
    async with served.http.get(link, allow_redirects=False) as got:
        assert (got.status, got.headers["Location"]) == (302, f"/#/{DEV}/{root}")


async def test_an_agents_session_has_a_status_and_the_title_of_its_beginning(served: Served) -> None:
    root = (await served.ada.chat_postMessage(channel=DEV, text="x"))["ts"]
    said = await served.bot.agents_sessions_setStatus(channel_id=DEV, thread_ts=root, status="processing", title="One")
    assert (said["agent_status"], said["title"]) == ("processing", "One")
    again = await served.bot.agents_sessions_setStatus(channel_id=DEV, thread_ts=root, status="active", title="Two")
    assert (again["status"], again["title"]) == ("active", "One")
    named = await served.bot.agents_sessions_rename(channel_id=DEV, thread_ts=root, title="Three")
    assert named["title"] == "Three"
    served.workspace.faults.no_agent_sessions = True
    assert (
        await refused(served.bot.agents_sessions_setStatus(channel_id=DEV, thread_ts=root, status="active"))
        == "feature_disabled"
    )
    assert (await served.bot.assistant_threads_setStatus(channel_id=DEV, thread_ts=root, status="is reading"))["ok"]


async def test_the_bot_does_not_come_into_a_channel_by_itself(served: Served) -> None:
    made = places.create(served.workspace, "U0ADA", "quiet")
    assert await refused(served.bot.chat_postMessage(channel=made.id, text="hi")) == "not_in_channel"
    assert await refused(served.bot.conversations_join(channel=made.id)) == "missing_scope"
