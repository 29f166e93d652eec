"""Plays tricks on a ground and judges them: what came of each, who refused it, what was logged. `__main__` prints."""

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.events import BoxLost, TurnEnded
from jobs.operations import park_box
from jobs.session import Session, Status
from sandbox.provider import BoxState
from tests.e2e.people import Thread
from tests.hostile.ground import Ground
from tests.hostile.trick import Trick

TURN_SECONDS = 150.0
NEIGHBOUR_SECONDS = 20.0
TASKS_MOST = 160  # of a box that may have 128, beside its runner and what runs commands in it
MEMORY_BYTES = 1 << 30  # how much our processes and the box may have more while a trick is played


@dataclass(frozen=True)
class Row:
    """A line of the table. `faults`: what is broken; empty if the trick came to nothing."""

    trick: Trick
    came: str
    faults: tuple[str, ...]
    logged: int
    seconds: float

    @property
    def refused(self) -> bool:
        """Whether nothing came of it, and our own refusals can be read in the log."""
        return not self.faults and (self.trick.log is None or self.logged > 0)


async def play(ground: Ground, tricks: Sequence[Trick]) -> AsyncIterator[Row]:
    """Play them: one box for all that leave it whole, one each for the others."""
    together = [trick for trick in tricks if not trick.alone]
    if together:
        thread = await ground.office.ada.says("@shipmate play nothing")
        await thread.settled(seconds=60)
        for trick in together:
            yield await _one(ground, thread, trick)
    for trick in tricks:
        if trick.alone:
            thread = await ground.office.ada.says("@shipmate play nothing")
            await thread.settled(seconds=60)
            yield await _one(ground, thread, trick)
            await _away(ground, thread)


async def _one(ground: Ground, thread: Thread, trick: Trick) -> Row:
    box, loop = await ground.box(thread), asyncio.get_running_loop()
    before, began = Counter(ground.log_lines(box)), loop.time()
    session = await thread.session()
    assert session is not None
    heard = len(session.seen)
    given = json.dumps(await ground.filled(trick.given, thread)).encode().hex()
    watching = asyncio.create_task(_most(ground, box))
    await ground.office.ada.replies(thread, f"play {trick.name} {given}")
    faults: list[str] = []
    try:
        session = await over(thread, heard + 1)
        if trick.restored:
            session = await _waked(ground, thread, heard + 2)
    except AssertionError:
        faults.append("the turn did not end")
    took = loop.time() - began
    watching.cancel()
    most, tasks = await watching
    if most > MEMORY_BYTES:
        faults.append(f"{most >> 20} MB of the host's memory went")
    if tasks > TASKS_MOST:
        faults.append(f"it had {tasks} processes and threads")
    if not trick.alone and await ground.box(thread) != box:
        faults.append("its own box was lost")
    found = (await ground.outcomes(thread)).get(trick.name.partition(".")[2] and trick.name, {})
    if found.get("got") and not trick.bears:
        faults.append(f"got {found['got'][:300]}")
    if found.get("broken") or found.get("why", "").startswith("ended with 1:"):
        faults.append(f"the trick itself is broken: {found.get('broken') or found['why']}"[:600])
    if not found and not trick.mute:
        faults.append("it did not tell what came of it, so nobody knows whether it was tried")
    faults += await ground.faults(thread)
    if trick.alone or trick.log:
        faults += await _unserved(ground)
    faults += await _unsaid(thread, trick)
    lines = Counter(ground.log_lines(box)) - before
    logged = sum(count for line, count in lines.items() if trick.log and re.search(trick.log, line))
    return Row(trick, await _came(thread, found), tuple(faults), logged, took)


async def over(thread: Thread, heard: int) -> Session:
    """Until the turn ended, however it did, and nothing waits."""
    rest = (Status.IDLE, Status.ASLEEP, Status.FAILED)
    return await thread.until(
        lambda s: len(s.seen) >= heard and s.status in rest and not s.queue and s.turn is None, TURN_SECONDS
    )


async def _waked(ground: Ground, thread: Thread, heard: int) -> Session:
    """Another person speaks: first in the same box, then after it was put to sleep."""
    await ground.office.grace.replies(thread, "play nothing")
    await over(thread, heard)
    box = await ground.box(thread)
    await park_box(ground.office.shop, thread.sid)
    await thread.until(lambda s: s.status is Status.ASLEEP, 60)
    assert (await ground.office.shop.provider.status(box)).state is not BoxState.RUNNING
    await ground.office.grace.replies(thread, "play nothing")
    return await over(thread, heard + 1)


async def _unserved(ground: Ground) -> list[str]:
    """What a neighbour cannot have any more."""
    async with asyncio.timeout(NEIGHBOUR_SECONDS):
        seen = await ground.run_in(ground.victim, "git", "ls-remote", "origin", "refs/heads/main")
    return [] if "refs/heads/main" in seen else [f"the neighbour cannot reach its repository: {seen[-200:]}"]


async def _unsaid(thread: Thread, trick: Trick) -> list[str]:
    """What a person should have been told and was not."""
    if not trick.person:
        return []
    words = "\n".join(said.words for said in await thread.from_us())
    return [] if trick.person in words else [f"nobody was told about the {trick.person}"]


async def _came(thread: Thread, found: dict[str, str]) -> str:
    if found:
        return found.get("why") or found.get("got") or "nothing"
    events = await thread.log()
    lost = [event.reason for event in events if isinstance(event, BoxLost)]
    ended = [event for event in events if isinstance(event, TurnEnded)]
    last = (ended[-1].error or ended[-1].outcome) if ended else "no end"
    return f"box lost: {lost[-1]}" if lost else last


async def _away(ground: Ground, thread: Thread) -> None:
    """This session's box is not needed any more."""
    session = await thread.session()
    if session is not None and session.box is not None:
        await ground.office.shop.provider.terminate(session.box, grace=0)


async def _most(ground: Ground, box: str) -> tuple[int, int]:
    """How much our processes and this box grew at most, and how many tasks it had, watched until cancelled."""
    first = most = _memory(ground, box)
    tasks = 0
    try:
        while True:
            await asyncio.sleep(0.2)
            most, tasks = max(most, _memory(ground, box)), max(tasks, _tasks(box))
    except asyncio.CancelledError:
        return most - first, tasks


def _tasks(box: str) -> int:
    """The processes and threads of a box, as the host counts them; 0 where it has no cgroups for that."""
    for at in ("cpu/shipmate-*-{}/tasks", "shipmate-*-{}/cgroup.threads"):
        for path in Path("/sys/fs/cgroup").glob(at.format(box)):
            with contextlib.suppress(OSError):
                return len(path.read_text().split())
    return 0


def _memory(ground: Ground, box: str) -> int:
    used = sum(rss(pid) for pid in ground.pids().values() if pid)
    for at in ("memory/shipmate-*-{}/memory.usage_in_bytes", "shipmate-*-{}/memory.current"):
        with contextlib.suppress(OSError):
            used += sum(int(path.read_text()) for path in Path("/sys/fs/cgroup").glob(at.format(box)))
    return used


def rss(pid: int) -> int:
    """The memory of a process."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    return 0
