"""How fast one box may fill the record: beyond its pace, the answer to its frames waits, and with it the box.

A runner sends one batch at a time and puts together what comes meanwhile, so a slow answer costs a box that says little
nothing, and one that says far too much loses words (its outbox is bounded) instead of slowing others down.
`link.py` asks; it and `tools.py` bound calls with a `CallPace`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

FRAMES_PER_SECOND, FRAMES_AT_ONCE = 200.0, 2000.0
BYTES_PER_SECOND, BYTES_AT_ONCE = 2e6, 16e6
LONGEST_SECONDS = 2.0  # a runner dials again after five without an answer
KEPT_MOST = 10_000
BATCHES_AT_ONCE = 8  # a runner sends one; others may be left of connections that broke


@dataclass
class _Account:
    """What a box has left, at a time."""

    frames: float
    bytes: float
    at: float


class Pace:
    """Keeps an account for each box that spoke in this process."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def one_batch(self, box: str) -> Iterator[bool]:
        """Whether one more batch of this box may be read: all of them at once would wait no longer than one does."""
        self._under_way[box] += 1
        try:
            yield self._under_way[box] <= BATCHES_AT_ONCE
        finally:
            self._under_way[box] -= 1
            if not self._under_way[box]:
                del self._under_way[box]

    async def keep(self, box: str, frames: int, size: int) -> None:
        """Wait as long as this box must, for so many frames in so many bytes."""
        await asyncio.sleep(self.delay(box, frames, size, time.monotonic()))

    def delay(self, box: str, frames: int, size: int, now: float) -> float:
        """Seconds to wait; 0 for a box at an ordinary pace."""
        if len(self._accounts) > KEPT_MOST:
            self._accounts.clear()
        account = self._accounts.setdefault(box, _Account(FRAMES_AT_ONCE, BYTES_AT_ONCE, now))
        passed, account.at = now - account.at, now
        account.frames = min(FRAMES_AT_ONCE, account.frames + passed * FRAMES_PER_SECOND) - frames
        account.bytes = min(BYTES_AT_ONCE, account.bytes + passed * BYTES_PER_SECOND) - size
        owed = max(-account.frames / FRAMES_PER_SECOND, -account.bytes / BYTES_PER_SECOND, 0.0)
        return min(owed, LONGEST_SECONDS)


class CallPace:
    """How many calls, or bytes, each one may still make: so many at once, and some more as time goes by."""

    def __init__(self, at_once: float, per_second: float) -> None:
        self._most, self._per_second = at_once, per_second
        self._left: dict[str, tuple[float, float]] = {}

    def allows(self, who: str, now: float, amount: float = 1.0) -> bool:
        """Whether so many more may be made now; they are counted if so."""
        if len(self._left) > KEPT_MOST:
            self._left.clear()
        left, at = self._left.get(who, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_second)
        self._left[who] = (left - amount if left >= amount else left, now)
        return left >= amount
