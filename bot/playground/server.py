"""The playground: a workspace, a forge and a model behind one address of loopback, with a page to look at them.

`bot/app.py` runs `serve` for `shipmate playground`. It listens on loopback only, and refuses whatever the page of
another site could send: requests for another host, or from another origin.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from bot.playground.forge import Forge
from bot.playground.forge_records import write_atomically
from bot.playground.forge_routes import forge_routes
from bot.playground.model import MODEL, Model, model_routes
from bot.playground.page import page_routes
from bot.playground.workspace import Workspace
from bot.playground.workspace_routes import workspace_routes

HOST = "127.0.0.1"
HOSTS = (HOST, "localhost", "[::1]")
GRACE_SECONDS = 0.2
REPOSITORY = "acme/rocket"  # enabled unless one says otherwise
SAMPLES = ("rocket", "docs")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Playground:
    """A playground that listens at `url`; `keys` lead Shipmate to it."""

    url: str
    keys: dict[str, str]
    workspace: Workspace
    forge: Forge
    model: Model


async def serve(port: int, state: Path | None, env_file: Path | None, webhook_url: str) -> None:
    """Run until cancelled. Writes the settings as KEY=value lines to `env_file` (mode 0600), else prints them.

    `port` 0: a free one. `state` None: everything is forgotten at the end.
    """
    with contextlib.ExitStack() as stack:
        folder = state or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="playground-")))
        async with playground(port, folder, webhook_url) as running:
            lines = "".join(f"{name}={value}\n" for name, value in running.keys.items())
            if env_file is not None:
                write_atomically(env_file, lines)
            else:
                print(lines, end="", flush=True)
            await asyncio.Event().wait()


@asynccontextmanager
async def playground(port: int, state: Path, webhook_url: str = "") -> AsyncIterator[Playground]:
    """A running playground whose state lies in `state`."""
    async with contextlib.AsyncExitStack() as stack:
        workspace = await Workspace.open(state / "workspace")
        stack.push_async_callback(workspace.close)
        forge = await Forge.open(state / "forge", webhook_url=webhook_url, samples=SAMPLES)
        stack.push_async_callback(forge.close)
        model = Model.open(state / "model")
        app = web.Application(middlewares=[loopback_only])
        app.add_routes([*workspace_routes(workspace), *forge_routes(forge), *model_routes(model)])
        app.add_routes(page_routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE_SECONDS)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, HOST, port).start()
        url = f"http://{HOST}:{runner.addresses[0][1]}"
        keys = workspace.describe(url) | {"SHIPMATE_REPOSITORIES": REPOSITORY, "SHIPMATE_MODEL": f"anthropic/{MODEL}"}
        keys |= forge.describe(url) | model.describe(url)
        yield Playground(url, keys, workspace, forge, model)


@web.middleware
async def loopback_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what another site's page could send: it must have been meant for this host, and by its own pages."""
    host = request.headers.get("Host", "")
    if host.rpartition(":")[0] not in HOSTS and host not in HOSTS:
        raise web.HTTPForbidden(text="The playground is at 127.0.0.1 only.\n")
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        raise web.HTTPForbidden(text="The playground does not answer other sites.\n")
    navigating = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.method == "GET"
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and not navigating:
        raise web.HTTPForbidden(text="The playground does not answer other sites.\n")
    return await handler(request)
