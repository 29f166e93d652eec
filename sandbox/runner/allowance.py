"""How much may be done at a time: an amount that fills up again as time passes. Pure but for the clock given.

`translate.py` bounds with it what a turn tells, `journal.py` what is written down, `jsonrpc.py` what is read of agents.
"""

from __future__ import annotations

from collections.abc import Callable


class Allowance:
    """At most `at_once`, and `per_second` of it again each second."""

    def __init__(self, at_once: float, per_second: float, clock: Callable[[], float]) -> None:
        self._most, self._rate, self._clock = at_once, per_second, clock
        self._left, self._at = at_once, clock()

    def take(self, amount: float) -> bool:
        """Whether there is so much left; then it is used up."""
        self._fill()
        if amount > self._left:
            return False
        self._left -= amount
        return True

    def owed(self, amount: float) -> float:
        """Use up so much, whether it is left or not; the seconds until nothing is owed."""
        self._fill()
        self._left -= amount
        return max(-self._left / self._rate, 0.0)

    def _fill(self) -> None:
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
