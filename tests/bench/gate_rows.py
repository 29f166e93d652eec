"""What a person waits for while the repository is fetched: `read_during_sync`, with a forge that takes its time."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from jobs.events import PhaseReached
from tests.bench import agents
from tests.bench.measure import ROUNDS, Row, interleaved, milliseconds, row
from tests.bench.thread_rows import ASK, LOOK_SECONDS, Asking, asking, checkout

SLOW_SECONDS = 1.5  # each answer of the forge, of which a fetch takes two, the first of them before the box is there


async def read_during_sync(rounds: int = ROUNDS) -> list[Row]:
    """A mention whose repository is slow to come, and the same agent started by hand where it is there already."""
    began = time.time()
    syncs: list[float] = []
    async with asking() as ada:
        with tempfile.TemporaryDirectory() as folder:
            argv, repo = agents.rehearsal(Path(folder)), checkout(Path(folder))

            async def mention() -> float:
                await ada.forge(slow=SLOW_SECONDS)
                sid, _ = await ada.say(ASK)
                session = await ada.idle(sid, 1)
                await ada.forge(slow=0)
                syncs.append(await _seconds_of_sync(ada, sid))
                await ada.shop.provider.terminate(session.box or "", grace=0.1)
                return milliseconds(await _seconds_to_read(ada, sid))

            async def hand() -> float:
                return milliseconds(await agents.seconds_to_read(argv, repo, Path(folder), ASK))

            ours, bare = await interleaved(rounds, mention, hand)
    note = f"received → first answered read, no warm box, while a sync takes {statistics.median(syncs):.1f} s"
    return [row("read_during_sync", ours, bare, began, note)]


async def _seconds_of_sync(ada: Asking, sid: str) -> float:
    reached = {e.phase: e.at for e in await ada.shop.store.events(sid) if isinstance(e, PhaseReached)}
    return reached["synced"] - reached["syncing"]


async def _seconds_to_read(ada: Asking, sid: str) -> float:
    """From the prompt's arrival to the first read that was answered, by the runner's clock, which is ours."""
    received = (await ada.shop.store.stamps(sid))["received"]
    while True:
        for entry in await ada.shop.store.transcript(sid):
            if entry.kind == "tool" and (entry.body["tool"], entry.body["status"]) == ("read", "completed"):
                return entry.at - received
        await asyncio.sleep(LOOK_SECONDS)
