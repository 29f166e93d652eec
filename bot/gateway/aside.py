"""Small work that no answer waits for, such as noting a time. Kept until it is done, and its faults are told.

`server.py` puts it here, so that a box's request never costs a round trip more than it must.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Aside:
    """Holds what is under way; `close` waits for it."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()

    def do(self, what: str, work: Coroutine[Any, Any, Any]) -> None:
        """Begin `work`; `what` names it should it fail."""
        task = asyncio.create_task(_told(what, work))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Wait until everything is done."""
        await asyncio.gather(*self._under_way)


async def _told(what: str, work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except Exception:
        log.exception("not done: %s", what)
