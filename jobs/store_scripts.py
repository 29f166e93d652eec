"""The Lua scripts of the record, and how their arguments lie. Pure; only `jobs/store.py` runs them.

What must be true at once happens in one script. Commands of Redis 6.2, and no more. The indexes of all sessions are
written by the scripts of single ones, so the record is one server, not a cluster.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.events import BoxStarted, Event, TurnEnded, event_to_json
from jobs.records import Entry, Fence, Heard
from jobs.session import Session, Status
from jobs.warm_scripts import CLAIM_WIDTH, CLAIMS, OFFERS, SEEN, TAKE_FUNCTIONS, WISHES

PREFIX = "shipmate:"
ACTIVE, SLEEPING, CLOSED, UNSHOWN, BELL = (PREFIX + n for n in ("active", "sleeping", "closed", "unshown", "bell"))
UNNAMED, KEPT, TOTALS, GRANTS, CHANGES = (PREFIX + n for n in ("unnamed", "kept", "totals", "grants", "changes"))
CHANGES_KEPT = 5000  # about so many; whoever asks for older ones looks at everything
BELL_SECONDS = 10.0
INDEXES = (
    ACTIVE,
    SLEEPING,
    CLOSED,
    UNSHOWN,
    UNNAMED,
    TOTALS,
    OFFERS,
    SEEN,
    CLAIMS,
    WISHES,
    GRANTS,
    CHANGES,
)  # as `APPEND` has them
PARTS = ("log", "session", "transcript", "link", "stamps", "posts")
TRANSCRIPT_ENTRIES, TRANSCRIPT_BYTES = 10_000, 16 << 20
# Seconds after a prompt was received, as the totals have them: each stage is counted at the first that it fits below
STAGE_BOUNDS = ("0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60", "120", "300", "600", "1800", "7200")


def key(sid: str, part: str) -> str:
    """The key of one of a session's `PARTS`."""
    return f"{PREFIX}{{{sid}}}:{part}"


def keys(sid: str) -> list[str]:
    """The keys of all of a session's `PARTS`."""
    return [key(sid, part) for part in PARTS]


def append_args(
    sid: str,
    writer: str,
    events: Sequence[Event],
    folded: Session,
    expected: int,
    fence: Fence | None,
    heard: Heard | None,
    transcript: Sequence[Entry],
    stamps: Mapping[str, float],
    unnamed: str | None,
    claims: Sequence[Sequence[str]],
) -> list[Any]:
    """The arguments of `APPEND`. `writer` is a name of this append alone: repeated after a lost answer, it is known."""
    numbered = (event.model_copy(update={"seq": expected + n}) for n, event in enumerate(events, 1))
    return [
        *(sid, writer, expected, folded.model_dump_json(), _rest(folded), folded.since),
        folded.generation,
        *(("", "", "") if fence is None else fence),
        *(("", "", "") if heard is None else heard),
        *(TRANSCRIPT_ENTRIES, TRANSCRIPT_BYTES, BELL),
        *(events[0].at if events else 0, unnamed or ""),
        *counted([(event_to_json(event),) for event in numbered]),
        *counted([(e.at, e.turn, e.kind, json.dumps(e.body, ensure_ascii=False)) for e in transcript]),
        *counted(list(stamps.items())),
        *counted(list(_totals(events, heard).items())),
        *counted(claims),
    ]


def _totals(events: Sequence[Event], heard: Heard | None) -> Counter[str]:
    """What an append adds to the totals of all sessions."""
    totals = Counter(f"event:{event.kind}" for event in events)
    totals.update(f"turn:{event.outcome}" for event in events if isinstance(event, TurnEnded))
    totals.update(f"start:{event.start}" for event in events if isinstance(event, BoxStarted))
    if heard is not None:
        totals["frames"] += heard.upto - heard.after
    return totals


def counted(rows: Sequence[Sequence[Any]]) -> list[Any]:
    """How many rows, then their fields: how the scripts are given lists."""
    return [len(rows), *(field for row in rows for field in row)]


