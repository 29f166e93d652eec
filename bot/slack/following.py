"""Follows what people ask by way of commands, and says what is owed to them if it cannot be followed.

`desk.py` and `buttons.py` use it. Only members of the workspace are followed; others hear so once a day.
"""

from collections.abc import Callable

from bot.slack import courtesies, meanings
from bot.slack.below import DeskRecord, Door
from bot.slack.courtesies import Owing, whisper
from bot.slack.people import Directory
from jobs import commands
from jobs.commands import Command
from jobs.events import Author
from jobs.inbox import session_id

ONCE_SECONDS = 86_400.0
Owed = tuple[Owing, ...]


class Following:
    """Hands commands in."""

    def __init__(self, door: Door, record: DeskRecord, people: Directory) -> None:
        self._door, self._record, self._people = door, record, people

    async def follow(self, sid: str, command: Command, channel: str, thread: str, user: str | None) -> Owed:
        """Follow the command; a refusal is told to who asked."""
        try:
            await self._door.handle(sid, command)
        except commands.Refused as refused:
            return (whisper(str(refused), channel, thread, user),) if user else ()
        return ()

    async def of_member(self, asked: meanings.Pressed, make: Callable[[Author], Command], sid: str = "") -> Owed:
        """What a member asks of the thread's session (or of `sid`); nobody else may."""
        team, channel, thread, user = asked.team, asked.channel, asked.thread, asked.user
        person = await self._people.person(team, user)
        if person.outside:
            return await self.refused(meanings.Refused(team, channel, thread, user, True))
        sid = sid or session_id(team, channel, thread)
        return await self.follow(sid, make(person.author), channel, thread, user)

    async def refused(self, refused: meanings.Refused) -> Owed:
        """Once a day and place, and only where we are concerned; said to the channel where the thread has nothing of
        ours, for what only one person sees is not shown in a thread that is empty."""
        here = await self._record.load(session_id(refused.team, refused.channel, refused.thread)) is not None
        if not refused.mention and not here:
            return ()
        key = f"slack:refused:{refused.channel}:{refused.user}"
        if not await self._record.remember(key, "1", ONCE_SECONDS):
            return ()
        thread = refused.thread if here else ""
        return (whisper(courtesies.OUTSIDER, refused.channel, thread, refused.user),)
