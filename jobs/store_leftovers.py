"""The part of the record that says which snapshots nobody names any more, and whose are kept for a while yet.

`jobs/store.py` has one. A snapshot gets here in the same moment in which the log stops naming it, so none is let go too
early and none is forgotten; `jobs/upkeep.py` lets them go.
"""

from typing import Any

import redis.asyncio as redis

from jobs.records import Unnamed
from jobs.store_scripts import KEPT, UNNAMED, key

MOST = 100  # in one look; the next look has the rest


class Leftovers:
    """What boxes and images left."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    async def unnamed(self, before: float) -> list[Unnamed]:
        """Snapshots that have been named by nobody since before that time, the oldest first."""
        return [Unnamed(*member.rsplit(" ", 1)) for member in await self._due(UNNAMED, before)]

    async def let_go(self, one: Unnamed) -> None:
        """It is gone, or somebody names it after all: nothing is left to do."""
        await self._do("ZREM", UNNAMED, f"{one.owner} {one.snapshot}")

    async def put_off(self, one: Unnamed, at: float) -> None:
        """It cannot be let go just now, and keeps no other from it: as if it had been named until this time."""
        await self._do("ZADD", UNNAMED, "XX", at, f"{one.owner} {one.snapshot}")

    async def kept(self, before: float) -> list[str]:
        """Sessions in the archive, closed before that time, whose boxes' files are still kept."""
        return await self._due(KEPT, before)

    async def rests(self, sid: str) -> bool:
        """Whether this session is in the archive and what its box left is still kept."""
        async with self._redis.pipeline(transaction=True) as both:
            both.zscore(KEPT, sid)
            both.exists(key(sid, "session"))
            since, here = await both.execute()
        return since is not None and not here

    async def keep_longer(self, sid: str, at: float) -> None:
        """It cannot be seen to just now, perhaps: as if it had been closed at this time."""
        await self._do("ZADD", KEPT, "XX", at, sid)

    async def keep_no_more(self, sid: str) -> None:
        """This session has been seen to."""
        await self._do("ZREM", KEPT, sid)

    async def _due(self, index: str, before: float) -> list[str]:
        return list(await self._do("ZRANGEBYSCORE", index, "-inf", f"({before}", "LIMIT", 0, MOST))

    async def _do(self, *command: Any) -> Any:
        return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
