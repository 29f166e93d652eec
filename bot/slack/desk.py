"""Takes what people say in Slack and has it in the record before Slack is acknowledged.

`listeners.py` awaits `take` in a global middleware: whatever it raises becomes a 500, and Slack delivers again. On that
path there is only the record, but for the first time that a person or a place is met, which Slack is asked about in
bounded time (`people.py`). What is owed in words afterwards comes back as courtesies, said by `say` once Slack has its
acknowledgement.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.slack import blocks, courtesies, meanings
from bot.slack.answers import Answers
from bot.slack.below import Door, Facts, Repositories
from bot.slack.bots import BotTurns
from bot.slack.calls import Calls
from bot.slack.config import SlackConfig
from bot.slack.courtesies import Courtesy, whisper
from bot.slack.early import Early
from bot.slack.intake import understand
from bot.slack.meanings import Me, Meaning, Post
from bot.slack.people import Directory
from jobs import commands
from jobs.commands import Command, Submit
from jobs.commands_tools import AnswerQuestion
from jobs.events import Author, Place, Prompt
from jobs.inbox import session_id
from jobs.session import Session

log = logging.getLogger(__name__)
CLIENT = "slack"
ONCE_SECONDS = 86_400.0
WITHDRAWN = "its message was deleted"
EMPTIED = "its message was emptied"
ASIDE_NOW = "its message is an aside now"
ONLY_FILES = "See the attached files."


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
        self._early, self._bots = Early(facts, clock), BotTurns(facts, config.bot_turns)
        self._answers = Answers(door, facts, people)
        self._people, self._repositories, self._view_link, self._clock = people, repositories, view_link, clock

    async def take(self, body: Mapping[str, Any], me: Me) -> tuple[Courtesy, ...]:
        """Put what this payload means on record; the words that are owed for it. Raises if it is not on record."""
        async with asyncio.timeout(self._config.accept_seconds):
            return await self._act_on(understand(body, me, self._config.allowed_bots), me)

    async def _act_on(self, meaning: Meaning, me: Me) -> tuple[Courtesy, ...]:
        match meaning:
            case meanings.Ignored():
                log.debug("left alone: %s", meaning.reason)
                return ()
            case meanings.Mention():
                return await self._mention(meaning.post, me)
            case meanings.Reply():
                return await self._reply(meaning.post, me)
            case meanings.Edited():
                return await self._edited(meaning, me)
            case meanings.Deleted():
                return await self._deleted(meaning)
            case (
                meanings.StopAsked()
                | meanings.Chosen()
                | meanings.BudgetAnswered()
                | meanings.Answered()
                | meanings.ViewAsked()
            ):
                return await self._pressed(meaning)
            case meanings.Refused():
                return await self._refused(meaning)

    async def say(self, courtesy: Courtesy) -> None:
        """Say it, if Slack takes it."""
        await courtesies.say(courtesy, self._calls, self._people)

    # -- prompts ---------------------------------------------------------------------------------------------------

    async def _mention(self, post: Post, me: Me) -> tuple[Courtesy, ...]:
        if not post.text and not post.files:
            return await self._help(post)
        owed = await self._submit(post, me, await self._facts.load(_session_of(post)))
        await self._take_early(post, me)
        return owed

    async def _help(self, post: Post) -> tuple[Courtesy, ...]:
        if not await self._facts.remember(f"slack:help:{post.prompt_id}", "1", ONCE_SECONDS):
            return ()
        return (Courtesy(post.channel, post.thread, blocks.help_message()),)

    async def _take_early(self, opening: Post, me: Me) -> None:
        """Take the replies that were here before the mention, if it has opened a session."""
        sid = _session_of(opening)
        for early in await self._early.replies(sid, opening):
            session = await self._facts.load(sid)
            if session is not None:
                await self._submit(early, me, session)

    async def _reply(self, post: Post, me: Me) -> tuple[Courtesy, ...]:
        sid = _session_of(post)
        session = await self._facts.load(sid)
        if session is None:
            await self._early.keep_reply(sid, post)
            session = await self._facts.load(sid)  # its mention may have looked a moment before it was kept
        if session is None or _is_older(post, session) or await self._answers.said(post, session):
            return ()
        return await self._submit(post, me, session)

    async def _submit(self, post: Post, me: Me, session: Session | None) -> tuple[Courtesy, ...]:
        """A message has come: it counts with the text that it has by now, unless it is gone."""
        received = self._clock()
        owed: tuple[Courtesy, ...] = ()
        if not _knows(session, post.prompt_id):
            text, gone = await self._by_now(post)
            if gone:
                return ()
            owed = await self._accept(replace(post, text=text or post.text), me, session, received)
        text, gone = await self._by_now(post)  # what came while it was accepted found nothing to change
        if gone:
            return owed + await self._withdraw(post.team, post.channel, post.thread, post.prompt_id)
        return owed + (await self._change(replace(post, text=text), aside=False) if text is not None else ())

    async def _by_now(self, post: Post) -> tuple[str | None, bool]:
        """The newer text of this message that was kept, and whether it was deleted."""
        return await asyncio.gather(self._early.newer_text(post.prompt_id), self._early.gone(post.prompt_id))

    async def _accept(self, post: Post, me: Me, session: Session | None, received: float) -> tuple[Courtesy, ...]:
        if post.bot and not await self._bots.may_go_on(_session_of(post), post):
            return await self._bots.told(_session_of(post), post)
        person, place = await asyncio.gather(self._people.person(post.team, post.user), self._place(post, me, session))
        if person.outside:
            return await self._refused(meanings.Refused(post.team, post.channel, post.thread, post.user, True))
        if person.is_bot and not {post.bot, post.user} & self._config.allowed_bots:
            return ()
        return await self._put(post, person.author, place, received)

    async def _put(self, post: Post, author: Author, place: Place, received: float) -> tuple[Courtesy, ...]:
        sid, text = _session_of(post), post.text or ONLY_FILES
        prompt = Prompt(id=post.prompt_id, author=author, text=text, attachments=post.files, received_at=received)
        command = Submit(sid, place, prompt, self._repositories.choose(post.text), self._config.agent)
        owed = await self._handle(sid, command, post.channel, post.thread, post.user)
        await self._facts.stamp(sid, "durable", self._clock())
        return owed

    async def _place(self, post: Post, me: Me, session: Session | None) -> Place:
        if session is not None:
            return session.place
        private = post.private if post.private is not None else await self._people.is_private(post.channel)
        channel, thread = post.channel, post.thread
        link = me.link(channel, thread)
        return Place(client=CLIENT, team=post.team, channel=channel, thread=thread, private=private, link=link)

    async def _edited(self, edited: meanings.Edited, me: Me) -> tuple[Courtesy, ...]:
        post, sid = edited.post, _session_of(edited.post)
        session = await self._facts.load(sid)
        await self._early.keep_edit(post, edited.at)
        owed: tuple[Courtesy, ...] = ()
        if edited.mentions_us and post.text and not _knows(session, post.prompt_id):
            owed = await self._submit(post, me, session)
        return owed + await self._change(post, edited.aside)

    async def _change(self, post: Post, aside: bool) -> tuple[Courtesy, ...]:
        """Give the newer text to the session that has this prompt, if there is one by now."""
        sid = _session_of(post)
        if not _knows(await self._facts.load(sid), post.prompt_id):
            return ()
        command: Command = commands.EditPrompt(post.prompt_id, post.text)
        if aside or not (post.text or post.files):
            command = commands.WithdrawPrompt(post.prompt_id, ASIDE_NOW if aside else EMPTIED)
        return await self._handle(sid, command, post.channel, post.thread, post.user)

    async def _deleted(self, gone: meanings.Deleted) -> tuple[Courtesy, ...]:
        await self._early.keep_deletion(gone.prompt_id, gone.ts)
        return await self._withdraw(gone.team, gone.channel, gone.thread, gone.prompt_id)

    async def _withdraw(self, team: str, channel: str, thread: str, prompt_id: str) -> tuple[Courtesy, ...]:
        """Tell the session that has this prompt that its message is gone, if there is one by now."""
        sid = session_id(team, channel, thread)
        if not _knows(await self._facts.load(sid), prompt_id):
            return ()
        return await self._handle(sid, commands.WithdrawPrompt(prompt_id, WITHDRAWN), channel, thread, None)

    # -- buttons ---------------------------------------------------------------------------------------------------

    async def _pressed(self, asked: meanings.Pressed) -> tuple[Courtesy, ...]:
        match asked:
            case meanings.StopAsked():
                return await self._stop(asked)
            case meanings.Chosen():
                return await self._chosen(asked)
            case meanings.BudgetAnswered():
                return await self._budget(asked)
            case meanings.Answered():
                return await self._answered(asked)
            case meanings.ViewAsked():
                return await self._view(asked)

    async def _stop(self, asked: meanings.StopAsked) -> tuple[Courtesy, ...]:
        sid = session_id(asked.team, asked.channel, asked.thread)
        once = f"slack:stop:{sid}:{asked.once}"
        if asked.once and await self._facts.recall(once) is not None:
            return ()  # a stop that comes again must not meet what was asked since
        if await self._facts.load(sid) is None:
            owed = courtesies.nothing_here(asked)
        else:
            owed = await self._of_member(asked, lambda by: commands.Stop(by, asked.prompt_id))
        if asked.once and not await self._facts.remember(once, "1", ONCE_SECONDS):
            return ()
        return owed

    async def _of_member(
        self, asked: meanings.Pressed, make: Callable[[Author], Command], sid: str = ""
    ) -> tuple[Courtesy, ...]:
        """What a member asks of the thread's session (or of `sid`); nobody else may."""
        team, channel, thread, user = asked.team, asked.channel, asked.thread, asked.user
        person = await self._people.person(team, user)
        if person.outside:
            return await self._refused(meanings.Refused(team, channel, thread, user, True))
        sid = sid or session_id(team, channel, thread)
        return await self._handle(sid, make(person.author), channel, thread, user)

    async def _chosen(self, chosen: meanings.Chosen) -> tuple[Courtesy, ...]:
        base = self._repositories.base_branch(chosen.repository)
        if base is None:
            return (whisper(courtesies.NOT_ENABLED, chosen.channel, chosen.thread, chosen.user),)
        return await self._of_member(chosen, lambda by: commands.ChooseRepository(chosen.repository, base, by))

    async def _budget(self, answered: meanings.BudgetAnswered) -> tuple[Courtesy, ...]:
        kind = commands.RaiseBudget if answered.more else commands.DeclineBudget
        return await self._of_member(answered, lambda by: kind(by, answered.asked))

    async def _answered(self, pressed: meanings.Answered) -> tuple[Courtesy, ...]:
        answer = await self._answers.meant(pressed)
        if answer is None:
            return (whisper(courtesies.NO_QUESTION, pressed.channel, pressed.thread, pressed.user),)
        return await self._of_member(
            pressed, lambda by: AnswerQuestion(pressed.question, answer, by), pressed.session
        )  # fmt: skip

    async def _view(self, asked: meanings.ViewAsked) -> tuple[Courtesy, ...]:
        sid = session_id(asked.team, asked.channel, asked.thread)
        message = blocks.plain_message("Only for you, and for a few minutes:", self._view_link(sid, asked.user), "View")
        return (Courtesy(asked.channel, asked.thread, message, asked.user, members_only=True),)

    async def _refused(self, refused: meanings.Refused) -> tuple[Courtesy, ...]:
        """Once a day and place, and only where we are concerned."""
        sid = session_id(refused.team, refused.channel, refused.thread)
        if not refused.mention and await self._facts.load(sid) is None:
            return ()
        key = f"slack:refused:{refused.channel}:{refused.user}"
        if not await self._facts.remember(key, "1", ONCE_SECONDS):
            return ()
        return (whisper(courtesies.OUTSIDER, refused.channel, refused.thread, refused.user),)

    async def _handle(
        self, sid: str, command: Command, channel: str, thread: str, user: str | None
    ) -> tuple[Courtesy, ...]:
        """Follow the command; a refusal is told to who asked."""
        try:
            await self._door.handle(sid, command)
        except commands.Refused as refused:
            return (whisper(str(refused), channel, thread, user),) if user else ()
        return ()


def _knows(session: Session | None, prompt_id: str) -> bool:
    return session is not None and session.knows(prompt_id)


def _session_of(post: Post) -> str:
    return session_id(post.team, post.channel, post.thread)


def _is_older(post: Post, session: Session) -> bool:
    """Whether it was written before the message that opened the session, and so not to us."""
    opening = session.seen[0].rpartition(":")[2] if session.seen else ""
    return post.ts < opening
