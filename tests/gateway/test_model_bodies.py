"""The model proxy: bodies that are large, packed, slow or cut, and what is noted in passing."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from bot.gateway.model import Patience
from jobs.events import ModelRequested
from tests.gateway.conftest import SOON, Json, Site
from tests.gateway.proxied import ANTHROPIC, ASK, OPENAI, RESPONSES, TOOL, Proxied, scripted, served

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


async def test_where_a_request_could_go_on_behind_our_back_it_must_be_readable(site: Site) -> None:
    hidden = gzip.compress(b'{"model": "m", "background": true}')
    async with scripted(site) as (box, model), box.post(RESPONSES, hidden, **{"Content-Encoding": "gzip"}) as answer:
        assert (answer.status, "without Content-Encoding" in await answer.text()) == (415, True)
    assert not model.seen


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


async def test_an_agent_that_takes_nothing_of_its_answer_is_let_go_and_its_room_with_it(site: Site) -> None:
    ended = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(bytes(1 << 16))
        finally:
            ended.set()

    async with served(site, endless, Patience(stuck_seconds=0.2)) as box, box.post(OPENAI, ASK) as answer:
        assert answer.status == 200
        async with asyncio.timeout(SOON):
            await ended.wait()
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


async def test_one_that_waits_for_its_model_holds_up_nobody(site: Site) -> None:
    go, long_came = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        if "slow" in (said := await request.text()):
            if len(said) > 1 << 20:
                long_came.set()
            await go.wait()
        return web.json_response({})

    async with served(site, slow) as box:
        long = asyncio.ensure_future(_status(box, {"who": "slow", "space": " " * (40 << 20)}))
        async with asyncio.timeout(SOON):
            await long_came.wait()
        async with box.post(OPENAI, b"", **{"Content-Length": str(30 << 20), "Connection": "close"}) as answer:
            assert (answer.status, "Try again" in await answer.text()) == (503, True), "told before it has come"
        waiting = [asyncio.ensure_future(_status(box, {"who": "slow"})) for _ in range(120)]
        async with asyncio.timeout(SOON):
            assert await _status(box, {"who": "quick"}) == 200
        go.set()
        assert set(await asyncio.gather(long, *waiting)) == {200}


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
