"""What an event of Slack's means for us: one dict in, one small record out. Pure; no lookup, no record, no clock.

`desk.py` acts on what comes out (`meanings.py`). Nothing in a payload is trusted to have the right shape.
"""

import re
from collections.abc import Mapping
from typing import Any

from bot.slack import blocks
from bot.slack import family_blocks as family
from bot.slack import text as t
from bot.slack.check_blocks import FIX
from bot.slack.meanings import (
    Answered,
    BudgetAnswered,
    Chosen,
    Deleted,
    Edited,
    FixAsked,
    Ignored,
    Me,
    Meaning,
    Mention,
    Overheard,
    Post,
    Refused,
    Reply,
    SteerAsked,
    Steered,
    StopAllAsked,
    StopAsked,
    ViewAsked,
)
from bot.slack.payload import part, text
from bot.slack.tool_blocks import pressed_answer
from jobs.events import Attachment

ASIDES = ("(aside)", "!aside")
STOP = re.compile(
    r"(?:(?:please|ok|okay|no|wait)[ ,]+)?(?:stop|cancel|abort|halt)"
    r"(?:[ ,]+(?:it|this|that|here|now|all|everything|please))*[ .!]*",
    re.IGNORECASE,
)
THANKS = re.compile(
    r"(?:(?:great|nice|cool|awesome|perfect|wonderful|excellent|lovely|many)[ ,!.]+)*(?:thanks|thank you|thx|cheers)"
    r"(?:[ ,]+(?:a lot|so much|very much|again|all|both|everybody|everyone|team))*(?:[\s!.)]|:[a-z0-9_+-]*)*",
    re.IGNORECASE,
)
HELP_WORDS = ("", "help", "hi", "hello", "hey")
POSTED = (None, "", "file_share", "thread_broadcast", "bot_message", "me_message")
LEFT_ALONE = ("message_replied", "channel_join", "channel_leave", "assistant_app_thread")
FILES_MAX = 20


def understand(body: Mapping[str, Any], me: Me, allowed_bots: frozenset[str] = frozenset()) -> Meaning:
    """What a payload (an event or a pressed button) means."""
    if body.get("type") == "block_actions":
        return _pressed(body, me)
    if body.get("type") == "view_submission":
        return _filled_in(body, me)
    event = body.get("event")
    if body.get("type") != "event_callback" or not isinstance(event, dict):
        return Ignored("not an event")
    if text(body, "team_id") not in ("", me.team):
        return Ignored("an event of another workspace")
    match event.get("type"):
        case "app_mention":
            return _posted(event, me, allowed_bots)
        case "message":
            return _message(event, me, allowed_bots)
        case "agent_session_stopped":
            return _stopped(event, me)
    return Ignored("an event that we have no use for")


def _message(event: Mapping[str, Any], me: Me, allowed_bots: frozenset[str]) -> Meaning:
    subtype = event.get("subtype")
    if subtype == "message_changed":
        return _changed(event, me, allowed_bots)
    if subtype == "message_deleted":
        return _deleted(event, me)
    if subtype in POSTED:
        return _posted(event, me, allowed_bots)
    return Ignored("a message that nobody wrote")


def _posted(event: Mapping[str, Any], me: Me, allowed_bots: frozenset[str]) -> Meaning:
    ts, channel, user = text(event, "ts"), text(event, "channel"), text(event, "user")
    if not ts or not channel or not (user or event.get("bot_id")):
        return Ignored("a message without an author or a place")
    if user == me.user or event.get("bot_id") == me.bot:
        return Ignored("our own words")
    bot = text(event, "bot_id")
    if bot and not {bot, user} & allowed_bots:
        return Ignored("another bot")
    raw, thread = text(event, "text"), text(event, "thread_ts") or ts
    direct = event.get("channel_type") == "im"
    mentioned = event.get("type") == "app_mention" or me.user in t.mentions(raw) or (direct and thread == ts)
    if _from_outside(event, me):
        return Refused(me.team, channel, thread, user, mentioned)
    post = _post(event, me, channel, ts, thread, user or bot, bot)
    if mentioned:
        return Ignored("thanks, and nothing to do") if says_thanks(post) else _stop_or(Mention(post))
    return _reply(post, "" if direct else raw, ts)  # to whom else would it be said there?


