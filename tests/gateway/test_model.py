"""The model proxy between a box and a real server: the playground's scripted model, or a few lines that misbehave."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.playground.model import Model, model_routes
from jobs.events import ModelRequested
from tests.gateway.conftest import SOON, Json, Site, one_box

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


# -- the real thing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ANTHROPIC, OPENAI])
async def test_an_answer_comes_back_as_the_provider_gave_it(site: Site, path: str) -> None:
    async with scripted(site) as (box, model), box.post(path, ASK) as answer:
        assert answer.status == 200
        body = json.loads(await answer.read())
    assert body["usage"]
    assert [(seen.status, seen.tools) for seen in model.seen] == [(200, 0)]


@pytest.mark.parametrize(("path", "tool"), [(ANTHROPIC, TOOL), (OPENAI, CHAT_TOOL)])
async def test_a_stream_comes_back_word_by_word(site: Site, path: str, tool: Json) -> None:
    async with scripted(site) as (box, model):
        model.faults.pace = 0.01
        async with box.post(path, ASK | {"stream": True, "tools": [tool]}) as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            times = [time.monotonic() async for piece in answer.content.iter_any()]
    assert len(times) > 3
    assert times[-1] - times[0] > 0.02  # not all at once at the end


async def test_models_are_listed_and_tokens_counted(site: Site) -> None:
    async with scripted(site) as (box, _):
        async with box.get("/model/openai/models") as answer:
            assert (await answer.json())["data"]
        async with box.post("/model/anthropic/v1/messages/count_tokens?beta=true", ASK) as answer:
            assert (await answer.json())["input_tokens"] > 0


async def test_a_refusal_of_the_provider_reaches_the_agent_as_it_is(site: Site) -> None:
    async with scripted(site) as (box, model):
        model.faults.errors = [429]
        async with box.post(ANTHROPIC, ASK) as answer:
            assert (answer.status, answer.headers["retry-after"]) == (429, "1")
            assert (await answer.json())["error"]["type"] == "rate_limit_error"


async def test_a_stream_that_is_cut_at_the_provider_is_cut_for_the_agent(site: Site) -> None:
    async with scripted(site) as (box, model):
        model.faults.cut_after = 2
        with pytest.raises(aiohttp.ClientError):
            async with box.post(ANTHROPIC, ASK | {"stream": True}) as answer:
                await answer.read()


# -- who is asked, and with what ---------------------------------------------------------------------------------------


async def test_the_real_key_goes_in_and_nothing_of_the_boxs_goes_on(site: Site) -> None:
    seen: list[web.Request] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response({}, headers={"Set-Cookie": "a=b", "openai-organization": "ours", "request-id": "r1"})

    async with served(site, note) as box:
        headers = {"x-api-key": "the-box's-own", "Cookie": "c=d", "X-Forwarded-Agent": "opencode/1"}
        headers["anthropic-beta"] = "x"
        async with box.post(ANTHROPIC + "?beta=true", ASK, **headers) as answer:
            assert (answer.headers["request-id"], "Set-Cookie" in answer.headers) == ("r1", False)
            assert "openai-organization" not in answer.headers
        async with box.post(OPENAI, ASK, **headers) as answer:
            assert answer.status == 200
    first, second = seen
    assert first.headers.getall("x-api-key") == [KEY]
    assert (first.path_qs, first.headers["anthropic-beta"]) == ("/v1/messages?beta=true", "x")
    assert second.headers.getall("Authorization") == [f"Bearer {KEY}"]
    assert (second.path_qs, second.headers["User-Agent"]) == ("/v1/chat/completions", "opencode/1")
    everything = str([[*request.headers.items()] for request in seen])
    assert "t-1" not in everything and "the-box's-own" not in everything and "c=d" not in everything
    assert "Authorization" not in first.headers and "x-api-key" not in second.headers


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/model/anthropic/v1/files", ("type", "error")),
        ("/model/openai/files", ("error",)),
        ("/model/anthropic/v1/messages/../../admin", ("type", "error")),
    ],
)
async def test_what_an_agent_does_not_need_is_refused_in_the_providers_shape(
    site: Site, path: str, names: tuple[str, ...]
) -> None:
    asked: list[web.Request] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request)
        return web.json_response({})

    async with served(site, note) as box, box.post(path, ASK) as answer:
        assert answer.status == 404
        assert set(names) <= (await answer.json()).keys()
    assert asked == []


@pytest.mark.parametrize(("path", "setting"), [(ANTHROPIC, "ANTHROPIC_API_KEY"), (OPENAI, "OPENAI_API_KEY")])
async def test_without_a_key_the_agent_is_told_which_setting_is_missing(site: Site, path: str, setting: str) -> None:
    async with scripted(site, ANTHROPIC_API_KEY="", OPENAI_API_KEY="") as (box, model), box.post(path, ASK) as answer:
        assert (answer.status, setting in (await answer.json())["error"]["message"]) == (401, True)
    assert not model.seen


async def test_a_provider_that_is_away_is_told_in_its_own_shape(site: Site, unused_tcp_port: int) -> None:
    async with through(site, f"http://127.0.0.1:{unused_tcp_port}") as box, box.post(ANTHROPIC, ASK) as answer:
        body = await answer.json()
        assert (answer.status, body["type"], body["error"]["type"]) == (502, "error", "api_error")
        assert "ANTHROPIC_BASE_URL" in body["error"]["message"]


async def test_a_redirect_is_not_followed_with_the_key(site: Site) -> None:
    asked: list[str] = []

    async def away(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with served(site, away) as box, box.post(OPENAI, ASK) as answer:
        assert (answer.status, "Location" in answer.headers) == (502, False)
    assert asked == ["/v1/chat/completions"]


# -- bodies ------------------------------------------------------------------------------------------------------------


async def test_a_compressed_answer_and_a_compressed_request_pass_untouched(site: Site) -> None:
    got: list[tuple[str, bytes]] = []

    async def packed(request: web.Request) -> web.Response:
        got.append((request.headers["Content-Encoding"], await request.read()))
        return web.Response(body=gzip.compress(b'{"ok": true}'), headers={"Content-Encoding": "gzip"})

    asked = gzip.compress(json.dumps(ASK).encode())
    async with served(site, packed) as box, box.post(OPENAI, asked, **{"Content-Encoding": "gzip"}) as answer:
        assert gzip.decompress(await answer.read()) == b'{"ok": true}'
    assert got == [("gzip", json.dumps(ASK).encode())]  # the test's server unpacks what says that it is packed


async def test_a_large_request_streams_through_and_an_endless_one_is_refused(site: Site) -> None:
    got: list[int] = []

    async def count(request: web.Request) -> web.Response:
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        got.append(size)
        return web.json_response({})

    async def endless(pieces: int) -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield b" " * (1 << 20)

    async with served(site, count) as box:
        async with box.post(OPENAI, endless(20)) as answer:
            assert answer.status == 200
        async with box.post(OPENAI, b" " * (10 << 20)) as answer:
            assert answer.status == 200
        async with box.post(OPENAI, endless(70)) as answer:
            assert (answer.status, "64 MB" in (await answer.json())["error"]["message"]) == (413, True)
        async with box.post(OPENAI, b"", **{"Content-Length": str(65 << 20)}) as answer:
            assert answer.status == 413
    assert got == [20 << 20, 10 << 20]


async def test_an_agent_that_hangs_up_ends_its_request_at_the_provider(site: Site) -> None:
    ended = asyncio.Event()

    async def long(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"first")
        try:
            while True:
                await asyncio.sleep(0.02)
                await answer.write(b".")
        finally:
            ended.set()

    async with served(site, long) as box:
        async with box.post(OPENAI, ASK) as answer:
            assert (await answer.content.readexactly(5)) == b"first"
        async with asyncio.timeout(SOON):
            await ended.wait()


async def test_one_that_waits_for_its_model_holds_up_nobody(site: Site) -> None:
    go = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        if "slow" in await request.text():
            await go.wait()
        return web.json_response({})

    async with served(site, slow) as box:
        waiting = [asyncio.ensure_future(_status(box, {"who": "slow"})) for _ in range(120)]
        async with asyncio.timeout(SOON):
            assert await _status(box, {"who": "quick"}) == 200
        go.set()
        assert set(await asyncio.gather(*waiting)) == {200}


async def _status(box: Proxied, body: Json) -> int:
    async with box.post(OPENAI, body) as answer:
        status: int = answer.status
        return status


# -- the first request of a turn ---------------------------------------------------------------------------------------


async def test_the_first_request_with_tools_of_a_turn_is_noted_once(site: Site) -> None:
    async with scripted(site) as (box, _):
        async with box.post(ANTHROPIC, ASK) as answer:
            assert answer.status == 200
        assert await site.log("s1", ModelRequested) == []  # a title, not the work
        for _ in range(3):
            async with box.post(ANTHROPIC, ASK | {"tools": [TOOL]}) as answer:
                assert answer.status == 200
        await site.until("s1", lambda session: session.turn is not None and session.turn.model_asked)
    assert [event.turn for event in await site.log("s1", ModelRequested)] == [1]
    assert "model_request" in await site.store.stamps("s1")


async def test_it_is_noted_before_the_provider_has_answered(site: Site) -> None:
    go = asyncio.Event()

    async def wait(_request: web.Request) -> web.Response:
        await go.wait()
        return web.json_response({})

    async with served(site, wait) as box:
        asking = asyncio.ensure_future(_status(box, ASK | {"tools": [TOOL]}))
        await site.until("s1", lambda session: session.turn is not None and session.turn.model_asked)
        go.set()
        assert await asking == 200
