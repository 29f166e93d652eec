"""Who is served when all boxes call at once, as after a restart: some at a time, and the others are told when. Pure.

Without it, thousands of runners wait for an answer that comes too late, hang up, and call again: the process does work
for nobody, for ever. `link.py` asks before it attaches one; docs/wire.md says how a runner hears of it.
"""

AT_ONCE = 16
FIRST_SECONDS = 0.01  # how far apart boxes are let in before anything was measured
LEAST_SECONDS, MOST_SECONDS = 0.2, 60.0
MEMORY = 0.05  # how much the newest measure counts


class Turnstile:
    """Times are seconds of any one clock. Every `begin` that answers 0 is followed by one `done`."""

    def __init__(self) -> None:
        self._under_way = 0
        self._next = 0.0
        self._apart = FIRST_SECONDS

    def begin(self, now: float) -> float:
        """0: it is this box's turn. Else seconds to wait: each gets a moment of its own, in the order they call."""
        if self._under_way < AT_ONCE:
            self._under_way += 1
            return 0.0
        moment = max(now + LEAST_SECONDS, self._next)
        if moment > now + MOST_SECONDS:  # between those of the first round: all who were told the same would be a crowd
            moment = now + LEAST_SECONDS
        self._next = moment + self._apart
        return moment - now

    def done(self, seconds: float) -> None:
        """A turn is over, and took so long."""
        self._under_way -= 1
        self._apart += MEMORY * (seconds / AT_ONCE - self._apart)
