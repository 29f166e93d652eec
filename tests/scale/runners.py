"""A process that holds thousands of light runners: told what to do by JSON lines on stdin, one line back for each.

`site.py` runs `python -m tests.scale.runners`: a process of its own, so that what it costs is not counted as ours.

    {"do": "start", "greetings": [{…}, …], "pace": 0.5}     → {"links": 17}
    {"do": "count"}                                          → {"links", "attached", "turns", "waiting"}
    {"do": "mark"}                                           → {"at": …}: from now on links count as lost
    {"do": "back"}                                           → {"back": n, "seconds": […]}: those that heard since
    {"do": "talk", "links": 100, "each": 50, "seconds": 10}  → {"frames", "seconds", "lags": […]}
"""

import asyncio
import json
import sys
import time
from typing import Any

from tests.scale.light import LightRunner

HEARD_SECONDS = 5.0
DRAIN_SECONDS = 60.0


class Runners:
    """All that live in this process."""

    def __init__(self) -> None:
        self._all: list[LightRunner] = []
        self._marked = 0.0

    async def start(self, greetings: list[dict[str, Any]], pace: float) -> dict[str, Any]:
        """More of them."""
        for greeting in greetings:
            runner = LightRunner(greeting, pace)
            runner.start()
            self._all.append(runner)
        return {"links": len(self._all)}

    async def count(self) -> dict[str, Any]:
        """How they are. `waiting`: those with frames that are not stored yet."""
        now = time.time()
        return {
            "links": len(self._all),
            "attached": sum(now - one.link.heard < HEARD_SECONDS for one in self._all),
            "turns": sum(one.turns for one in self._all),
            "waiting": sum(bool(one.outbox.batch()) for one in self._all),
        }

    async def mark(self) -> dict[str, Any]:
        """From now on a link is back when it hears something again."""
        self._marked = time.time()
        for one in self._all:
            one.link.mark, one.link.again = self._marked, 0.0
        return {"at": self._marked}

    async def back(self) -> dict[str, Any]:
        """After how many seconds each of them was back."""
        seconds = [one.link.again - self._marked for one in self._all if one.link.again]
        return {"back": len(seconds), "seconds": seconds}

    async def close(self) -> None:
        """All hang up."""
        await asyncio.gather(*(one.close() for one in self._all))

    async def talk(self, links: int, each: float, seconds: float) -> dict[str, Any]:
        """Steps on the first `links` that are in a turn, `each` a second, for so long; until all are stored."""
        talking = [one for one in self._all if one.turn][:links]
        began = time.time()
        lags = [lag for some in await asyncio.gather(*(_talk(one, each, seconds) for one in talking)) for lag in some]
        return {"frames": len(lags), "links": len(talking), "seconds": time.time() - began, "lags": lags}


async def _talk(one: LightRunner, each: float, seconds: float) -> list[float]:
    """For each frame, how long it took until it was known to be stored; looked at every few milliseconds."""
    made: list[float] = []
    first, began, lags = one.outbox.last, time.time(), []
    while len(lags) < each * seconds:
        now = time.time()
        while len(made) < each * seconds and began + len(made) / each <= now:
            one.outbox.say("text", turn=one.turn, text=f"word {len(made)}")
            made.append(time.time())
        batch = one.outbox.batch()
        stored = (batch[0][0] - 1 if batch else one.outbox.last) - first
        lags += [now - at for at in made[len(lags) : stored]]
        if now - began > seconds + DRAIN_SECONDS:
            break
        await asyncio.sleep(0.02)
    return lags


async def main() -> None:
    """Answer lines until there are no more."""
    runners, loop = Runners(), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        answer = await getattr(runners, asked.pop("do"))(**asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
