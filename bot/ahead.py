"""A door that looks ahead, for what a prompt will need in a moment is begun before anybody asks for it.

`bot/app.py` puts it between the clients and `jobs.inbox.Inbox`. While a box is being made, its repository is fetched
from the forge; while people are asked for the repository, a box of the likeliest is warmed up; a warm box that was
taken is watched until it answers. Nothing depends on it: without it people wait a little longer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from jobs.commands import ChooseRepository, Command, Submit
from jobs.session import Session, Status

log = logging.getLogger(__name__)


class Door(Protocol):
    """The floor below: `jobs.inbox.Inbox` is one."""

    async def handle(self, sid: str, command: Command) -> Session:
        """Follow a command; raises `jobs.commands.Refused`."""


class LookAhead:
    """`expect` begins to fetch a repository and returns at once. Closed by `close`."""

    def __init__(
        self,
        door: Door,
        expect: Callable[[str], None],
        warm_up: Callable[[str, str], Awaitable[object]],
        watch: Callable[[Session], Coroutine[Any, Any, None]],
    ) -> None:
        self._door, self._expect, self._warm_up, self._watch = door, expect, warm_up, watch
        self._under_way: set[asyncio.Task[None]] = set()

    async def handle(self, sid: str, command: Command) -> Session:
        """Follow a command, as the door behind does."""
        session = await self._door.handle(sid, command)
        if isinstance(command, Submit | ChooseRepository):
            self._look_ahead(session)
        return session

    def _look_ahead(self, session: Session) -> None:
        took = session.status is Status.CONNECTING and session.start == "warm"
        if session.repository is not None and (took or session.status is Status.WAITING):
            self._expect(session.repository)
        if took:
            self._do(self._watch(session))
        if session.status is Status.ASKING and session.options:
            self._do(self._warm(session.options[0]))

    async def _warm(self, repository: str) -> None:
        await self._warm_up(repository, "a thread is asked for its repository, and this is the likeliest")

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_told(work))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Let go of what is under way: the upkeep sees to it."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)


async def _told(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("looking ahead failed; nothing depends on it")
