"""One open down stream: the session's log, from a number on, as far as its runner acts on it, and beats between.

`link.py` opens a `Stream` for each `GET /link/down`. The log is read when a bell rings; `lookout.py` rings where one
was lost, and ends streams whose token was revoked.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Protocol

from aiohttp import web

from bot.gateway.link_down import BEAT, REPLACED, Line, begins_anew, earlier_turns, line_of, meant_for, superseded
from jobs.events import Event
from jobs.records import Grant
from jobs.session import Rules, Session

BEAT_SECONDS = 2.0
LOOK_SECONDS = 1.0  # so long a lost bell is missed at most
STUCK_SECONDS = 10.0  # a reader that takes nothing for so long is hung up on


class Record(Protocol):
    """What of the record a stream reads: `jobs.store.Store` has it."""

    async def events(self, sid: str, after: int = 0) -> list[Event]:
        """The events of a session after a number."""

    async def load(self, sid: str) -> Session | None:
        """The session as it is now."""


class Stream:
    """What goes down to one attachment. Whoever sets `bell` makes it look at once. `token`: the hash of its box's."""

    def __init__(self, record: Record, rules: Rules, grant: Grant, token: str, epoch: int, after: int) -> None:
        self._record, self._rules, self._grant, self._epoch = record, rules, grant, epoch
        self.token = token
        self._seen = after
        self.ended = False
        self.bell = asyncio.Event()

    @property
    def session(self) -> str:
        """Whose log it reads."""
        return self._grant.session

    @property
    def box(self) -> str:
        """Whose runner reads it."""
        return self._grant.box

    @property
    def seen(self) -> int:
        """The number of the last event that it has read."""
        return self._seen

    def end(self) -> None:
        """Stop sending: the runner dials again, or has done so already."""
        self.ended = True
        self.bell.set()

    async def look(self) -> list[Line]:
        """What the log says since the last look."""
        events = await self._record.events(self._grant.session, self._seen)
        if not events:
            return []
        if superseded(self._grant.generation, self._epoch, events):
            return [REPLACED]
        self._seen = events[-1].seq
        meant = meant_for(self._grant.generation, events)
        session = await self._record.load(self._grant.session) if meant else None
        if session is None:
            return []
        earlier: list[str] = []
        for event in meant:
            if begins_anew(event, session):
                earlier = earlier_turns(await self._record.events(self._grant.session), session.turns)
        lines = [line_of(event, session, self._rules, earlier) for event in meant]
        return [line for line in lines if line is not None]

    async def send(self, answer: web.StreamResponse, first: list[Line]) -> None:
        """Write `first` and everything after it, until ended or replaced."""
        await _write(answer, first or [BEAT])
        async for lines in self._news():
            await _write(answer, lines or [BEAT])
            if REPLACED in lines:
                return

    async def _news(self) -> AsyncIterator[list[Line]]:
        """Lines whenever there are some; an empty list whenever a beat is due."""
        clock = asyncio.get_running_loop().time
        said = clock()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, said + BEAT_SECONDS - clock())):
                    await self.bell.wait()
            if self.ended:
                return
            rung = self.bell.is_set()
            self.bell.clear()  # before the look: what is rung meanwhile is looked at again
            lines = await self.look() if rung else []
            if lines or clock() - said >= BEAT_SECONDS:
                yield lines
                said = clock()


async def _write(answer: web.StreamResponse, lines: list[Line]) -> None:
    data = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    async with asyncio.timeout(STUCK_SECONDS):
        await answer.write(data)
