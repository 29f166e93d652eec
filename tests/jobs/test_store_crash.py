"""The record over kill -9 of its server."""

import asyncio
from pathlib import Path

from jobs.events import Event
from jobs.fold import fold
from jobs.records import Entry
from jobs.store import Store
from tests.jobs.servers import Server
from tests.logs import SID, Log, any_log

APPENDS = 400


def some_log() -> list[Event]:
    """The longest of some random logs."""
    return max((any_log(seed, length=150) for seed in range(6)), key=len)


async def test_a_killed_server_has_lost_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    async with Server.running(tmp_path) as server:
        store = await Store.open(server.url, archive=tmp_path / "archive")
        events, acknowledged = some_log(), 0
        for n, event in enumerate(events):
            folded = fold(events[: n + 1])
            assert folded is not None
            await store.append(
                SID, [event], folded, expected=n, transcript=[Entry("", 1.0, 1, "text", {"text": str(n)})]
            )
            acknowledged += 1
        server.kill()
        await server.start()
        assert await store.events(SID) == events
        assert len(await store.transcript(SID)) == acknowledged
        await store.close()


async def test_writers_go_on_over_a_killed_server_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    log = Log().ask()
    session = log.session
    assert session is not None
    async with Server.running(tmp_path) as server:
        store = await Store.open(server.url, archive=tmp_path / "archive")
        await store.append(SID, log.events, session, expected=0)
        note = log.events[-1]
        progress = asyncio.Event()

        async def write() -> None:
            for n in range(APPENDS):
                folded = session.model_copy(update={"seq": 4 + n})
                await store.append(SID, [note], folded, expected=3 + n)
                if n == APPENDS // 4:
                    progress.set()

        async with asyncio.timeout(30):
            writing = asyncio.create_task(write())
            await progress.wait()
            server.kill()
            await server.start()
            await writing
        assert [event.seq for event in await store.events(SID)] == list(range(1, APPENDS + 4))
        await store.close()
