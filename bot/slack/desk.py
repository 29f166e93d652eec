"""Takes what people say in Slack and has it in the record before Slack is acknowledged.

`listeners.py` awaits `take` in a global middleware: whatever it raises becomes a 500, and Slack delivers again. On that
path there is only the record, but for the first time that a person or a place is met, which Slack is asked about in
bounded time (`people.py`). What is owed in words afterwards comes back as courtesies, said by `say` once Slack has its
acknowledgement.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bot.slack import blocks, intake
from bot.slack.blocks import Message
from bot.slack.calls import Budgets, Calls, SlackError
from bot.slack.config import SlackConfig
from bot.slack.early import Early
from bot.slack.intake import Me, Meaning, Post
from bot.slack.people import Directory
from jobs import commands
from jobs.commands import Choice, Command, Submit
from jobs.events import Author, Place, Prompt
from jobs.inbox import session_id
from jobs.session import Session

log = logging.getLogger(__name__)
CLIENT = "slack"
ONCE_SECONDS = 86_400.0
BOT_SECONDS = 3_600.0
WITHDRAWN = "its message was deleted"
OUTSIDER = "I can only work for members of this workspace. Ask one of them to mention me or to reply here."
NOTHING_HERE = "There is no session in this thread yet. Mention me with a task to begin one."
NOT_ENABLED = "That repository is not enabled any more. Reply with another one as owner/name."
BOT_LIMIT = "This bot has given me enough to do in this thread for now; a person can go on."
ONLY_FILES = "See the attached files."


class Facts(Budgets, Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def load(self, sid: str) -> Session | None:
        """The session, if there is one."""

    async def stamp(self, sid: str, name: str, at: float) -> None:
        """Note when something happened for the first time."""


class Door(Protocol):
    """The floor below: `jobs.inbox.Inbox` is one."""

    async def handle(self, sid: str, command: Command) -> Session:
        """Follow a command; raises `jobs.commands.Refused`."""


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
class Repositories:
    """Which repository a text means, and the base branch of one by its name (None: not enabled)."""

    choose: Callable[[str], Choice]
    base_branch: Callable[[str], str | None]


class Desk:
    """Acts on what `intake.understand` found."""

    def __init__(
        self,
        config: SlackConfig,
        door: Door,
        facts: Facts,
        calls: Calls,
        people: Directory,
        repositories: Repositories,
        view_link: Callable[[str, str], str],
        clock: Callable[[], float],
    ) -> None:
        self._config, self._door, self._facts, self._calls = config, door, facts, calls
        self._early = Early(facts, clock)
        self._people, self._repositories, self._view_link, self._clock = people, repositories, view_link, clock

    async def take(self, body: Mapping[str, Any], me: Me) -> tuple[Courtesy, ...]:
        """Put what this payload means on record; the words that are owed for it. Raises if it is not on record."""
        async with asyncio.timeout(self._config.accept_seconds):
            return await self._act_on(intake.understand(body, me, self._config.allowed_bots), me)

    async def _act_on(self, meaning: Meaning, me: Me) -> tuple[Courtesy, ...]:
        match meaning:
            case intake.Ignored():
                log.debug("left alone: %s", meaning.reason)
                return ()
            case intake.Mention():
                return await self._mention(meaning.post, me)
            case intake.Reply():
                return await self._reply(meaning.post, me)
            case intake.Edited():
                return await self._edited(meaning, me)
            case intake.Deleted():
                return await self._deleted(meaning)
            case intake.StopAsked():
                return await self._stop(meaning)
            case intake.Chosen():
                return await self._chosen(meaning)
            case intake.ViewAsked():
                return await self._view(meaning)
            case intake.Refused():
                return await self._refused(meaning)

    async def say(self, courtesy: Courtesy) -> None:
        """Say it, if Slack takes it; words of courtesy are not tried twice."""
        said: dict[str, Any] = {
            "channel": courtesy.channel,
            "thread_ts": courtesy.thread,
            "text": courtesy.message.text,
            "blocks": list(courtesy.message.blocks),
        }
        if courtesy.members_only and not await self._people.is_member(courtesy.channel, courtesy.user or ""):
            return
        try:
            if courtesy.user is None:
                await self._calls.call("chat.postMessage", patience=10.0, **said)
            else:
                await self._calls.call("chat.postEphemeral", patience=10.0, user=courtesy.user, **said)
        except SlackError as trouble:
            log.warning("could not answer in %s: %s", courtesy.channel, trouble)

    # -- prompts ---------------------------------------------------------------------------------------------------

    async def _mention(self, post: Post, me: Me) -> tuple[Courtesy, ...]:
        if post.text or post.files:
            return await self._submit(post, me, await self._facts.load(_session_of(post)))
        if not await self._facts.remember(f"slack:help:{post.prompt_id}", "1", ONCE_SECONDS):
            return ()
        return (Courtesy(post.channel, post.thread, blocks.help_message()),)

    async def _reply(self, post: Post, me: Me) -> tuple[Courtesy, ...]:
        session = await self._facts.load(_session_of(post))
        if session is None:
            await self._early.keep_reply(_session_of(post), post)
            return ()
        return await self._submit(post, me, session)

    async def _submit(self, post: Post, me: Me, session: Session | None) -> tuple[Courtesy, ...]:
        received = self._clock()
        if session is not None and post.prompt_id in session.seen:
            return ()
        text, gone = await asyncio.gather(self._early.newer_text(post.prompt_id), self._early.gone(post.prompt_id))
        if gone:
            return ()
        if post.bot and await self._too_much(post):
            return (Courtesy(post.channel, post.thread, blocks.plain_message(BOT_LIMIT)),)
        person, place = await asyncio.gather(self._people.person(post.team, post.user), self._place(post, me, session))
        if person.outside:
            return await self._refused(intake.Refused(post.team, post.channel, post.thread, post.user, True))
        if person.is_bot and not {post.bot, post.user} & self._config.allowed_bots:
            return ()
        return await self._put(post, text or post.text, person.author, place, received, me, session is None)

    async def _put(
        self, post: Post, text: str, author: Author, place: Place, received: float, me: Me, new: bool
    ) -> tuple[Courtesy, ...]:
        sid = _session_of(post)
        prompt = Prompt(
            id=post.prompt_id, author=author, text=text or ONLY_FILES, attachments=post.files, received_at=received
        )  # fmt: skip
        command = Submit(sid, place, prompt, self._repositories.choose(text), self._config.agent)
        owed = await self._handle(sid, command, post.channel, post.thread, post.user)
        await self._stamp(sid, received)
        if new:
            for early in await self._early.replies(sid, post):
                await self._submit(early, me, await self._facts.load(sid))
        return owed

    async def _stamp(self, sid: str, received: float) -> None:
        durable = self._clock()
        await asyncio.gather(
            self._facts.stamp(sid, "received", received), self._facts.stamp(sid, "durable", durable)
        )  # fmt: skip

    async def _place(self, post: Post, me: Me, session: Session | None) -> Place:
        if session is not None:
            return session.place
        private = post.private if post.private is not None else await self._people.is_private(post.channel)
        link = f"{me.url}archives/{post.channel}/p{post.thread.replace('.', '')}" if me.url else ""
        return Place(
            client=CLIENT, team=post.team, channel=post.channel, thread=post.thread, private=private, link=link
        )  # fmt: skip

    async def _too_much(self, post: Post) -> bool:
        key = f"slack:bot:{_session_of(post)}:{post.bot}"
        return await self._facts.spend(key, self._config.bot_turns, BOT_SECONDS) > 0

    async def _edited(self, edited: intake.Edited, me: Me) -> tuple[Courtesy, ...]:
        post = edited.post
        session = await self._facts.load(_session_of(post))
        if session is not None and post.prompt_id in session.seen:
            command: Command = commands.EditPrompt(post.prompt_id, post.text)
            if not post.text and not post.files:
                command = commands.WithdrawPrompt(post.prompt_id, "its message was emptied")
            return await self._handle(session.id, command, post.channel, post.thread, post.user)
        if edited.mentions_us and post.text:
            return await self._submit(post, me, session)
        await self._early.keep_edit(post)
        return ()

    async def _deleted(self, gone: intake.Deleted) -> tuple[Courtesy, ...]:
        sid = session_id(gone.team, gone.channel, gone.thread)
        session = await self._facts.load(sid)
        if session is not None and gone.prompt_id in session.seen:
            command = commands.WithdrawPrompt(gone.prompt_id, WITHDRAWN)
            return await self._handle(sid, command, gone.channel, gone.thread, None)
        await self._early.keep_deletion(gone.prompt_id, gone.ts)
        return ()

    # -- buttons ---------------------------------------------------------------------------------------------------

    async def _stop(self, asked: intake.StopAsked) -> tuple[Courtesy, ...]:
        person = await self._people.person(asked.team, asked.user)
        if person.outside:
            return await self._refused(intake.Refused(asked.team, asked.channel, asked.thread, asked.user, True))
        sid = session_id(asked.team, asked.channel, asked.thread)
        command = commands.Stop(person.author, asked.prompt_id)
        return await self._handle(sid, command, asked.channel, asked.thread, asked.user)

    async def _chosen(self, chosen: intake.Chosen) -> tuple[Courtesy, ...]:
        person = await self._people.person(chosen.team, chosen.user)
        if person.outside:
            return await self._refused(intake.Refused(chosen.team, chosen.channel, chosen.thread, chosen.user, True))
        base = self._repositories.base_branch(chosen.repository)
        if base is None:
            return (_whisper(NOT_ENABLED, chosen.channel, chosen.thread, chosen.user),)
        sid = session_id(chosen.team, chosen.channel, chosen.thread)
        command = commands.ChooseRepository(chosen.repository, base, person.author)
        return await self._handle(sid, command, chosen.channel, chosen.thread, chosen.user)

    async def _view(self, asked: intake.ViewAsked) -> tuple[Courtesy, ...]:
        sid = session_id(asked.team, asked.channel, asked.thread)
        message = blocks.plain_message("Only for you, and for a few minutes:", self._view_link(sid, asked.user), "View")
        return (Courtesy(asked.channel, asked.thread, message, asked.user, members_only=True),)

    async def _refused(self, refused: intake.Refused) -> tuple[Courtesy, ...]:
        """Once a day and place, and only where we are concerned."""
        sid = session_id(refused.team, refused.channel, refused.thread)
        if not refused.mention and await self._facts.load(sid) is None:
            return ()
        key = f"slack:refused:{refused.channel}:{refused.user}"
        if not await self._facts.remember(key, "1", ONCE_SECONDS):
            return ()
        return (_whisper(OUTSIDER, refused.channel, refused.thread, refused.user),)

    async def _handle(
        self, sid: str, command: Command, channel: str, thread: str, user: str | None
    ) -> tuple[Courtesy, ...]:
        """Follow the command; a refusal is told to who asked."""
        try:
            await self._door.handle(sid, command)
        except commands.Refused as refused:
            return (_whisper(str(refused), channel, thread, user),) if user else ()
        return ()


def _session_of(post: Post) -> str:
    return session_id(post.team, post.channel, post.thread)


def _whisper(words: str, channel: str, thread: str, user: str) -> Courtesy:
    return Courtesy(channel, thread, blocks.plain_message(words), user)
