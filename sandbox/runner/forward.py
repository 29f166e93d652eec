"""The gateway's address inside the box: an HTTP proxy on loopback that adds the box's token, streaming both ways.

The agent (for its model), git and tools talk to it. It lets through only what is theirs: never the link. It keeps
nothing, and answers 502 at once when the gateway is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import sys

from sandbox.runner import http1
from sandbox.runner.dial import Dialer, Wire
from sandbox.runner.within import within

MODEL, PRIMING = "/model/", "/model/priming/"
ALLOWED = ("/git/", "/model/", "/tools/")
TRICKS = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:[/?]|$)|//|\\|%2f|%5c|#", re.IGNORECASE)
NOT_FORWARDED = {
    "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "content-length", "upgrade", "expect", "host", "authorization", "x-api-key", "user-agent",
}  # fmt: skip
METHOD, TARGET = re.compile(r"[A-Z]{1,20}"), re.compile(r"[!-~]+")
CLIENTS, FORWARDED = 256, 48  # at a time: connections of the agent's side, and requests under way at the gateway
HEAD_SECONDS, QUEUE_SECONDS = 60.0, 60.0
TOOLS_SECONDS, DIAL_PAUSE = 10.0, 0.1
SAID_MOST = 200  # refusals that are written down: a box must not fill the host's disk with them
HOP_BY_HOP = {"connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "content-length"}


class Forwarder:
    """Serves one listening socket. `dialer` None: there is no gateway, and every request gets 502."""

    def __init__(self, dialer: Dialer | None) -> None:
        self._dialer = dialer
        self._clients = 0
        self._said = 0
        self._room = asyncio.Semaphore(FORWARDED)
        self.priming = False  # while the agent serves nobody, what it asks its model goes where that costs nothing
        self._at_model, self._model_at = 0, 0.0  # how many requests are there now, and when the last one ended

    def at_model(self) -> float:
        """When the agent last was with its model: now, if a request is there; by the loop's clock."""
        return asyncio.get_running_loop().time() if self._at_model else self._model_at

    async def serve(self, listening: socket.socket) -> asyncio.AbstractServer:
        """Begin to serve."""
        return await asyncio.start_server(self._client, sock=listening, limit=http1.HEAD_BYTES)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests of one connection, one after the other."""
        self._clients += 1
        try:
            if self._clients > CLIENTS:
                self._refused("a connection: there are too many")
                return
            while await self._request(reader, writer):
                pass
        except http1.BadHttp as bad:
            self._refused(str(bad))
            with contextlib.suppress(OSError):
                await _answer(writer, bad.status, str(bad), close=True)
        except (OSError, asyncio.TimeoutError, asyncio.CancelledError):
            pass
        finally:
            self._clients -= 1
            writer.close()

    def _refused(self, what: str) -> None:
        """Write down what was refused, in the box's own log on the host."""
        self._said += 1
        if self._said <= SAID_MOST:
            print(f"runner: refused {what[:200]!r}", file=sys.stderr, flush=True)

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether another may follow on this connection."""
        head = await within(HEAD_SECONDS, http1.read_head(reader))
        if head is None:
            return False
        method, target, _ = head.start
        length = head.length or 0
        if not METHOD.fullmatch(method) or not TARGET.fullmatch(target):
            raise http1.BadHttp("a request line that is none")
        if not target.startswith(ALLOWED) or TRICKS.search(target.partition("?")[0]):
            self._refused(f"{method} {target}")
            await _answer(writer, 404, "Only /git/, /model/ and /tools/ are here.", close=True)
            return False
        await within(QUEUE_SECONDS, self._room.acquire())
        try:
            self._at_model += target.startswith("/model/")
            return await self._forward(reader, writer, head, length)
        finally:
            if target.startswith("/model/"):
                self._at_model, self._model_at = self._at_model - 1, asyncio.get_running_loop().time()
            self._room.release()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: http1.Head, length: int
    ) -> bool:
        method, target, _ = head.start
        try:
            wire = await self._patiently_open(target)
        except OSError:
            await _answer(writer, 502, "The gateway is away for a moment. Try again.", close=True)
            return False
        try:
            if "100-continue" in head.get("expect").lower():
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            wire.request(method, _primed(target) if self.priming else target, _upward(head))
            return await _exchange(reader, writer, wire, head, length) and head.keeps_alive
        finally:
            wire.close()

    async def _patiently_open(self, target: str) -> Wire:
        """Agents do not call a tool again by themselves, so a restart of the gateway is waited out for them."""
        loop = asyncio.get_running_loop()
        end = loop.time() + (TOOLS_SECONDS if target.startswith("/tools/") and self._dialer is not None else 0.0)
        while True:
            try:
                return await self._open()
            except OSError:
                if loop.time() >= end:
                    raise
                await asyncio.sleep(DIAL_PAUSE)

    async def _open(self) -> Wire:
        if self._dialer is None:
            raise ConnectionRefusedError
        return await self._dialer.open()


def _primed(target: str) -> str:
    """Where a request to a model goes instead: to the gateway's route that answers the same to everything."""
    return PRIMING + target[len(MODEL) :] if target.startswith(MODEL) else target


