"""When something next happens in a session, as somebody sees who reads the record again and again.

What an event says of its own time is when it was decided. A process that waits for the record to come back puts it
there later, so `rows.py` asks here when it was seen.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio as redis

from jobs.events import Event, event_from_json
from jobs.store_scripts import key
from tests.e2e.people import Thread

LOOK_SECONDS = 0.01


class Signs:
    """Of one session, after the first `known` events of its log."""

    def __init__(self, record: redis.Redis, sid: str, known: int) -> None:
        self._record, self._log, self._known = record, key(sid, "log"), known
        self._seen: list[tuple[float, Event]] = []

    @classmethod
    @asynccontextmanager
    async def watched(cls, thread: Thread, known: int) -> AsyncIterator["Signs"]:
        """Look out for them within this, by a connection that is dialled anew at each look if need be."""
        url = thread.office.stack.env["REDIS_URL"]
        async with redis.Redis.from_url(url, decode_responses=True) as record:
            signs = cls(record, thread.sid, known)
            looking = asyncio.create_task(signs._look_for_ever())
            try:
                yield signs
            finally:
                while not looking.done():  # again and again, for a client that is just dialling may swallow it
                    looking.cancel()
                    await asyncio.wait({looking}, timeout=LOOK_SECONDS)

    async def _look_for_ever(self) -> None:
        while True:
            with contextlib.suppress(redis.RedisError):
                texts = await self._record.lrange(self._log, self._known + len(self._seen), -1)  # type: ignore[misc]
                now = time.time()
                self._seen += [(now, event_from_json(text)) for text in texts]
            await asyncio.sleep(LOOK_SECONDS)

    def after(self, killed: float, besides: tuple[type, ...]) -> list[float]:
        """When each was seen of those that were decided after the kill, `besides` some kinds."""
        return [at for at, event in self._seen if event.at > killed and not isinstance(event, besides)]
