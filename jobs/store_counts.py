"""The part of the record that counts: totals that only grow, and how many sessions are how. Bounded, whatever there is.

`jobs/store.py` has one; `jobs/census.py` reads it for `shipmate doctor` and the metrics.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import redis.asyncio as redis

from jobs.log import forgiven
from jobs.session import Session
from jobs.store_scripts import ACTIVE, CLOSED, PREFIX, SLEEPING, TOTALS, UNNAMED, UNSHOWN, key

log = logging.getLogger(__name__)
AT_ONCE = 200  # sessions in one question: nobody waits long for the record meanwhile
LOOKED_AT = 1000  # sessions under way that are looked into; more are only counted


class Counts:
    """What can be counted."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    async def totals(self) -> dict[str, float]:
        """What happened since the record began: `event:KIND`, `turn:OUTCOME`, `frames`, `stage:NAME:BOUND`."""
        flat: Any = await self._do("HGETALL", TOTALS)
        return {name: float(value) for name, value in dict(flat).items()}

    async def sizes(self) -> dict[str, int]:
        """How many sessions are active, sleeping, closed and unshown, and how many snapshots nobody names."""
        async with self._redis.pipeline(transaction=True) as all_at_once:
            all_at_once.scard(ACTIVE)
            for index in (SLEEPING, CLOSED, UNSHOWN, UNNAMED):
                all_at_once.zcard(index)
            found = await all_at_once.execute()
        return dict(zip(("active", "sleeping", "closed", "unshown", "unnamed"), found, strict=True))

    async def under_way(self) -> list[Session]:
        """The sessions where something is going on or due; any `LOOKED_AT` of them if there are more."""
        return [session async for session in self.several(await self._do("SRANDMEMBER", ACTIVE, LOOKED_AT))]

    async def newest(self, most: int) -> list[str]:
        """At most so many sessions: those under way, then those that came to rest last, closed ones at the end."""
        found: list[str] = list(await self._do("SRANDMEMBER", ACTIVE, most))
        for resting in (SLEEPING, CLOSED):
            if len(found) < most:
                found += await self._do("ZREVRANGE", resting, 0, most - len(found) - 1)
        return found

    async def several(self, sids: Sequence[str]) -> AsyncIterator[Session]:
        """The sessions with these ids, many in one question; what is archived, or cannot be read, is left out."""
        for first in range(0, len(sids), AT_ONCE):
            some = sids[first : first + AT_ONCE]
            kept = await self._do("MGET", *(key(sid, "session") for sid in some))
            for sid, text in zip(some, kept, strict=True):
                session = None
                with forgiven(log, f"session {sid} cannot be read"):
                    session = Session.model_validate_json(text) if text is not None else None
                if session is not None:
                    yield session

    async def unshown_since(self) -> float | None:
        """Since when the thread that waits longest waits for its words."""
        oldest = await self._do("ZRANGE", UNSHOWN, 0, 0, "WITHSCORES")
        return float(oldest[1]) if oldest else None

    async def leased(self, name: str) -> bool:
        """Whether somebody holds this lease."""
        return bool(await self._do("EXISTS", f"{PREFIX}lease:{name}"))

    async def _do(self, *command: Any) -> Any:
        return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