def _upward(head: http1.Head) -> list[tuple[str, str]]:
    """The headers that go on to the gateway."""
    named = {name.strip().lower() for name in head.get("connection").split(",")}
    kept = [(k, v) for k, v in head.headers if k.lower() not in NOT_FORWARDED and k.lower() not in named]
    if head.length == http1.CHUNKED:
        kept.append(("Transfer-Encoding", "chunked"))
    elif head.length is not None:
        kept.append(("Content-Length", str(head.length)))
    return [*kept, ("X-Forwarded-Agent", head.get("user-agent")[:200]), ("Connection", "close")]


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: Wire, head: http1.Head, length: int
) -> bool:
    """Both bodies at once; whether the client's connection is still in step afterwards."""
    sending = asyncio.ensure_future(_copy(reader, length, wire.writer))
    try:
        answer = await _final_head(wire.reader)
    except (OSError, http1.BadHttp):
        sending.cancel()
        await _answer(writer, 502, "The gateway hung up before it answered. Try again.", close=True)
        return False
    body = http1.answer_length(answer, head.start[0])
    whole = sending.done() and not sending.cancelled() and sending.exception() is None
    again = whole and body != http1.UNTIL_CLOSE and head.keeps_alive
    try:
        writer.write(http1.write_head(" ".join(answer.start), _downward(answer, body, again)))
        await _copy(wire.reader, body, writer)
    except http1.BadHttp:
        again = False  # the answer was cut: so is ours, and the client sees it
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return again


async def _final_head(reader: asyncio.StreamReader) -> http1.Head:
    while True:
        head = await http1.read_head(reader)
        if head is None:
            raise ConnectionResetError("the gateway hung up")
        if head.status >= 200:
            return head


def _downward(answer: http1.Head, body: int, again: bool) -> list[tuple[str, str]]:
    """The headers that go back to the client."""
    kept = [(key, value) for key, value in answer.headers if key.lower() not in HOP_BY_HOP]
    if body == http1.CHUNKED:
        kept.append(("Transfer-Encoding", "chunked"))
    elif answer.length is not None:
        kept.append(("Content-Length", str(answer.length)))
    return kept if again else [*kept, ("Connection", "close")]


async def _copy(reader: asyncio.StreamReader, length: int, writer: asyncio.StreamWriter) -> None:
    """One body, piece by piece as it comes."""
    async for piece in http1.pieces(reader, length):
        writer.write(http1.chunk(piece) if length == http1.CHUNKED else piece)
        await writer.drain()
    if length == http1.CHUNKED:
        writer.write(http1.LAST_CHUNK)
    await writer.drain()


async def _answer(writer: asyncio.StreamWriter, status: int, said: str, close: bool) -> None:
    """An answer of our own."""
    words = {400: "Bad Request", 404: "Not Found", 431: "Request Header Fields Too Large", 502: "Bad Gateway"}
    body = said.encode() + b"\n"
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    headers += [("Retry-After", "1")] if status == 502 else []
    headers += [("Connection", "close")] if close else []
    writer.write(http1.write_head(f"HTTP/1.1 {status} {words.get(status, 'Error')}", headers) + body)
    await writer.drain()
