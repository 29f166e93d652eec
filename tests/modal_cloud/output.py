"""What a process has written: kept whole for a command, the newest part only for an entrypoint; read by offset."""

import asyncio
from collections.abc import AsyncIterator

CHUNK = 64 << 10


class Output:
    """One stream of bytes that grows until it is closed. `keep`: how many of the newest bytes stay; None: all."""

    def __init__(self, keep: int | None = None) -> None:
        self._keep, self._start, self._bytes = keep, 0, bytearray()
        self._grown, self.closed = asyncio.Event(), False

    @property
    def end(self) -> int:
        """How many bytes there were in all."""
        return self._start + len(self._bytes)

    def add(self, data: bytes) -> None:
        """More was written."""
        if self.closed or not data:
            return
        self._bytes += data
        if self._keep is not None and len(self._bytes) > self._keep:
            drop = len(self._bytes) - self._keep
            del self._bytes[:drop]
            self._start += drop
        self._tell()

    def close(self) -> None:
        """Nothing more will come."""
        self.closed = True
        self._tell()

    def _tell(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    async def read(self, offset: int) -> AsyncIterator[tuple[int, bytes]]:
        """Pieces with their offsets, from `offset` on, until the end; what was dropped is skipped."""
        while True:
            grown, offset = self._grown, max(offset, self._start)
            piece = bytes(self._bytes[offset - self._start :][:CHUNK])
            if piece:
                yield offset, piece
                offset += len(piece)
            elif self.closed:
                return
            else:
                await grown.wait()
