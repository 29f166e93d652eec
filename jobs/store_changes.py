"""The part of the record that tells what has changed lately: which logs grew, and which tokens were revoked.

`jobs/store.py` has one. The gateway's lookout and the upkeep ask it every second or two instead of asking for each of
thousands of sessions. It is bounded: whoever asks too late is told to look at everything.
"""

from collections.abc import Sequence
from typing import NamedTuple

import redis.asyncio as redis

from jobs.store_scripts import CHANGES, key

# KEYS: logs. No ARGV
LENGTHS = """
local found = {}
for i, log in ipairs(KEYS) do found[i] = redis.call('LLEN', log) end
return found
"""

# KEYS: changes. ARGV: the id of the last change that is known. Returns the last id, 1 if all since are told (0: more
# may have changed), then kind and name of each
SINCE = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last then return {'', 0} end
if last[1] == ARGV[1] then return {last[1], 1} end
if ARGV[1] == '' or #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return {last[1], 0} end
local told = {last[1], 1}
for _, change in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+')) do
  told[#told + 1] = change[2][1]
  told[#told + 1] = change[2][2]
end
return told
"""


class Changed(NamedTuple):
    """What changed until `upto`, from where to ask next time. Not `complete`: more than is said may have changed."""

    upto: str
    complete: bool
    logs: frozenset[str]
    tokens: frozenset[str]


class Changes:
    """What changed since somebody last asked."""

    def __init__(self, client: redis.Redis) -> None:
        self._lengths, self._since = client.register_script(LENGTHS), client.register_script(SINCE)

    async def since(self, upto: str) -> Changed:
        """The sessions whose log grew and the hashes of the tokens that were revoked; "": whoever asks first."""
        last, complete, *flat = await self._since(keys=[CHANGES], args=[upto])
        told = list(zip(flat[::2], flat[1::2], strict=True))
        logs, tokens = (frozenset(name for kind, name in told if kind == wanted) for wanted in ("log", "token"))
        return Changed(str(last), bool(complete), logs, tokens)

    async def lengths(self, sids: Sequence[str]) -> list[int]:
        """The last number of each log; 0 if there is none here. In one question."""
        return list(await self._lengths(keys=[key(sid, "log") for sid in sids]))
