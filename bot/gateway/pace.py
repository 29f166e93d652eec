"""How fast one box may fill the record: beyond its pace, its frames are taken in later, and its answer waits for that.

A runner sends one batch at a time and puts together what comes meanwhile, so a slow answer costs a box that says little
nothing, and one that says far too much loses words (its outbox is bounded) instead of slowing others down.
`link.py` asks. An `Allowance` bounds whatever else there may be too much of: calls, requests, what models are sent.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

FRAMES_PER_SECOND, FRAMES_AT_ONCE = 200.0, 2000.0
BYTES_PER_SECOND, BYTES_AT_ONCE = 2e6, 16e6
BATCHES_PER_SECOND, BATCHES_IN_A_ROW = 20.0, 20.0  # a batch of one frame costs us nearly what one of ten does
SHORTEST_SECONDS = 0.25  # what is said meanwhile comes as one batch, which costs us far less than many small ones
LONGEST_SECONDS = 2.0  # a runner dials again after five without an answer
KEPT_MOST = 10_000
BATCHES_AT_ONCE = 8  # a runner sends one; others may be left of connections that broke


class Allowance:
    """What each one has left: so much at once, and some more as time goes by. `who`: whatever tells them apart."""

    def __init__(self, at_once: float, per_second: float) -> None:
        self._most, self._per_second = at_once, per_second
        self._left: dict[Hashable, tuple[float, float]] = {}  # less than nothing is owed; at which time

    def allows(self, who: Hashable, now: float, amount: float = 1.0) -> bool:
        """Whether so much more may be taken now; it is taken if so."""
        left = self._left_of(who, now)
        allowed = left >= amount
        self._left[who] = (left - amount if allowed else left, now)
        return allowed

    def owed(self, who: Hashable, now: float, amount: float = 1.0) -> float:
        """Take so much more, whatever is left; the seconds until nothing is owed, 0 for whoever keeps to its pace."""
        left = self._left_of(who, now) - amount
        self._left[who] = (left, now)
        return max(-left / self._per_second, 0.0)

    def _left_of(self, who: Hashable, now: float) -> float:
        if len(self._left) > KEPT_MOST:
            self._left.clear()
        left, at = self._left.get(who, (self._most, now))
        return min(self._most, left + (now - at) * self._per_second)


class Pace:
    """How much each box that spoke in this process may still say."""

    def __init__(self) -> None:
        self._frames = Allowance(FRAMES_AT_ONCE, FRAMES_PER_SECOND)
        self._bytes = Allowance(BYTES_AT_ONCE, BYTES_PER_SECOND)
        self._batches = Allowance(BATCHES_IN_A_ROW, BATCHES_PER_SECOND)
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

    def delay(self, box: str, frames: int, size: int, now: float) -> float:
        """Seconds in which to take in so many frames in so many bytes; 0 for a box at an ordinary pace."""
        owed = max(self._frames.owed(box, now, frames), self._bytes.owed(box, now, size))
        return min(max(owed, SHORTEST_SECONDS), LONGEST_SECONDS) if owed else 0.0

    def rest(self, box: str, now: float) -> float:
        """Seconds until a batch that is stored should be answered; 0 for a box that does not send many a second."""
        return min(self._batches.owed(box, now), LONGEST_SECONDS)
