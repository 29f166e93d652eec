"""What a person waits for: `accept`, `followup` and `new_cold`, through a whole running stack."""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import redis.asyncio as redis

from bot.playground import sample
from bot.stack import Stack
from bot.story import Workspace
from jobs.events import PromptReceived, TurnStarted
from jobs.inbox import session_id
from jobs.session import Session, Status
from jobs.wiring import Workshop
from tests.bench import agents
from tests.bench.measure import ROUNDS, Row, interleaved, milliseconds, row

LOOK_SECONDS = 0.01
DEADLINE_SECONDS = 60.0
ASK = "what is this?"  # read, answered, and nothing changed


class Asking:
    """Ada, in #dev of a running stack."""

    def __init__(self, stack: Stack, shop: Workshop, workspace: Workspace, found: dict[str, Any]) -> None:
        self._stack, self._workspace, self.shop = stack, workspace, shop
        self._team, self._bot = found["team"]["id"], found["bot"]["user_id"]
        self._ada = next(person for person in found["people"] if person["name"] == "ada")
        self._channel = next(place["id"] for place in found["channels"] if place["name"] == "dev")

    async def say(self, text: str, thread: str = "") -> tuple[str, str]:
        """Mention Shipmate, or reply; the session's id and the thread."""
        more = {"thread_ts": thread} if thread else {}
        words = text if thread else f"<@{self._bot}> {text}"
        said = await self._workspace.call(
            self._ada["token"], "chat.postMessage", channel=self._channel, text=words, **more
        )
        return session_id(self._team, self._channel, thread or said["ts"]), thread or said["ts"]

    async def forge(self, **faults: float) -> None:
        """From now on this is wrong with the forge."""
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self._stack.page_url}forge/_faults", json=faults) as answer,
        ):
            answer.raise_for_status()

    async def idle(self, sid: str, turns: int, seconds: float = DEADLINE_SECONDS) -> Session:
        """Wait until the session has done so many turns."""
        async with asyncio.timeout(seconds):
            while True:
                session = await self.shop.store.load(sid)
                if session is not None and session.turns >= turns and session.status is Status.IDLE:
                    return session
                await asyncio.sleep(LOOK_SECONDS)

    async def seconds_to_prompt(self, sid: str) -> float:
        """From the newest prompt's arrival until it had reached the agent."""
        events = await self.shop.store.events(sid)
        received = [event.prompt.received_at for event in events if isinstance(event, PromptReceived)]
        started = [event.at for event in events if isinstance(event, TurnStarted)]
        return started[-1] - received[-1]


@asynccontextmanager
async def asking(agent: str = "rehearsal", **settings: str) -> AsyncIterator[Asking]:
    """A stack whose one repository has its image. `settings`: what it is told otherwise than the playground says."""
    with tempfile.TemporaryDirectory(prefix="shipmate-bench-") as folder:
        Path(folder).chmod(0o711)
        async with Stack.running(Path(folder), {}, agent=agent, settings=settings) as stack:
            async with aiohttp.ClientSession() as http, stack.workshop() as shop:
                workspace = Workspace(stack, http)
                async with asyncio.timeout(DEADLINE_SECONDS):
                    while await shop.store.images.newest("acme/rocket") is None:
                        await asyncio.sleep(LOOK_SECONDS)
                yield Asking(stack, shop, workspace, await workspace.bootstrap())
            await stack.discard()


async def followup(rounds: int = ROUNDS) -> list[Row]:
    """A reply in a live session: received → it has reached the agent."""
    began = time.time()
    async with asking() as ada:
        sid, thread = await ada.say(ASK)
        await ada.idle(sid, 1)
        turns = 1

        async def reply() -> float:
            nonlocal turns
            await ada.say(ASK, thread)
            turns += 1
            await ada.idle(sid, turns)
            return milliseconds(await ada.seconds_to_prompt(sid))

        (ours,) = await interleaved(rounds, reply)
    return [row("followup", ours, [], began, "received → prompt written to the agent, live session; aim 20")]


async def new_cold(rounds: int = ROUNDS) -> list[Row]:
    """A mention in a new thread, and the same agent started by hand; `accept` comes out of the same rounds."""
    began = time.time()
    accepted: list[float] = []
    async with asking() as ada:
        with tempfile.TemporaryDirectory() as folder:
            argv, repo = agents.rehearsal(Path(folder)), checkout(Path(folder))
            plain = redis.from_url(ada.shop.settings.redis_url)

            async def mention() -> float:
                sid, _ = await ada.say(ASK)
                session = await ada.idle(sid, 1)
                stamps = await ada.shop.store.stamps(sid)
                accepted.append(milliseconds(stamps["durable"] - stamps["received"]))
                await ada.shop.provider.terminate(session.box or "", grace=0.1)
                return milliseconds(await ada.seconds_to_prompt(sid))

            async def hand() -> float:
                return milliseconds(await agents.seconds_to_prompt(argv, repo, Path(folder), ASK))

            async def one_write() -> float:
                start = time.perf_counter()
                await plain.xadd("bench", {"event": "x" * 500})
                return milliseconds(time.perf_counter() - start)

            ours, bare, writes = await interleaved(rounds, mention, hand, one_write)
            await plain.aclose()
    over = sorted(ours)[len(ours) // 2] - sorted(bare)[len(bare) // 2]
    return [
        row("accept", accepted[1:], writes, began, "event received → durable; bare: one XADD by hand; aim 5 ms"),
        row(
            "new_cold", ours, bare, began,
            f"received → prompt written to the agent, no warm box; {over:.0f} ms over bare; aim ≤ 100 over",
        ),
    ]  # fmt: skip


def checkout(folder: Path) -> Path:
    """The sample repository, for an agent by hand."""
    repo = folder / "repo"
    for written in sample.history("rocket"):
        for name, text in written.files.items():
            (repo / name).parent.mkdir(parents=True, exist_ok=True)
            (repo / name).write_text(text)
    subprocess.run(("git", "init", "--quiet", str(repo)), check=True)
    return repo
