"""What a process has written, read by offset: all that may still be asked for, or an entrypoint's newest part only."""

import asyncio
from collections.abc import AsyncIterator, Callable

CHUNK = 64 << 10
ROOM = 32 << 20  # so much may wait for a reader, and so much of what was read may be asked for again


class Output:
    """One stream of bytes that grows until it is closed. `keep`: how many of the newest bytes stay, heard or not; None:
    all, and nobody should add to it while it is full. `has_room`: called when it is not any more."""

    def __init__(self, keep: int | None = None) -> None:
        self.has_room: Callable[[], None] = lambda: None
        self._read = 0
        self._keep, self._start, self._bytes = keep, 0, bytearray()
        self._grown, self.closed = asyncio.Event(), False

    @property
    def end(self) -> int:
        """How many bytes there were in all."""
        return self._start + len(self._bytes)

    @property
    def full(self) -> bool:
        """Whether too much waits for a reader."""
        return self._keep is None and self.end - self._read > ROOM

    def add(self, data: bytes) -> None:
        """More was written."""
        if self.closed or not data:
            return
        self._bytes += data
        if self._keep is not None:
            self._drop(self.end - self._keep)
        self._tell()

    def _drop(self, until: int) -> None:
        if until > self._start:
            del self._bytes[: until - self._start]
            self._start = until

    def close(self) -> None:
        """Nothing more will come."""
        self.closed = True
        self._tell()

    def _tell(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    def _heard(self, offset: int) -> None:
        was_full, self._read = self.full, max(self._read, offset)
        self._drop(self._read - 2 * ROOM)
        if was_full and not self.full:
            self.has_room()

    async def read(self, offset: int) -> AsyncIterator[tuple[int, bytes]]:
        """Pieces with their offsets, from `offset` on, until the end; what was dropped is skipped."""
        while True:
            grown, offset = self._grown, max(offset, self._start)
            piece = bytes(self._bytes[offset - self._start :][:CHUNK])
            if piece:
                yield offset, piece
                offset += len(piece)
                self._heard(offset)
            elif self.closed:
                return
            else:
                await grown.wait()
