"""The part of the record that counts what models took: by session and turn, person, repository and model.

`jobs/store.py` has one. The model gateway counts, `jobs/inbox.py` asks what a turn took when it ends, and the totals of
persons, repositories and models are read with all others (`jobs/store_counts.py`). A session's own counts are kept for
`KEPT_SECONDS` after the last one, whether or not its log is in the archive by then.
"""

import secrets
from typing import Any

import redis.asyncio as redis

from jobs.records import Payer, Spent
from jobs.store_scripts import PREFIX, TOTALS, key

KEPT_SECONDS = 120 * 86_400
ONCE_SECONDS = 60
MICROS = 1_000_000  # of a dollar
ALL = "usage:"  # how the totals' fields begin: `usage:DIMENSION:KIND:NAME`
DIMENSIONS = ("person", "repository", "model")


# KEYS: a name of this count alone, the session's usage, its root's, totals
# ARGV: how long to know that name, how long to keep the usage, what the budget loses, how many fields of the session's
#       usage follow, then these (name, by how much), then those of the totals
COUNT = """
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then return 0 end
local at = 5
for i = 1, tonumber(ARGV[4]) do
  redis.call('HINCRBY', KEYS[2], ARGV[at], ARGV[at + 1])
  at = at + 2
end
while at < #ARGV do
  redis.call('HINCRBY', KEYS[4], ARGV[at], ARGV[at + 1])
  at = at + 2
end
redis.call('HINCRBY', KEYS[3], 'budget', ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[2])
return 1
"""


class Usage:
    """What was spent."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis, self._count = client, client.register_script(COUNT)

    async def count(self, payer: Payer, model: str, spent: Spent) -> None:
        """Add one request, once, even if the answer of the server is lost and it is sent again.

        `model` names it in the totals, and must be one of a few.
        """
        amounts = [(kind, amount) for kind, amount in _amounts(spent).items() if amount]
        own = [*amounts, *([(f"turn:{payer.turn}", spent.micros)] if spent.micros is not None else [])]
        names = list(zip(DIMENSIONS, (payer.person, payer.repository, model), strict=True))
        totals = [(f"{ALL}{part}:{kind}:{name}", amount) for part, name in names for kind, amount in amounts]
        once = f"{PREFIX}counted:{secrets.token_hex(8)}"
        keys = [once, key(payer.session, "usage"), key(payer.root, "usage"), TOTALS]
        flat = [value for pair in (*own, *totals) for value in pair]
        await self._count(keys=keys, args=[ONCE_SECONDS, KEPT_SECONDS, spent.micros or 0, len(own), *flat])

    async def of_budget(self, root: str) -> float:
        """Dollars that this session and its children have spent."""
        return int(await self._get(root, "budget") or 0) / MICROS

    async def of_turn(self, sid: str, turn: int) -> float | None:
        """Dollars that a turn has spent; None if nothing with a price was asked."""
        found = await self._get(sid, f"turn:{turn}")
        return None if found is None else int(found) / MICROS

    async def of_session(self, sid: str) -> dict[str, int]:
        """The counts of a session: `requests`, the fields of `Spent`, `turn:N`, `budget`."""
        flat: Any = await self._redis.execute_command("HGETALL", key(sid, "usage"))  # type: ignore[no-untyped-call]
        return {name: int(value) for name, value in dict(flat).items()}

    async def _get(self, sid: str, field: str) -> str | None:
        found: str | None = await self._redis.execute_command("HGET", key(sid, "usage"), field)  # type: ignore[no-untyped-call]
        return found


def _amounts(spent: Spent) -> dict[str, int]:
    told = {kind: value for kind, value in spent._asdict().items() if value is not None}
    return {"requests": 1, "unpriced": int(spent.micros is None)} | told
