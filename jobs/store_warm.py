"""The part of the record that knows warm boxes: which wait, which were taken by whom, and where more are wanted.

`jobs/store.py` has one. A box is offered only while the link that it waits on says so again every second; a claim is a
part of the append that takes it (`TAKE` in `jobs/store_scripts.py`), so two sessions never get one box. Times are the
server's own where a lease is meant, and the caller's where a person's patience is.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import redis.asyncio as redis

from jobs.records import Grant, Offer
from jobs.store_scripts import BELL_SECONDS, GRANTS, PREFIX, TOTALS
from jobs.warm_scripts import CANDIDATE, CLAIMS, MADE, OFFER, OFFERS, RETIRE, SEEN, WARM_BELL, WISH, WISHES


class Claim(NamedTuple):
    """A warm box that a session took: which session, and when."""

    sid: str
    at: float


class WarmBoxes:
    """Boxes that wait for a session."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._offer, self._wish = client.register_script(OFFER), client.register_script(WISH)
        self._candidate, self._retire = client.register_script(CANDIDATE), client.register_script(RETIRE)

    async def make(self, offer: Offer) -> None:
        """Write down a box that is about to be made, and to be warm one day."""
        await self._do("HSET", MADE, offer.box, json.dumps(offer))

    async def made(self, box: str) -> Offer | None:
        """What was written down of it, if it was made as a warm one and is not forgotten."""
        kept = await self._do("HGET", MADE, box)
        return Offer(*json.loads(kept)) if kept is not None else None

    async def all_made(self) -> dict[str, Offer]:
        """What was written down of all of them, by name."""
        flat: Any = await self._do("HGETALL", MADE)
        return {box: Offer(*json.loads(text)) for box, text in dict(flat).items()}

    async def retire(self, box: str) -> bool:
        """Offer this box to nobody any more: its token ends. False: somebody has taken it."""
        return bool(await self._retire(keys=[CLAIMS, OFFERS, SEEN, GRANTS, f"{PREFIX}tokens:{box}"], args=[box]))

    async def offer(self, offer: Offer) -> Grant | None:
        """The box waits, for the next moment at least; what its token allows now, which a claim changes. None: nothing.

        Whoever holds its link says so again every second.
        """
        said = await self._offer(keys=[GRANTS, OFFERS, SEEN], args=[offer.token, offer.box, json.dumps(offer)])
        return Grant(*json.loads(said)) if said else None

    async def withdraw(self, box: str) -> None:
        """Its link is gone. A claim that was made stays."""
        async with self._redis.pipeline(transaction=True) as both:
            both.hdel(OFFERS, box)
            both.hdel(SEEN, box)
            await both.execute()

    async def candidate(self, repository: str, fit: str) -> Offer | None:
        """A box that waits just now and fits; the next append may take it."""
        said = await self._candidate(keys=[OFFERS, SEEN], args=[repository, fit])
        return Offer(*json.loads(said)) if said else None

    async def offers(self) -> dict[str, Offer]:
        """Every box that waits just now, by name."""
        said = await self._candidate(keys=[OFFERS, SEEN], args=[])
        return {offer.box: offer for offer in (Offer(*json.loads(text)) for text in said)}

    async def claims(self) -> dict[str, Claim]:
        """Every warm box that was taken and is not forgotten yet, by name."""
        flat: Any = await self._do("HGETALL", CLAIMS)
        return {box: Claim(*json.loads(text)) for box, text in dict(flat).items()}

    async def ended(self, box: str) -> None:
        """A box that was taken runs no more, so that it is not counted; whose it was stays known."""
        await self._do("HDEL", MADE, box)

    async def forget(self, box: str) -> None:
        """The box is no more."""
        await self.withdraw(box)
        await self._do("HDEL", CLAIMS, box)
        await self._do("HDEL", MADE, box)

    async def wish(self, repository: str, until: float, now: float, most: int) -> bool:
        """One box more for a while, unless that is wished already or for `most` repositories; whether it was news."""
        return bool(await self._wish(keys=[WISHES], args=[repository, until, now, most]))

    async def wishes(self, now: float) -> list[str]:
        """The repositories that somebody will ask for soon, it seems."""
        return list(await self._do("ZRANGEBYSCORE", WISHES, f"({now}", "+inf"))

    async def count(self, name: str, by: float) -> None:
        """Add to one of the totals."""
        await self._do("HINCRBYFLOAT", TOTALS, f"warm:{name}", f"{by:.3f}")

    async def bells(self) -> AsyncIterator[str]:
        """Names of boxes that were taken, for ever. A bell may get lost; the grant never is."""
        async with self._redis.pubsub(ignore_subscribe_messages=True) as listening:
            await listening.subscribe(WARM_BELL)
            while True:
                rung = await listening.get_message(timeout=BELL_SECONDS)
                if rung is not None and rung["type"] == "message":
                    yield rung["data"]

    async def _do(self, *command: Any) -> Any:
        return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
