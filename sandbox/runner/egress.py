"""The way out of the box: an HTTP proxy on loopback whose connections the gateway makes, if it lets them through.

pip, npm, git and whatever else honours HTTPS_PROXY talk to it. It judges nothing itself: where a box may go is the
gateway's to say (docs/wire.md, `POST /egress`), and its refusals are passed on in words. `life.py` serves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from sandbox.runner import http1
from sandbox.runner.dial import Dialer, Wire
from sandbox.runner.within import within

CONNECT = re.compile(r"([A-Za-z0-9._:\[\]-]{1,255}):([0-9]{1,5})")
PLAIN = re.compile(r"[Hh][Tt][Tt][Pp]://([A-Za-z0-9._\[\]-]{1,255})(?::([0-9]{1,5}))?(/[!-~]*|\?[!-~]*)?")
NOT_FOR_SERVERS = {
    "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "upgrade", "expect", "host",
}  # fmt: skip
CLIENTS, STREAMS = 256, 32  # at a time: connections that ask for something, and those that got through
HEAD_SECONDS, QUEUE_SECONDS, OPEN_SECONDS = 20.0, 60.0, 45.0
OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"
WORDS = {400: "Bad Request", 431: "Request Header Fields Too Large", 502: "Bad Gateway", 503: "Too many connections"}


class Egress:
    """Serves one listening socket. `dialer` None: there is no gateway, and every request gets 502."""

    def __init__(self, dialer: Dialer | None) -> None:
        self._dialer = dialer
        self._clients = 0
        self._room = asyncio.Semaphore(STREAMS)

    async def serve(self, listening: socket.socket) -> asyncio.AbstractServer:
        """Begin to serve."""
        return await asyncio.start_server(self._client, sock=listening, limit=http1.HEAD_BYTES)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, which is one request: a tunnel, or a plain one that ends with its answer."""
        self._clients += 1
        try:
            if self._clients > CLIENTS:
                await _answer(writer, 503, "This box has too many connections under way.")
            else:
                await self._serve(reader, writer)
        except http1.BadHttp as bad:
            with contextlib.suppress(OSError):
                await _answer(writer, bad.status, str(bad))
        except (OSError, asyncio.TimeoutError, asyncio.CancelledError):
            pass
        finally:
            self._clients -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await within(HEAD_SECONDS, http1.read_head(reader))
        if head is None:
            return
        host, port, request = _wanted(head)
        await within(QUEUE_SECONDS, self._room.acquire())
        try:
            wire = await self._open()
            try:
                await self._stream(reader, writer, wire, host, port, request)
            finally:
                wire.close()
        finally:
            self._room.release()

    async def _open(self) -> Wire:
        try:
            if self._dialer is None:
                raise ConnectionRefusedError
            return await self._dialer.open()
        except OSError:
            raise http1.BadHttp("The gateway is away for a moment. Try again.", 502) from None

    async def _stream(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        wire: Wire,
        host: str,
        port: str,
        request: bytes,
    ) -> None:
        """Ask the gateway for the connection and, if there is one, let both sides talk until they are done."""
        wire.request("POST", f"/egress?host={host}&port={port}", [("Transfer-Encoding", "chunked")])
        await wire.writer.drain()
        head = await within(OPEN_SECONDS, http1.read_head(wire.reader))
        if head is None:
            raise http1.BadHttp("The gateway hung up before it answered. Try again.", 502)
        body = http1.pieces(wire.reader, http1.answer_length(head, "POST"))
        if head.status != 200:
            await _refuse(writer, head, b"".join([piece async for piece in body]))
            return
        wire.writer.write(http1.chunk(request) if request else b"")
        writer.write(b"" if request else OPENED)
        up = _hung_up(reader) if request else _up(reader, wire.writer)
        try:
            await _talk(up, _down(body, writer))
        except http1.BadHttp:
            _cut(writer)  # it broke behind the gateway: an end in order would look like a whole answer


def _wanted(head: http1.Head) -> tuple[str, str, bytes]:
    """Host and port that a request is for, and what goes there first: nothing of a tunnel. Raises BadHttp."""
    method, target, version = head.start
    if not version.startswith("HTTP/1."):
        raise http1.BadHttp("a request line that is none")
    if method == "CONNECT":
        tunnel = CONNECT.fullmatch(target)
        if tunnel is None:
            raise http1.BadHttp("CONNECT needs host:port")
        return tunnel[1], tunnel[2], b""
    plain = PLAIN.fullmatch(target)
    if method not in ("GET", "HEAD") or plain is None or head.length:
        raise http1.BadHttp("this proxy knows CONNECT, and GET or HEAD of http:// addresses without a body")
    host, port, path = plain[1], plain[2] or "80", plain[3] or "/"
    path = path if path.startswith("/") else "/" + path
    authority = host if port == "80" else f"{host}:{port}"
    named = {name.strip().lower() for name in head.get("connection").split(",")} | NOT_FOR_SERVERS
    kept = [(k, v) for k, v in head.headers if k.lower() not in named and k.lower() != "content-length"]
    headers = [("Host", authority), *kept, ("Connection", "close")]
    return host, port, http1.write_head(f"{method} {path} HTTP/1.1", headers)


async def _talk(up: Coroutine[Any, Any, None], down: Coroutine[Any, Any, None]) -> None:
    """Both directions, each until its end; a fault of one ends the other. When nothing more comes down, `up` ends."""
    tasks = [asyncio.ensure_future(one) for one in (up, down)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[1] not in done and not tasks[0].exception():
            await tasks[1]
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What the client says, until it has said everything."""
    while piece := await reader.read(http1.PIECE):
        writer.write(http1.chunk(piece))
        await writer.drain()
    writer.write(http1.LAST_CHUNK)
    await writer.drain()


async def _hung_up(reader: asyncio.StreamReader) -> None:
    """Wait until the client of a plain request is gone; what it says more is not for this server."""
    while await reader.read(http1.PIECE):
        pass
    raise ConnectionResetError("the client hung up")


async def _down(body: AsyncIterator[bytes], writer: asyncio.StreamWriter) -> None:
    """What the server says, until its end."""
    async for piece in body:
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _cut(writer: asyncio.StreamWriter) -> None:
    """Break the connection so that the client sees it: with a reset."""
    now = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
    writer.transport.abort()


async def _refuse(writer: asyncio.StreamWriter, head: http1.Head, said: bytes) -> None:
    """The gateway's refusal: its sentence is the body, and the status line, which is all that many clients show."""
    sentence = said.decode("utf-8", "replace").strip() or "refused"
    brief = re.sub(r"[^ -~]", " ", sentence)[:300]
    await _answer(writer, head.status if head.status in (403, 429, 502, 503, 504) else 502, sentence, brief)


async def _answer(writer: asyncio.StreamWriter, status: int, said: str, brief: str = "") -> None:
    body = said.encode() + b"\n"
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start = f"HTTP/1.1 {status} {brief or WORDS.get(status, 'Error')}"
    writer.write(http1.write_head(start, [*headers, ("Connection", "close")]) + body)
    await writer.drain()
