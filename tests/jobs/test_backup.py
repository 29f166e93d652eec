"""Backup and restore of the record, as docs/running.md has them: copied while it is written to, started elsewhere."""

import asyncio
import shutil
from pathlib import Path

import pytest
import redis.asyncio

from jobs import commands as c
from jobs.fold import fold
from jobs.inbox import Inbox
from jobs.session import Rules, Session
from jobs.store import Store
from jobs.wants import Operation
from tests.jobs.servers import Server
from tests.logs import ADA, GRACE, PLACE, Prompt

BEFORE, MOST = 30, 2_000
ON_ROCKET = c.Choice("acme/rocket", "main")


async def nobody_works(_session: object, _operation: Operation) -> None:
    """The queue is no part of this."""


async def ask(inbox: Inbox, n: int) -> Session:
    """One more prompt, in one of seven sessions."""
    prompt = Prompt(id=f"T1:C1:{n}", author=(ADA, GRACE)[n % 2], text=f"Task {n}", received_at=float(n + 1))
    return await inbox.handle(f"s{n % 7}", c.Submit(f"s{n % 7}", PLACE, prompt, ON_ROCKET, "rehearsal"))


async def write(inbox: Inbox, copied: asyncio.Event) -> int:
    """Go on until the copy is made; how many prompts were accepted in all."""
    for n in range(BEFORE, MOST):
        await ask(inbox, n)
        if copied.is_set():
            return n + 1
    raise AssertionError("the copy took very long")


async def copy(url: str, source: Path, target: Path) -> None:
    """The steps of the page: no rewriting meanwhile, copy the folder, rewrite again."""
    async with redis.asyncio.from_url(url, decode_responses=True) as server:
        usual = (await server.config_get("auto-aof-rewrite-percentage"))["auto-aof-rewrite-percentage"]
        await server.config_set("auto-aof-rewrite-percentage", 0)
        while (await server.info("persistence"))["aof_rewrite_in_progress"]:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(shutil.copytree, source, target)
        await server.config_set("auto-aof-rewrite-percentage", usual)


@pytest.mark.parametrize("rewritten", [False, True])
async def test_a_copy_that_was_made_while_it_was_written_to_is_a_record_of_some_moment(
    tmp_path: Path, rewritten: bool
) -> None:
    copied = asyncio.Event()
    async with Server.running(tmp_path / "a") as first:
        store = await Store.open(first.url, archive=tmp_path / "archive")
        inbox = Inbox(store, nobody_works, Rules(), lambda: 1_000.0)
        for n in range(BEFORE):
            await ask(inbox, n)
        if rewritten:
            async with redis.asyncio.from_url(first.url) as server:
                await server.bgrewriteaof()
        writing = asyncio.create_task(write(inbox, copied))
        data = tmp_path / "a" / "redis"
        await copy(first.url, data / "appendonlydir", tmp_path / "backup" / "appendonlydir")
        copied.set()
        total = await writing
        later = {sid: await store.events(sid) for sid in await store.all_sessions()}
        await store.close()
    (tmp_path / "b" / "redis").mkdir(parents=True)
    shutil.copytree(tmp_path / "backup" / "appendonlydir", tmp_path / "b" / "redis" / "appendonlydir")
    async with Server.running(tmp_path / "b") as second:
        store = await Store.open(second.url, archive=tmp_path / "archive")
        assert sorted(await store.all_sessions()) == sorted(later)
        kept = 0
        for sid, events in later.items():
            restored = await store.events(sid)
            assert restored == events[: len(restored)], "no event is missing in between, none is another"
            assert await store.load(sid) == fold(restored)
            kept += sum(event.kind == "prompt_received" for event in restored)
        assert BEFORE <= kept <= total
        assert (await store.counts.totals())["event:prompt_received"] == kept
        assert set(await store.active()) == set(later)
        inbox = Inbox(store, nobody_works, Rules(), lambda: 2_000.0)
        session = await ask(inbox, MOST)
        assert session.queue[-1].text == f"Task {MOST}", "it goes on"
        await store.close()
