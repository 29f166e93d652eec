"""The Lua scripts that take a closed session out of the record and bring it back. Pure; `jobs/store.py` runs them."""

from typing import Any

from jobs.archive import Archived
from jobs.store_scripts import counted


def bring_back_args(sid: str, now: float, kept: Archived) -> list[Any]:
    """The arguments of `BRING_BACK`."""
    return [
        *(sid, now, kept.session),
        *counted([(text,) for text in kept.events]),
        *counted(kept.transcript),
        *(field for one in (kept.link, kept.stamps, kept.posts) for field in counted(list(one.items()))),
    ]


# Takes a session out after it was written to a file, unless it grew. KEYS: a session's, then closed, unshown, kept
# ARGV: sid, how many events the file has, since when it is closed if its box left something, else ""
DROP = """
if redis.call('LLEN', KEYS[1]) ~= tonumber(ARGV[2]) then return 0 end
if not redis.call('ZSCORE', KEYS[7], ARGV[1]) then return 0 end
redis.call('ZREM', KEYS[7], ARGV[1])
redis.call('ZREM', KEYS[8], ARGV[1])
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[9], ARGV[3], ARGV[1]) end
for i = 1, 6 do redis.call('DEL', KEYS[i]) end
return 1
"""

# Puts a session back as its file has it, unless it is here. KEYS: a session's, then closed
# ARGV: sid, now, folded, then counted lists: events, transcript (id, at, turn, kind, body), and of names and values
#       link, stamps, posts
BRING_BACK = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local at = 4
local function each(width, put)
  local count = tonumber(ARGV[at])
  for i = 0, count - 1 do put(at + 1 + i * width) end
  at = at + 1 + count * width
end
each(1, function(i) redis.call('RPUSH', KEYS[1], ARGV[i]) end)
redis.call('SET', KEYS[2], ARGV[3])
each(5, function(i)
  redis.call('XADD', KEYS[3], ARGV[i], 'at', ARGV[i + 1], 'turn', ARGV[i + 2], 'kind', ARGV[i + 3], 'body', ARGV[i + 4])
end)
for key = 4, 6 do
  each(2, function(i) redis.call('HSET', KEYS[key], ARGV[i], ARGV[i + 1]) end)
end
redis.call('ZADD', KEYS[7], ARGV[2], ARGV[1])
return 1
"""
