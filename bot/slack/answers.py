"""Answers to the agent's questions: by button, or by a reply in the thread. `desk.py` asks what one means.

While a question of the running turn is open, the next reply of a person in its thread is the answer, in whatever words
(of several, to the newest that has no buttons); a message that mentions us is always a new request.
"""

from bot.slack import meanings
from bot.slack.below import DeskRecord, Door
from bot.slack.meanings import Post
from bot.slack.people import Directory
from jobs.asked import answered_by_reply, inquiry_of
from jobs.commands import Refused
from jobs.commands_tools import AnswerQuestion
from jobs.session import Session


class Answers:
    """Finds out what is answered, and by whom."""

    def __init__(self, door: Door, record: DeskRecord, people: Directory) -> None:
        self._door, self._record, self._people = door, record, people

    async def said(self, post: Post, session: Session) -> bool:
        """Whether this reply is an answer, or was one before; then it is on record."""
        if any(inquiry.said == post.prompt_id for inquiry in session.inquiries):
            return True
        if session.turn is None or session.knows(post.prompt_id) or post.bot or post.files or not post.text:
            return False
        inquiry = answered_by_reply(session.inquiries, session.turn.prompt.id)
        if inquiry is None:
            return False
        person = await self._people.person(post.team, post.user)
        if person.outside or person.is_bot:
            return False
        answer = next((option for option in inquiry.options if _same(option, post.text)), post.text)
        try:
            await self._door.handle(
                session.id, AnswerQuestion(inquiry.id, answer, person.author, said=post.prompt_id)
            )  # fmt: skip
        except Refused:  # somebody was quicker: it is a reply like any other
            return False
        return True

    async def picked(self, post: Post, sid: str) -> bool:
        """Whether a reply that else would stop what runs is one of the answers that the agent offers; then it is on
        record."""
        session = await self._record.load(sid)
        if session is None or session.turn is None:
            return False
        asked = answered_by_reply(session.inquiries, session.turn.prompt.id)
        before = any(inquiry.said == post.prompt_id for inquiry in session.inquiries)
        offered = asked is not None and any(_same(option, post.text) for option in asked.options)
        return (before or offered) and await self.said(post, session)

    async def meant(self, pressed: meanings.Answered) -> str | None:
        """The words of the option that was pressed; None if nobody asks that in this thread."""
        session = await self._record.load(pressed.session)
        inquiry = inquiry_of(session.inquiries, pressed.question) if session is not None else None
        if session is None or inquiry is None or not 0 <= pressed.option < len(inquiry.options):
            return None
        place = session.place
        if (place.team, place.channel, place.thread) != (pressed.team, pressed.channel, pressed.thread):
            return None
        return inquiry.options[pressed.option]


def _same(option: str, text: str) -> bool:
    return option.casefold() == text.strip().strip(".!\"'“”`").casefold()
