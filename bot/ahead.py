"""A door that looks ahead: while the box of a new prompt is still being made, its repository is fetched from the forge.

`bot/app.py` puts it between the clients and `jobs.inbox.Inbox`. A moment later the box asks the gateway for its
repository and finds that it is fresh already. Nothing depends on it: without it the box waits a little longer.
"""

from collections.abc import Callable
from typing import Protocol

from jobs.commands import ChooseRepository, Command, Submit
from jobs.session import Session, Status


class Door(Protocol):
    """The floor below: `jobs.inbox.Inbox` is one."""

    async def handle(self, sid: str, command: Command) -> Session:
        """Follow a command; raises `jobs.commands.Refused`."""


class FetchAhead:
    """`expect` begins to fetch a repository and returns at once."""

    def __init__(self, door: Door, expect: Callable[[str], None]) -> None:
        self._door, self._expect = door, expect

    async def handle(self, sid: str, command: Command) -> Session:
        """Follow a command, as the door behind does."""
        session = await self._door.handle(sid, command)
        asked = isinstance(command, Submit | ChooseRepository)
        if asked and session.status is Status.WAITING and session.repository is not None:
            self._expect(session.repository)
        return session
