"""How fast one box may ask for anything: beyond its pace, it waits for each answer. `server.py` and `public.py` ask.

All boxes are answered by one loop, so whoever asks without end, with a token or without one, would have all others
wait. A box has only so many connections (`door.py`), and each of them waits: that is what bounds it.
"""

import asyncio
import time
from collections.abc import Hashable

from bot.gateway.pace import LONGEST_SECONDS, Allowance

PER_SECOND, AT_ONCE = 100.0, 500.0
REFUSED_COUNTS = 5.0  # requests: what is refused is logged as well, and nobody who works is refused all the time


class Requests:
    """Keeps count of what each box asks for. `box`: whatever tells one from the other."""

    def __init__(self) -> None:
        self._allowance = Allowance(AT_ONCE, PER_SECOND)

    async def keep(self, box: Hashable) -> None:
        """Wait as long as this box must before it is answered."""
        await asyncio.sleep(self.delay(box, 1.0, time.monotonic()))

    def refused(self, box: Hashable) -> None:
        """It was refused what it asked for: that counts for more."""
        self.delay(box, REFUSED_COUNTS - 1.0, time.monotonic())

    def delay(self, box: Hashable, requests: float, now: float) -> float:
        """Seconds to wait; 0 for a box that asks now and then."""
        return min(self._allowance.owed(box, now, requests), LONGEST_SECONDS)
