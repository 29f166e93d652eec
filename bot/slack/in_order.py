"""Lets what is said in one thread be taken one after the other, in the order in which it came.

`desk.py` takes messages in it: one whose author must be looked up first would otherwise be overtaken by the next.
It holds within one process: two messages that reach two web processes at the same moment may still change places.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class InOrder:
    """One turn at a time for each key, first come first served; whoever has waited `seconds` goes on nevertheless."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # gone with the last who waits

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for those who came before."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        held = await self._acquired(lock)
        try:
            yield
        finally:
            if held:
                lock.release()

    async def _acquired(self, lock: asyncio.Lock) -> bool:
        try:
            async with asyncio.timeout(self._seconds):
                return await lock.acquire()
        except TimeoutError:
            return False  # the order is worth less than an acknowledgement in time
