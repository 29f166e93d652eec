"""What Slack's payloads mean for us, as tables."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.intake import understand
from bot.slack.meanings import (
    BudgetAnswered,
    Chosen,
    Deleted,
    Edited,
    Ignored,
    Me,
    Meaning,
    Mention,
    Overheard,
    Refused,
    Reply,
    StopAsked,
    ViewAsked,
)

ME = Me(team="T1", user="U0BOT", bot="B0BOT")
PLACE = {"channel": "C1", "channel_type": "channel"}


def event(**fields: Any) -> dict[str, Any]:
    said = {"type": "message", "user": "U01ADA", "ts": "1.000001", "text": "hello"} | PLACE | fields
    return {"type": "event_callback", "team_id": "T1", "event": {k: v for k, v in said.items() if v is not None}}


def pressed(action: str, value: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "type": "block_actions",
        "team": {"id": "T1"},
        "user": {"id": "U01ADA", "team_id": "T1"},
        "channel": {"id": "C1"},
        "message": {"ts": "2.000001", "thread_ts": "1.000001"},
        "container": {"thread_ts": "1.000001"},
        "actions": [{"action_id": action, "value": value}],
    } | fields


def changed(after: dict[str, Any], before: dict[str, Any], **more: Any) -> dict[str, Any]:
    base = {"user": "U01ADA", "ts": "1.000001", "type": "message"}
    return event(
        subtype="message_changed",
        ts="9.9",
        text=None,
        user=None,
        message=base | after,
        previous_message=base | before,
        **more,
    )


MENTION = {"text": "<@U0BOT> fix it"}
THREAD = {"thread_ts": "1.000001", "ts": "2.000001"}

KINDS: list[tuple[str, dict[str, Any], type[Meaning]]] = [
    ("a mention", event(type="app_mention", channel_type=None, **MENTION), Mention),
    ("its message", event(**MENTION), Mention),
    ("a mention with a file", event(subtype="file_share", files=[{"name": "a.png"}], **MENTION), Mention),
    ("a mention in a thread", event(**MENTION, **THREAD), Mention),
    ("an empty mention", event(text="<@U0BOT>"), Mention),
    ("a direct message", event(channel_type="im"), Mention),
    ("a reply in a direct message", event(channel_type="im", **THREAD), Reply),
    ("a reply", event(text="and the docs", **THREAD), Reply),
    ("a reply also sent to the channel", event(subtype="thread_broadcast", text="and", **THREAD), Reply),
    ("a reply that is only a file", event(subtype="file_share", text="", files=[{"name": "a"}], **THREAD), Reply),
    ("an empty reply", event(text=" ", **THREAD), Ignored),
    ("a reply to somebody else", event(text="<@U02GRACE> lunch?", **THREAD), Overheard),
    ("a reply that ends with somebody's name", event(text="thanks <@U02GRACE|grace>!", **THREAD), Overheard),
    ("a task that ends with somebody's name", event(text="mend what broke, found by <@U02GRACE>.", **THREAD), Reply),
    ("a task that ends with two", event(text="credit it, as work of <@U02GRACE> and <@U03>", **THREAD), Reply),
    ("a word to somebody, and what is by another", event(text="<@U02GRACE> see that of <@U03>", **THREAD), Overheard),
    ("a name that ends a direct message", event(channel_type="im", text="ask <@U02GRACE>", **THREAD), Reply),
    ("a name, and nothing for long", event(text=f"by <@U03>{' ' * 30_000}x", **THREAD), Reply),
    ("a reply to a group", event(text="<!subteam^S1|@backend> look", **THREAD), Overheard),
    ("a reply that speaks of somebody", event(text="do what <@U02GRACE> says", **THREAD), Reply),
    ("a reply to both", event(text="<@U02GRACE> <@U0BOT> go", **THREAD), Mention),
    ("an aside", event(text="(aside) not for you", **THREAD), Overheard),
    ("another aside", event(text="!Aside nor this", **THREAD), Overheard),
    ("an aside that mentions us", event(text="<@U0BOT> (aside) hm", **THREAD), Mention),
    ("chatter", event(text="good morning"), Ignored),
    ("stop, typed", event(text="Stop!", **THREAD), StopAsked),
    ("stop, in other words", event(text="please cancel this now!", **THREAD), StopAsked),
    ("thanks, which the agent may have asked for", event(text="Great, thank you so much! :tada:", **THREAD), Reply),
    ("thanks, with a mention", event(text="<@U0BOT> thanks :)", **THREAD), Ignored),
    ("thanks that take long to read", event(text=f"thanks{':' * 5_000}?", **THREAD), Reply),
    ("thanks, and more", event(text="thanks! now the docs", **THREAD), Reply),
    ("stop, as part of a task", event(text="stop the test from failing", **THREAD), Reply),
    ("stop, with a mention", event(text="<@U0BOT> stop", **THREAD), StopAsked),
    ("stop, with a mention, said to a channel", event(text="<@U0BOT> stop"), StopAsked),
    ("stop, said to nobody", event(text="stop"), Ignored),
    ("somebody joined", event(subtype="channel_join", text="<@U0BOT> joined"), Ignored),
    ("our own words", event(user="U0BOT", **MENTION), Ignored),
    ("our own bot message", event(user=None, bot_id="B0BOT", subtype="bot_message"), Ignored),
    ("another bot", event(bot_id="B9", **MENTION), Ignored),
    ("a bot without a user", event(user=None, bot_id="B9", subtype="bot_message", **MENTION), Ignored),
    ("an outsider by user_team", event(user_team="T9", **MENTION), Refused),
    ("an outsider by source_team", event(source_team="T9", **MENTION), Refused),
    ("an outsider by team", event(team="T9", text="me too", **THREAD), Refused),
    ("a member of our own", event(user_team="T1", source_team="T1", team="T1", **MENTION), Mention),
    ("an edit", changed({"text": "rather this"}, {"text": "that"}), Edited),
    ("an unfurl", changed({"text": "see", "attachments": [{}]}, {"text": "see"}), Ignored),
    ("a new reply counted", changed({"text": "see", "reply_count": 2}, {"text": "see"}), Ignored),
    ("an edit of ours", changed({"text": "b", "user": "U0BOT"}, {"text": "a"}), Ignored),
    ("an edit by a bot", changed({"text": "b", "bot_id": "B9"}, {"text": "a"}), Ignored),
    ("an edit from outside", changed({"text": "b", "team": "T9"}, {"text": "a"}), Ignored),
    ("a parent that was deleted", changed({"subtype": "tombstone", "text": ""}, {"text": "a"}), Deleted),
    ("a deletion", event(subtype="message_deleted", deleted_ts="1.000001", text=None, user=None), Deleted),
    ("Slack's own stop", event(type="agent_session_stopped", thread_ts="1.000001"), StopAsked),
    ("the Stop button", pressed("stop", "T1:C1:1.000001"), StopAsked),
    ("a Stop button of another place", pressed("stop", "T1:C2:1.000001"), Ignored),
    ("a repository's button", pressed("choose_repository:3", "acme/rocket"), Chosen),
    ("the button for more money", pressed("budget_more", "16"), BudgetAnswered),
    ("the button against it", pressed("budget_no", "16"), BudgetAnswered),
    ("a button for money without its question", pressed("budget_more", "all"), Ignored),
    ("a button for money about nothing", pressed("budget_more", "9" * 12), Ignored),
    ("View in a private place", pressed("view_private", "s1"), ViewAsked),
    ("View", pressed("view", "s1"), Ignored),
    ("a button from outside", pressed("stop", "T1:C1:1.000001", user={"id": "U9", "team_id": "T9"}), Refused),
    ("another workspace", event(**MENTION) | {"team_id": "T9"}, Ignored),
    ("a reaction", event(type="reaction_added"), Ignored),
    ("no event at all", {"type": "url_verification"}, Ignored),
]  # fmt: skip


@pytest.mark.parametrize(("body", "kind"), [pytest.param(body, kind, id=name) for name, body, kind in KINDS])
def test_a_payload_means_this(body: dict[str, Any], kind: type[Meaning]) -> None:
    assert type(understand(body, ME)) is kind


def test_both_events_about_one_post_are_the_same_prompt() -> None:
    first = understand(event(type="app_mention", channel_type=None, **MENTION), ME)
    second = understand(event(**MENTION), ME)
    assert isinstance(first, Mention) and isinstance(second, Mention)
    assert first.post.prompt_id == second.post.prompt_id == "T1:C1:1.000001"
    assert (first.post.private, second.post.private) == (None, False)


def test_a_private_channel_and_a_direct_message_are_private() -> None:
    for kind in ("group", "mpim", "im"):
        meaning = understand(event(channel_type=kind, **MENTION), ME)
        assert isinstance(meaning, Mention) and meaning.post.private is True


def test_the_whole_text_is_kept_however_long_it_is() -> None:
    meaning = understand(event(text="<@U0BOT> " + "word " * 8_000), ME)
    assert isinstance(meaning, Mention) and len(meaning.post.text) == 39_999


def test_half_a_character_does_not_keep_a_mention_from_being_kept() -> None:
    meaning = understand(event(type="app_mention", text="<@U0BOT> fix \ud83d it"), ME)
    assert isinstance(meaning, Mention) and meaning.post.text == "fix ? it"


def test_an_allowed_bot_is_heard() -> None:
    for allowed in ("B9", "U9"):
        assert isinstance(understand(event(user="U9", bot_id="B9", **MENTION), ME, frozenset({allowed})), Mention)


def test_files_come_along_with_what_is_known_of_them() -> None:
    files = [
        {"name": "log.txt", "mimetype": "text/plain", "size": 12, "url_private": "https://files.test/1"},
        "rubbish",
        {"mimetype": "no/name"},
    ]
    meaning = understand(event(subtype="file_share", files=files, **MENTION), ME)
    assert isinstance(meaning, Mention)
    (file,) = meaning.post.files
    assert (file.name, file.mimetype, file.bytes, file.url) == ("log.txt", "text/plain", 12, "https://files.test/1")


def test_an_edit_is_of_the_message_and_says_whether_it_mentions_us() -> None:
    meaning = understand(changed({"text": "<@U0BOT> rather &lt;this&gt;", **THREAD}, {"text": "that"}), ME)
    assert isinstance(meaning, Edited) and meaning.mentions_us
    assert (meaning.post.ts, meaning.post.thread, meaning.post.text) == ("2.000001", "1.000001", "rather <this>")


def test_the_stop_button_stops_its_prompt_and_slacks_own_stops_the_thread() -> None:
    button = understand(pressed("stop", "T1:C1:1.000001"), ME)
    native = understand(event(type="agent_session_stopped", thread_ts="1.000001"), ME)
    assert isinstance(button, StopAsked) and button.prompt_id == "T1:C1:1.000001"
    assert isinstance(native, StopAsked) and native.prompt_id is None and native.thread == "1.000001"


rubbish = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "type",
    "subtype",
    "user",
    "text",
    "ts",
    "channel",
    "thread_ts",
    "message",
    "previous_message",
    "files",
    "bot_id",
)


@given(
    st.dictionaries(st.sampled_from(FIELDS), rubbish),
    st.sampled_from(["message", "app_mention", "agent_session_stopped"]),
)
def test_a_payload_of_any_shape_means_something(fields: dict[str, Any], kind: str) -> None:
    assert understand({"type": "event_callback", "event": fields | {"type": kind}}, ME)


@given(st.dictionaries(st.sampled_from(("actions", "user", "channel", "message", "container")), rubbish))
def test_a_press_of_any_shape_means_something(fields: dict[str, Any]) -> None:
    assert understand({"type": "block_actions"} | fields, ME)
