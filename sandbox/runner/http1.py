"""HTTP/1.1 on asyncio streams, both sides, as far as a gateway and git need it: heads, bodies, one request.

By hand, because `http.client` blocks and costs 30 ms of imports. `link.py` asks with it, `forward.py` proxies with it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import NamedTuple

HEAD_BYTES = 64 << 10
PIECE = 64 << 10
DIGITS = 18  # of a length
SIZE, NAME = re.compile(rb"[0-9a-fA-F]{1,15}"), re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CHUNKED, UNTIL_CLOSE = -1, -2  # lengths of bodies that do not say theirs


class BadHttp(Exception):
    """What came is not HTTP/1.1 as we speak it. `status` is what a server would answer."""

    def __init__(self, said: str, status: int = 400) -> None:
        super().__init__(said)
        self.status = status


class Head(NamedTuple):
    """A start line in its three parts, and the headers as they came."""

    start: tuple[str, str, str]
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str:
        """The values of a header, joined with commas; empty if it is not there. `name` in lower case."""
        return ", ".join(value for key, value in self.headers if key.lower() == name)

    @property
    def status(self) -> int:
        """The status of an answer."""
        if not (self.start[1].isascii() and self.start[1].isdigit()):
            raise BadHttp("an answer without a status")
        return int(self.start[1])

    @property
    def length(self) -> int | None:
        """What the headers say about the body: a length, CHUNKED, or None if nothing."""
        coding, length = self.get("transfer-encoding").lower(), self.get("content-length")
        if coding:
            if coding != "chunked" or length:
                raise BadHttp("a transfer coding that is not understood")
            return CHUNKED
        if length and not (length.isascii() and length.isdigit() and len(length) < DIGITS):
            raise BadHttp("a content length that is no number")
        return int(length) if length else None

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection may be used again after this exchange."""
        return "close" not in self.get("connection").lower() and "HTTP/1.1" in (self.start[0], self.start[2])


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head; None if the other side closed instead of beginning one. The reader's limit bounds its size."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as cut:
        if not cut.partial.strip():
            return None
        raise BadHttp("the connection ended inside a head") from None
    except asyncio.LimitOverrunError:
        raise BadHttp("the head is too large", 431) from None
    lines = raw.decode("latin-1").lstrip("\r\n").split("\r\n")
    start = lines[0].split(" ", 2)
    if len(start) < 2:
        raise BadHttp("no start line")
    return Head((start[0], start[1], start[2] if len(start) > 2 else ""), [_header(line) for line in lines[1:-2]])


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not NAME.fullmatch(name) or "\n" in line or "\r" in line or "\0" in line:
        raise BadHttp("a header that is none")
    return name, value.strip()


def write_head(start: str, headers: list[tuple[str, str]]) -> bytes:
    """A head as bytes."""
    return "\r\n".join([start, *(f"{name}: {value}" for name, value in headers), "", ""]).encode("latin-1")


def answer_length(head: Head, method: str) -> int:
    """How long the body of an answer to a `method` request is."""
    if method == "HEAD" or head.status in (204, 304) or head.status < 200:
        return 0
    length = head.length
    return UNTIL_CLOSE if length is None else length


async def pieces(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    """A body as it comes, in pieces without their chunk marks. Raises BadHttp if it ends too early."""
    if length == CHUNKED:
        while left := await _chunk_size(reader):
            async for piece in _counted(reader, left):
                yield piece
            if await _line(reader) != b"\r\n":
                raise BadHttp("a chunk longer than it said")
        while (await _line(reader)).strip():
            pass  # trailers say nothing to us
    elif length == UNTIL_CLOSE:
        while piece := await reader.read(PIECE):
            yield piece
    else:
        async for piece in _counted(reader, length):
            yield piece


async def _counted(reader: asyncio.StreamReader, left: int) -> AsyncIterator[bytes]:
    while left:
        piece = await reader.read(min(left, PIECE))
        if not piece:
            raise BadHttp("the connection ended inside a body")
        left -= len(piece)
        yield piece


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    size = (await _line(reader)).split(b";")[0].strip()
    if not SIZE.fullmatch(size):
        raise BadHttp("a chunk without a size")
    return int(size, 16)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:
        raise BadHttp("a line without an end") from None


def chunk(piece: bytes) -> bytes:
    """A piece as a chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


LAST_CHUNK = b"0\r\n\r\n"
