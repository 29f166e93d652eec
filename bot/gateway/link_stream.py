"""One open down stream: the session's log, from a number on, as far as its runner acts on it, and beats between.

`link.py` opens a `Stream` for each `GET /link/down`. The log is read when a bell rings; `lookout.py` rings where one
was lost, has each stream beat, and ends those whose token was revoked.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from bot.gateway.link_down import BEAT, REPLACED, Line, begins_anew, earlier_turns, line_of, meant_for, superseded
from jobs.events import Event
from jobs.records import Grant
from jobs.session import Rules, Session

BEAT_SECONDS = 2.0
LOOK_SECONDS = 1.0  # so long a lost bell is missed at most
BEAT_LINE = json.dumps(BEAT).encode() + b"\n"
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
        self.ended = self._stuck = False
        self._answer: web.StreamResponse | None = None
        self._unsent: Callable[[], int] = lambda: 0
        self._said = 0.0
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

    async def send(self, answer: web.StreamResponse, first: list[Line], unsent: Callable[[], int]) -> None:
        """Write `first` and everything after it, until ended or replaced. `unsent`: bytes that were not taken yet.

        Raises `TimeoutError` if the reader takes nothing any more.
        """
        await _write(answer, first or [BEAT])
        self._answer, self._unsent, self._said = answer, unsent, _now()
        while True:
            await self.bell.wait()
            if self._stuck:
                raise TimeoutError
            if self.ended:
                return
            self.bell.clear()  # before the look: what is rung meanwhile is looked at again
            lines = await self.look()
            if lines:
                await _write(answer, lines)
                self._said = _now()
            if REPLACED in lines:
                return

    async def beat(self) -> None:
        """Say that the link is there, if nothing was said for a while. Never waits: whoever has not taken what it was
        told before is told no more, and is hung up on in the end."""
        silent = _now() - self._said
        if self._answer is None or self.ended or silent < BEAT_SECONDS - LOOK_SECONDS / 2:
            return
        if self._unsent() == 0:
            try:
                await self._answer.write(BEAT_LINE)
            except ConnectionError:
                self.end()
            self._said = _now()
        elif silent > STUCK_SECONDS:
            self._stuck = True
            self.end()


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _write(answer: web.StreamResponse, lines: list[Line]) -> None:
    data = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    async with asyncio.timeout(STUCK_SECONDS):
        await answer.write(data)
