"""Who of a thread's sessions is meant: a reply that begins with `#2` is for session number 2, a button carries an id.

`desk.py` asks. Replies go to the session that a person opened, as ever, unless they begin so.
"""

import re
from dataclasses import replace

from bot.slack.below import DeskRecord
from bot.slack.meanings import Post, Steered
from jobs.family import Child
from jobs.session import Session

FOR_NUMBER = re.compile(r"#(\d{1,4})(?:\s*[:,]\s*|\s+)(\S.*)", re.DOTALL)


class Families:
    """Looks them up."""

    def __init__(self, record: DeskRecord) -> None:
        self._record = record

    async def here(self, sid: str, where: tuple[str, str, str]) -> Session | None:
        """The session of this id, if it is of this team's, channel's thread: in which a button of it was pressed."""
        session = await self._record.load(sid)
        place = session.place if session is not None else None
        return session if place is not None and (place.team, place.channel, place.thread) == where else None

    async def holder(self, sid: str, prompt: str) -> Session | None:
        """The session of the thread's family that has this prompt."""
        root = await self._record.load(sid)
        if root is None or root.knows(prompt):
            return root
        for child in reversed(root.children):
            session = await self._record.load(child.id)
            if session is not None and session.knows(prompt):
                return session
        return None


def for_child(root: Session | None, post: Post) -> tuple[Child, Post] | None:
    """The session that a message is for, and the message without its number; None: it is for the thread's own."""
    found = FOR_NUMBER.fullmatch(post.text)
    if root is None or found is None:
        return None
    child = next((child for child in root.children if child.number == int(found[1])), None)
    return (child, replace(post, text=without_number(post.text))) if child is not None else None


def post_of(asked: Steered) -> Post:
    """What was written in a form, as the message that it stands for."""
    return Post(asked.team, asked.channel, asked.said, asked.thread, asked.user, asked.text)


def without_number(text: str) -> str:
    """The words of a message for one of them."""
    found = FOR_NUMBER.fullmatch(text)
    return found[2].strip() if found is not None else text


def task_of(session: Session) -> str:
    """What a session is at, in its own words or in those that it was asked with."""
    if session.title:
        return session.title
    asked = session.turn.prompt if session.turn is not None else next(iter(session.queue), None)
    return asked.text if asked is not None else "nothing just now"
