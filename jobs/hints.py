"""Hints to the queue that nobody waits for: asking it takes longer than having a command in the record.

`jobs/wiring.py` gives `give` to the inbox. A hint that cannot be given is told in the log and costs seconds, never
work: the upkeep looks at what is due all the time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from jobs.session import Session
from jobs.wants import Operation

log = logging.getLogger(__name__)
HINT_SECONDS = 1.0

Enqueue = Callable[[Session, Operation], Awaitable[None]]


class Hints:
    """Gives operations to `enqueue`, beside whatever goes on."""

    def __init__(self, enqueue: Enqueue) -> None:
        self._enqueue = enqueue
        self._under_way: set[asyncio.Task[None]] = set()

    async def give(self, session: Session, operation: Operation) -> None:
        """Begin to ask for the operation."""
        task = asyncio.create_task(self._ask(session, operation))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def given(self) -> None:
        """Wait until everything is asked for, or cannot be."""
        await asyncio.gather(*self._under_way)

    async def _ask(self, session: Session, operation: Operation) -> None:
        try:
            async with asyncio.timeout(HINT_SECONDS):
                await self._enqueue(session, operation)
        except Exception as trouble:
            log.warning("%s was not hinted, so it comes later: %s", operation.kind, trouble or type(trouble).__name__)
