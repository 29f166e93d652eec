"""Over signed HTTP only what Slack signed a moment ago is heard, and what comes again says nothing new."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.playground import workspace_people as people
from bot.slack.app import SlackClient
from bot.slack.below import Repositories
from bot.slack.config import SlackConfig
from bot.web.links import ViewLinks
from jobs import repos
from jobs.inbox import Inbox, session_id
from jobs.settings_repositories import Repository
from jobs.store import Store
from tests.playground.workspaces import DEV, MENTION, Served, served

__all__ = ["served"]

SECRET = "a-signing-secret"
ENABLED = (Repository("acme/rocket"),)
TS = "1700000000.000100"


def event() -> bytes:
    said = {"type": "app_mention", "user": people.ADA.id, "text": f"{MENTION} fix it", "ts": TS, "channel": DEV}
    body = {"type": "event_callback", "team_id": people.TEAM, "event_id": "Ev1", "event": said}
    return json.dumps(body).encode()


def signed(body: bytes, secret: str = SECRET, age: float = 0.0) -> dict[str, str]:
    at = str(int(time.time() - age))
    mac = hmac.new(secret.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={mac}", "Content-Type": "application/json",
    }  # fmt: skip


@asynccontextmanager
async def listening(served: Served, store: Store, inbox: Inbox, secret: str = SECRET) -> AsyncIterator[str]:
    """The client's routes, listening."""
    config = SlackConfig(bot_token=served.workspace.tokens.bot, signing_secret=secret, api_url=f"{served.url}/api/")
    client = SlackClient(
        config, inbox=inbox, store=store, links=ViewLinks("secret", "https://ship.test", time.time),
        repositories=Repositories(
            choose=lambda text: repos.choose(text, ENABLED), base_branch=lambda name: repos.base_branch(name, ENABLED)
        ),
    )  # fmt: skip
    app = web.Application()
    app.add_routes(client.routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await client.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await client.close()
        await runner.cleanup()


async def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=headers) as answer:
        return answer.status


FORGED: dict[str, Any] = {
    "no signature": lambda body: {"Content-Type": "application/json"},
    "another secret": lambda body: signed(body, "another"),
    "an empty secret": lambda body: signed(body, ""),
    "another body": lambda body: signed(body + b" "),
    "older than five minutes": lambda body: signed(body, age=301),
    "from the future": lambda body: signed(body, age=-330),  # it comes nearer while it is under way
    "a time that is none": lambda body: signed(body) | {"X-Slack-Request-Timestamp": "soon"},
    "the time changed": lambda body: signed(body, age=400) | {"X-Slack-Request-Timestamp": str(int(time.time()))},
    "no letters of ours": lambda body: signed(body) | {"X-Slack-Signature": "v0=\u00e9"},
}


async def test_what_slack_did_not_sign_a_moment_ago_changes_nothing(served: Served, store: Store, inbox: Inbox) -> None:
    async with listening(served, store, inbox) as url:
        for path in ("/slack/events", "/slack/actions"):
            for name, headers in FORGED.items():
                status = await post(url + path, event(), headers(event()))
                assert 400 <= status < 500, (name, status)
        assert await store.all_sessions() == []


async def test_what_is_signed_is_heard_and_comes_again_in_vain(served: Served, store: Store, inbox: Inbox) -> None:
    async with listening(served, store, inbox) as url:
        headers = signed(event(), age=290)
        sid = session_id(people.TEAM, DEV, TS)
        assert await post(url + "/slack/events", event(), headers) == 200
        first = await store.events(sid)
        assert [e.kind for e in first].count("prompt_received") == 1
        for _ in range(3):
            assert await post(url + "/slack/events", event(), headers) == 200
        assert await store.events(sid) == first and await store.all_sessions() == [sid]


async def test_without_a_secret_nothing_is_heard_over_http(served: Served, store: Store, inbox: Inbox) -> None:
    async with listening(served, store, inbox, secret="") as url:
        for path in ("/slack/events", "/slack/actions"):
            assert await post(url + path, event(), signed(event(), "")) == 404
        assert await store.all_sessions() == []


ODD = [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"type": 7}', b"[" * 50_000, b"payload=%7B"]


@pytest.mark.parametrize("odd", ODD)
async def test_what_is_not_signed_is_not_even_read(served: Served, store: Store, inbox: Inbox, odd: bytes) -> None:
    async with listening(served, store, inbox) as url:
        assert await post(url + "/slack/events", odd, signed(odd, "another")) == 401


@pytest.mark.parametrize("odd", ODD)
async def test_a_signed_body_of_any_kind_is_no_fault_of_ours(
    served: Served, store: Store, inbox: Inbox, odd: bytes
) -> None:  # fmt: skip
    async with listening(served, store, inbox) as url:
        for path in ("/slack/events", "/slack/actions"):
            assert await post(url + path, odd, signed(odd)) < 600
        assert await post(url + "/slack/events", event(), signed(event())) == 200
