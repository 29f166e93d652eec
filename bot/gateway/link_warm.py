"""POST /link/warm: a warm box waits here for a session, and is offered in the record while it does (docs/wire.md).

`server.py` mounts it. Any web process may hold any box: the offer is said again every second, so it ends with its link,
and the one line that a runner waits for is made of its grant, which the claim changed.
"""

import asyncio
import contextlib
import json
import logging
from typing import Any, Protocol

from aiohttp import web

from bot.gateway.access import GRANT, TOKEN, Refusal
from bot.gateway.bells import Bells
from bot.gateway.link_down import BEAT, Line
from bot.gateway.link_up import body_of, number
from jobs.records import Grant, Offer
from jobs.session import Rules
from jobs.warm_scripts import HEARTBEAT_SECONDS
from jobs.wire import SPOKEN

log = logging.getLogger(__name__)
FACTS_BYTES = 4 << 10
TOLD_CHARS = 1_000
STUCK_SECONDS = 5.0
STREAM_HEADERS = {"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"}


class Record(Protocol):
    """What of the record is needed here: `jobs.store_warm.WarmBoxes` has it."""

    async def offer(self, offer: Offer) -> Grant | None:
        """The box waits for the next moment; what its token allows now."""

    async def withdraw(self, box: str) -> None:
        """Its link is gone."""

    async def made(self, box: str) -> Offer | None:
        """What the worker that made the box wrote down of it."""


class WarmLink:
    """Holds the boxes that wait at this process. `close` ends their streams: they dial the next process at once."""

    def __init__(self, record: Record, bells: Bells, rules: Rules) -> None:
        self._record, self._bells, self._rules = record, bells, rules
        self._waiting: dict[str, asyncio.Event] = {}
        self._closed = False

    @property
    def routes(self) -> list[web.RouteDef]:
        """Its address."""
        return [web.post("/link/warm", self._wait)]

    def close(self) -> None:
        """End every stream and begin no other."""
        self._closed = True
        for bell in self._waiting.values():
            bell.set()

    async def _wait(self, request: web.Request) -> web.StreamResponse:
        grant = request[GRANT]
        said = await body_of(request, FACTS_BYTES)
        if said.get("wire") not in SPOKEN:
            raise Refusal(426, "this gateway does not speak this version of the wire")
        if self._closed:
            raise Refusal(503, "this gateway is closing")
        made = await self._record.made(grant.box)
        if made is None or grant.purpose not in ("warm", "serve"):
            raise Refusal(403, "this box is not a warm one")
        offer = made._replace(token=request[TOKEN], told=_told(said))
        answer = web.StreamResponse(headers=STREAM_HEADERS)
        await answer.prepare(request)
        older, bell = self._waiting.get(grant.box), asyncio.Event()
        self._waiting[grant.box] = bell
        if older is not None:
            older.set()  # its stream ends: this one took its place
        try:
            with self._bells.ringing(grant.box, bell):
                await self._hold(answer, offer, bell)
        except (ConnectionError, TimeoutError):
            log.info("the warm box hung up")
        finally:
            if self._waiting.get(grant.box) is bell:
                del self._waiting[grant.box]
                await asyncio.shield(self._record.withdraw(grant.box))
        return answer

    async def _hold(self, answer: web.StreamResponse, offer: Offer, bell: asyncio.Event) -> None:
        """Beats, and the offer said again, until the box is taken, replaced on another link, or unknown."""
        while not self._closed:
            bell.clear()  # before the look: what is rung meanwhile is looked at again
            grant = await self._record.offer(offer)
            if grant is None:
                log.info("the box's token was revoked: its stream ends")
                return
            if grant.purpose == "serve":
                await _write(answer, claimed(grant, self._rules))
                log.info("taken by session %s under generation %d", grant.session, grant.generation)
                return
            await _write(answer, BEAT)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await bell.wait()
            if self._waiting.get(offer.box) is not bell:
                return


def claimed(grant: Grant, rules: Rules) -> Line:
    """What a runner needs to serve the session that took it."""
    limits = {"turn_seconds": rules.turn_seconds, "sync_seconds": rules.sync_seconds}
    return {"kind": "claimed", "generation": grant.generation, "branch": grant.branch, "limits": limits}


def _told(said: dict[str, Any]) -> str:
    """What the runner says of itself, bounded: it is shown to whoever looks after the service."""
    agent = said.get("agent")
    facts = {
        "head": str(said.get("head", ""))[:64],
        "agent": {key: str(agent.get(key, ""))[:100] for key in ("name", "version")} if isinstance(agent, dict) else {},
        "primed": said.get("primed") is True,
        "ready_ms": number(said, "ready_ms"),
    }
    return json.dumps(facts)[:TOLD_CHARS]


async def _write(answer: web.StreamResponse, line: Line) -> None:
    async with asyncio.timeout(STUCK_SECONDS):
        await answer.write(json.dumps(line).encode() + b"\n")
