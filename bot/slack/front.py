"""Where people come in without a mention: the command's form, the Home tab, and the signs that they are about to ask.

`desk.py` hands over what `front_intake.py` has read. A form that is sent becomes a message of ours that names the
person, and its thread a session, as a mention's would.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any, assert_never

from bot.folding import view_of
from bot.heading import to_words
from bot.outcome_words import headline
from bot.phases import session_phase
from bot.slack import courtesies, front_blocks
from bot.slack.below import DeskRecord, Repositories
from bot.slack.calls import Calls, SlackError, Unsure
from bot.slack.config import SlackConfig
from bot.slack.courtesies import Declined, Form, Home, whisper
from bot.slack.following import ONCE_SECONDS, Following, Owed
from bot.slack.front_blocks import REPOSITORY, TASK, Recent
from bot.slack.front_intake import AppOpened, FormAsked, FrontMeaning, TaskSent, Typed
from bot.slack.meanings import CLIENT, Me, prompt_id
from bot.slack.people import Directory
from bot.slack.signals import Signals
from jobs.commands import Choice, Submit, Unreadable
from jobs.events import Author, Place, Prompt
from jobs.inbox import session_id

log = logging.getLogger(__name__)
POST_SECONDS = 1.0  # for the channel's budget; the form waits three in all
POSTING_SECONDS = 10.0
RECENT_SHOWN = 8
LOOK_SECONDS = 0.1
NOT_SHOWN = "The form could not be opened. Mention me in a channel with the task instead."
SAY_WHAT = "Say what should be done."
NOT_ENABLED = "This repository is not enabled here any more. Choose another one."
NOT_THERE = "I am not in that channel. Type /invite @shipmate there, then press Start again."
NOT_SAID = "Slack did not take the message just now. Press Start again."
NOT_SURE = "Slack gave no clear answer. Look into the channel: if your task is not there, press Start again."
BEING_SAID = "This is on its way already. Look into the channel."
AWAY = ("not_in_channel", "channel_not_found", "is_archived", "restricted_action")


class Front:
    """Acts on it."""

    def __init__(
        self,
        config: SlackConfig,
        record: DeskRecord,
        calls: Calls,
        people: Directory,
        repositories: Repositories,
        following: Following,
        signals: Signals,
        clock: Callable[[], float],
    ) -> None:
        self._config, self._record, self._calls, self._people = config, record, calls, people
        self._repositories, self._following, self._signals, self._clock = repositories, following, signals, clock

    async def met(self, meaning: FrontMeaning, me: Me) -> Owed:
        """What is owed for it."""
        match meaning:
            case FormAsked():
                return await self._form(meaning)
            case Typed():
                self._signals.soon(meaning.user, meaning.repository, "somebody fills in the form")
                return ()
            case TaskSent():
                return await self._sent(meaning, me)
            case AppOpened():
                return await self._opened(meaning, me)
            case _:
                assert_never(meaning)

    async def _form(self, asked: FormAsked) -> Owed:
        choice, enabled = self._repositories.choose(asked.text), self._repositories.enabled
        chosen = choice.repository or await self._last_used(asked.user)
        self._signals.soon(asked.user, chosen, "somebody opened the form")
        if not enabled:  # Slack shows no choice of nothing
            words = f"{choice.reason} Whoever runs me can set it."
            return (whisper(words, asked.channel or asked.user, "", asked.user),)
        instead = whisper(NOT_SHOWN, asked.channel or asked.user, "", asked.user)
        return (Form(asked.trigger, front_blocks.task_form(enabled, chosen, asked.text, asked.channel), instead),)

    async def _last_used(self, user: str) -> str:
        """The repository that this person asked about last; "" if it is not enabled now, or there is none."""
        for sid in await self._record.recent.of(user, 1):
            session = await self._record.load(sid)
            if session is not None and session.repository in self._repositories.enabled:
                return session.repository
        return ""

    async def _sent(self, asked: TaskSent, me: Me) -> Owed:
        base = self._repositories.base_branch(asked.repository)
        if base is None:
            return (Declined({REPOSITORY: NOT_ENABLED}),)
        if not asked.text:
            return (Declined({TASK: SAY_WHAT}),)
        person = await self._people.person(asked.team, asked.user)
        if person.outside:
            return (Declined({TASK: courtesies.OUTSIDER}),)
        try:
            channel, ts = await self._said(asked, person.author)
        except SlackError as trouble:
            log.warning("a form could not become a message: %s", trouble)
            unsure = NOT_SURE if isinstance(trouble, Unsure) else NOT_SAID
            return (Declined({TASK: NOT_THERE if trouble.error in AWAY else unsure}),)
        except TimeoutError:
            return (Declined({TASK: BEING_SAID}),)
        return await self._begin(asked, person.author, Choice(asked.repository, base), (channel, ts), me)

    async def _begin(self, asked: TaskSent, author: Author, choice: Choice, where: tuple[str, str], me: Me) -> Owed:
        channel, ts = where
        private = await self._people.is_private(channel)
        place = Place(client=CLIENT, team=me.team, channel=channel, thread=ts, private=private, link=me.link(*where))
        prompt = Prompt(
            id=prompt_id(me.team, channel, ts), author=author, text=asked.text, received_at=self._clock()
        )  # fmt: skip
        sid = session_id(me.team, channel, ts)
        await self._record.recent.note(asked.user, sid, self._clock())
        return await self._following.follow(
            sid, Submit(sid, place, prompt, choice, self._config.agent), channel, ts, asked.user
        )

    async def _said(self, asked: TaskSent, author: Author) -> tuple[str, str]:
        """Channel and ts of the message that this form became, said once however often the form is delivered."""
        key, owner = f"slack:form:{asked.view}", secrets.token_hex(8)
        if await self._record.lease(key, owner, POSTING_SECONDS):
            try:
                kept = await self._record.recall(key)
                if kept is None:
                    kept = await self._post(asked, author)
                    await self._record.remember(key, kept, ONCE_SECONDS)
            finally:
                await self._record.release(key, owner)
        else:  # another delivery of the same is at it
            async with asyncio.timeout(POST_SECONDS):
                while (kept := await self._record.recall(key)) is None:
                    await asyncio.sleep(LOOK_SECONDS)
        channel, _, ts = kept.partition(" ")
        return channel, ts

    async def _post(self, asked: TaskSent, author: Author) -> str:
        message = front_blocks.asked_message(asked.user, author.name, asked.repository, asked.text)
        said: dict[str, Any] = {"text": message.text, "blocks": list(message.blocks)}
        where = asked.channel or asked.user
        posted = await self._calls.call("chat.postMessage", patience=POST_SECONDS, channel=where, **said)
        return f"{posted['channel']} {posted['ts']}"

    async def _opened(self, opened: AppOpened, me: Me) -> Owed:
        person = await self._people.person(me.team, opened.user)
        if person.outside or not person.known:
            words = courtesies.OUTSIDER if person.outside else courtesies.NOT_KNOWN
            return (Home(opened.user, front_blocks.home_of_outsider(words)),) if opened.home else ()
        sids = await self._record.recent.of(opened.user, RECENT_SHOWN)
        recent = [one for sid in sids if (one := await self._recent(sid)) is not None]
        enabled = self._repositories.enabled
        likeliest = recent[0].repository if recent else (enabled[0] if len(enabled) == 1 else "")
        self._signals.soon(opened.user, likeliest, "somebody opened the app")
        if not opened.home:
            return ()
        summary = await self._record.histories.summary()
        return (Home(opened.user, front_blocks.home(recent, headline(summary) if summary is not None else "")),)

    async def _recent(self, sid: str) -> Recent | None:
        try:
            view = await view_of(self._record, sid)
        except Unreadable:
            return None
        if view is None:
            return None
        first = view.cards[0].text if view.cards else ""
        session = view.session
        shown = session.pull_request
        pull, url = (f"Pull request #{shown.number} {shown.state}", shown.url) if shown is not None else ("", "")
        task = to_words(session.title) or first
        return Recent(task, session.repository or "", session_phase(view), session.place.link, pull, url)
