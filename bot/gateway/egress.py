"""The way out for boxes: `POST /egress?host=…&port=…`, whose two bodies are the two directions of one connection.

The runner's proxy (`sandbox/runner/egress.py`) asks, with the box's token. Every host is judged here
(`egress_rules.py`) and logged with the box that asked; a refusal is a sentence, and counted. `server.py` mounts it.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence

from aiohttp import web

from bot.gateway import egress_rules as rules
from bot.gateway.access import GRANT
from bot.gateway.egress_rules import Denied, Target
from bot.gateway.outward import Outward, Pair
from bot.gateway.tls_hello import Greeting, NoHello
from jobs.records import Grant

log = logging.getLogger(__name__)
STREAMS_MOST = 40  # of one box at a time; its runner's proxy forwards fewer
IDLE_SECONDS, TOTAL_SECONDS = 120.0, 3600.0
PIECE = 64 << 10
TLS = 443


class EgressGateway:
    """`listed` and `private`: the installation's lists; `of_repository` looks up a repository's own.

    `count` is told how each request was answered, in a word.
    """

    def __init__(
        self,
        listed: Sequence[str],
        private: Sequence[Target],
        of_repository: Callable[[str], Awaitable[Sequence[str]]],
        outward: Outward,
        count: Callable[[str], None],
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._listed, self._private, self._of_repository = tuple(listed), frozenset(private), of_repository
        self._outward, self._count, self._idle_seconds = outward, count, idle_seconds
        self._open: defaultdict[str, int] = defaultdict(int)

    @property
    def routes(self) -> list[web.RouteDef]:
        """Its address."""
        return [web.post("/egress", self._answer)]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        grant = request[GRANT]
        asked = f"{request.query.get('host', '')[:253]}:{request.query.get('port', '')[:5]}"
        try:
            with self._one_more(grant):
                target = rules.asked(request.query.get("host", ""), request.query.get("port", ""))
                of_repository = await self._of_repository(grant.repository)
                is_private = rules.check(target, self._listed, of_repository, self._private)
                reader, writer = await self._outward.open(target, is_private)
                self._count("opened")
                log.info("box %s reaches %s", grant.box, target)
                try:
                    name = target.host if target.port == TLS and not is_private else ""
                    answer, other = await _carry(request, (reader, writer), name, self._idle_seconds)
                finally:
                    writer.close()
                if other is not None:
                    self._count("other name")
                    log.warning("cut box %s off from %s: %s", grant.box, target, other)
                return answer
        except Denied as denied:
            self._count(denied.counted)
            log.warning("box %s does not reach %r: %s", grant.box, asked, denied)
            return web.Response(status=denied.status, text=f"{denied}\n")

    @contextlib.contextmanager
    def _one_more(self, grant: Grant) -> Iterator[None]:
        """Hold one of the box's streams. Raises Denied if it has too many."""
        if self._open[grant.box] >= STREAMS_MOST:
            said = f"This box has {STREAMS_MOST} connections to the outside open already. Try again when one is done."
            raise Denied("too many", said, 503)
        self._open[grant.box] += 1
        try:
            yield
        finally:
            self._open[grant.box] -= 1
            if not self._open[grant.box]:
                del self._open[grant.box]


class _Moved:
    """When something moved last, in either direction."""

    def __init__(self) -> None:
        self.at = asyncio.get_running_loop().time()

    def now(self) -> None:
        """Something did."""
        self.at = asyncio.get_running_loop().time()

    async def not_for(self, seconds: float) -> None:
        """Wait until nothing has moved for so long."""
        while (left := self.at + seconds - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left)


async def _carry(
    request: web.Request, pair: Pair, name: str, idle_seconds: float
) -> tuple[web.StreamResponse, NoHello | None]:
    """Both directions until the far side has said everything, or until one of them breaks, stalls or takes too long.

    `name`: the server that a TLS greeting must ask for; empty: anything may be said.
    Why it was cut, if it asked for another.
    """
    answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream", "Connection": "close"})
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    moved = _Moved()
    up = asyncio.ensure_future(_up(request, pair[1], name, moved))
    down = asyncio.ensure_future(_down(pair[0], answer, moved))
    idle = asyncio.ensure_future(moved.not_for(idle_seconds))
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            await asyncio.wait({up, down, idle}, return_when=asyncio.FIRST_COMPLETED)
            if up.done() and up.exception() is None and not down.done():  # it has asked everything, and listens on
                await asyncio.wait({down, idle}, return_when=asyncio.FIRST_COMPLETED)
        whole = down.done() and down.exception() is None
    except TimeoutError:
        whole = False
    finally:
        for task in (up, down, idle):
            task.cancel()
        await asyncio.gather(up, down, idle, return_exceptions=True)
    if whole:
        await answer.write_eof()
    elif request.transport is not None:
        request.transport.abort()  # an end in order would look like a whole answer
    other = up.exception() if not up.cancelled() else None
    return answer, other if isinstance(other, NoHello) else None


async def _up(request: web.Request, writer: asyncio.StreamWriter, name: str, moved: _Moved) -> None:
    greeting, held = Greeting(), bytearray()
    async for piece in request.content.iter_any():
        if name:
            held += piece
            asked = greeting.server_name(piece)
            if asked is None:
                continue
            if asked != name:
                raise NoHello(f"it asks for {asked[:253]!r} there")
            name, piece = "", bytes(held)
        writer.write(piece)
        await writer.drain()
        moved.now()
    if writer.can_write_eof():
        writer.write_eof()


async def _down(reader: asyncio.StreamReader, answer: web.StreamResponse, moved: _Moved) -> None:
    while piece := await reader.read(PIECE):
        await answer.write(piece)
        moved.now()