def _reply(post: Post, raw: str, ts: str) -> Meaning:
    if post.thread == ts:
        return Ignored("not said to us")
    if post.text.lower().startswith(ASIDES):
        return Overheard(post.team, post.channel, post.thread)
    if t.is_for_others(raw):
        return Overheard(post.team, post.channel, post.thread)
    if not post.text and not post.files:
        return Ignored("nothing said")
    return _stop_or(Reply(post))


def _stop_or(meaning: Mention | Reply) -> Meaning:
    """A message that says nothing else is the Stop button, typed."""
    post, mention = meaning.post, isinstance(meaning, Mention)
    if says_stop(post):
        said = None if mention else post
        return StopAsked(post.team, post.channel, post.thread, post.user, once=post.ts, mention=mention, said=said)
    return meaning


def says_stop(post: Post) -> bool:
    """Whether a message wants what runs to stop, and nothing more."""
    return STOP.fullmatch(post.text) is not None and not post.files


def says_thanks(post: Post) -> bool:
    """Whether a message thanks and wants nothing: it would cost a turn."""
    return THANKS.fullmatch(post.text) is not None and not post.files


def asks_for_help(post: Post) -> bool:
    """Whether a message that mentions us wants nothing but to know what we are."""
    return post.text.lower().rstrip("!?. ") in HELP_WORDS and not post.files


def _post(
    event: Mapping[str, Any], me: Me, channel: str, ts: str, thread: str, user: str, bot: str = ""
) -> Post:  # fmt: skip
    return Post(
        team=me.team,
        channel=channel,
        ts=ts,
        thread=thread,
        user=user,
        text=t.plain(t.without_mention(text(event, "text"), me.user)).strip(),
        files=_files(event.get("files")),
        private=_private(event),
        bot=bot,
    )


def _private(event: Mapping[str, Any]) -> bool | None:
    kind = event.get("channel_type")
    return None if kind is None else kind != "channel"


def _changed(event: Mapping[str, Any], me: Me, allowed_bots: frozenset[str]) -> Meaning:
    after, before = event.get("message"), event.get("previous_message")
    channel = text(event, "channel")
    if not isinstance(after, dict) or not isinstance(before, dict) or not channel:
        return Ignored("an edit without its message")
    ts, user = text(after, "ts"), text(after, "user")
    thread = text(after, "thread_ts") or ts
    if after.get("subtype") == "tombstone":
        return Deleted(me.team, channel, ts, thread)
    bot = text(after, "bot_id")
    if not ts or user == me.user or (bot and not {bot, user} & allowed_bots):
        return Ignored("an edit by a bot")
    raw = text(after, "text")
    if raw == text(before, "text"):
        return Ignored("the text is the same")
    if _from_outside(after, me):
        return Ignored("an edit from outside")
    said = after | {"channel_type": event.get("channel_type")}
    post = _post(said, me, channel, ts, thread, user or bot, bot)
    mentions_us = me.user in t.mentions(raw)
    aside = not mentions_us and post.text.lower().startswith(ASIDES)
    return Edited(post, mentions_us, text(event, "event_ts") or text(event, "ts"), aside)


def _deleted(event: Mapping[str, Any], me: Me) -> Meaning:
    before = event.get("previous_message")
    gone = before if isinstance(before, dict) else {}
    ts, channel = text(event, "deleted_ts") or text(gone, "ts"), text(event, "channel")
    if not ts or not channel:
        return Ignored("a deletion without its message")
    if gone.get("user") == me.user:
        return Ignored("our own words")
    return Deleted(me.team, channel, ts, text(gone, "thread_ts") or ts)


def _stopped(event: Mapping[str, Any], me: Me) -> Meaning:
    channel = text(event, "channel") or text(event, "channel_id")
    thread, user = text(event, "thread_ts"), text(event, "user")
    if not channel or not thread or not user:
        return Ignored("a stop without its thread")
    return StopAsked(me.team, channel, thread, user, once=text(event, "event_ts"))


