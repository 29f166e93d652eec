"""The part of the record where a place of boxes writes down what it does not keep itself (`sandbox/ledger.py`).

`jobs/wiring.py` hands it to the provider on Modal. Whatever must be true at once is one script
(`jobs/ledger_scripts.py`). Who waits for a slot is told when it is his, and asks again now and then all the same.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar, cast

import redis.asyncio as redis

from jobs.ledger_scripts import DROP, FIND, GRANTED, IF_STILL, INDEX, LEAVE_SLOT, PUT, RECORD, SLOT, STATES, TAKE_SLOT
from jobs.log import forgiven
from sandbox.provider import Temporary

log = logging.getLogger(__name__)
T = TypeVar("T")
SILENT_SECONDS = 6.0  # who waits for a slot and says nothing for so long waits no more
ASK_SECONDS = 1.0  # so often it is asked again; it also says that somebody still waits
BELL_SECONDS = 5.0
RENEWALS = 4.0  # of a hold, while it lasts
READ_SECONDS = 30.0  # so long what nobody has changed is not read again


class _Read(NamedTuple):
    """What records of a kind were, in which state of the kind, and when that was read."""

    state: str
    at: float
    records: dict[str, dict[str, str]]


class RedisLedger:
    """A `sandbox.ledger.Ledger` on the record's own server."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._put, self._drop = client.register_script(PUT), client.register_script(DROP)
        self._if_still = client.register_script(IF_STILL)
        self._find = client.register_script(FIND)
        self._take, self._leave = client.register_script(TAKE_SLOT), client.register_script(LEAVE_SLOT)
        self._read: dict[str, _Read] = {}
        self._waiting: dict[str, asyncio.Event] = {}
        self._listening: asyncio.Task[None] | None = None

    async def get(self, key: str) -> dict[str, str] | None:
        """The record; None if there is none, or its time is over."""
        found: dict[str, str] = await _reached(cast(Awaitable[Any], self._redis.hgetall(RECORD + key)))
        return _told(found) if found else None

    async def put(self, key: str, fields: Mapping[str, str], ttl: float | None = None) -> None:
        """Write the record in the place of whatever is there."""
        await self._written(key, fields, ttl, only_new=False)

    async def put_new(self, key: str, fields: Mapping[str, str], ttl: float | None = None) -> bool:
        """Write the record unless there is one; whether it was written."""
        return await self._written(key, fields, ttl, only_new=True)

    async def _written(self, key: str, fields: Mapping[str, str], ttl: float | None, *, only_new: bool) -> bool:
        kept = "" if ttl is None else max(1, round(ttl * 1000))
        flat = [word for pair in fields.items() for word in pair]
        args: list[str | int] = [key, kept, int(only_new), *flat]
        return bool(await _reached(self._put(keys=[INDEX, RECORD + key, STATES], args=args)))

    async def drop(self, key: str) -> None:
        """Forget the record."""
        await _reached(self._drop(keys=[INDEX, RECORD + key, STATES], args=[key]))

    async def extend(self, key: str, fields: Mapping[str, str], ttl: float) -> bool:
        """Keep the record for so many seconds from now, if it still says just this; whether it does."""
        return await self._done_if_still(key, fields, max(1, round(ttl * 1000)))

    async def drop_if(self, key: str, fields: Mapping[str, str]) -> bool:
        """Forget the record, if it still says just this; whether it did."""
        return await self._done_if_still(key, fields, "")

    async def _done_if_still(self, key: str, fields: Mapping[str, str], kept: int | str) -> bool:
        flat = [word for pair in fields.items() for word in pair]
        return bool(await _reached(self._if_still(keys=[INDEX, RECORD + key, STATES], args=[key, kept, *flat])))

    async def keys(self, prefix: str) -> list[str]:
        """Every key that begins so."""
        _, *found = await _reached(self._find(keys=[INDEX, STATES], args=[prefix, RECORD, 0, ""]))
        return [name for name, _ in found]

    async def all(self, prefix: str) -> dict[str, dict[str, str]]:
        """Every record whose key begins so, by key. Those of a kind that nobody has changed are not read again."""
        before = self._read.get(prefix)
        if before is None or time.monotonic() - before.at > READ_SECONDS:
            before = _Read("", float("-inf"), {})
        state, *found = await _reached(self._find(keys=[INDEX, STATES], args=[prefix, RECORD, 1, before.state]))
        if state and state == before.state:
            return dict(before.records)
        records = {name: _told(dict(zip(flat[::2], flat[1::2], strict=True))) for name, flat in found}
        self._read[prefix] = _Read(state, time.monotonic(), records)
        return dict(records)

    @asynccontextmanager
    async def slot(self, name: str, of: int, hold: float) -> AsyncIterator[None]:
        """Be one of at most `of` holders of this name while the block runs; first come, first served."""
        ticket = secrets.token_hex(8)
        kinds = ("held", "waiting", "heard", "count")
        keys = [f"{SLOT}{{{name}}}:{kind}" for kind in kinds]
        args: list[str | float] = [ticket, of, hold, SILENT_SECONDS]
        try:
            await self._wait(ticket, keys, args)
            over = asyncio.Event()
            renewing = asyncio.create_task(self._renew(keys, args, hold, over))
            try:
                yield
            finally:
                over.set()  # told, not cancelled: a client of the record that is just dialling may swallow that
                await renewing
        finally:
            with forgiven(log, f"a slot of {name} was not given back; it is free again after {hold:.0f} s"):
                await self._leave(keys=keys, args=[*args, GRANTED])

    async def _wait(self, ticket: str, keys: list[str], args: list[str | float]) -> None:
        """Return when the ticket holds a slot."""
        if not await _reached(self._take(keys=keys, args=args)):
            return
        granted = self._waiting[ticket] = asyncio.Event()
        try:
            if self._listening is None or self._listening.done():
                self._listening = asyncio.create_task(self._listen())
            while await _reached(self._take(keys=keys, args=args)):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ASK_SECONDS):
                        await granted.wait()
        finally:
            del self._waiting[ticket]

    async def _listen(self) -> None:
        """Hear who holds a slot from now on, for as long as somebody here waits for one."""
        with forgiven(log, "who holds a slot is not heard just now; those who wait ask again"):
            async with self._redis.pubsub(ignore_subscribe_messages=True) as bell:
                await bell.subscribe(GRANTED)
                while self._waiting:
                    rung = await bell.get_message(timeout=BELL_SECONDS)
                    granted = self._waiting.get(str(rung["data"])) if rung is not None else None
                    if granted is not None:
                        granted.set()

    async def _renew(self, keys: list[str], args: list[Any], hold: float, over: asyncio.Event) -> None:
        """Say again and again that the slot is held, until it is over."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(hold / RENEWALS):
                    await over.wait()
                return
            with forgiven(log, "a slot could not be held longer; it is tried again"):
                await self._take(keys=keys, args=args)


async def _reached(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except redis.RedisError as trouble:
        raise Temporary(f"the record cannot be reached: {trouble}") from trouble


def _told(kept: dict[str, str]) -> dict[str, str]:
    """A record as it was written: the nameless field keeps one without any."""
    return {name: value for name, value in kept.items() if name}
