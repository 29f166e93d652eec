"""The model proxy: who is asked and with what, and how the answer comes back."""

import json
import time

import aiohttp
import pytest
from aiohttp import web

from tests.gateway.conftest import Json, Site
from tests.gateway.proxied import ANTHROPIC, ASK, CHAT_TOOL, KEY, OPENAI, TOOL, scripted, served, through

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


async def test_an_upgrade_that_nobody_asked_for_is_no_answer(site: Site) -> None:
    async def upgrade(request: web.Request) -> web.StreamResponse:
        await request.read()
        answer = web.StreamResponse(status=101, headers={"Upgrade": "websocket", "Connection": "Upgrade"})
        await answer.prepare(request)
        return answer

    async with served(site, upgrade) as box, box.post(OPENAI, ASK) as answer:
        assert (answer.status, "OPENAI_BASE_URL" in (await answer.json())["error"]["message"]) == (502, True)
