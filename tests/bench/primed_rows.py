"""`ttfr_primed` and `ttfr_cold`: from a mention to the first request of OpenCode that brings tools, beside the same
program driven by hand against the same servers. OpenCode has to be installed (`shipmate agents install opencode`)."""

import asyncio
import json
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from jobs.inbox import hash_token
from jobs.records import Grant
from jobs.wiring import Workshop
from sandbox import agents as table
from tests.bench import agents
from tests.bench.measure import ROUNDS, Row, interleaved, milliseconds, row
from tests.bench.start_rows import WARM, a_box_waits
from tests.bench.thread_rows import ASK, Asking, asking, checkout

AGENT = "opencode"
SETTLED_SECONDS = 300.0


class Between:
    """The gateway as an agent outside of any box reaches it: its tools, and its priming route for a model.

    `asked` is set, with the time, when a request with tools comes.
    """

    def __init__(self, shop: Workshop) -> None:
        self._shop, self._token = shop, secrets.token_urlsafe(16)
        self._http: aiohttp.ClientSession | None = None
        self.asked: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Between"]:
        """Serve on a port of loopback."""
        socket = next(self._shop.settings.gateway_dir.glob("web-*.sock"))
        await self._shop.store.grant(hash_token(self._token), Grant("", "by-hand", 0, "acme/rocket", "warm", ""))
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket), limit=0)) as self._http:
            yield self
        await runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.Response:
        assert self._http is not None
        body, path = await request.read(), request.match_info["path"]
        if path.startswith("model/"):
            if _has_tools(body) and not self.asked.done():
                self.asked.set_result(time.perf_counter())
            path = path.replace("model/", "model/priming/", 1)
        told = {name: value for name, value in request.headers.items() if name in ("Content-Type", "Accept")}
        told["Authorization"] = f"Bearer {self._token}"
        async with self._http.request(request.method, f"http://gateway/{path}", data=body, headers=told) as answer:
            kind = answer.headers.get("Content-Type", "application/json")
            return web.Response(status=answer.status, body=await answer.read(), headers={"Content-Type": kind})


def _has_tools(body: bytes) -> bool:
    try:
        return bool(json.loads(body).get("tools"))
    except (ValueError, AttributeError):
        return False


class Hand:
    """OpenCode as a person would start it, each time anew, in a home that it has used before."""

    def __init__(self, shop: Workshop, between: Between, folder: Path) -> None:
        self._between, self._folder, self._repo = between, folder, checkout(folder)
        told: dict[str, Any] = table.greeting_agent(table.row(AGENT), shop.settings.model)
        filled = {"gateway": between.url, "home": str(folder), "repo": str(self._repo)}
        filled["agents"] = str(shop.settings.agents_dir)
        self.argv = tuple(_fill(word, filled) for word in told["argv"])
        self._env = {name: _fill(value, filled) for name, value in told["env"].items()}
        for name, text in told["files"].items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(_fill(text, filled))

    async def once(self) -> float:
        """From its start to its first request with tools."""
        between, began = self._between, time.perf_counter()
        between.asked = asyncio.get_running_loop().create_future()
        async with agents.by_hand(self.argv, self._repo, self._folder, self._env) as agent:
            await agent.call("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
            tools = {"type": "http", "name": "shipmate", "url": f"{between.url}/tools/mcp", "headers": []}
            opened = await agent.call("session/new", {"cwd": str(self._repo), "mcpServers": [tools]})
            prompt = [{"type": "text", "text": ASK}]
            await agent.send("session/prompt", {"sessionId": opened["result"]["sessionId"], "prompt": prompt})
            async with asyncio.timeout(SETTLED_SECONDS):
                return milliseconds(await between.asked - began)


def _fill(text: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        text = text.replace("{" + name + "}", value)
    return text


@asynccontextmanager
async def _at_work(**settings: str) -> AsyncIterator[tuple[Asking, Hand]]:
    with tempfile.TemporaryDirectory() as folder:
        async with asking(AGENT, **settings) as ada, Between(ada.shop).open() as between:
            yield ada, Hand(ada.shop, between, Path(folder))


async def _to_first_request(ada: Asking, kinds: Counter[str]) -> float:
    sid, _ = await ada.say(ASK)
    session = await ada.idle(sid, 1, SETTLED_SECONDS)
    kinds[session.start or ""] += 1
    stamps = await ada.shop.store.stamps(sid)
    await ada.shop.provider.terminate(session.box or "", grace=0.1)
    return milliseconds(stamps["model_request"] - stamps["received"])


async def ttfr_primed(rounds: int = ROUNDS) -> list[Row]:
    """A mention while a primed box waits."""
    began, kinds = time.time(), Counter[str]()
    async with _at_work(**WARM, SHIPMATE_WARM_PREDICTED="0") as (ada, hand):

        async def mention() -> float:
            await a_box_waits(ada.shop, SETTLED_SECONDS)
            taken = await _to_first_request(ada, kinds)
            await a_box_waits(ada.shop, SETTLED_SECONDS)  # so that its making is over when the other one is measured
            return taken

        ours, bare = await interleaved(rounds, mention, hand.once)
    return [_row("ttfr_primed", ours, bare, began, hand, kinds, "≤ 0.08")]


async def ttfr_cold(rounds: int = ROUNDS) -> list[Row]:
    """A mention for which the box is made."""
    began, kinds = time.time(), Counter[str]()
    async with _at_work(SHIPMATE_WARM_PREDICTED="0") as (ada, hand):

        async def mention() -> float:
            return await _to_first_request(ada, kinds)

        ours, bare = await interleaved(rounds, mention, hand.once)
    return [_row("ttfr_cold", ours, bare, began, hand, kinds, "≤ 1.15")]


def _row(
    name: str, ours: list[float], bare: list[float], began: float, hand: Hand, kinds: Counter[str], aim: str
) -> Row:
    how = f"{' '.join(hand.argv)}, started by hand with the same MCP server and settings"
    note = f"mention received → first model request with tools; starts: {dict(kinds)}; bare: {how}; aim {aim} of bare"
    return row(name, ours, bare, began, note)