def _rest(session: Session) -> str:
    """Which of the three indexes a session belongs to."""
    if not session.at_rest:
        return "active"
    return "closed" if session.status is Status.CLOSED else "sleeping"


STAMP_FUNCTION = (
    f"local bounds = {{{', '.join(repr(bound) for bound in STAGE_BOUNDS)}}}"
    + """
local function stamp(stamps, totals, name, at)
  if redis.call('HSETNX', stamps, name, at) == 0 or name == 'received' then return end
  local received = redis.call('HGET', stamps, 'received')
  if not received then return end
  local took, bucket = math.max(0, tonumber(at) - tonumber(received)), 'more'
  for _, bound in ipairs(bounds) do
    if took <= tonumber(bound) then bucket = bound break end
  end
  redis.call('HINCRBY', totals, 'stage:' .. name .. ':' .. bucket, 1)
  redis.call('HINCRBYFLOAT', totals, 'stage:' .. name .. ':seconds', string.format('%.6f', took))
end
"""
)

# KEYS: stamps, totals. ARGV: name, at
STAMP = (
    STAMP_FUNCTION
    + """
stamp(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
return 1
"""
)

# KEYS: a session's, then active, sleeping, closed, unshown, unnamed, totals, and of warm boxes offers, seen, claims,
#       wishes; grants, changes
# ARGV: sid, writer, expected, folded, rest (active, sleeping or closed), since, generation, fence generation or "",
#       fence epoch, the hash of the fence's token or "", heard generation or "", heard after, heard upto, most entries,
#       most bytes, bell, at, the snapshot that the session does not name any more or "",
#       then counted lists: events, transcript (at, turn, kind, body), stamps (name, at), totals (name, by how much),
#       claims of warm boxes (`warm_scripts.claim_row`)
APPEND = (
    STAMP_FUNCTION
    + TAKE_FUNCTIONS
    + f"local claim_width, changes_kept = {CLAIM_WIDTH}, {CHANGES_KEPT}"
    + """
local log, session, transcript, link, stamps = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local sid, writer, expected = ARGV[1], ARGV[2], tonumber(ARGV[3])
local length = redis.call('LLEN', log)
local at = 19
local function list(width)
  local first = at + 1
  at = first + tonumber(ARGV[at]) * width
  return first, at - 1
end
local events_first, events_last = list(1)
local words_first, words_last = list(4)
local stamps_first, stamps_last = list(2)
local totals_first, totals_last = list(2)
local claims_first, claims_last = list(claim_width)
local grows = events_last >= events_first

local noted = {}
local function note(name, value)
  noted[#noted + 1] = name
  noted[#noted + 1] = value
end
local known = redis.call('HMGET', link, 'writer', 'generation', 'epoch:' .. ARGV[8], 'heard:' .. ARGV[11], 'bytes')

if grows and known[1] == writer then return 'ok' end
if ARGV[8] ~= '' then
  if ARGV[10] ~= '' and redis.call('HEXISTS', KEYS[17], ARGV[10]) == 0 then return 'stale token' end
  if known[2] and known[2] ~= ARGV[8] then return 'stale generation' end
  if known[3] ~= ARGV[9] then return 'stale epoch' end
end
local judged = grows or ARGV[8] ~= ''
if judged and length == 0 and expected > 0 then return 'missing' end
if judged and length ~= expected then return 'conflict' end
for i = claims_first, claims_last, claim_width do
  if not stands(KEYS[13], KEYS[14], ARGV[i], ARGV[i + 1]) then return 'taken' end
end
if ARGV[11] ~= '' then
  if (known[4] or '0') ~= ARGV[12] then return 'conflict' end
  note('heard:' .. ARGV[11], ARGV[13])
end

if grows then
  note('writer', writer)
  note('generation', ARGV[7])
  for i = events_first, events_last, 1000 do
    redis.call('RPUSH', log, unpack(ARGV, i, math.min(i + 999, events_last)))
  end
  redis.call('SET', session, ARGV[4])
  if ARGV[5] ~= 'active' or redis.call('SISMEMBER', KEYS[7], sid) == 0 then
    redis.call('SREM', KEYS[7], sid)
    redis.call('ZREM', KEYS[8], sid)
    redis.call('ZREM', KEYS[9], sid)
    if ARGV[5] == 'active' then redis.call('SADD', KEYS[7], sid) end
    if ARGV[5] == 'sleeping' then redis.call('ZADD', KEYS[8], ARGV[6], sid) end
    if ARGV[5] == 'closed' then redis.call('ZADD', KEYS[9], ARGV[6], sid) end
  end
  redis.call('ZADD', KEYS[10], 'NX', ARGV[17], sid)
  if ARGV[18] ~= '' then redis.call('ZADD', KEYS[11], ARGV[17], sid .. ' ' .. ARGV[18]) end
end

local bytes = 0
for i = words_first, words_last, 4 do
  redis.call('XADD', transcript, '*', 'at', ARGV[i], 'turn', ARGV[i + 1], 'kind', ARGV[i + 2], 'body', ARGV[i + 3])
  bytes = bytes + #ARGV[i + 3]
end
if bytes > 0 then
  local total, entries = tonumber(known[5] or 0) + bytes, redis.call('XLEN', transcript)
  while total > tonumber(ARGV[15]) or entries > tonumber(ARGV[14]) do
    local oldest = redis.call('XRANGE', transcript, '-', '+', 'COUNT', 10)
    if #oldest == 0 then break end
    for _, entry in ipairs(oldest) do total = total - #entry[2][8] end
    entries = entries - #oldest
    redis.call('XTRIM', transcript, 'MAXLEN', entries)
  end
  note('bytes', total)
end
if #noted > 0 then redis.call('HSET', link, unpack(noted)) end
for i = stamps_first, stamps_last, 2 do stamp(stamps, KEYS[12], ARGV[i], ARGV[i + 1]) end
for i = totals_first, totals_last, 2 do redis.call('HINCRBY', KEYS[12], ARGV[i], ARGV[i + 1]) end
for i = claims_first, claims_last, claim_width do
  take(KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17], ARGV[i], unpack(ARGV, i + 2, i + 5))
end
if grows then
  redis.call('XADD', KEYS[18], 'MAXLEN', '~', changes_kept, '*', 'log', sid)
  redis.call('PUBLISH', ARGV[16], sid)
end
return 'ok'
"""
)

