"""Work that goes on beside the sweep, because places far away may take minutes for it, or not answer at all.

`jobs/upkeep.py` and `jobs/warm.py` begin it here: one task for each kind and place, never two at once. What comes up
meanwhile waits for a later sweep, which sees it again.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from jobs.log import forgiven
from sandbox.side_by_side import place_of

log = logging.getLogger(__name__)
T = TypeVar("T")
AT_ONCE = 8
LOOK_SECONDS = 0.05


class Beside:
    """Tasks of one process."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, kind: str, items: Iterable[T], of: Callable[[T], str], do: Callable[[T], Awaitable[None]]) -> None:
        """Begin to do this for each item, some at a time, place by place, unless the like is under way there.

        `of`: a box or snapshot that tells the place of an item. What goes wrong with one is logged.
        """
        at: dict[str, list[T]] = defaultdict(list)
        for item in items:
            at[place_of(of(item))].append(item)
        for place, some in at.items():
            name = f"{kind} at {place}"
            if name not in self._tasks or self._tasks[name].done():
                self._tasks[name] = asyncio.create_task(_each(name, some, do))

    async def done(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(*self._tasks.values())

    async def end(self) -> None:
        """Give up what is under way."""
        while left := {task for task in self._tasks.values() if not task.done()}:
            for task in left:  # again and again, for a client that is just dialling may swallow it
                task.cancel()
            await asyncio.wait(left, timeout=LOOK_SECONDS)


async def _each(name: str, items: Iterable[T], do: Callable[[T], Awaitable[None]]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> None:
        async with room:
            with forgiven(log, f"{name}: one could not be seen to; a later sweep tries again"):
                await do(item)

    await asyncio.gather(*map(one, items))
