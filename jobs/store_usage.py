"""The part of the record that counts what models took: by session and turn, person, repository and model.

`jobs/store.py` has one. The model gateway counts, `jobs/inbox.py` asks what a turn took when it ends, and the totals of
persons, repositories and models are read with all others (`jobs/store_counts.py`). A session's own counts are kept for
`KEPT_SECONDS` after the last one, whether or not its log is in the archive by then.
"""

from typing import Any

import redis.asyncio as redis

from jobs.records import Payer, Spent
from jobs.store_scripts import TOTALS, key

KEPT_SECONDS = 120 * 86_400
MICROS = 1e-6
ALL = "usage:"  # how the totals' fields begin: `usage:DIMENSION:KIND:NAME`
DIMENSIONS = ("person", "repository", "model")


class Usage:
    """What was spent."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    async def count(self, payer: Payer, model: str, spent: Spent) -> None:
        """Add one request. `model` names it in the totals, and must be one of a few."""
        amounts = {kind: amount for kind, amount in _amounts(spent).items() if amount}
        own, root = key(payer.session, "usage"), key(payer.root, "usage")
        names = zip(DIMENSIONS, (payer.person, payer.repository, model), strict=True)
        async with self._redis.pipeline(transaction=True) as all_at_once:
            for kind, amount in amounts.items():
                all_at_once.hincrby(own, kind, amount)
            for dimension, name in names:
                for kind, amount in amounts.items():
                    all_at_once.hincrby(TOTALS, f"{ALL}{dimension}:{kind}:{name}", amount)
            if spent.micros is not None:
                all_at_once.hincrby(own, f"turn:{payer.turn}", spent.micros)
                all_at_once.hincrby(root, "budget", spent.micros)
            all_at_once.expire(own, KEPT_SECONDS)
            all_at_once.expire(root, KEPT_SECONDS)
            await all_at_once.execute()

    async def of_budget(self, root: str) -> float:
        """Dollars that this session and its children have spent."""
        return MICROS * int(await self._get(root, "budget") or 0)

    async def of_turn(self, sid: str, turn: int) -> float | None:
        """Dollars that a turn has spent; None if nothing with a price was asked."""
        found = await self._get(sid, f"turn:{turn}")
        return None if found is None else MICROS * int(found)

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
