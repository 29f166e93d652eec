"""Signs that somebody will ask for work soon, turned into a wish for a warm box. `front.py` and `desk.py` give them.

A wish is made a moment after the sign and in the background: a person who types makes one, not one for each letter.
Nothing waits for it, and one that fails costs nothing but the time that it would have saved.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)
WarmUp = Callable[[str, str], Awaitable[object]]  # a repository, and why
PAUSE_SECONDS = 0.4
AGAIN_SECONDS = 20.0  # a person's next sign about the same repository is no news until then
MOST = 500  # people and repositories that are remembered


async def nobody_warms(_repository: str, _reason: str) -> None:
    """Where there are no warm boxes."""


class Signals:
    """Gathers them."""

    def __init__(self, warm_up: WarmUp, clock: Callable[[], float], pause_seconds: float = PAUSE_SECONDS) -> None:
        self._warm_up, self._clock, self._pause = warm_up, clock, pause_seconds
        self._waiting: dict[str, tuple[asyncio.Task[None], list[str]]] = {}
        self._told: dict[tuple[str, str], float] = {}

    def soon(self, who: str, repository: str, reason: str) -> None:
        """Somebody (`who`: a person or a thread) will want a box of this repository. Returns at once."""
        if not repository or 0 <= self._clock() - self._told.get((who, repository), -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        if who in self._waiting:
            self._waiting[who][1][:] = [repository, reason]  # the last one counts
        elif len(self._waiting) < MOST:
            said = [repository, reason]
            self._waiting[who] = (asyncio.create_task(self._say(who, said)), said)

    async def _say(self, who: str, said: list[str]) -> None:
        try:
            await asyncio.sleep(self._pause)
            repository, reason = said
            self._told[who, repository] = self._clock()
            while len(self._told) > MOST:
                del self._told[next(iter(self._told))]
            await self._warm_up(repository, reason)
        except Exception:
            log.exception("a box could not be warmed up; nothing depends on it")
        finally:
            self._waiting.pop(who, None)

    async def close(self) -> None:
        """Let go of what is under way."""
        tasks = [task for task, _ in self._waiting.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
