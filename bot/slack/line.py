"""Who waits for a budget of Slack's asks again at a moment of its own. Pure; `calls.py` has one.

If all asked again when the next call fits, a thousand threads would ask a thousand times for each call, and the process
would do nothing else.
"""

from collections import defaultdict
from weakref import WeakKeyDictionary

MOST_SECONDS = 60.0  # whoever waits asks again after so long: others may have given up


class Line:
    """Times are seconds of any one clock. A waiter is whatever asks again: a task."""

    def __init__(self) -> None:
        self._promised: defaultdict[str, WeakKeyDictionary[object, float]] = defaultdict(WeakKeyDictionary)

    def moment(self, budget: str, waiter: object, *, now: float, earliest: float, apart: float) -> float:
        """When this waiter is to ask this budget again: not before `earliest`, and `apart` from the others.

        Whoever asks before its moment keeps it. Those who have gone, or had their turn, hold nobody up.
        """
        promised = self._promised[budget]
        mine = promised.get(waiter, 0.0)
        if mine <= now:
            others = (moment for other, moment in promised.items() if other is not waiter and moment > now)
            mine = promised[waiter] = max(earliest, max(others, default=earliest - apart) + apart)
        return min(max(mine, earliest), now + MOST_SECONDS)

    def had_its_turn(self, budget: str, waiter: object) -> None:
        """This waiter asked, and got what it waited for."""
        self._promised[budget].pop(waiter, None)
