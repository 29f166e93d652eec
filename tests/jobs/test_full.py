"""A server whose memory is full takes nothing by halves, and goes on as if nothing had been when it has room again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis
import redis.asyncio

from jobs import commands as c
from jobs.inbox import Inbox
from jobs.records import Entry, Fence, Heard
from jobs.store import Store
from tests.jobs.logged import put, words
from tests.jobs.servers import Server
from tests.jobs.test_backup import nobody_works
from tests.logs import ADA, RULES, SID, Log


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server.running(tmp_path / "record") as running:
        yield running


async def limit(server: Server, size: int) -> None:
    async with redis.asyncio.from_url(server.url) as client:
        await client.config_set("maxmemory", size)


async def kept(store: Store) -> list[object]:
    """All that an append may change."""
    return [
        await store.load(SID), await store.events(SID), await store.transcript(SID), await store.link(SID, 1),
        await store.stamps(SID), await store.counts.totals(), await store.unshown(), await store.active(),
    ]  # fmt: skip


async def test_a_full_server_takes_nothing_by_halves(server: Server, tmp_path: Path) -> None:
    store = await Store.open(server.url, archive=tmp_path / "archive")
    log = Log().ask().boot()
    await store.begin_epoch(SID, 1)
    await put(store, log, heard=Heard(1, 0, 2), transcript=words("before"))
    before = await kept(store)
    log.ready().work()
    told: list[Entry] = words("while full")
    await limit(server, 1)
    for _ in range(2):
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            await put(store, log, fence=Fence(1, 1), heard=Heard(1, 2, 9), transcript=told, stamps={"prompt": 5.0})
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            await Inbox(store, nobody_works, RULES).handle(SID, c.Stop(ADA))
        assert await kept(store) == before, "and it can still be read"
    await limit(server, 0)
    await put(store, log, fence=Fence(1, 1), heard=Heard(1, 2, 9), transcript=told, stamps={"prompt": 5.0})
    assert await store.load(SID) == log.session
    assert [entry.body["text"] for entry in await store.transcript(SID)] == ["before", "while full"]
    assert (await store.link(SID, 1)).acked == 9
    await store.close()
