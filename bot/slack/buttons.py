"""What comes of a pressed button: a stop, a fix, a choice, an answer, a look. `desk.py` has it done before Slack is
acknowledged, and says afterwards what is owed."""

from collections.abc import Callable

from bot.slack import blocks, courtesies, meanings
from bot.slack.answers import Answers
from bot.slack.below import DeskRecord, Repositories
from bot.slack.courtesies import Courtesy, Form, whisper
from bot.slack.family import Families, task_of
from bot.slack.family_blocks import NOT_OPENED, steer_form
from bot.slack.following import ONCE_SECONDS, Following, Owed
from jobs import checks, commands
from jobs.commands import Command
from jobs.commands_family import StopChildren
from jobs.commands_tools import AnswerQuestion
from jobs.events import Author, Prompt
from jobs.inbox import session_id
from jobs.session import Session


class Buttons:
    """Acts on presses."""

    def __init__(
        self,
        following: Following,
        record: DeskRecord,
        answers: Answers,
        families: Families,
        repositories: Repositories,
        view_link: Callable[[str, str], str],
    ) -> None:
        self._following, self._record, self._answers, self._families = following, record, answers, families
        self._repositories, self._view_link = repositories, view_link

    async def pressed(self, asked: meanings.Pressed) -> Owed:
        """Do what a button asks for."""
        match asked:
            case meanings.StopAsked():
                return await self.stop(asked)
            case meanings.StopAllAsked() | meanings.SteerAsked():
                return await self._of_family(asked)
            case meanings.FixAsked():
                return await self._fix(asked)
            case meanings.Chosen():
                return await self._chosen(asked)
            case meanings.BudgetAnswered():
                return await self._budget(asked)
            case meanings.Answered():
                return await self._answered(asked)
            case meanings.ViewAsked():
                return await self._view(asked)

    async def stop(self, asked: meanings.StopAsked) -> Owed:
        """Stop what runs, or one prompt; said twice, it is done once."""
        sid = asked.session or session_id(asked.team, asked.channel, asked.thread)
        once = f"slack:stop:{sid}:{asked.once}"
        if asked.once and await self._record.recall(once) is not None:
            return ()  # a stop that comes again must not meet what was asked since
        if await self._families.here(sid, _where(asked)) is None:
            owed: Owed = courtesies.nothing_here(asked)
        else:
            owed = await self._following.of_member(asked, lambda by: commands.Stop(by, asked.prompt_id), sid)
        if asked.once and not await self._record.remember(once, "1", ONCE_SECONDS):
            return ()
        return owed

    async def _of_family(self, asked: meanings.StopAllAsked | meanings.SteerAsked) -> Owed:
        """What concerns sessions that agents started."""
        session = await self._families.here(asked.session, _where(asked))
        if session is None:
            return (whisper(courtesies.NOTHING_HERE, asked.channel, asked.thread, asked.user),)
        if isinstance(asked, meanings.StopAllAsked):
            return await self._following.of_member(asked, StopChildren, session.id)
        number = session.lineage.number if session.lineage is not None else 0
        instead = whisper(NOT_OPENED.format(number=number), asked.channel, asked.thread, asked.user)
        form = steer_form(session.id, number, task_of(session), f"{asked.channel} {asked.thread}")
        return (Form(asked.trigger, form, instead),)

    async def _fix(self, asked: meanings.FixAsked) -> Owed:
        """A prompt of whoever presses it, once. What checks found goes with it, as with any other."""
        session = await self._families.here(asked.session, _where(asked))
        if session is None:
            return (whisper(courtesies.NOTHING_HERE, asked.channel, asked.thread, asked.user),)
        wish = checks.wish(session.checks, session.head) if asked.head == session.head else None
        if wish is None:
            return (whisper(courtesies.NOTHING_FAILS, asked.channel, asked.thread, asked.user),)

        def submit(by: Author) -> Command:
            where = commands.Choice(session.repository, session.base_branch)
            prompt = Prompt(id=_prompt_id(session, wish.key), author=by, text=wish.text)
            return commands.Submit(session.id, session.place, prompt, where, session.agent)

        return await self._following.of_member(asked, submit, session.id)

    async def _chosen(self, chosen: meanings.Chosen) -> Owed:
        base = self._repositories.base_branch(chosen.repository)
        if base is None:
            return (whisper(courtesies.NOT_ENABLED, chosen.channel, chosen.thread, chosen.user),)
        return await self._following.of_member(
            chosen, lambda by: commands.ChooseRepository(chosen.repository, base, by)
        )  # fmt: skip

    async def _budget(self, answered: meanings.BudgetAnswered) -> Owed:
        kind = commands.RaiseBudget if answered.more else commands.DeclineBudget
        return await self._following.of_member(answered, lambda by: kind(by, answered.asked))

    async def _answered(self, pressed: meanings.Answered) -> Owed:
        answer = await self._answers.meant(pressed)
        if answer is None:
            return (whisper(courtesies.NO_QUESTION, pressed.channel, pressed.thread, pressed.user),)
        return await self._following.of_member(
            pressed, lambda by: AnswerQuestion(pressed.question, answer, by), pressed.session
        )  # fmt: skip

    async def _view(self, asked: meanings.ViewAsked) -> Owed:
        sid = asked.session or session_id(asked.team, asked.channel, asked.thread)
        if asked.session and await self._families.here(sid, _where(asked)) is None:
            return ()
        message = blocks.plain_message(
            "Only for you, and for a quarter of an hour:", self._view_link(sid, asked.user), "View"
        )
        return (Courtesy(asked.channel, asked.thread, message, asked.user, members_only=True),)


def _prompt_id(session: Session, key: str) -> str:
    """The id of a prompt that no message is behind."""
    return f"{session.place.team}:{session.place.channel}:{session.place.thread}/{session.id}/{key}"


def _where(asked: meanings.Pressed) -> tuple[str, str, str]:
    return asked.team, asked.channel, asked.thread
