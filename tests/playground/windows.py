"""Windows of the workspace's page in the hands of people; behind them the real workspace, and an app on its socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, web
from playwright.async_api import Browser, Locator, Page, expect

from bot.playground.page import page_routes
from bot.playground.workspace import Workspace
from bot.playground.workspace_routes import workspace_routes
from tests.browser import PATIENCE_MS, visit

ADA, GRACE, BOT = "U0ADA", "U0GRACE", "U0SHIPMATE"
DEV, GENERAL = "C0DEV", "C0GENERAL"
HOSTILE = '<img src=x onerror="document.title=\'1\'"><script>document.title="1"</script>'

expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Served:
    """A workspace that listens, and an app that is connected to it: what it hears is in `heard`."""

    workspace: Workspace
    url: str
    http: ClientSession
    heard: list[dict[str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def token(self, who: str) -> str:
        return self.workspace.tokens.bot if who == BOT else self.workspace.tokens.people[who]

    async def call(self, who: str, method: str, **args: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token(who)}"}
        async with self.http.post(f"{self.url}/api/{method}", json=args, headers=headers) as answer:
            body: dict[str, Any] = await answer.json()
        assert body["ok"], (method, body)
        return body

    async def say(self, who: str, text: str, channel: str = DEV, **more: Any) -> str:
        ts: str = (await self.call(who, "chat.postMessage", channel=channel, text=text, **more))["ts"]
        return ts

    async def last(self, channel: str = DEV) -> dict[str, Any]:
        found: dict[str, Any] = (await self.call(ADA, "conversations.history", channel=channel, limit=1))["messages"][0]
        return found

    async def hears(self, kind: str) -> dict[str, Any]:
        """The first payload of this type that the app gets, or has got."""
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while True:
                for payload in self.heard:
                    if kind in (payload["type"], payload.get("event", {}).get("type")):
                        return payload
                self.news.clear()
                await self.news.wait()

    async def listen(self, socket: ClientWebSocketResponse) -> None:
        async for said in socket:
            envelope = json.loads(said.data)
            if "envelope_id" in envelope:
                await socket.send_json({"envelope_id": envelope["envelope_id"]})
                self.heard.append(envelope["payload"])
                self.news.set()


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Served]:
    """A workspace with its page, and the app."""
    workspace = await Workspace.open(folder)
    workspace.faults.unlimited = True
    app = web.Application()
    app.add_routes([*workspace_routes(workspace), *page_routes()])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    keys = workspace.describe(url)
    async with ClientSession() as http:
        found = Served(workspace, url, http)
        app_token = {"Authorization": f"Bearer {keys['SLACK_APP_TOKEN']}"}
        async with http.post(f"{url}/api/apps.connections.open", headers=app_token) as answer:
            address = (await answer.json())["url"]
        async with http.ws_connect(address) as socket:
            listening = asyncio.create_task(found.listen(socket))
            yield found
            listening.cancel()
    await runner.cleanup()
    await workspace.close()


@asynccontextmanager
async def window(
    browser: Browser, served: Served, who: str = "Ada", at: str = "", **context: Any
) -> AsyncIterator[Page]:
    """The page in the hands of somebody."""
    async with visit(browser, f"{served.url}/{at}", **context) as page:
        await expect(page.get_by_role("radio", name="Ada")).to_have_attribute("aria-checked", "true")
        if who != "Ada":
            await page.get_by_role("radio", name=who).click()
        await expect(page.get_by_role("radio", name=who)).to_have_attribute("aria-checked", "true")
        yield page


def composer(page: Page) -> Locator:
    return page.get_by_role("main").get_by_role("combobox", name="Write a message")


def messages(page: Page) -> Locator:
    return page.get_by_role("main").get_by_role("article")


def thread(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Thread")


def section(words: str) -> dict[str, Any]:
    return {"type": "section", "text": mrkdwn(words)}


def mrkdwn(words: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": words, "verbatim": True}


def button(label: str, action: str, value: str) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": label}, "action_id": action, "value": value}
