"""A whole control plane and thousands of people: Slack's playground, Modal on paper, light runners. `run.py` plays it.

Everything of ours is the production processes (web, upkeep, workers, Redis); what is far away is a stand-in.
"""

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import redis.asyncio as redis

from bot.stack import Stack
from bot.story import Workspace
from jobs.commands import Choice, Submit
from jobs.events import Author, Place, Prompt
from jobs.inbox import session_id
from jobs.wiring import Workshop
from tests.modal_cloud.client import ModalCloud
from tests.scale.light import BRIEFLY
from tests.scale.site import Held, Spent, spent

SAID = '{"code":0,"stdout_bytes":0,"stderr_bytes":0,"truncated":false,"timed_out":false,"held":true}\n'
UNUSED = ("images", "images-modal")  # there is no image to build: every box begins cold
LOOK_SECONDS, LEASE_LOOK_SECONDS = 0.5, 0.1
LEASE = "shipmate:lease:upkeep"
REPOSITORY = "acme/rocket"
ADA = Author(id="U0ADA", name="Ada", email="ada@acme.example")
CREATES = 50
SETTINGS = {
    "SHIPMATE_PLACE": "modal",
    "SHIPMATE_MODAL_CREATES": str(CREATES),
    "SHIPMATE_IDLE_SECONDS": "86400",
    "SHIPMATE_CONNECT_SECONDS": "3600",
}


class Town:
    """What runs, and hands on it."""

    def __init__(
        self, stack: Stack, shop: Workshop, cloud: ModalCloud, held: Held, workspace: Workspace, webs: dict[str, str]
    ) -> None:
        self.stack, self.shop, self.cloud, self.held = stack, shop, cloud, held
        self._workspace, self._webs = workspace, webs
        self._plain = redis.from_url(shop.settings.redis_url)
        self.threads: dict[str, str] = {}
        self._started: set[str] = set()
        self._first_open = 0

    async def meet(self) -> None:
        """Who is there, and where."""
        found = await self._workspace.bootstrap()
        self._team, self._bot = found["team"]["id"], found["bot"]["user_id"]
        self._people = [one["token"] for one in found["people"] if one["name"] in ("ada", "grace")]
        self._channel = next(place["id"] for place in found["channels"] if place["name"] == "dev")

    async def mention(self, number: int) -> str:
        """One person asks in a thread of their own; the session's id."""
        text = f"<@{self._bot}> what is in file {number}?"
        said = await self._workspace.call(self._token(number), "chat.postMessage", channel=self._channel, text=text)
        sid = session_id(self._team, self._channel, said["ts"])
        self.threads[sid] = said["ts"]
        return sid

    async def ask_elsewhere(self, number: int) -> str:
        """Through another client than Slack, whose threads nobody shows, for one word: to be there is all."""
        sid = session_id(self._team, "elsewhere", str(number))
        place = Place(client="elsewhere", team=self._team, channel="elsewhere", thread=str(number))
        prompt = Prompt(id=f"{sid}:1", author=ADA, text=f"{BRIEFLY}: {number}?", received_at=time.time())
        await self.shop.inbox.handle(sid, Submit(sid, place, prompt, Choice(REPOSITORY, "main"), "rehearsal"))
        return sid

    async def reply(self, sid: str, number: int) -> None:
        """One person goes on in that thread."""
        where = {"channel": self._channel, "thread_ts": self.threads[sid]}
        await self._workspace.call(self._token(number), "chat.postMessage", text=f"and file {number}?", **where)

    def _token(self, number: int) -> str:
        return str(self._people[number % len(self._people)])

    async def give_runners(self) -> None:
        """For ever: each box that was made on paper gets a light runner, with the greeting that it was sent."""
        while True:
            boxes = await self.cloud.boxes(after=self._first_open)
            fresh = [box for box in boxes if box["id"] not in self._started and '{"wire"' in box["heard"]]
            greetings = [json.loads(box["heard"][box["heard"].rindex('{"wire"') :]) for box in fresh]
            serving = [greeting for greeting in greetings if greeting["mode"] == "serve"]
            for number, greeting in enumerate(serving, len(self._started)):
                greeting["gateway"] = list(self._webs.values())[number % len(self._webs)]  # as a balancer would
            if serving:
                await self.held.do("start", greetings=serving, pace=0.4)
            self._started |= {box["id"] for box in fresh}
            for box in boxes:
                if box["id"] not in self._started:
                    break
                self._first_open += 1
            await asyncio.sleep(LOOK_SECONDS)

    async def calls(self) -> dict[str, int]:
        """How often each command of Redis was done."""
        info: Mapping[str, Any] = await self._plain.info("commandstats")
        return {name.removeprefix("cmdstat_"): int(row["calls"]) for name, row in info.items()}

    async def sweeps(self, seconds: float) -> int:
        """How many sweeps the upkeep began within the next seconds: each renews its lease first."""
        begun, left, end = 0, 0, time.monotonic() + seconds
        while time.monotonic() < end:
            now = int(await self._plain.pttl(LEASE))
            begun, left = begun + (now > left), now
            await asyncio.sleep(LEASE_LOOK_SECONDS)
        return begun

    async def memory(self) -> int:
        """Bytes that Redis uses."""
        return int((await self._plain.info("memory"))["used_memory"])

    def programs(self) -> dict[str, Spent]:
        """What each of our processes, and each stand-in, has used; all web processes together are `web`."""
        found: dict[str, Spent] = {}
        for name in (*self._webs, "redis", "upkeep", "boxes-modal", "playground"):
            pid, kind = self.stack.supervisor.pid(name), "web" if name in self._webs else name
            if pid is not None:
                found[kind] = found.get(kind, Spent(0.0, 0, 0)) + spent(pid)
        return found

    async def close(self) -> None:
        """Hang up."""
        await self._plain.aclose()


@asynccontextmanager
async def town(seconds_of_a_create: float, webs: int = 1) -> AsyncIterator[Town]:
    """Everything started with so many web processes, Slack without limits of its own, and each create of a box taking
    so long."""
    async with contextlib.AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="sm-scale-")))
        folder.chmod(0o711)
        cloud = opened.enter_context(ModalCloud.started(folder / "modal", "paper"))
        await cloud.script(".*", stdout=SAID, runs=True)
        told = SETTINGS | cloud.environment()
        stack = await opened.enter_async_context(Stack.running(folder / "stack", {}, settings=told))
        await stack.supervisor.end(*UNUSED)
        shop = await opened.enter_async_context(stack.workshop())
        held = await opened.enter_async_context(Held.running())
        http = await opened.enter_async_context(aiohttp.ClientSession())
        async with http.post(f"{stack.page_url}playground/faults", json={"unlimited": True}) as answer:
            answer.raise_for_status()
        await cloud.fault("slow", rpc="SandboxCreateV2", times=None, by=seconds_of_a_create)
        more = {f"web-{number}": await stack.add_web(f"web-{number}") for number in range(2, webs + 1)}
        made = Town(stack, shop, cloud, held, Workspace(stack, http), {"web": stack.web_url} | more)
        opened.push_async_callback(made.close)
        await made.meet()
        giving = asyncio.create_task(made.give_runners())
        try:
            yield made
        finally:
            giving.cancel()
            await asyncio.gather(giving, return_exceptions=True)


async def until(true: Any, seconds: float) -> float:
    """Wait until the awaited `true` is; how long that took. Raises TimeoutError."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(LOOK_SECONDS)
    return time.monotonic() - began
