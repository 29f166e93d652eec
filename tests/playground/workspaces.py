"""A workspace that listens, its clients, and an app that hears what happens: for the tests beside this file."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import workspace_people as people
from bot.playground.page import page_routes
from bot.playground.workspace import Workspace
from bot.playground.workspace_delivery import Timing
from bot.playground.workspace_routes import workspace_routes

DEV, GENERAL, SECRET, PARTNERS, DM = "C0DEV", "C0GENERAL", "G0SECRET", "C0PARTNERS", "D0ADA"
BOT = people.BOT.id
MENTION = f"<@{BOT}>"
QUICK = Timing(ack=0.8, retries=(0.0, 0.05, 0.1))
SECONDS = 8.0
PING_SECONDS = 0.3
EVERYTHING = re.compile(".*")


@dataclass
class Served:
    """A workspace and its address."""

    workspace: Workspace
    url: str
    http: aiohttp.ClientSession

    def client(self, token: str) -> AsyncWebClient:
        return AsyncWebClient(token=token, base_url=f"{self.url}/api/", session=self.http)

    @property
    def ada(self) -> AsyncWebClient:
        return self.client(self.workspace.tokens.people[people.ADA.id])

    @property
    def grace(self) -> AsyncWebClient:
        return self.client(self.workspace.tokens.people[people.GRACE.id])

    @property
    def olga(self) -> AsyncWebClient:
        return self.client(self.workspace.tokens.people[people.OUTSIDER.id])

    @property
    def bot(self) -> AsyncWebClient:
        return self.client(self.workspace.tokens.bot)

    @property
    def robbie(self) -> AsyncWebClient:
        return self.client(self.workspace.tokens.other_bot)

    async def post_json(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        async with self.http.post(self.url + path, json=body) as answer:
            return answer.status, await answer.json()

    async def faults(self, **wish: Any) -> dict[str, Any]:
        status, said = await self.post_json("/playground/faults", wish)
        assert status == 200, said
        return said

    def token(self, account: str) -> str:
        return self.workspace.tokens.people[account]


@asynccontextmanager
async def serving(folder: Path, **options: Any) -> AsyncIterator[Served]:
    """A workspace whose state lies in `folder`."""
    workspace = await Workspace.open(folder, **{"timing": QUICK, **options})
    app = web.Application()
    app.add_routes([*workspace_routes(workspace), *page_routes()])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    workspace.describe(url)
    async with aiohttp.ClientSession() as http:
        yield Served(workspace, url, http)
    await runner.cleanup()
    await workspace.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path / "state") as one:
        yield one


@dataclass
class App:
    """A real Bolt app that writes down what it hears. `failing`: so many events are answered with an error first."""

    bolt: AsyncApp
    heard: list[dict[str, Any]] = field(default_factory=list)
    retries: list[tuple[str, str]] = field(default_factory=list)
    failing: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        return [body["event"] for body in self.heard if body.get("event", {}).get("type") == kind or not kind]

    async def until(self, true: Callable[[], bool]) -> None:
        """Until something is true of what was heard."""
        async with asyncio.timeout(SECONDS):
            while not true():
                self.news.clear()
                await self.news.wait()

    async def until_heard(self, count: int) -> list[dict[str, Any]]:
        await self.until(lambda: len(self.heard) >= count)
        return self.heard


def bolt_app(served: Served) -> App:
    """An app as ours is: it writes an event down before Bolt acknowledges it, and takes everything."""
    client = AsyncWebClient(token=served.workspace.tokens.bot, base_url=f"{served.url}/api/")
    bolt = AsyncApp(client=client, signing_secret=served.workspace.tokens.signing_secret)
    app = App(bolt)

    async def hear(body: dict[str, Any], request: Any, next: Any) -> None:
        number = request.headers.get("x-slack-retry-num", [""])[0]
        reason = request.headers.get("x-slack-retry-reason", [""])[0]
        app.retries.append((str(number), str(reason)))
        app.news.set()
        if app.failing > 0:
            app.failing -= 1
            raise RuntimeError("not now")
        app.heard.append(body)
        await next()

    async def take(ack: Any) -> None:
        await ack()

    bolt.middleware(hear)
    bolt.event(EVERYTHING)(take)
    bolt.action(EVERYTHING)(take)
    return app


@asynccontextmanager
async def connected(served: Served, app: App | None = None) -> AsyncIterator[App]:
    """An app over Socket Mode."""
    app = app or bolt_app(served)
    handler = AsyncSocketModeHandler(app.bolt, served.workspace.tokens.app, ping_interval=PING_SECONDS)
    before = served.workspace.sockets.count
    await handler.connect_async()
    await served.workspace.sockets.connected(before + 1)
    try:
        yield app
    finally:
        await handler.close_async()


async def refused(call: Any) -> str:
    """The word with which Slack refuses this call."""
    try:
        answer = await call
    except SlackApiError as no:
        return str(no.response["error"])
    raise AssertionError(f"it was not refused: {answer.data}")
