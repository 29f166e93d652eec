"""A box's way to a model: through a real gateway to the playground's scripted model, or to one that misbehaves."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.playground.model import Model, model_routes
from tests.gateway.conftest import Site, one_box

KEY = "sk-the-real-one"
TOOL = {"name": "read", "input_schema": {"type": "object", "properties": {"filePath": {"type": "string"}}}}
CHAT_TOOL = {"type": "function", "function": {"name": "read", "parameters": TOOL["input_schema"]}}
ASK = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Fix the failing test"}]}
ANTHROPIC, OPENAI = "/model/anthropic/v1/messages", "/model/openai/chat/completions"


@dataclass
class Proxied:
    """A box's way to a model through a gateway."""

    http: aiohttp.ClientSession

    def post(self, path: str, body: Any, **headers: str) -> Any:
        data = body if isinstance(body, bytes) or hasattr(body, "__aiter__") else json.dumps(body).encode()
        head = {"Authorization": "Bearer t-1", "Content-Type": "application/json", **headers}
        return self.http.post(f"http://gateway{path}", data=data, headers=head, allow_redirects=False)

    def get(self, path: str, **headers: str) -> Any:
        return self.http.get(f"http://gateway{path}", headers={"Authorization": "Bearer t-1", **headers})


@asynccontextmanager
async def through(site: Site, url: str, **settings: str) -> AsyncIterator[Proxied]:
    """A box with a running turn, and the providers at `url`."""
    keys = {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY}
    places = {"ANTHROPIC_BASE_URL": url, "OPENAI_BASE_URL": url + "/v1"}
    await site.box()
    async with site.gateway("a", **(keys | places | settings)) as socket, one_box(socket) as box:
        await box.get_ready()
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), auto_decompress=False) as http:
            yield Proxied(http)


@asynccontextmanager
async def scripted(site: Site, **settings: str) -> AsyncIterator[tuple[Proxied, Model]]:
    """Through to the playground's model."""
    model = Model(KEY)
    app = web.Application()
    app.add_routes(model_routes(model))
    async with TestServer(app) as server, through(site, str(server.make_url("/model")), **settings) as proxied:
        yield proxied, model


@asynccontextmanager
async def served(
    site: Site, handler: Callable[[web.Request], Awaitable[web.StreamResponse]], **settings: str
) -> AsyncIterator[Proxied]:
    """Through to a provider that does with every request what `handler` does."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server, through(site, str(server.make_url("")).rstrip("/"), **settings) as proxied:
        yield proxied
