"""The cloud's clock: real time, and what a test adds to it. Everything that the cloud waits for, waits on this."""

import asyncio
import contextlib
import heapq
import itertools
import time
from collections.abc import Callable


class Clock:
    """Seconds since the epoch, as the cloud sees them."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._stepped = asyncio.Event()

    def now(self) -> float:
        """What time it is."""
        return time.time() + self._ahead

    def step(self, seconds: float) -> None:
        """Let time pass at once; whoever waits for a moment that has come by then goes on."""
        self._ahead += seconds
        self._stepped.set()
        self._stepped = asyncio.Event()

    def reset(self) -> None:
        """Have real time again."""
        self._ahead = 0.0

    async def sleep(self, seconds: float) -> None:
        """Wait for so long by this clock."""
        await self.until(self.now() + seconds)

    async def until(self, moment: float) -> None:
        """Wait for a moment of this clock."""
        while (left := moment - self.now()) > 0:
            await self.event(self._stepped, left)

    async def event(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for an event, at most so many real seconds; whether it came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        return event.is_set()


class Deadlines:
    """What is to happen at which moment: one heap for all boxes, so that thousands of them cost no task each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._earlier = asyncio.Event()

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Have `action` called at a moment. It looks itself whether it is still wanted."""
        heapq.heappush(self._due, (moment, next(self._numbers), action))
        if self._due[0][0] == moment:
            self._earlier.set()

    async def run(self) -> None:
        """Call what is due, for ever."""
        while True:
            self._earlier.clear()
            while self._due and self._due[0][0] <= self._clock.now():
                heapq.heappop(self._due)[2]()
            waits = [asyncio.ensure_future(self._earlier.wait())]
            if self._due:
                waits.append(asyncio.ensure_future(self._clock.until(self._due[0][0])))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
