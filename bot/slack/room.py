"""Room for a few at a time, and an early no for those who would come too late.

`desk.py` takes payloads in it: of too many at once, all would be done in part and none in time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Room:
    """`places` at a time, first come first served; whoever has waited `seconds` gets a `TimeoutError`."""

    def __init__(self, places: int, seconds: float) -> None:
        self._places, self._seconds = asyncio.Semaphore(places), seconds

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Have a place for as long as the block runs."""
        async with asyncio.timeout(self._seconds):
            await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()
