"""A forge that listens, with a receiver of its webhooks and what a client needs to reach it."""

import asyncio
import hashlib
import hmac
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import github
import pytest
from aiohttp import web
from github import Auth

from bot.playground import forge_pulls
from bot.playground.forge import Forge
from bot.playground.forge_routes import forge_routes

ROCKET = "acme/rocket"
FIXED = ("return int(fuel // tank)", "return math.ceil(fuel / tank)")


@dataclass
class Received:
    """A receiver of webhooks that checks the signature of each."""

    secret: str = ""
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    status: int = 200

    async def hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        signed = "sha256=" + hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        assert request.headers["X-Hub-Signature-256"] == signed
        assert request.headers["X-GitHub-Delivery"]
        self.events.append((request.headers["X-GitHub-Event"], await request.json()))
        return web.Response(status=self.status)

    def actions(self) -> list[str]:
        return [f"{event}.{body['action']}" if "action" in body else event for event, body in self.events]


@dataclass
class Served:
    """A forge that listens, with what a client needs to reach it."""

    forge: Forge
    url: str
    received: Received
    folder: Path

    def clone_url(self, repository: str = ROCKET, token: str | None = None) -> str:
        who = f"x-access-token:{token}@" if token else ""
        return f"{self.url.replace('://', '://' + who)}/forge/{repository}.git"

    def client(self, token: str | None = None) -> github.Github:
        return github.Github(
            auth=Auth.Token(token or self.forge.token), base_url=self.forge.api_url, retry=None,
            seconds_between_requests=None, seconds_between_writes=None,
        )  # fmt: skip

    async def git(self, *args: str, cwd: Path | None = None, fails: bool = False) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@acme.example",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@acme.example",
        }
        process = await asyncio.create_subprocess_exec(
            "git",
            *args,
            cwd=cwd or self.folder,
            env=env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out = (await process.communicate())[0].decode()
        assert bool(process.returncode) == fails, out
        return out

    async def checkout(self, name: str = "work", repository: str = ROCKET) -> Path:
        await self.git("clone", "-q", self.clone_url(repository, self.forge.token), name)
        return self.folder / name

    async def push_fix(self, branch: str = "shipmate/one", message: str = "Count the last tank") -> Path:
        work = await self.checkout(branch.replace("/", "-"))
        await self.git("checkout", "-q", "-b", branch, cwd=work)
        source = work / "rocket" / "fuel.py"
        source.write_text(source.read_text().replace(*FIXED))
        await self.git("commit", "-qam", message, cwd=work)
        await self.git("push", "-q", "origin", branch, cwd=work)
        return work

    async def open_fix(self, **more: Any) -> int:
        await self.push_fix()
        words = {"title": "Count the last tank", "head": "shipmate/one", "base": "main", **more}
        return (await forge_pulls.open_pull(self.forge, ROCKET, "shipmate[bot]", **words)).number


async def listening(app: web.Application, **options: Any) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(app, **options)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def served(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    options = getattr(request, "param", {})
    received = Received()
    hook_app = web.Application()
    hook_app.router.add_post("/hook", received.hear)
    hook_runner, hook_url = await listening(hook_app)
    forge = await Forge.open(tmp_path / "state", webhook_url=hook_url + "/hook", **options.get("forge", {}))
    app = web.Application()
    app.add_routes(forge_routes(forge))
    runner, url = await listening(app, auto_decompress=options.get("auto_decompress", False))
    received.secret = forge.describe(url)["GITHUB_WEBHOOK_SECRET"]
    yield Served(forge, url, received, tmp_path)
    await forge.close()
    await runner.cleanup()
    await hook_runner.cleanup()