# KEYS: session, link, grants. ARGV: generation, the hash of a token or "". Returns the session, then the epoch and the
#       last frame heard of the generation; nothing if there is a token and it allows nothing
LOOK = """
if ARGV[2] ~= '' and redis.call('HEXISTS', KEYS[3], ARGV[2]) == 0 then return {} end
local link = redis.call('HMGET', KEYS[2], 'epoch:' .. ARGV[1], 'heard:' .. ARGV[1])
return {redis.call('GET', KEYS[1]), link[1], link[2]}
"""

# KEYS: log, unshown. ARGV: sid, the number up to which everything is shown
SHOWN = """
if redis.call('LLEN', KEYS[1]) <= tonumber(ARGV[2]) then return redis.call('ZREM', KEYS[2], ARGV[1]) end
return 0
"""

# KEYS: lease. ARGV: owner, milliseconds
LEASE = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

# KEYS: lease. ARGV: owner
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

# A token bucket on the server's clock. KEYS: bucket. ARGV: capacity, seconds in which an empty one fills
SPEND = """
local capacity, seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = capacity
if kept[1] then
  local grown = math.max(0, now - tonumber(kept[2])) * capacity / seconds
  tokens = math.min(capacity, tonumber(kept[1]) + grown)
end
local wait = 0
if tokens > 0.999999 then tokens = math.max(0, tokens - 1) else wait = (1 - tokens) * seconds / capacity end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(seconds * 1000) + 1000)
return string.format('%.6f', wait)
"""

# KEYS: the tokens of a box, grants, changes. No ARGV
REVOKE = f"""
for _, token in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  redis.call('HDEL', KEYS[2], token)
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', {CHANGES_KEPT}, '*', 'token', token)
end
redis.call('DEL', KEYS[1])
return 1
"""
