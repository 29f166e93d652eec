"""A model that has nothing to say: what an agent is primed against, before a person has asked for anything.

`server.py` mounts it at `/model/priming/UPSTREAM/…`, where the runner sends what an agent asks while it is primed.
Every protocol gets a whole answer that ends the turn. No provider is asked, nothing is counted, no time is noted.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from bot.gateway.access import GRANT
from bot.gateway.model_asked import Room, TooMuch, wants_stream
from bot.gateway.model_wire import Protocol

WORDS = "Ready."
MODEL = "priming"
Json = dict[str, Any]


class Priming:
    """Answers. `protocols`: by the name of an upstream."""

    def __init__(self, protocols: Mapping[str, Protocol], room: Room) -> None:
        self._protocols, self._room = protocols, room

    @property
    def routes(self) -> list[web.RouteDef]:
        """Its addresses."""
        return [web.route("*", "/model/priming/{upstream}/{path:.*}", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        protocol, path = self._protocols.get(request.match_info["upstream"]), request.match_info["path"]
        if protocol is None:
            return web.json_response({"error": "there is no such model provider here"}, status=404)
        if not protocol.allows(request.method, path):
            return web.json_response(protocol.error(404, "An agent that is primed has no use for this."), status=404)
        try:
            with self._room.share(request[GRANT].box) as share:
                streams = await wants_stream(await share.read(request))
        except TooMuch as much:
            return web.json_response(protocol.error(413, str(much)), status=413)
        except TimeoutError:
            return web.json_response(protocol.error(408, "The request took too long to come."), status=408)
        return _answer(protocol.name, request, path, streams)


def _answer(protocol: str, request: web.Request, path: str, streams: bool) -> web.Response:
    if request.method == "GET":
        return web.json_response({"object": "list", "data": [], "models": []})
    if "count" in path.lower():
        return web.json_response({"input_tokens": 1, "totalTokens": 1})
    if "mbed" in path:
        return web.json_response({"object": "list", "data": [], "embeddings": [], "embedding": {"values": []}})
    if protocol == "gemini":
        return _gemini(path, request.query.get("alt") == "sse")
    if protocol == "anthropic":
        return _events(_MESSAGE_EVENTS) if streams else web.json_response(_MESSAGE)
    if path == "responses":
        return _events(_RESPONSE_EVENTS) if streams else web.json_response(_RESPONSE)
    return _events(_CHAT_EVENTS, last=b"data: [DONE]\n\n") if streams else web.json_response(_CHAT)


def _gemini(path: str, sse: bool) -> web.Response:
    if path.endswith(":streamGenerateContent"):
        return _events([_CANDIDATES]) if sse else web.json_response([_CANDIDATES])
    return web.json_response(_CANDIDATES)


def _events(events: Iterable[Json], last: bytes = b"") -> web.Response:
    """Server-sent events, named by their type where they have one."""
    text = b"".join(
        (f"event: {event['type']}\n" if "type" in event else "").encode()
        + b"data: "
        + json.dumps(event).encode()
        + b"\n\n"
        for event in events
    )
    return web.Response(body=text + last, content_type="text/event-stream", headers={"Cache-Control": "no-cache"})


# -- Anthropic Messages ------------------------------------------------------------------------------------------------

_MESSAGE: Json = {
    "id": "msg_priming",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [{"type": "text", "text": WORDS}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 0, "output_tokens": 0},
}
_MESSAGE_EVENTS: tuple[Json, ...] = (
    {"type": "message_start", "message": _MESSAGE | {"content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORDS}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 0},
    },
    {"type": "message_stop"},
)

# -- OpenAI Chat Completions -------------------------------------------------------------------------------------------

_NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
_HEAD: Json = {"id": "chatcmpl-priming", "created": 0, "model": MODEL}
_CHAT: Json = {
    **_HEAD,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": WORDS}, "finish_reason": "stop"}],
    "usage": _NOTHING,
}


def _chunk(choices: list[Json], **more: object) -> Json:
    return {**_HEAD, "object": "chat.completion.chunk", "choices": choices, **more}


_CHAT_EVENTS = (
    _chunk([{"index": 0, "delta": {"role": "assistant", "content": WORDS}, "finish_reason": None}]),
    _chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
    _chunk([], usage=_NOTHING),
)

# -- OpenAI Responses --------------------------------------------------------------------------------------------------

_PART: Json = {"type": "output_text", "text": WORDS, "annotations": []}
_ITEM: Json = {
    "type": "message",
    "id": "msg_priming",
    "role": "assistant",
    "status": "completed",
    "content": [_PART],
}
_RESPONSE: Json = {
    "id": "resp_priming",
    "object": "response",
    "created_at": 0,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": MODEL,
    "output": [_ITEM],
    "parallel_tool_calls": False,
    "tools": [],
    "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
}
_WHERE: Json = {"output_index": 0, "item_id": "msg_priming", "content_index": 0}
_RESPONSE_STEPS: tuple[Json, ...] = (
    {"type": "response.created", "response": _RESPONSE | {"status": "in_progress", "output": [], "usage": None}},
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": _ITEM | {"content": [], "status": "in_progress"},
    },
    {"type": "response.content_part.added", **_WHERE, "part": _PART | {"text": ""}},
    {"type": "response.output_text.delta", **_WHERE, "delta": WORDS},
    {"type": "response.output_text.done", **_WHERE, "text": WORDS},
    {"type": "response.content_part.done", **_WHERE, "part": _PART},
    {"type": "response.output_item.done", "output_index": 0, "item": _ITEM},
    {"type": "response.completed", "response": _RESPONSE},
)
_RESPONSE_EVENTS = tuple(step | {"sequence_number": number} for number, step in enumerate(_RESPONSE_STEPS))

# -- Gemini ------------------------------------------------------------------------------------------------------------

_CANDIDATES: Json = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": WORDS}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0},
    "modelVersion": MODEL,
}
