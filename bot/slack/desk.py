"""Takes what people say in Slack and has it in the record before Slack is acknowledged.

`listeners.py` awaits `take` in a global middleware: whatever it raises becomes a 500, and Slack delivers again. On that
path there is only the record, but for the first time that a person or a place is met, which Slack is asked about in
bounded time (`people.py`). What is owed in words afterwards comes back as courtesies, said by `say` once Slack has its
acknowledgement.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from bot.slack import blocks, courtesies, meanings
from bot.slack.answers import Answers
from bot.slack.below import DeskRecord, Door, Repositories
from bot.slack.bots import BotTurns
from bot.slack.buttons import Buttons
from bot.slack.calls import Calls
from bot.slack.config import SlackConfig
from bot.slack.courtesies import Courtesy, Owing
from bot.slack.early import Early
from bot.slack.family import Families, for_child, post_of, without_number
from bot.slack.following import ONCE_SECONDS, Following, Owed
from bot.slack.front import Front
from bot.slack.front_intake import at_the_front
from bot.slack.in_order import InOrder
from bot.slack.intake import asks_for_help, says_stop, says_thanks, understand
from bot.slack.meanings import CLIENT, Me, Meaning, Post
from bot.slack.overheard import Overhearing
from bot.slack.people import Directory
from bot.slack.room import Room
from bot.slack.signals import Signals
from jobs import commands
from jobs.commands import Command, Submit
from jobs.events import Author, Place, Prompt
from jobs.inbox import session_id
from jobs.session import Session

log = logging.getLogger(__name__)
WITHDRAWN = "its message was deleted"
EMPTIED = "its message was emptied"
ASIDE_NOW = "its message is an aside now"
ONLY_FILES = "See the attached files."
AT_ONCE = 10  # messages; one that has waited for half of its time would come too late, and Slack delivers it again
DELIVERED_AGAIN = (meanings.Mention, meanings.Reply, meanings.Edited, meanings.Deleted, meanings.Overheard)


class Desk:
    """Acts on what `intake.understand` found."""

    def __init__(
        self,
        config: SlackConfig,
        door: Door,
        record: DeskRecord,
        calls: Calls,
        people: Directory,
        repositories: Repositories,
        view_link: Callable[[str, str], str],
        signals: Signals,
        clock: Callable[[], float],
    ) -> None:
        self._config, self._door, self._record, self._calls = config, door, record, calls
        self._early, self._bots = Early(record, clock), BotTurns(record, config.bot_turns)
        self._answers, self._families = Answers(door, record, people), Families(record)
        self._overhearing = Overhearing(calls, people, config)
        self._following = Following(door, record, people)
        self._buttons = Buttons(self._following, record, self._answers, self._families, repositories, view_link)
        self._people, self._repositories, self._clock, self._signals = people, repositories, clock, signals
        self._in_order = InOrder(config.lookup_seconds)
        self._room = Room(AT_ONCE, config.accept_seconds / 2)
        self._front = Front(config, record, calls, people, repositories, self._following, signals, clock)

    async def take(self, body: Mapping[str, Any], me: Me) -> Owed:
        """Put what this payload means on record; the words that are owed for it. Raises if it is not on record."""
        async with asyncio.timeout(self._config.accept_seconds):
            if (front := at_the_front(body, me)) is not None:
                return await self._front.met(front, me)
            meaning = understand(body, me, self._config.allowed_bots)
            # A press that is refused is lost, so it needs no place; nor does what is left alone, for that is much
            async with self._room.place() if isinstance(meaning, DELIVERED_AGAIN) else nullcontext():
                return await self._act_on(meaning, me)

    async def _act_on(self, meaning: Meaning, me: Me) -> Owed:
        try:
            return await self._followed(meaning, me)
        except commands.Unreadable as broken:
            return courtesies.to_who_asked(meaning, str(broken))

    async def _followed(self, meaning: Meaning, me: Me) -> Owed:
        match meaning:
            case meanings.Ignored():
                log.debug("left alone: %s", meaning.reason)
                return ()
            case meanings.Overheard():
                await self._overheard(meaning)
                return ()
            case meanings.Mention():
                async with self._in_order.turn(_session_of(meaning.post)):
                    return await self._mention(await self._named(meaning.post), me)
            case meanings.Reply():
                async with self._in_order.turn(_session_of(meaning.post)):
                    return await self._reply(meaning.post, me)
            case meanings.Edited():
                return await self._edited(replace(meaning, post=await self._named(meaning.post)), me)
            case meanings.Deleted():
                return await self._deleted(meaning)
            case meanings.StopAsked(said=Post() as said) if await self._answers.picked(said, _session_of(said)):
                return ()
            case meanings.Steered():
                return await self._steered(meaning)
            case meanings.Refused():
                return await self._following.refused(meaning)
            case _:
                return await self._buttons.pressed(meaning)

    async def _named(self, post: Post) -> Post:
        return replace(post, text=await self._people.named(post.team, post.text))

    async def say(self, courtesy: Owing) -> None:
        """Say it, if Slack takes it."""
        await courtesies.say(courtesy, self._calls, self._people)

    async def _overheard(self, said: meanings.Overheard) -> None:
        """People talk in a thread whose session sleeps: they may turn to it next."""
        sid = session_id(said.team, said.channel, said.thread)
        session = await self._record.load(sid)
        if session is not None and session.box is None and session.repository is not None:
            self._signals.soon(sid, session.repository, "people talk in the thread of a session that sleeps")

    # -- prompts ---------------------------------------------------------------------------------------------------

    async def _mention(self, post: Post, me: Me) -> Owed:
        if asks_for_help(post):
            return await self._help(post)
        owed = await self._submit(post, me, await self._record.load(_session_of(post)))
        await self._take_early(post, me)
        return owed

    async def _help(self, post: Post) -> Owed:
        if not await self._record.remember(f"slack:help:{post.prompt_id}", "1", ONCE_SECONDS):
            return ()
        return (Courtesy(post.channel, post.thread, blocks.help_message(self._repositories.enabled)),)

    async def _take_early(self, opening: Post, me: Me) -> None:
        """Take the replies that were here before the mention, if it has opened a session."""
        sid = _session_of(opening)
        for early in await self._early.replies(sid, opening):
            session = await self._record.load(sid)
            if session is not None:
                await self._submit(await self._named(early), me, session)

    async def _reply(self, post: Post, me: Me) -> Owed:
        sid = _session_of(post)
        session = await self._record.load(sid)
        if session is None:
            await self._early.keep_reply(sid, post)
            session = await self._record.load(sid)  # its mention may have looked a moment before it was kept
        if session is None or _is_older(post, session):
            return ()
        post = await self._named(post)  # of what people say elsewhere nothing is asked
        if for_child(session, post) is None and await self._answers.said(post, session):
            return ()
        return await self._submit(post, me, session)

    async def _submit(self, post: Post, me: Me, session: Session | None) -> Owed:
        """A message has come: it counts with the text that it has by now, unless it is gone."""
        received = self._clock()
        owed: Owed = ()
        if not _knows(session, post.prompt_id):
            text, gone = await self._early.by_now(post.prompt_id)
            if gone:
                return ()
            owed = await self._accept(replace(post, text=text or post.text), me, session, received)
        text, gone = await self._early.by_now(post.prompt_id)  # what came while it was accepted found nothing to change
        if gone:
            return owed + await self._withdraw(post.team, post.channel, post.thread, post.prompt_id)
        return owed + (await self._change(replace(post, text=text), aside=False) if text is not None else ())

    async def _accept(self, post: Post, me: Me, session: Session | None, received: float) -> Owed:
        if says_thanks(post):
            return ()  # it wants nothing, and is the answer to nothing
        if post.bot and not await self._bots.may_go_on(_session_of(post), post):
            return await self._bots.told(_session_of(post), post)
        person, place, before = await asyncio.gather(
            self._people.person(post.team, post.user),
            self._place(post, me, session),
            self._before(post, me, session),
        )
        if person.outside:
            return await self._following.refused(
                meanings.Refused(post.team, post.channel, post.thread, post.user, True)
            )
        if person.is_bot and not {post.bot, post.user} & self._config.allowed_bots:
            return ()
        meant = for_child(session, post)
        if meant is not None:
            child, said = meant
            return await self._put_to_child(child.id, said, person.author, place, received)
        return await self._put(_session_of(post), post, person.author, place, received, before)

    async def _put_to_child(self, sid: str, said: Post, author: Author, place: Place, received: float) -> Owed:
        """What a person says to one of the sessions that agents started: an answer, a stop, or more to do."""
        if says_stop(said) and not await self._answers.picked(said, sid):
            stop = meanings.StopAsked(said.team, said.channel, said.thread, said.user, once=said.ts, session=sid)
            return await self._buttons.stop(stop)
        child = await self._record.load(sid)
        if child is None or await self._answers.said(said, child) or says_thanks(said):
            return ()
        return await self._put(sid, said, author, place, received)

    async def _steered(self, asked: meanings.Steered) -> Owed:
        """Words from a form."""
        place = (asked.team, asked.channel, asked.thread)
        session = await self._families.here(asked.session, place)
        if session is None:
            return ()
        person = await self._people.person(asked.team, asked.user)
        if person.outside:
            return await self._following.refused(meanings.Refused(*place, asked.user, True))
        return await self._put_to_child(session.id, post_of(asked), person.author, session.place, self._clock())

    async def _put(
        self, sid: str, post: Post, author: Author, place: Place, received: float, before: tuple[str, ...] = ()
    ) -> Owed:
        text, files = post.text or ONLY_FILES, post.files
        prompt = Prompt(
            id=post.prompt_id, author=author, text=text, attachments=files, received_at=received, before=before
        )  # fmt: skip
        command = Submit(sid, place, prompt, self._repositories.choose(post.text), self._config.agent)
        owed = await self._following.follow(sid, command, post.channel, post.thread, post.user)
        await self._record.stamp(sid, "durable", self._clock())
        await self._record.recent.note(author.id, sid, received)
        return owed

    async def _place(self, post: Post, me: Me, session: Session | None) -> Place:
        if session is not None:
            return session.place
        private = post.private if post.private is not None else await self._people.is_private(post.channel)
        channel, thread = post.channel, post.thread
        link = me.link(channel, thread)
        return Place(client=CLIENT, team=post.team, channel=channel, thread=thread, private=private, link=link)

    async def _before(self, post: Post, me: Me, session: Session | None) -> tuple[str, ...]:
        return await self._overhearing.before(post, me) if session is None else ()

    async def _edited(self, edited: meanings.Edited, me: Me) -> Owed:
        post, sid = edited.post, _session_of(edited.post)
        session = await self._record.load(sid)
        await self._early.keep_edit(post, edited.at)
        owed: Owed = ()
        if edited.mentions_us and post.text and not _knows(session, post.prompt_id):
            owed = await self._submit(post, me, session)
        return owed + await self._change(post, edited.aside)

    async def _change(self, post: Post, aside: bool) -> Owed:
        """Give the newer text to the session that has this prompt, if there is one by now."""
        session = await self._families.holder(_session_of(post), post.prompt_id)
        if session is None:
            return ()
        sid, text = session.id, post.text if session.lineage is None else without_number(post.text)
        command: Command = commands.EditPrompt(post.prompt_id, text)
        if aside or not (post.text or post.files):
            command = commands.WithdrawPrompt(post.prompt_id, ASIDE_NOW if aside else EMPTIED)
        return await self._following.follow(sid, command, post.channel, post.thread, post.user)

    async def _deleted(self, gone: meanings.Deleted) -> Owed:
        await self._early.keep_deletion(gone.prompt_id, gone.ts)
        return await self._withdraw(gone.team, gone.channel, gone.thread, gone.prompt_id)

    async def _withdraw(self, team: str, channel: str, thread: str, prompt_id: str) -> Owed:
        """Tell the session that has this prompt that its message is gone, if there is one by now."""
        session = await self._families.holder(session_id(team, channel, thread), prompt_id)
        if session is None:
            return ()
        return await self._following.follow(
            session.id, commands.WithdrawPrompt(prompt_id, WITHDRAWN), channel, thread, None
        )


def _knows(session: Session | None, prompt_id: str) -> bool:
    return session is not None and session.knows(prompt_id)


def _session_of(post: Post) -> str:
    return session_id(post.team, post.channel, post.thread)


def _is_older(post: Post, session: Session) -> bool:
    """Whether it was written before the message that opened the session, and so not to us."""
    opening = session.seen[0].rpartition(":")[2] if session.seen else ""
    return post.ts < opening
