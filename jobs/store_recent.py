"""The part of the record that knows which sessions a person has asked for last. `jobs/store.py` has one.

A convenience: it says nothing that the logs do not, and is forgotten after a while.
"""

from typing import Any

import redis.asyncio as redis

from jobs.store_scripts import PREFIX

KEPT = 20  # of each person
SECONDS = 90 * 86_400


class RecentSessions:
    """Lists of ids, the last one first."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    async def note(self, person: str, sid: str, at: float) -> None:
        """This person has asked for something in this session, at that time."""
        name = f"{PREFIX}recent:{person}"
        async with self._redis.pipeline(transaction=False) as all_of_it:
            all_of_it.zadd(name, {sid: at})
            all_of_it.zremrangebyrank(name, 0, -KEPT - 1)
            all_of_it.expire(name, SECONDS)
            await all_of_it.execute()

    async def of(self, person: str, most: int = KEPT) -> list[str]:
        """The sessions of this person."""
        return list(await self._do("ZREVRANGE", f"{PREFIX}recent:{person}", 0, most - 1))

    async def _do(self, *command: Any) -> Any:
        return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