def _pressed(body: Mapping[str, Any], me: Me) -> Meaning:
    actions, user = body.get("actions"), part(body, "user")
    channel, message, container = part(body, "channel"), part(body, "message"), part(body, "container")
    thread = text(container, "thread_ts") or text(message, "thread_ts") or text(message, "ts")
    place, who = text(channel, "id") or text(container, "channel_id"), text(user, "id")
    if (
        not isinstance(actions, list)
        or not actions
        or not isinstance(actions[0], dict)
        or not (place and thread and who)
    ):
        return Ignored("a button without its place")
    if text(user, "team_id") not in ("", me.team):
        return Refused(me.team, place, thread, who, True)
    action, value = text(actions[0], "action_id"), text(actions[0], "value")
    if action == blocks.STOP and (value.startswith(f"{me.team}:{place}:") or _of_an_agent(value)):
        return StopAsked(me.team, place, thread, who, value)
    if action.partition(":")[0] == blocks.CHOOSE and value:
        return Chosen(me.team, place, thread, who, value)
    if action in (blocks.BUDGET_MORE, blocks.BUDGET_NO) and value.isdecimal() and len(value) < 10:
        return BudgetAnswered(me.team, place, thread, who, int(value), more=action == blocks.BUDGET_MORE)
    answered = pressed_answer(action, value)
    if answered is not None:
        return Answered(me.team, place, thread, who, *answered)
    session, _, prompt = value.partition(" ")
    if family.SESSION.fullmatch(session):
        return _pressed_of(action, session, prompt, (me.team, place, thread, who), text(body, "trigger_id"))
    if action == blocks.VIEW_PRIVATE:
        return ViewAsked(me.team, place, thread, who)
    return Ignored("a button that needs nothing done")


def _of_an_agent(prompt: str) -> bool:
    """Whether a prompt is none of a person's messages: what a session that was started reports, or was given."""
    session, _, rest = prompt.partition(":")
    return bool(rest) and family.SESSION.fullmatch(session) is not None


def _pressed_of(action: str, session: str, prompt: str, where: tuple[str, str, str, str], trigger: str) -> Meaning:
    """A button that carries the session that it is of."""
    match action:
        case blocks.VIEW_PRIVATE:
            return ViewAsked(*where, session)
        case family.STOP_ONE if prompt:
            return StopAsked(*where, prompt, session=session)
        case family.STOP_ALL:
            return StopAllAsked(*where, session)
        case _ if action == FIX and prompt:
            return FixAsked(*where, session, prompt)
        case family.STEER if trigger:
            return SteerAsked(*where, session, trigger)
    return Ignored("a button that needs nothing done")


def _filled_in(body: Mapping[str, Any], me: Me) -> Meaning:
    """A form of ours that somebody has sent."""
    view, user = part(body, "view"), part(body, "user")
    field = part(part(part(part(view, "state"), "values"), family.FIELD), family.WORDS)
    session, _, place = text(view, "private_metadata").partition(" ")
    channel, _, thread = place.partition(" ")
    who, words, form = text(user, "id"), text(field, "value").strip(), text(view, "id")
    if text(view, "callback_id") != family.STEERED or not (session and channel and thread and who and words and form):
        return Ignored("a form that is none of ours, or empty")
    if text(user, "team_id") not in ("", me.team):
        return Refused(me.team, channel, thread, who, True)
    return Steered(me.team, channel, thread, who, session, words, f"form-{form}")


def _from_outside(event: Mapping[str, Any], me: Me) -> bool:
    """Whether the author belongs to another workspace, by any of the fields that say so."""
    said = (text(event, name) for name in ("user_team", "source_team", "team"))
    return any(team and team != me.team for team in said)


def _files(found: object) -> tuple[Attachment, ...]:
    if not isinstance(found, list):
        return ()
    files = (file for file in found if isinstance(file, dict) and (file.get("name") or file.get("title")))
    return tuple(_attachment(file) for file in files)[:FILES_MAX]


def _attachment(file: Mapping[str, Any]) -> Attachment:
    size = file.get("size")
    return Attachment(
        name=(text(file, "name") or text(file, "title"))[:255],
        mimetype=text(file, "mimetype")[:100],
        url=text(file, "url_private")[:2_000],
        bytes=size if isinstance(size, int) and size >= 0 else 0,
    )
