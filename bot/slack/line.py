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
        self._until: dict[str, float] = {}
        self._promised: defaultdict[str, WeakKeyDictionary[object, float]] = defaultdict(WeakKeyDictionary)

    def moment(self, budget: str, waiter: object, *, now: float, earliest: float, apart: float) -> float:
        """When this waiter is to ask this budget again: not before `earliest`, and `apart` from the others.

        Whoever asks before its moment keeps it.
        """
        promised = self._promised[budget]
        mine = promised.get(waiter, 0.0)
        if mine <= now:
            mine = max(earliest, self._until.get(budget, 0.0))
            self._until[budget] = mine + apart
            promised[waiter] = mine
        return min(max(mine, earliest), now + MOST_SECONDS)
