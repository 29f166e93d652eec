"""Socket Mode: the app's own connections to the workspace, over which it is told what happened.

`workspace_delivery.py` sends through it, `workspace_routes.py` mounts `accept`. An app opens a socket with a ticket of
`apps.connections.open`, good for once. Each delivery goes to one socket; when that closes before the acknowledgement,
the delivery goes to another one.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from bot.playground import workspace_people as people
from bot.playground.workspace_delivery import Attempt, Outcome, Result
from bot.playground.workspace_records import Json

SOCKETS = 10
TICKET_SECONDS = 30.0
CLOSE_SECONDS = 1.0
LOST = Result(Outcome.LOST, "connection_closed")


@dataclass(eq=False)
class _Socket:
    """One connection, and the acknowledgements that are awaited on it, by envelope."""

    ws: web.WebSocketResponse
    request: web.Request
    awaited: dict[str, "asyncio.Future[Json | None]"] = field(default_factory=dict)


class Sockets:
    """All sockets of the app."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tickets: dict[str, float] = {}
        self._live: list[_Socket] = []
        self._some = asyncio.Event()
        self._turn = 0

    @property
    def count(self) -> int:
        """How many sockets are open."""
        return len(self._live)

    async def connected(self, count: int = 1) -> None:
        """Until so many sockets are open."""
        while len(self._live) < count:
            self._some.clear()
            await self._some.wait()

    def ticket(self) -> str:
        """Something to open one socket with, soon."""
        now = self._clock()
        self._tickets = {ticket: until for ticket, until in self._tickets.items() if until > now}
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = now + TICKET_SECONDS
        return ticket

    async def accept(self, request: web.Request) -> web.StreamResponse:
        """GET /socket/{ticket}: a socket, for as long as the app keeps it."""
        if self._tickets.pop(request.match_info["ticket"], 0.0) <= self._clock():
            raise web.HTTPForbidden(text="This ticket is not good (any more).\n")
        ws = web.WebSocketResponse(max_msg_size=1 << 20)
        await ws.prepare(request)
        if len(self._live) >= SOCKETS:
            await ws.send_json(_disconnect("too_many_websockets"))
            await ws.close()
            return ws
        socket = _Socket(ws, request)
        await ws.send_json(self._hello())
        self._live.append(socket)
        self._some.set()
        try:
            await self._listen(socket)
        finally:
            self._gone(socket)
        return ws

    async def _listen(self, socket: _Socket) -> None:
        async for message in socket.ws:
            if message.type is not WSMsgType.TEXT:
                continue
            with contextlib.suppress(ValueError):
                said = message.json()
                if isinstance(said, dict):
                    self._acknowledged(socket, said)

    def _acknowledged(self, socket: _Socket, said: Json) -> None:
        awaited = socket.awaited.get(str(said.get("envelope_id")))
        if awaited is not None and not awaited.done():
            payload = said.get("payload")
            awaited.set_result(payload if isinstance(payload, dict) else {})

    def _gone(self, socket: _Socket) -> None:
        if socket in self._live:
            self._live.remove(socket)
        for awaited in socket.awaited.values():
            if not awaited.done():
                awaited.set_result(None)

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self._live) + 1,
            "debug_info": _debug_info() | {"approximate_connection_time": 18060},
            "connection_info": {"app_id": people.APP},
        }

    async def try_(self, attempt: Attempt) -> Result:
        """Send one envelope over the next socket; waits for one if there is none."""
        await self.connected()
        socket = self._next()
        envelope_id = secrets.token_hex(16)
        awaited: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        socket.awaited[envelope_id] = awaited
        try:
            async with asyncio.timeout(attempt.seconds):
                await socket.ws.send_json(_envelope(attempt, envelope_id))
                payload = await awaited
        except ConnectionError:
            self._gone(socket)
            return LOST
        except TimeoutError:
            return Result(Outcome.REFUSED, "timeout")
        finally:
            del socket.awaited[envelope_id]
        if payload is None:
            return LOST
        if not attempt.answer.done():
            attempt.answer.set_result(payload)
        return Result(Outcome.TAKEN)

    def _next(self) -> _Socket:
        self._turn += 1
        return self._live[self._turn % len(self._live)]

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Tell the app to open other sockets, and close these: `warning`, `refresh_requested` or `link_disabled`."""
        for socket in list(self._live):
            with contextlib.suppress(ConnectionError):
                await socket.ws.send_json(_disconnect(reason))
            if reason != "warning":
                await self._close(socket)

    def cut(self) -> None:
        """Break every socket without a word, as a network does."""
        for socket in list(self._live):
            self._gone(socket)
            if (transport := socket.request.transport) is not None:
                transport.abort()

    async def _close(self, socket: _Socket) -> None:
        self._gone(socket)
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await socket.ws.close()

    async def close(self) -> None:
        """The end of the workspace."""
        await asyncio.gather(*(self._close(socket) for socket in list(self._live)))


def _envelope(attempt: Attempt, envelope_id: str) -> Json:
    delivery = attempt.delivery
    found: Json = {
        "envelope_id": envelope_id,
        "type": delivery.type,
        "payload": delivery.payload,
        "accepts_response_payload": delivery.type != "events_api",
    }
    if delivery.type == "events_api":
        found |= {"retry_attempt": attempt.number, "retry_reason": attempt.reason}
    return found


def _disconnect(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": _debug_info()}


def _debug_info() -> Json:
    return {"host": "applink-playground", "build_number": 1}
