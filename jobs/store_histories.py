"""The part of the record that is read to count what became of sessions: their logs, in the archive too, which leaves
everything where it is; and the last summary of them all. `jobs/store.py` has one, `jobs/hindsight.py` reads it.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import redis.asyncio as redis

from jobs import archive as files
from jobs.events import Event, event_from_json
from jobs.outcomes import Summary
from jobs.store_scripts import ACTIVE, CLOSED, PREFIX, SLEEPING, key

SUMMARY = f"{PREFIX}summary"
SUMMARY_SECONDS = 86_400  # one that nobody has renewed for so long says nothing about now


class History(NamedTuple):
    """A session's log, one JSON object a fact, and when it reached which of `jobs.moments`."""

    log: tuple[str, ...]
    stamps: dict[str, float]

    def events(self) -> list[Event]:
        """The log, read. Raises `ValueError` if a newer release wrote it."""
        return [event_from_json(text) for text in self.log]


class Histories:
    """Logs as they are kept."""

    def __init__(self, client: redis.Redis, archive: Path) -> None:
        self._redis, self._folder = client, archive

    async def here_since(self, since: float) -> list[str]:
        """The sessions in Redis in which something happened since then; some others may be among them."""
        async with self._redis.pipeline(transaction=True) as all_at_once:
            all_at_once.smembers(ACTIVE)
            for resting in (SLEEPING, CLOSED):
                all_at_once.zrangebyscore(resting, since, "+inf")
            active, sleeping, closed = await all_at_once.execute()
        return sorted({*active, *sleeping, *closed})

    async def archived_since(self, since: float) -> dict[str, float]:
        """The sessions that were put into the archive since then, and when; some may have been brought back."""
        return await asyncio.to_thread(files.written, self._folder, since)

    async def of(self, sids: Sequence[str]) -> list[History | None]:
        """The histories of sessions in Redis, in one question; None for one that is not there."""
        async with self._redis.pipeline(transaction=True) as all_at_once:
            for sid in sids:
                all_at_once.lrange(key(sid, "log"), 0, -1)
                all_at_once.hgetall(key(sid, "stamps"))
            found = await all_at_once.execute()
        pairs = zip(found[::2], found[1::2], strict=True)
        return [History(tuple(log), _times(stamps)) if log else None for log, stamps in pairs]

    async def archived(self, sid: str) -> History:
        """The history of a session in the archive; raises if it is not there or broken."""
        kept = await asyncio.to_thread(files.read, self._folder, sid)
        return History(kept.events, _times(kept.stamps))

    async def keep(self, summary: Summary) -> None:
        """From now on this is the last summary."""
        await self._do("SET", SUMMARY, summary.model_dump_json(), "EX", SUMMARY_SECONDS)

    async def summary(self) -> Summary | None:
        """The last one, if there is any that this release can read."""
        kept = await self._do("GET", SUMMARY)
        with contextlib.suppress(ValueError):
            return None if kept is None else Summary.model_validate_json(kept)
        return None

    async def _do(self, *command: Any) -> Any:
        return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]


def _times(stamps: dict[str, str]) -> dict[str, float]:
    return {name: float(at) for name, at in stamps.items()}
