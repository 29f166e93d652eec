"""The body of a git request as bytes for git: unpacked if it was gzip'd, and never more than was agreed.

`git.py` reads requests with it. The server leaves bodies as they came (`auto_decompress=False`), so a few bytes that
unpack to gigabytes are counted here, piece by piece.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator

from aiohttp import web

from bot.gateway.declined import Declined

CHUNK = 1 << 16


async def unpacked(request: web.Request, most: int) -> AsyncIterator[bytes]:
    """The body's bytes. Raises Declined when it is broken, or longer than `most` bytes."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Declined(415, f"The gateway does not read bodies packed with {encoding[:20]}.")
    pieces = request.content.iter_chunked(CHUNK)
    size = 0
    async for piece in _inflated(pieces) if "gzip" in encoding else pieces:
        size += len(piece)
        if size > most:
            raise Declined(413, f"This is more than the {most >> 20} MB that the gateway takes at once.")
        yield piece


async def _inflated(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    inflating = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        async for piece in pieces:
            left = piece
            while left and not inflating.eof:
                yield inflating.decompress(left, CHUNK)
                left = inflating.unconsumed_tail
                await asyncio.sleep(0)  # a few bytes may be very many, and nobody else waits for all of them
        while not inflating.eof:
            more = inflating.decompress(b"", CHUNK)
            if not more:
                raise Declined(400, "The body ended in the middle of what was packed.")
            yield more
    except zlib.error as broken:
        raise Declined(400, "The body is not what its Content-Encoding says.") from broken
