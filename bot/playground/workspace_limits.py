"""How often an app may call each method: Slack's tiers, as calls in a minute. Pure but for the clock it is given.

`workspace_api.py` asks before each call of an app. People's clients are not limited.
"""

from collections import deque
from collections.abc import Callable

MINUTE = 60.0
SPECIAL = 0  # not by the minute
TIER_1, TIER_2, TIER_3, TIER_4 = 1, 20, 50, 100
POSTS, POST_SECONDS = 5, 5.0  # about one message in a second and channel, with short bursts


class Limits:
    """Remembers the calls of the last minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: dict[str, deque[float]] = {}

    def wait(self, app: str, method: str, tier: int) -> int:
        """0: go, and it is counted; else whole seconds until the call may be made."""
        return self._count(f"{app}:{method}", tier, MINUTE) if tier else 0

    def wait_to_post(self, app: str, channel: str) -> int:
        """The same for a message to one channel."""
        return self._count(f"{app}:post:{channel}", POSTS, POST_SECONDS)

    def _count(self, key: str, most: int, seconds: float) -> int:
        now = self._clock()
        calls = self._calls.setdefault(key, deque())
        while calls and calls[0] <= now - seconds:
            calls.popleft()
        if len(calls) >= most:
            return max(1, -int(-(calls[0] + seconds - now) // 1))
        calls.append(now)
        return 0
