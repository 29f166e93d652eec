"""A forge, the gateway's git in front of it, and git clients that play a box: all over loopback, all real."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from bot.gateway.access import GRANT
from bot.gateway.git import GitGateway
from bot.gateway.push_rules import USUAL, Limits
from bot.playground.forge import Forge
from bot.playground.forge_routes import forge_routes
from jobs.events import Author
from jobs.records import Grant
from jobs.settings import JobSettings

ROCKET = "acme/rocket"
SID = "s1a2b"
BRANCH = f"shipmate/{SID}"
ADA = Author(id="U1", name="Ada", email="ada@acme.example")
GRACE = Author(id="U2", name="Grace", email="Grace@acme.example")
SERVE = Grant(SID, "box-1", 1, ROCKET, "serve", BRANCH)
BUILD = Grant("", "image-1", 0, ROCKET, "build", "")


@dataclass
class Box:
    """A git client that reaches nothing but a gateway. `author` is who its commits are by."""

    folder: Path
    url: str
    author: Author = ADA

    def remote(self, repository: str = ROCKET) -> str:
        return f"{self.url}/git/{repository}.git"

    async def git(
        self, *args: str, cwd: Path | None = None, fails: bool = False, env: dict[str, str] | None = None
    ) -> str:
        mine = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **{f"GIT_{role}_NAME": self.author.name for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": self.author.email for role in ("AUTHOR", "COMMITTER")},
        }
        process = await asyncio.create_subprocess_exec(
            "git", *args, cwd=cwd or self.folder, env=mine | (env or {}), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(60):
            out = (await process.communicate())[0].decode(errors="replace")
        assert bool(process.returncode) == fails, out
        return out

    async def clone(self, name: str = "work", *options: str, branch: str = BRANCH) -> Path:
        work = self.folder / name
        await self.git("clone", "-q", *options, self.remote(), name)
        await self.git("checkout", "-q", "-b", branch, cwd=work)
        return work

    async def commit(self, work: Path, files: dict[str, str | bytes], message: str = "Work") -> str:
        for path, content in files.items():
            file = work / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        await self.git("add", "-A", cwd=work)
        await self.git("commit", "-q", "--allow-empty", "-m", message, cwd=work)
        return await self.head(work)

    async def head(self, work: Path) -> str:
        return (await self.git("rev-parse", "HEAD", cwd=work)).strip()

    async def push(self, work: Path, *refspecs: str, fails: bool = False) -> str:
        return await self.git("push", "origin", *(refspecs or (f"HEAD:refs/heads/{BRANCH}",)), cwd=work, fails=fails)


@dataclass
class World:
    """Everything that a test needs; what it changes here counts from the next request on."""

    folder: Path
    forge: Forge
    forge_url: str
    token: str
    grant: Grant = SERVE
    people: list[Author] = field(default_factory=lambda: [ADA, GRACE])
    runners: list[web.AppRunner] = field(default_factory=list)
    forge_heard: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    async def _token(self, repository: str) -> str:
        return self.token

    async def _people(self, session: str) -> list[Author]:
        return self.people if session == SID else []

    async def gateway(self, github_url: str | None = None, grant: Grant | None = None, limits: Limits = USUAL) -> str:
        """One more gateway process, as far as git can tell: its own state in memory, the same folder."""
        settings = JobSettings.from_env(
            {
                "SHIPMATE_DATA_DIR": str(self.data),
                "GITHUB_URL": github_url or self.forge.url,
                "PATH": os.environ["PATH"],
            }
        )

        @web.middleware
        async def granted(request: web.Request, handler: Handler) -> web.StreamResponse:
            request[GRANT] = grant or self.grant
            return await handler(request)

        app = web.Application(middlewares=[granted])
        app.add_routes(GitGateway(settings, self._token, self._people, self.refusals.append, limits).routes)
        return await self.listening(app, auto_decompress=False, handler_cancellation=True)

    async def listening(self, app: web.Application, **options: bool) -> str:
        runner = web.AppRunner(app, shutdown_timeout=1.0, **options)  # type: ignore[arg-type]
        self.runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    def box(self, url: str, name: str = "box", author: Author = ADA) -> Box:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return Box(folder, url, author)

    def time_passes(self) -> None:
        """What was fetched is no longer fresh."""
        for mark in (self.data / "git" / "mirrors").rglob("shipmate-fetched"):
            then = mark.stat().st_mtime - 10
            os.utime(mark, (then, then))

    @web.middleware
    async def hearing(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """In front of the forge: remembers what it was asked."""
        self.forge_heard.append(request.path_qs)
        return await handler(request)

    async def branches(self, repository: str = ROCKET) -> dict[str, str]:
        """What the forge has."""
        return await self.forge.bare(repository).branches()

    def left_in_quarantine(self) -> list[Path]:
        return list((self.data / "git" / "quarantine").glob("*"))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    forge = await Forge.open(tmp_path / "forge")
    world = World(tmp_path, forge, "", forge.token)
    app = web.Application(middlewares=[world.hearing])
    app.add_routes(forge_routes(forge))
    world.forge_url = await world.listening(app, auto_decompress=False)
    forge.describe(world.forge_url)
    yield world
    for runner in reversed(world.runners):
        await runner.cleanup()
    await forge.close()


@pytest.fixture
async def box(world: World) -> Box:
    return world.box(await world.gateway())


def working_on(world: World) -> list[str]:
    """The command lines of all processes that a gateway of this world has started."""
    lines = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cwd").readlink().is_relative_to(world.data):
                lines.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return lines
