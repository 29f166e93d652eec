"""What the gateway costs: `event_to_log`, and `relay` with 50 boxes that say 50 things a second each.

The boxes are links without boxes: the real web process takes what they say, over its real socket.
"""

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path

import aiohttp
import redis.asyncio as redis

from bot.stack import WORKERS, Stack
from jobs.commands import BeginStart, Choice, FinishStart, Submit
from jobs.events import Author, Place, Prompt, StepStarted
from jobs.inbox import hash_token
from jobs.store import Grant
from jobs.wiring import Workshop
from tests.bench.measure import Row, interleaved, milliseconds, row

BOXES, PER_SECOND, SECONDS = 50, 50, 10
BATCH_SECONDS = 0.1  # a runner sends what has come up in so long
DRAIN_SECONDS = 30.0
ADA = Author(id="U0ADA", name="Ada", email="ada@acme.example")


class LinkedBox:
    """A link into the gateway, and the session that it belongs to."""

    def __init__(self, http: aiohttp.ClientSession, shop: Workshop, sid: str) -> None:
        self._http, self._shop, self.sid = http, shop, sid
        self.token = secrets.token_urlsafe(32)
        self._epoch, self._n = 0, 0

    async def open(self) -> None:
        """Everything up to a running turn."""
        place = Place(client="bench", team="T1", channel="C1", thread=self.sid)
        prompt = Prompt(id=f"{self.sid}:1", author=ADA, text="Go on and on", received_at=time.time())
        choice = Choice("acme/rocket", "main")
        inbox, box = self._shop.inbox, f"{self.sid}-1"
        await inbox.handle(self.sid, Submit(self.sid, place, prompt, choice, "rehearsal"))
        await inbox.handle(self.sid, BeginStart(0))
        grant = Grant(self.sid, box, 1, "acme/rocket", "serve", f"shipmate/{self.sid}")
        await self._shop.store.grant(hash_token(self.token), grant)
        await inbox.handle(self.sid, FinishStart(1, box, "cold", None, True))
        attached = await self._post("attach", {"wire": 1, "generation": 1, "after": 0, "frame": 0})
        self._epoch = attached["epoch"]
        await self.say([{"kind": "ready", "conversation": "c", "resumed": False, "head": ""}])
        await self.say([{"kind": "turn_started", "turn": 1}])

    async def say(self, frames: list[dict[str, object]]) -> None:
        """Frames, with their numbers; returns when they are stored."""
        numbered = [{"n": self._n + i, "at": time.time(), **frame} for i, frame in enumerate(frames, 1)]
        self._n += len(frames)
        answer = await self._post("up", {"epoch": self._epoch, "frames": numbered})
        assert answer["acked"] == self._n

    async def _post(self, what: str, body: dict[str, object]) -> dict[str, int]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self._http.post(f"http://gateway/link/{what}", json=body, headers=headers) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{what}: {answer.status} {await answer.text()}")
            found: dict[str, int] = await answer.json()
            return found


def step(text: str) -> dict[str, object]:
    """A frame that becomes a fact of the log."""
    return {"kind": "step", "turn": 1, "title": text, "tool": "read"}


@asynccontextmanager
async def linked(boxes: int) -> AsyncIterator[tuple[Workshop, list[LinkedBox]]]:
    """A stack with so many links and, so that they are not missed, without workers and upkeep."""
    with tempfile.TemporaryDirectory(prefix="shipmate-bench-") as folder:
        Path(folder).chmod(0o711)
        async with Stack.running(Path(folder), {}) as stack, stack.workshop() as shop:
            await stack.supervisor.end("upkeep", *WORKERS)
            socket = next(stack.settings.jobs.gateway_dir.glob("web-*.sock"))
            connector = aiohttp.UnixConnector(str(socket), limit=0)
            async with aiohttp.ClientSession(connector=connector) as http:
                opened = [LinkedBox(http, shop, f"sbench{number}") for number in range(boxes)]
                for box in opened:
                    await box.open()
                yield shop, opened
            await stack.discard()


async def event_to_log(rounds: int = 200) -> list[Row]:
    """One frame: sent → in the log, and acknowledged. Boxes take turns: one that sends so many in a row is answered
    later."""
    began = time.time()
    async with linked(BOXES) as (shop, opened):
        turns = cycle(opened)
        plain = redis.from_url(shop.settings.redis_url)

        async def ours() -> float:
            start = time.perf_counter()
            await next(turns).say([step("Read a file")])
            return milliseconds(time.perf_counter() - start)

        async def bare() -> float:
            start = time.perf_counter()
            await plain.xadd("bench", {"event": "x" * 200})
            return milliseconds(time.perf_counter() - start)

        times = await interleaved(rounds, ours, bare)
        await plain.aclose()
    return [row("event_to_log", *times, began, "frame sent → stored and acknowledged; bare: one XADD; aim 5 ms")]


async def relay(boxes: int = BOXES, per_second: int = PER_SECOND, seconds: int = SECONDS) -> list[Row]:
    """Many boxes at once. The lag is from a frame's making until another process can read it in the log."""
    began = time.time()
    async with linked(boxes) as (shop, opened):
        lags: list[float] = []
        reading = asyncio.create_task(_read(shop, opened, lags, boxes * per_second * seconds))
        start = time.perf_counter()
        await asyncio.gather(*(_talk(box, per_second, seconds) for box in opened))
        said = time.perf_counter() - start
        async with asyncio.timeout(DRAIN_SECONDS):
            await reading
    count = len(lags)
    note = (
        f"{boxes} boxes × {per_second}/s: {count / said:.0f} events/s, lost {boxes * per_second * seconds - count}; "
        "p50 and p95 are the lag from making to readable in the log, of which up to 100 ms is the runner's batch"
    )
    return [row("relay", [milliseconds(lag) for lag in lags], [], began, note)]


async def _talk(box: LinkedBox, per_second: int, seconds: int) -> None:
    """Say things at an even pace, sent in batches as a runner does; each carries when it was made."""
    each = round(per_second * BATCH_SECONDS)
    start = time.time()
    for batch in range(round(seconds / BATCH_SECONDS)):
        made = start + batch * BATCH_SECONDS
        await asyncio.sleep(max(0.0, made + BATCH_SECONDS - time.time()))
        await box.say([step(f"{made + i * BATCH_SECONDS / each:.6f}") for i in range(each)])


async def _read(shop: Workshop, boxes: list[LinkedBox], lags: list[float], wanted: int) -> None:
    """Read every log as its bell rings, until everything was seen."""
    after = {box.sid: 0 for box in boxes}
    async for sid in shop.store.bells():
        events = await shop.store.events(sid, after[sid])
        now = time.time()
        after[sid] = events[-1].seq if events else after[sid]
        lags += [now - float(event.title) for event in events if isinstance(event, StepStarted)]
        if len(lags) >= wanted:
            return
