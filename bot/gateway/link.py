"""The link of a box's runner and its session's log (docs/wire.md, "Up and down"): attach, a stream down, batches up.

`server.py` mounts it. It keeps nothing but open streams: a runner may reach another process with its next request, and
loses nothing by it.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Protocol

from aiohttp import web

from bot.gateway import link_stream
from bot.gateway.access import GRANT, TOKEN, UP, Refusal
from bot.gateway.bells import Bells
from bot.gateway.link_down import REPLACED
from bot.gateway.link_stream import Stream
from bot.gateway.link_up import ATTACH_BYTES, UP_BYTES, body_of, number, pieces_of
from bot.gateway.pace import Allowance, Pace
from bot.gateway.turnstile import Turnstile
from jobs.commands import NotYet, Refused
from jobs.frames import AnyFrame
from jobs.inbox import Inbox
from jobs.records import Grant, StaleLink
from jobs.records import Link as LinkState
from jobs.session import Rules
from jobs.wire import SPOKEN

log = logging.getLogger(__name__)
STALE_GENERATION, STALE_EPOCH = "stale generation", "stale epoch"
CLOSING = "this gateway is closing"
DIALS_AT_ONCE, DIALS_PER_SECOND = 40.0, 4.0  # of one box: a runner that is cut off again and again slows down by itself
BETWEEN_SECONDS = 0.002  # in which others have their turn
STREAM_HEADERS = {"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"}


class Record(link_stream.Record, Protocol):
    """What of the record the link needs: `jobs.store.Store` has it."""

    async def link(self, sid: str, generation: int) -> LinkState:
        """The newest epoch of this generation's link."""


class Link:
    """Serves all boxes that reached this process. Closed by `close`: their runners dial the next one at once."""

    def __init__(self, record: Record, inbox: Inbox, bells: Bells, rules: Rules) -> None:
        self._record, self._inbox, self._bells, self._rules = record, inbox, bells, rules
        self._streams: dict[str, Stream] = {}
        self._pace, self._turnstile = Pace(), Turnstile()
        self._dials = Allowance(DIALS_AT_ONCE, DIALS_PER_SECOND)
        self._closed = False

    @property
    def routes(self) -> list[web.RouteDef]:
        """The link's addresses."""
        return [
            web.post("/link/attach", self._attach),
            web.get("/link/down", self._down, allow_head=False),
            web.post(UP, self._up),
        ]

    @property
    def attached(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def streams(self) -> Iterable[Stream]:
        """Those that are open."""
        return self._streams.values()

    def close(self) -> None:
        """End every stream and begin no other."""
        self._closed = True
        for stream in self._streams.values():
            stream.end()

    async def _attach(self, request: web.Request) -> web.Response:
        grant = request[GRANT]
        self._check_pace(grant)
        said = await body_of(request, ATTACH_BYTES)
        if said.get("wire") not in SPOKEN:
            raise Refusal(426, f"this gateway speaks {_versions()} of the wire; the box's runner does not")
        if number(said, "generation") != grant.generation:
            raise Refusal(409, STALE_GENERATION)
        made = number(said, "frame")
        if self._closed:
            raise Refusal(503, CLOSING)
        later = self._turnstile.begin(began := time.monotonic())
        if later:
            raise Refusal(503, "many boxes call at once", seconds=later)
        try:
            attached = await self._inbox.attach(grant)
        except NotYet as early:
            raise Refusal(503, str(early)) from None
        except StaleLink as stale:
            raise _refusal_of(stale) from None
        finally:
            self._turnstile.done(time.monotonic() - began)
        if made < attached.acked:
            log.warning("the runner has made %d frames, but %d are stored: it forgot some", made, attached.acked)
        log.info("attached: epoch %d, frames up to %d are stored", attached.epoch, attached.acked)
        return web.json_response({"epoch": attached.epoch, "acked": attached.acked})

    async def _down(self, request: web.Request) -> web.StreamResponse:
        grant = request[GRANT]
        self._check_pace(grant)
        epoch, after = number(request.query, "epoch"), number(request.query, "after")
        if self._closed:
            raise Refusal(503, CLOSING)
        if epoch != (await self._record.link(grant.session, grant.generation)).epoch:
            raise Refusal(409, STALE_EPOCH)
        stream = Stream(self._record, self._rules, grant, request[TOKEN], epoch, after)
        with self._bells.ringing(grant.session, stream.bell):
            first = await stream.look()
            if REPLACED in first:
                raise Refusal(409, STALE_EPOCH)
            answer = web.StreamResponse(headers=STREAM_HEADERS)
            await answer.prepare(request)
            self._take_the_place_of_older(grant, stream)
            try:
                await stream.send(answer, first, partial(_unsent, request))
            except (ConnectionError, TimeoutError):
                log.info("the runner hung up, or takes nothing any more")
                if request.transport is not None:
                    request.transport.abort()
            finally:
                if self._streams.get(grant.box) is stream:
                    del self._streams[grant.box]
        return answer

    def _check_pace(self, grant: Grant) -> None:
        """Each attachment is a line in a log that is kept, and each stream begins with a look through it."""
        if not self._dials.allows(grant.box, time.monotonic()):
            raise Refusal(503, "this box dials too often", seconds=1.0)

    def _take_the_place_of_older(self, grant: Grant, stream: Stream) -> None:
        older = self._streams.get(grant.box)
        if older is not None:
            older.end()
        self._streams[grant.box] = stream
        if self._closed:
            stream.end()

    async def _up(self, request: web.Request) -> web.Response:
        grant = request[GRANT]
        with self._pace.one_batch(grant.box) as may:
            if not may:
                raise Refusal(503, "too many batches of this box at a time", seconds=1.0)
            body = await body_of(request, UP_BYTES)
            epoch, pieces = number(body, "epoch"), list[Sequence[AnyFrame]]()
            for piece in pieces_of(body):
                pieces.append(piece)
                await asyncio.sleep(0)
            size = UP_BYTES if request.content_length is None else request.content_length
            seconds = self._pace.delay(grant.box, sum(map(len, pieces)), size, time.monotonic())
            acked = await self._heard(grant, request[TOKEN], epoch, pieces, seconds)
            await asyncio.sleep(self._pace.rest(grant.box, time.monotonic()))
            return web.json_response({"acked": acked})

    async def _heard(
        self, grant: Grant, token: str, epoch: int, pieces: Sequence[Sequence[AnyFrame]], seconds: float
    ) -> int:
        """Take in a batch and return what is stored; in pieces, spread over these seconds: it is the others' words that
        would wait if much were stored at once."""
        acked, pause = 0, max(seconds / len(pieces), BETWEEN_SECONDS if len(pieces) > 1 else 0.0)
        for piece in pieces:
            await asyncio.sleep(pause)
            try:
                acked = await self._inbox.hear(grant, epoch, piece, token)
            except Refused as refused:
                raise Refusal(400, str(refused), piece[0].n) from None
            except StaleLink as stale:
                raise _refusal_of(stale) from None
        return acked


def _unsent(request: web.Request) -> int:
    """How many bytes of the answer still wait for the runner to take them."""
    transport = request.transport
    return transport.get_write_buffer_size() if transport is not None else 0


def _versions() -> str:
    return " and ".join(f"version {version}" for version in SPOKEN)


def _refusal_of(stale: StaleLink) -> Refusal:
    """A runner ends when its generation is stale; for anything else that is stale it attaches again."""
    return Refusal(409, STALE_GENERATION if "generation" in str(stale) else STALE_EPOCH)
