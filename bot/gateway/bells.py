"""The log's bells, heard once for each web process and rung for whoever waits in it.

`link.py` waits here for its session's log to grow. A bell only says "look again" and may be lost, so nobody waits for
one without a time limit.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)
AGAIN_SECONDS = 0.5
CANCEL_SECONDS = 0.05


class Bells:
    """`listen` opens the one subscription; from `start` to `close` it is kept open."""

    def __init__(self, listen: Callable[[], AsyncIterator[str]]) -> None:
        self._listen = listen
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._hearing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to pass bells on."""
        self._hearing = asyncio.create_task(self._hear())

    async def close(self) -> None:
        """Hear no more."""
        while self._hearing is not None and not self._hearing.done():
            self._hearing.cancel()  # more than once if need be: a client that is just dialling may swallow it
            await asyncio.wait({self._hearing}, timeout=CANCEL_SECONDS)

    async def _hear(self) -> None:
        while True:
            try:
                async for sid in self._listen():
                    for bell in self._waiting.get(sid, ()):
                        bell.set()
            except Exception:
                log.exception("bells are not heard just now; whoever waits looks by himself meanwhile")
            await asyncio.sleep(AGAIN_SECONDS)

    @contextmanager
    def ringing(self, sid: str, bell: asyncio.Event) -> Iterator[None]:
        """Within this, `bell` is set whenever the session's log may have grown."""
        self._waiting[sid].add(bell)
        try:
            yield
        finally:
            self._waiting[sid].discard(bell)
            if not self._waiting[sid]:
                del self._waiting[sid]
