"""A provider's bad days: overloaded, down, slow, cut, talking nonsense, refusing our key; and who hears of it."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from bot.gateway.model import Patience
from bot.gateway.model_trouble import Troubles, status_within
from jobs.events import ModelTroubled, Noted
from jobs.records import Grant
from tests.gateway.conftest import SOON, Site
from tests.gateway.proxied import ANTHROPIC, ASK, GEMINI, IDS, OPENAI, TOOL, WAYS, Proxied, scripted, served, through
from tests.waiting import until

QUICK = Patience(told_seconds=0.05, silent_seconds=600.0)
IMPATIENT = Patience(told_seconds=600.0, silent_seconds=0.2)
WORK = ASK | {"tools": [TOOL]}
NOWHERE = "/model/anthropic/v1/nowhere"
GRANT = Grant("s1", "s1-1", 1, "acme/rocket", "serve", "shipmate/s1")


async def logged(site: Site, kind: type[ModelTroubled] | type[Noted], count: int) -> list[ModelTroubled | Noted]:
    """The log's events of this kind, once there are so many."""
    async with asyncio.timeout(SOON):
        while len(found := await site.log("s1", kind)) < count:
            await asyncio.sleep(0.01)
    return found


# -- overloaded --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 529, 503])
async def test_a_provider_that_is_overloaded_for_long_is_told_and_so_is_its_end(site: Site, status: int) -> None:
    async with scripted(site, QUICK) as (box, model):
        model.faults.errors = [status, status]
        async with box.post(ANTHROPIC, WORK) as answer:
            assert answer.status == status
        await logged(site, ModelTroubled, 1)
        async with box.post(ANTHROPIC, WORK) as answer:
            assert answer.status == status
        async with box.post(ANTHROPIC, WORK) as answer:
            assert answer.status == 200
        told = await logged(site, ModelTroubled, 2)
    assert [event.trouble for event in told] == ["overloaded", ""]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("first", "trouble"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded"),
        ({"type": "response.failed", "response": {"error": {"code": "server_error"}}}, "unreachable"),
        ({"error": {"code": 503, "status": "UNAVAILABLE"}}, "overloaded"),
    ],
)
async def test_a_stream_that_begins_with_a_refusal_is_one_and_costs_nothing(
    site: Site, first: dict[str, object], trouble: str
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        said = f"event: error\ndata: {json.dumps(first)}\n\n" if "type" in first else f"data: {json.dumps(first)}\n\n"
        return web.Response(text=said, content_type="text/event-stream")

    async with served(site, refuse, QUICK) as box:
        async with box.post(ANTHROPIC, WORK) as answer:
            assert (answer.status, b"error" in await answer.read()) == (200, True)
        (told,) = await logged(site, ModelTroubled, 1)
        assert isinstance(told, ModelTroubled) and told.trouble == trouble
    assert await site.store.usage.of_session("s1") == {}


def test_words_of_a_model_about_errors_are_no_refusal() -> None:
    said = {"type": "content_block_delta", "delta": {"text": 'event: error\ndata: {"error": {"overloaded'}}
    assert status_within(200, b"event: content_block_delta\ndata: " + json.dumps(said).encode() + b"\n\n") == 200
    assert status_within(429, b'data: {"error": {}}') == 429


@pytest.mark.parametrize(("path", "body"), WAYS, ids=IDS)
async def test_when_to_try_again_reaches_the_agent_in_every_protocol(
    site: Site, path: str, body: dict[str, object]
) -> None:
    async with scripted(site) as (box, model):
        model.faults.errors = [429]
        async with box.post(path, body) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            assert (await answer.json())["error"]["message"] == "This fault was asked for."


async def test_an_agent_that_asks_without_end_uses_up_nobody_elses_share_of_the_provider(site: Site) -> None:
    async def once(box: Proxied, path: str) -> int:
        async with box.post(path, b"") as answer:
            status: int = answer.status
            return status

    async with scripted(site, Patience(at_once=3.0)) as (box, _):
        said = await asyncio.gather(*(once(box, NOWHERE) for _ in range(60)))
        assert set(said) == {404, 429} and said.count(404) >= 3
        async with asyncio.timeout(SOON):
            while await once(box, NOWHERE) == 429:
                await asyncio.sleep(0.05)
    assert await site.log("s1", ModelTroubled) == []


async def test_a_provider_that_stumbles_is_nobodys_business() -> None:
    told: list[str] = []
    troubles = Troubles(lambda _grant, kind: told.append(kind), 600.0)
    for status in (529, 200, 500, 200):
        troubles.answered(GRANT, status)
    troubles.close()
    assert told == []


async def test_what_goes_on_in_the_next_turn_is_told_there_too() -> None:
    told: list[str] = []
    troubles = Troubles(lambda _grant, kind: told.append(kind), 0.01)
    troubles.answered(GRANT, 529)
    await until(lambda: told)
    troubles.silent(GRANT)
    troubles.answered(GRANT, 404)  # says nothing about how the provider is
    troubles.answered(GRANT, 200)
    troubles.answered(GRANT, 200)
    troubles.close()
    assert told == ["overloaded", "unreachable", ""]


async def test_sessions_in_trouble_are_told_apart_and_are_not_remembered_without_end() -> None:
    told: list[str] = []
    troubles = Troubles(lambda grant, _kind: told.append(grant.session), 600.0)
    for n in range(10_050):
        troubles.answered(GRANT._replace(session=f"s{n}"), 529)
    assert len(troubles._known) == 10_000
    troubles.close()
    assert told == []


# -- away, slow, cut, nonsense -----------------------------------------------------------------------------------------


async def test_a_provider_that_is_away_for_long_is_told(site: Site, unused_tcp_port: int) -> None:
    async with through(site, f"http://127.0.0.1:{unused_tcp_port}", QUICK) as box:
        async with box.post(ANTHROPIC, WORK) as answer:
            assert answer.status == 502
        (told,) = await logged(site, ModelTroubled, 1)
    assert told.trouble == "unreachable"  # type: ignore[union-attr]


@pytest.mark.parametrize("path", [ANTHROPIC, OPENAI, GEMINI])
async def test_a_provider_that_says_nothing_is_given_up_in_its_own_shape(site: Site, path: str) -> None:
    async def silent(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with served(site, silent, IMPATIENT) as box, box.post(path, ASK) as answer:
        assert (answer.status, "in time" in (await answer.json())["error"]["message"]) == (504, True)


async def test_a_stream_that_falls_silent_is_cut_for_the_agent(site: Site) -> None:
    async def stalls(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: {}\n\n")
        await asyncio.Event().wait()
        return answer

    async with served(site, stalls, IMPATIENT) as box:
        with pytest.raises(aiohttp.ClientError):
            async with box.post(OPENAI, ASK) as answer:
                await answer.read()


@pytest.mark.parametrize(("path", "body"), WAYS, ids=IDS)
async def test_nonsense_reaches_the_agent_as_it_is_and_does_no_harm(
    site: Site, path: str, body: dict[str, object]
) -> None:
    async with scripted(site) as (box, model):
        model.faults.garbage = 1
        async with box.post(path, body) as answer:
            assert (answer.status, b"<html>502</html>" in await answer.read()) == (200, True)
        async with box.post(path, body) as answer:
            assert b"<html>" not in await answer.read()
        async with asyncio.timeout(SOON):
            while (await site.store.usage.of_session("s1")).get("requests", 0) < 2:
                await asyncio.sleep(0.01)


# -- our key -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "setting"),
    [
        (ANTHROPIC, WORK, "ANTHROPIC_API_KEY"),
        (OPENAI, ASK, "OPENAI_API_KEY"),
        (GEMINI, {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}, "GEMINI_API_KEY"),
    ],
)
async def test_a_key_that_was_revoked_is_told_to_the_thread_once_and_never_shown(
    site: Site, path: str, body: dict[str, object], setting: str
) -> None:
    async with scripted(site) as (box, model):
        model.key = "another-one"
        for _ in range(3):
            async with box.post(path, body) as answer:
                assert answer.status == 401
        (told,) = await logged(site, Noted, 1)
    assert isinstance(told, Noted)
    assert "does not accept our key (401)" in told.text
    assert f"set {setting} anew" in told.text
    assert told.prompt_id == "T1:C1:1"
    assert "sk-the-real-one" not in json.dumps([event.model_dump(mode="json") for event in await site.log("s1")])
    assert await site.log("s1", ModelTroubled) == []


# -- times -------------------------------------------------------------------------------------------------------------


async def test_the_first_byte_for_work_is_stamped_once_and_not_that_of_a_title(site: Site) -> None:
    async with scripted(site) as (box, _):
        async with box.post(ANTHROPIC, ASK) as answer:
            await answer.read()
        async with box.post("/model/priming/anthropic/v1/messages", WORK) as answer:
            await answer.read()
        assert "model_first_byte" not in await site.store.stamps("s1")
        for _ in range(2):
            async with box.post(ANTHROPIC, WORK | {"stream": True}) as answer:
                await answer.read()
        async with asyncio.timeout(SOON):
            while "model_first_byte" not in (stamps := await site.store.stamps("s1")):
                await asyncio.sleep(0.01)
    assert stamps["model_first_byte"] >= stamps["model_request"] - 0.5
