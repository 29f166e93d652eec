"""The Lua scripts of the ledger and of its slots, and their keys. Pure; only `jobs/store_ledger.py` runs them.

A record is a hash of its own, which may expire; an index has every key in order, so that those that begin alike are
found without a look at the rest. A slot is held, or waited for, under a ticket. Who holds one says so again and again:
what is not said again in time is taken back. Who gives one back hands it to whoever is next. Times are the server's.
"""

INDEX, RECORD, SLOT, GRANTED = "shipmate:ledger", "shipmate:ledger:", "shipmate:slot:", "shipmate:slot-granted"

# KEYS: index, record. ARGV: key, milliseconds or "", 1: only if there is none, then names and values
PUT = """
if ARGV[3] == '1' and redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], '', '', unpack(ARGV, 4))
if ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
redis.call('ZADD', KEYS[1], 0, ARGV[1])
return 1
"""

# KEYS: index, record. ARGV: key
DROP = """
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('DEL', KEYS[2])
"""

# KEYS: index, record. ARGV: key, milliseconds or "" to drop it, then names and values: only if that is all it says
IF_STILL = """
if redis.call('HLEN', KEYS[2]) ~= #ARGV / 2 then return 0 end
for at = 3, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[at]) ~= ARGV[at + 1] then return 0 end
end
if ARGV[2] ~= '' then return redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('DEL', KEYS[2])
"""

# KEYS: index. ARGV: what keys begin with, what records' own keys begin with, 1: with what they say.
# Returns key, names and values of each. What has expired leaves the index here.
FIND = """
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], '[' .. ARGV[1], '[' .. ARGV[1] .. '\\255')) do
  local record = ARGV[2] .. name
  if redis.call('EXISTS', record) == 0 then redis.call('ZREM', KEYS[1], name)
  elseif ARGV[3] == '1' then found[#found + 1] = {name, redis.call('HGETALL', record)}
  else found[#found + 1] = {name, {}} end
end
return found
"""

_SLOTS = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local ticket, of, hold_seconds, silent_seconds = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now))
for _, silent in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.6f', now))) do
  redis.call('ZREM', KEYS[2], silent)
  redis.call('ZREM', KEYS[3], silent)
end
local function hold(who, seconds)
  redis.call('ZADD', KEYS[1], string.format('%.6f', now + seconds), who)
  redis.call('ZREM', KEYS[2], who)
  redis.call('ZREM', KEYS[3], who)
end
local function stays()
  local longest = math.ceil((hold_seconds + silent_seconds) * 1000)
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, longest) end
end
"""

# KEYS of both: held, waiting, heard, count. ARGV: ticket, of, hold (seconds), how long somebody who waits may be
# silent (seconds). This one takes a slot, waits for it, or goes on to hold it. Returns 0: the ticket holds a slot; else
# how many come before it, and one.
TAKE_SLOT = (
    _SLOTS
    + """
if redis.call('ZSCORE', KEYS[1], ticket) then
  hold(ticket, hold_seconds)
  stays()
  return 0
end
if not redis.call('ZSCORE', KEYS[2], ticket) then
  redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[4]), ticket)
end
redis.call('ZADD', KEYS[3], string.format('%.6f', now + silent_seconds), ticket)
local before = redis.call('ZRANK', KEYS[2], ticket) - (of - redis.call('ZCARD', KEYS[1]))
if before < 0 then hold(ticket, hold_seconds) end
stays()
return math.max(0, before + 1)
"""
)

# Also ARGV: where it is told who holds a slot from now on. It is for him to say soon that he heard it.
LEAVE_SLOT = (
    _SLOTS
    + """
for key = 1, 3 do redis.call('ZREM', KEYS[key], ticket) end
local free = of - redis.call('ZCARD', KEYS[1])
if free > 0 then
  for _, next_one in ipairs(redis.call('ZRANGE', KEYS[2], 0, free - 1)) do
    hold(next_one, silent_seconds)
    redis.call('PUBLISH', ARGV[5], next_one)
  end
end
return 1
"""
)
