"""What an agent is primed against: a whole answer in each protocol, from nobody, at no cost."""

import json
from typing import Any

import pytest

from jobs.events import ModelRequested
from tests.gateway.conftest import Site
from tests.gateway.proxied import ASK, CONTENTS, TOOL, Proxied, scripted
from tests.playground.speakers import Anthropic, Chat, Gemini, Responses

Json = dict[str, Any]
PRIMED = "/model/priming"
SPEAKERS = [
    (Anthropic(), f"{PRIMED}/anthropic/v1/messages", ASK | {"tools": [TOOL]}),
    (Chat(), f"{PRIMED}/openai/chat/completions", ASK),
    (Responses(), f"{PRIMED}/openai/responses", {"model": "m", "input": "hello"}),
    (Chat(), f"{PRIMED}/vllm/chat/completions", ASK),
    (Gemini(), f"{PRIMED}/gemini/v1beta/models/m:generateContent", CONTENTS),
]


async def whole(box: Proxied, path: str, body: Json) -> Json:
    async with box.post(path, body) as answer:
        assert answer.status == 200
        found: Json = await answer.json()
        return found


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(("speaker", "path", "body"), SPEAKERS, ids=[path for _, path, _ in SPEAKERS])
async def test_an_agent_gets_the_end_of_a_turn(site: Site, speaker: Any, path: str, body: Json, stream: bool) -> None:
    async with scripted(site, SHIPMATE_UPSTREAMS="vllm=openai,http://127.0.0.1:9") as (box, model):
        if stream:
            path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
            async with box.post(path, body | {"stream": True}) as answer:
                assert answer.content_type == "text/event-stream"
                lines = [line.removeprefix("data: ") for line in (await answer.text()).splitlines() if "data: " in line]
            events = [json.loads(line) for line in lines if line != "[DONE]"]
            words = _said(speaker, events)
        else:
            words = _whole(speaker, await whole(box, path, body))
        assert words == "Ready."
        assert not model.seen
    assert await site.log("s1", ModelRequested) == []
    assert await site.store.usage.of_session("s1") == {}


def _said(speaker: Any, events: list[Json]) -> str:
    if isinstance(speaker, Chat):
        assert events[-1]["usage"]["total_tokens"] == 0
        return "".join(c["delta"].get("content", "") for event in events for c in event["choices"])
    answer = speaker.streamed(events)
    assert not answer.name, "it calls no tool"
    return str(answer.words)


def _whole(speaker: Any, body: Json) -> str:
    if isinstance(speaker, Gemini):
        return str(body["candidates"][0]["content"]["parts"][0]["text"])
    answer = speaker.whole(body)
    assert not answer.name, "it calls no tool"
    return str(answer.words)


async def test_the_small_questions_of_an_agent_are_answered_too(site: Site) -> None:
    async with scripted(site) as (box, _):
        assert (await whole(box, f"{PRIMED}/anthropic/v1/messages/count_tokens", ASK))["input_tokens"] == 1
        assert (await whole(box, f"{PRIMED}/gemini/v1beta/models/m:countTokens", CONTENTS))["totalTokens"] == 1
        assert (await whole(box, f"{PRIMED}/openai/embeddings", {"input": "x"}))["data"] == []
        async with box.get(f"{PRIMED}/openai/models") as answer:
            assert (await answer.json())["data"] == []


@pytest.mark.parametrize("path", [f"{PRIMED}/nobody/v1/messages", f"{PRIMED}/anthropic/v1/files"])
async def test_what_an_agent_does_not_need_is_not_there(site: Site, path: str) -> None:
    async with scripted(site) as (box, _), box.post(path, ASK) as answer:
        assert answer.status == 404


async def test_a_body_without_end_is_refused(site: Site) -> None:
    endless = {"Content-Length": str(65 << 20)}
    async with scripted(site) as (box, _), box.post(f"{PRIMED}/anthropic/v1/messages", b"", **endless) as answer:
        assert answer.status == 413
