"""The part of the record that knows berths: who has room for a box on this machine, and who waits for it.

`jobs/store.py` has one; `jobs/berths.py` says when. A berth is taken in one step, so a burst cannot take one twice.
Boxes that were made warm are counted where they are written down (`jobs/store_warm.py`), whoever has them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import redis.asyncio as redis

from jobs.records import Offer
from jobs.store_scripts import PREFIX
from jobs.warm_scripts import MADE
from sandbox.side_by_side import FAR, HERE, named, place_of

HELD, QUEUED = f"{PREFIX}places:held", f"{PREFIX}places:queued"
FRESH_SECONDS = 10.0  # so long a berth may be held by one who is not seen to hold it yet

# KEYS: held, queued, made. ARGV: who, when it asked, now, the most, then what the names of warm boxes that are not
# counted begin with.
_FREE = """
local free = tonumber(ARGV[4]) - redis.call('ZCARD', KEYS[1])
for _, box in ipairs(redis.call('HKEYS', KEYS[3])) do
  local here = 1
  for i = 5, #ARGV do if string.sub(box, 1, #ARGV[i]) == ARGV[i] then here = 0 end end
  free = free - here
end
"""
# For a session. 0: it has a berth; else which in the queue.
TAKE = f"""
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[2], 'NX', ARGV[2], ARGV[1])
local rank = redis.call('ZRANK', KEYS[2], ARGV[1])
{_FREE}
if rank >= free then return rank + 1 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 0
"""
# For a build, or to keep the one that it has. 1: it has a berth; 0: there is none, or a session waits for it.
SPARE = f"""
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
{_FREE}
if free < 1 or redis.call('ZCARD', KEYS[2]) > 0 then return 0 end
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1
"""


# For a warm box, which is written down (as ARGV[2] has it) in the same step. Answers as `SPARE`.
WARM = f"""
{_FREE}
if free < 1 or redis.call('ZCARD', KEYS[2]) > 0 then return 0 end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
return 1
"""

_ELSEWHERE = tuple(named(far, "") for far in FAR)


class Berths:
    """Berths for boxes, held by sessions and by builds of images."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._take, self._spare = client.register_script(TAKE), client.register_script(SPARE)
        self._warm = client.register_script(WARM)

    async def take(self, sid: str, asked: float, now: float, most: int) -> int:
        """0: this session has a berth. Else it waits: 1 is next. `asked`: whoever asked first comes first."""
        return int(await self._take(keys=[HELD, QUEUED, MADE], args=[sid, asked, now, most, *_ELSEWHERE]))

    async def take_spare(self, build: str, now: float, most: int) -> bool:
        """Whether this build has a berth, which no session waits for when it is taken. It lasts `FRESH_SECONDS`, and is
        kept by taking it again."""
        return bool(await self._spare(keys=[HELD, QUEUED, MADE], args=[build, now, now, most, *_ELSEWHERE]))

    async def make_warm(self, offer: Offer, most: int) -> bool:
        """Write down a box that is about to be made, and to be warm one day, if there is a berth that no session waits
        for; whether there was."""
        args: list[str | int] = [offer.box, json.dumps(offer), "", most, *_ELSEWHERE]
        return bool(await self._warm(keys=[HELD, QUEUED, MADE], args=args))

    async def give_back(self, sid: str) -> None:
        """This session, or build, has no box any more, and waits for none."""
        await self._do("ZREM", HELD, sid)
        await self._do("ZREM", QUEUED, sid)

    async def queued(self) -> list[str]:
        """The sessions that wait, in order."""
        return list(await self._do("ZRANGE", QUEUED, 0, -1))

    async def waited_since(self) -> float | None:
        """When that was asked which waits first; None if nobody waits."""
        first: Any = await self._do("ZRANGE", QUEUED, 0, 0, "WITHSCORES")
        return float(first[1]) if first else None

    async def room(self, most: int) -> int:
        """How many berths are free; below 0 if there are more boxes than there may be."""
        warm = [box for box in await self._do("HKEYS", MADE) if place_of(box) == HERE]
        return most - int(await self._do("ZCARD", HELD)) - len(warm)

    async def correct(self, holders: Sequence[str], waiting: Mapping[str, float], now: float) -> None:
        """What the logs say: who has a box that was not made warm, and who waits for one, since when."""
        known: Any = await self._do("ZRANGE", HELD, 0, -1, "WITHSCORES")
        held = dict(zip(known[::2], map(float, known[1::2]), strict=True))
        gone = [sid for sid, at in held.items() if sid not in holders and abs(now - at) > FRESH_SECONDS]
        left = [sid for sid in await self.queued() if sid not in waiting]
        async with self._redis.pipeline(transaction=True) as all_of_it:
            for sid in gone:
                all_of_it.zrem(HELD, sid)
            for sid in left:
                all_of_it.zrem(QUEUED, sid)
            for sid in holders:
                all_of_it.zadd(HELD, {sid: now}, nx=True)
            for sid, asked in waiting.items():
                if sid not in held:
                    all_of_it.zadd(QUEUED, {sid: asked}, nx=True)
            await all_of_it.execute()

    async def _do(self, *command: Any) -> Any:
        return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
