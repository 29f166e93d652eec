"""A box's way to a model: through a real gateway to the playground's scripted model, or to one that misbehaves."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.gateway.model import PATIENCE, Patience
from bot.playground.model import Model, model_routes
from tests.gateway.conftest import Box, Site, frame, one_box

KEY = "sk-the-real-one"
TOOL = {"name": "read", "input_schema": {"type": "object", "properties": {"filePath": {"type": "string"}}}}
CHAT_TOOL = {"type": "function", "function": {"name": "read", "parameters": TOOL["input_schema"]}}
ASK = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Fix the failing test"}]}
RESPONSES = "/model/openai/responses"
GEMINI = "/model/gemini/v1beta/models/m:generateContent"
GEMINI_STREAM = "/model/gemini/v1beta/models/m:streamGenerateContent?alt=sse"
ANTHROPIC, OPENAI = "/model/anthropic/v1/messages", "/model/openai/chat/completions"


CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Fix the failing test"}]}]}
WAYS = (
    (ANTHROPIC, ASK | {"stream": True}),
    (OPENAI, ASK | {"stream": True}),
    (RESPONSES, {"model": "m", "stream": True, "input": "Fix the failing test"}),
    (GEMINI_STREAM, CONTENTS),
    (ANTHROPIC, ASK),
    (OPENAI, ASK),
    (RESPONSES, {"model": "m", "input": "Fix the failing test"}),
    (GEMINI, CONTENTS),
)
IDS = [
    f"{path.split('/')[2]} {path.split('/')[-1].split('?')[0]}{' streamed' * ('stream' in body)}" for path, body in WAYS
]


@dataclass
class Proxied:
    """A box's way to a model through a gateway."""

    http: aiohttp.ClientSession
    link: Box
    said: int = 1

    async def says(self, kind: str, **more: Any) -> None:
        """One more frame over the link."""
        self.said += 1
        assert (await self.link.up(frame(self.said, kind, **more))).status == 200

    def post(self, path: str, body: Any, **headers: str) -> Any:
        data = body if isinstance(body, bytes) or hasattr(body, "__aiter__") else json.dumps(body).encode()
        head = {"Authorization": "Bearer t-1", "Content-Type": "application/json", **headers}
        return self.http.post(f"http://gateway{path}", data=data, headers=head, allow_redirects=False)

    def get(self, path: str, **headers: str) -> Any:
        return self.http.get(f"http://gateway{path}", headers={"Authorization": "Bearer t-1", **headers})


@asynccontextmanager
async def through(site: Site, url: str, patience: Patience = PATIENCE, **settings: str) -> AsyncIterator[Proxied]:
    """A box with a running turn, and the providers at `url`."""
    keys = {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY, "GEMINI_API_KEY": KEY}
    places = {"ANTHROPIC_BASE_URL": url, "OPENAI_BASE_URL": url + "/v1", "GEMINI_BASE_URL": url}
    await site.box()
    async with site.gateway("a", patience, **(keys | places | settings)) as socket, one_box(socket) as box:
        await box.get_ready()
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), auto_decompress=False) as http:
            yield Proxied(http, box)


@asynccontextmanager
async def scripted(site: Site, patience: Patience = PATIENCE, **settings: str) -> AsyncIterator[tuple[Proxied, Model]]:
    """Through to the playground's model."""
    model = Model(KEY)
    app = web.Application()
    app.add_routes(model_routes(model))
    async with (
        TestServer(app) as server,
        through(site, str(server.make_url("/model")), patience, **settings) as proxied,
    ):
        yield proxied, model


@asynccontextmanager
async def served(
    site: Site,
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    patience: Patience = PATIENCE,
    **settings: str,
) -> AsyncIterator[Proxied]:
    """Through to a provider that does with every request what `handler` does."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", handler)
    async with (
        TestServer(app) as server,
        through(site, str(server.make_url("")).rstrip("/"), patience, **settings) as proxied,
    ):
        yield proxied
