"""Words that are owed to somebody once Slack has its acknowledgement: help, refusals, a private link.

`desk.py` makes them; `say` is tried once, for they are no promise.
"""

import logging
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.slack import blocks
from bot.slack.block_kit import Message
from bot.slack.calls import Calls, SlackError
from bot.slack.meanings import Deleted, Edited, Ignored, Meaning, Mention, Overheard, Refused, Reply, StopAsked
from bot.slack.people import Directory

log = logging.getLogger(__name__)
PATIENCE_SECONDS = 10.0
FORM_SECONDS = 1.0  # a press lets us show a form for three
OUTSIDER = "I can only work for members of this workspace. Ask one of them to mention me or to reply here."
NOT_KNOWN = "Slack did not tell me just now who you are, so I show nothing here. Come back to this tab in a minute."
STOP_WHERE = "Which session do you mean? Say `stop` in its thread, or press Stop on its card."
NOTHING_HERE = "There is no session in this thread yet. Mention me with a task to begin one."
NOT_ENABLED = "That repository is not enabled any more. Reply with another one as owner/name."
NO_QUESTION = "Nobody waits for this answer any more. Reply in the thread to say something to me."
NOTHING_FAILS = "There is nothing left to fix: the agent knows of it, or it passes, or newer commits are being checked."
BOT_LIMIT = "This bot has given me enough to do in this thread for now; a person can go on."


@dataclass(frozen=True)
class Courtesy:
    """Words that are owed: for `user` only, or for everybody in the thread if it is None. `members_only`: not said to
    somebody who is not in the channel any more."""

    channel: str
    thread: str
    message: Message
    user: str | None = None
    members_only: bool = False


@dataclass(frozen=True)
class Form:
    """A form that is owed to whoever pressed something; `else_say` is said to them if it cannot be shown."""

    trigger: str
    view: dict[str, Any]
    else_say: Courtesy


@dataclass(frozen=True)
class Declined:
    """A form that was sent cannot be followed: what is wrong with which field. It goes with the acknowledgement."""

    errors: Mapping[str, str]


@dataclass(frozen=True)
class Home:
    """The Home tab that is owed to a person who looks at it."""

    user: str
    view: dict[str, Any]


Owing = Courtesy | Form | Declined | Home


def acknowledgement(owed: Iterable[Owing]) -> dict[str, Any]:
    """What is said to Slack with the acknowledgement itself."""
    wrong = next((one for one in owed if isinstance(one, Declined)), None)
    return {"response_action": "errors", "errors": dict(wrong.errors)} if wrong is not None else {}


def whisper(words: str, channel: str, thread: str, user: str) -> Courtesy:
    """A sentence for one person."""
    return Courtesy(channel, thread, blocks.plain_message(words), user)


def to_who_asked(meaning: Meaning, words: str) -> tuple[Courtesy, ...]:
    """A sentence for whoever wants something of us; none for who only talks, edits or deletes."""
    match meaning:
        case Mention(post) | Reply(post):
            return (whisper(words, post.channel, post.thread, post.user),)
        case Edited() | Deleted() | Overheard() | Refused() | Ignored():
            return ()
        case _:
            return (whisper(words, meaning.channel, meaning.thread, meaning.user),)


def nothing_here(asked: StopAsked) -> tuple[Courtesy, ...]:
    """People say stop to each other, too: only who said it to us by name hears that there is nothing to stop. Whoever
    says it to a whole channel is answered below: nobody looks into a thread that is empty."""
    if asked.mention and asked.once == asked.thread:
        return (Courtesy(asked.channel, asked.thread, blocks.plain_message(STOP_WHERE)),)
    return (whisper(NOTHING_HERE, asked.channel, asked.thread, asked.user),) if asked.mention else ()


async def say(owed: Owing, calls: Calls, people: Directory) -> None:
    """Say or show it, if Slack takes it."""
    match owed:
        case Courtesy():
            await _say(owed, calls, people)
        case Form():
            opened = calls.call("views.open", patience=FORM_SECONDS, trigger_id=owed.trigger, view=owed.view)
            if not await _is_shown(opened):
                await _say(owed.else_say, calls, people)
        case Home():
            await _is_shown(calls.call("views.publish", patience=FORM_SECONDS, user_id=owed.user, view=owed.view))
        case Declined():
            pass  # it went with the acknowledgement


async def _is_shown(showing: Awaitable[object]) -> bool:
    try:
        await showing
    except SlackError as trouble:
        log.warning("a form could not be shown: %s", trouble)
        return False
    return True


async def _say(courtesy: Courtesy, calls: Calls, people: Directory) -> None:
    if courtesy.members_only and not await people.is_member(courtesy.channel, courtesy.user or ""):
        return
    said: dict[str, Any] = {
        "channel": courtesy.channel,
        "thread_ts": courtesy.thread or None,
        "text": courtesy.message.text,
        "blocks": list(courtesy.message.blocks),
    }
    try:
        if courtesy.user is None:
            await calls.call("chat.postMessage", patience=PATIENCE_SECONDS, **said)
        else:
            await calls.call("chat.postEphemeral", patience=PATIENCE_SECONDS, user=courtesy.user, **said)
    except SlackError as trouble:
        log.warning("could not answer in %s: %s", courtesy.channel, trouble)
