"""The Lua scripts of the ledger and of its slots, and their keys. Pure; only `jobs/store_ledger.py` runs them.

A record is a hash of its own, which may expire; an index has every key in order, so that those that begin alike are
found without a look at the rest. A slot is held, or waited for, under a ticket. Who holds one says so again and again:
what is not said again in time is taken back. Who gives one back hands it to whoever is next. Times are the server's.
"""

INDEX, RECORD, SLOT, GRANTED = "shipmate:ledger", "shipmate:ledger:", "shipmate:slot:", "shipmate:slot-granted"
STATES = "shipmate:ledger-states"
EXPIRING = "expiring"

# The state of a kind of records (their keys begin with it, up to a colon) is when one of them was changed last. Of a
# kind with records that expire by themselves none is known.
_CHANGED = f"""
local function changed(states, key, expires)
  local kind = string.match(key, '^[^:]*:')
  if not kind or (not expires and redis.call('HGET', states, kind) == '{EXPIRING}') then return end
  local time = redis.call('TIME')
  redis.call('HSET', states, kind, expires and '{EXPIRING}' or time[1] .. '.' .. time[2])
end
"""

# KEYS: index, record, states. ARGV: key, milliseconds or "", 1: only if there is none, then names and values
PUT = (
    _CHANGED
    + """
if ARGV[3] == '1' and redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], '', '', unpack(ARGV, 4))
if ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
redis.call('ZADD', KEYS[1], 0, ARGV[1])
changed(KEYS[3], ARGV[1], ARGV[2] ~= '')
return 1
"""
)

# KEYS: index, record, states. ARGV: key
DROP = (
    _CHANGED
    + """
redis.call('ZREM', KEYS[1], ARGV[1])
changed(KEYS[3], ARGV[1], false)
return redis.call('DEL', KEYS[2])
"""
)

# KEYS: index, record, states. ARGV: key, milliseconds or "" to drop it, then names and values: if that is all it says
IF_STILL = (
    _CHANGED
    + """
if redis.call('HLEN', KEYS[2]) ~= #ARGV / 2 then return 0 end
for at = 3, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[at]) ~= ARGV[at + 1] then return 0 end
end
if ARGV[2] ~= '' then return redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
changed(KEYS[3], ARGV[1], false)
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('DEL', KEYS[2])
"""
)

# KEYS: index, states. ARGV: what keys begin with (a kind, or anything), what records' own keys begin with, 1: with what
# they say, the state that is known or "". Returns the state now, "" if there is none to go by; then, unless that is
# known already, key, names and values of each. What has expired leaves the index here.
FIND = f"""
local state = redis.call('HGET', KEYS[2], ARGV[1]) or ''
if state == '{EXPIRING}' then state = '' end
if state ~= '' and state == ARGV[4] then return {{state}} end
local found = {{state}}
for _, name in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], '[' .. ARGV[1], '[' .. ARGV[1] .. '\\255')) do
  local record = redis.call('HGETALL', ARGV[2] .. name)
  if #record == 0 then redis.call('ZREM', KEYS[1], name)
  else found[#found + 1] = {{name, ARGV[3] == '1' and record or {{}}}} end
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
