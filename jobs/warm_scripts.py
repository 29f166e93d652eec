"""The Lua scripts of warm boxes, and their keys. Pure; `jobs/store_warm.py` runs them, an append embeds `TAKE`.

An offer (`jobs.records.Offer` as JSON) stands while its box was seen less than `LEASE_SECONDS` ago, by the server's
clock. Taken, it is a claim, and the token that was the warm box's is the session's.
"""

import json
from collections.abc import Sequence

from jobs.records import Grant, Offer

MADE, OFFERS, SEEN, CLAIMS, WISHES, WARM_BELL = (
    f"shipmate:warm:{name}" for name in ("made", "offers", "seen", "claims", "wishes", "bell")
)
HEARTBEAT_SECONDS = 1.0
LEASE_SECONDS = 2.5

_NOW = """
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end
"""

# KEYS: grants, offers, seen. ARGV: token, box, offer as JSON. Returns the token's grant; "" if it has none
OFFER = (
    _NOW
    + """
local grant = redis.call('HGET', KEYS[1], ARGV[1])
if not grant then return '' end
if cjson.decode(grant)[5] == 'warm' then
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
  redis.call('HSET', KEYS[3], ARGV[2], string.format('%.3f', now()))
end
return grant
"""
)

# KEYS: offers, seen. ARGV: repository, fit: the first that stands and fits, or ""; no ARGV: all that stand
CANDIDATE = (
    _NOW
    + f"local lease = {LEASE_SECONDS}"
    + """
local found, moment = {}, now()
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if moment - tonumber(redis.call('HGET', KEYS[2], all[i]) or 0) <= lease then
    local offer = cjson.decode(all[i + 1])
    if #ARGV == 0 then found[#found + 1] = all[i + 1]
    elseif offer[2] == ARGV[1] and offer[3] == ARGV[2] then return all[i + 1] end
  end
end
if #ARGV > 0 then return '' end
return found
"""
)

# KEYS: claims, offers, seen, grants, tokens of the box. ARGV: box. Returns 0 if somebody has taken it
RETIRE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
for _, token in ipairs(redis.call('SMEMBERS', KEYS[5])) do redis.call('HDEL', KEYS[4], token) end
redis.call('DEL', KEYS[5])
return 1
"""

# KEYS: wishes. ARGV: repository, until, now, most. Returns 1 if it was not wished before
WISH = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
local wished = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not wished and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return wished and 0 or 1
"""

TAKE_FUNCTIONS = (
    _NOW
    + f"local lease, bell = {LEASE_SECONDS}, '{WARM_BELL}'"
    + """
local function stands(offers, seen, box, offer)
  return redis.call('HGET', offers, box) == offer and now() - tonumber(redis.call('HGET', seen, box) or 0) <= lease
end
local function take(offers, seen, claims, wishes, grants, box, token, grant, claim, repository)
  redis.call('HDEL', offers, box)
  redis.call('HDEL', seen, box)
  redis.call('HSET', claims, box, claim)
  redis.call('ZREM', wishes, repository)
  redis.call('HSET', grants, token, grant)
  redis.call('PUBLISH', bell, box)
end
"""
)
"""What an append does with its claims. A row of them: box, offer, token, grant, claim, repository (`claim_row`)."""
CLAIM_WIDTH = 6


def claim_row(offer: Offer, grant: Grant, at: float) -> Sequence[str]:
    """What an append is given of a claim."""
    claim = json.dumps((grant.session, at))
    return (offer.box, json.dumps(offer), offer.token, json.dumps(grant), claim, offer.repository)
