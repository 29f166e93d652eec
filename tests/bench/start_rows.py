"""How soon a prompt reaches its agent by where its box comes from: `start_warm`, `start_image`, `start_snapshot`; and
`burst_100`, a hundred mentions at once. Through a whole running stack."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from jobs.events import BoxStarted, TurnStarted
from jobs.operations import park_box
from jobs.session import Session, Status
from jobs.wiring import Workshop
from sandbox.provider import BoxState
from tests.bench import agents
from tests.bench.measure import ROUNDS, Row, interleaved, milliseconds, percentile, row
from tests.bench.thread_rows import ASK, DEADLINE_SECONDS, LOOK_SECONDS, Asking, asking, checkout

WARM = {"SHIPMATE_WARM": "acme/rocket:1"}
MENTIONS, BURST_SECONDS = 100, 600.0
PROC = Path("/proc")
Once = Callable[[], Awaitable[float]]


@asynccontextmanager
async def by_hand() -> AsyncIterator[Once]:
    """The same agent, started in a ready checkout by hand, until its prompt is written."""
    with tempfile.TemporaryDirectory() as folder:
        argv, repo = agents.rehearsal(Path(folder)), checkout(Path(folder))

        async def once() -> float:
            return milliseconds(await agents.seconds_to_prompt(argv, repo, Path(folder), ASK))

        yield once


async def a_box_waits(shop: Workshop, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until a warm box is on offer."""
    async with asyncio.timeout(seconds):
        while not await shop.store.warm.offers():
            await asyncio.sleep(LOOK_SECONDS)


def over(ours: list[float], bare: list[float]) -> str:
    """By how much the median is more than that of the bare thing."""
    return f"{percentile(ours, 0.5) - percentile(bare, 0.5):+.0f} ms against bare"


async def start_warm(rounds: int = ROUNDS) -> list[Row]:
    """A mention while a box waits."""
    began, kinds = time.time(), Counter[str]()
    async with asking(**WARM) as ada, by_hand() as bare:

        async def mention() -> float:
            await a_box_waits(ada.shop)
            sid, _ = await ada.say(ASK)
            session = await ada.idle(sid, 1)
            kinds[session.start or ""] += 1
            await ada.shop.provider.terminate(session.box or "", grace=0.1)
            return milliseconds(await ada.seconds_to_prompt(sid))

        ours, hand = await interleaved(rounds, mention, bare)
    note = "received → prompt written to the agent of a box that waited; bare: the agent started by hand"
    return [row("start_warm", ours, hand, began, f"{note}; starts: {dict(kinds)}; aim 60 ms")]


async def start_image(rounds: int = ROUNDS) -> list[Row]:
    """A mention while no box waits."""
    began = time.time()
    async with asking(SHIPMATE_WARM_PREDICTED="0") as ada, by_hand() as bare:

        async def mention() -> float:
            sid, _ = await ada.say(ASK)
            session = await ada.idle(sid, 1)
            await ada.shop.provider.terminate(session.box or "", grace=0.1)
            return milliseconds(await ada.seconds_to_prompt(sid))

        ours, hand = await interleaved(rounds, mention, bare)
    note = "received → prompt written to the agent, box made from the image; bare: the agent started by hand"
    return [row("start_image", ours, hand, began, f"{note}; {over(ours, hand)}; aim +100 ms")]


async def start_snapshot(rounds: int = ROUNDS) -> list[Row]:
    """A reply in the thread of a session that sleeps; its conversation is loaded again."""
    began = time.time()
    async with asking(SHIPMATE_WARM_PREDICTED="0") as ada, by_hand() as bare:
        sid, thread = await ada.say(ASK)
        await ada.idle(sid, 1)
        turns = 1

        async def wake() -> float:
            nonlocal turns
            await park_box(ada.shop, sid)
            await ada.say(ASK, thread)
            turns += 1
            session = await ada.idle(sid, turns)
            assert session.start == "snapshot"
            return milliseconds(await ada.seconds_to_prompt(sid))

        ours, hand = await interleaved(rounds, wake, bare)
    note = (
        "received → prompt written to the agent of a box that slept; bare: the agent started by hand, nothing restored"
    )
    return [row("start_snapshot", ours, hand, began, f"{note}; {over(ours, hand)}; aim +100 ms and the restore")]


async def burst_100(mentions: int = MENTIONS) -> list[Row]:
    """Many mentions in the same moment, on one repository; what each waits until its prompt has reached its agent."""
    began = time.time()
    async with asking(SHIPMATE_WARM_PREDICTED="0", SHIPMATE_IDLE_SECONDS="3600") as ada:
        before = await _of_control_plane(ada)
        asked = await asyncio.gather(*(ada.say(ASK) for _ in range(mentions)))
        sids = [sid for sid, _ in asked]
        async with asyncio.timeout(BURST_SECONDS):
            sessions = [await _served(ada, sid) for sid in sids]
        waits = [milliseconds(await ada.seconds_to_prompt(sid)) for sid in sids]
        per_session = [
            (after - was) / mentions for was, after in zip(before, await _of_control_plane(ada), strict=True)
        ]
        boxes = await ada.shop.provider.list()
        idle = _memory_below(f"{ada.shop.settings.boxes_dir}") / max(1, sum(b.state is BoxState.RUNNING for b in boxes))
        refused = sum(session.status is Status.FAILED for session in sessions)
        late = await _out_of_order(ada, sids)
        note = (
            f"{mentions} mentions at once: {refused} refused, {late} boxes begun 1 s after one asked for "
            f"later; memory: {idle:.0f} MB an idle box, and for a session {per_session[0]:.2f} MB of Redis and "
            f"{per_session[1]:.2f} MB of the web process"
        )
    return [row("burst_100", waits, [], began, note)]


async def _served(ada: Asking, sid: str) -> Session:
    """Wait until the session's first turn is over, however it went."""
    while True:
        session = await ada.shop.store.load(sid)
        if session is not None and (session.turns and session.status is Status.IDLE or session.status is Status.FAILED):
            return session
        await asyncio.sleep(LOOK_SECONDS * 10)


async def _out_of_order(ada: Asking, sids: list[str]) -> int:
    """How many got their box before somebody who had asked earlier, and whose was begun later by more than a moment."""
    times = []
    for sid in sids:
        events, stamps = await ada.shop.store.events(sid), await ada.shop.store.stamps(sid)
        got = next(event.at for event in events if isinstance(event, BoxStarted))
        assert any(isinstance(event, TurnStarted) for event in events)
        times.append((stamps["received"], got))
    times.sort()
    return sum(got > min(later for _, later in times[at + 1 :]) + 1.0 for at, (_, got) in enumerate(times[:-1]))


async def _of_control_plane(ada: Asking) -> tuple[float, float]:
    """Megabytes of Redis and of the web process."""
    info = await ada.shop.store.info()
    return int(info["used_memory"]) / 1e6, _memory_of("bot web")


def _memory_of(words: str) -> float:
    return sum(_proportional(pid) for pid in _processes() if words in _line(pid))


def _memory_below(folder: str) -> float:
    """Megabytes of all processes of boxes: bubblewrap's with this folder in their command line, and their children."""
    roots = {pid for pid in _processes() if folder in _line(pid)}
    family, grown = set(roots), True
    while grown:
        children = {pid for pid in _processes() if _parent(pid) in family} - family
        family, grown = family | children, bool(children)
    return sum(map(_proportional, family))


def _processes() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()]


def _line(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _parent(pid: int) -> int:
    try:
        return int((PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> float:
    """Megabytes, with what is shared divided among those who share it."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("Pss:")), 0.0)
