"""A scripted model server on loopback: it speaks the protocols of real ones and plays `model_scripts.py`.

The playground mounts `model_routes` at `/model`. It wants the key that it was made with, so that a test can see that
the gateway put the real key in. A request without tools is taken for a title request. It remembers nothing between
requests but what tests want to look at (`seen`), and never a key.
"""

import asyncio
import dataclasses
import hmac
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from bot.playground import model_scripts
from bot.playground.model_anthropic import AnthropicMessages
from bot.playground.model_chat import ChatCompletions
from bot.playground.model_gemini import Gemini
from bot.playground.model_responses import Responses
from bot.playground.model_talk import Json, Reply, Talk, Wire

log = logging.getLogger(__name__)
PREFIX = "/model"
MODEL = "shipmate-scripted"
KEPT = 500
BODY_BYTES = 50 << 20
WIRES: dict[str, Wire] = {
    "/v1/messages": AnthropicMessages(),
    "/v1/chat/completions": ChatCompletions(),
    "/v1/responses": Responses(),
}
GEMINI = Gemini()
GARBAGE = b'\x00\xff data: {"usage": {"input_tokens": "lots", <html>502</html>\r\n\r\nevent: \xf0\x28\n\n'


@dataclass
class Faults:
    """What is wrong with the model just now; set by tests, or through `POST /model/_faults`."""

    delay: float = 0.0  # seconds before the first byte
    pace: float = 0.0  # seconds before each word of a stream
    errors: list[int] = field(default_factory=list)  # the next answers' statuses: 429, 500, 529, ...
    cut_after: int = 0  # the next stream is cut after so many parts; 0: not
    garbage: int = 0  # so many of the next answers make no sense at all
    tokens: int = 0  # what each answer says that it took, in and out; 0: about what it really would


@dataclass(frozen=True)
class Seen:
    """A request that came. `at`: seconds since the epoch; `status`: of its answer; `prompt`: its first words."""

    at: float
    path: str
    status: int
    tools: int
    results: int
    prompt: str


class Model:
    """The server's state. `key` is what a client must send."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.faults = Faults()
        self.seen: deque[Seen] = deque(maxlen=KEPT)

    @classmethod
    def open(cls, state: Path) -> "Model":
        """A model whose key is made once and kept in `state`, so that it outlives the process."""
        file = state / "model-key"
        state.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text("sk-playground-" + secrets.token_hex(20))
        return cls(file.read_text())

    def describe(self, base_url: str) -> dict[str, str]:
        """The settings that lead a client here; `base_url` is the playground's."""
        url = base_url.rstrip("/") + PREFIX
        return {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": self.key,
            "OPENAI_BASE_URL": url + "/v1",
            "OPENAI_API_KEY": self.key,
            "GEMINI_BASE_URL": url,
            "GEMINI_API_KEY": self.key,
        }

    def knows(self, request: web.Request) -> bool:
        """Whether the request carries our key, in any of the headers."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = (
            request.headers.get("x-api-key", ""),
            request.headers.get("x-goog-api-key", ""),
            token if scheme.lower() == "bearer" else "",
        )
        return any(hmac.compare_digest(one.encode(), self.key.encode()) for one in given)


def model_routes(model: Model) -> list[web.RouteDef]:
    """All addresses of the model under `/model`."""
    answers = [web.post(PREFIX + path, _answering(model, path, wire)) for path, wire in WIRES.items()]
    switch = Switch(model)
    return [
        *answers,
        web.post(PREFIX + r"/v1beta/models/{model:[\w.-]+}:{verb:\w+}", _answering(model, "/v1beta/models", GEMINI)),
        web.get(PREFIX + "/v1beta/models", switch.gemini_models),
        web.post(PREFIX + "/v1/messages/count_tokens", switch.count),
        web.get(PREFIX + "/v1/models", switch.models),
        web.get(PREFIX + "/_seen", switch.seen),
        web.get(PREFIX + "/_faults", switch.show),
        web.post(PREFIX + "/_faults", switch.set),
    ]


def _answering(model: Model, path: str, wire: Wire) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            talk = _with_tokens(wire.talk(await _json(request) | _of_path(request)), model.faults.tokens)
        except ValueError as wrong:
            return _refused(wire, 400, str(wrong))
        status = _status(model, request)
        model.seen.append(Seen(time.time(), path, status, len(talk.tools), len(talk.results), talk.prompt[:200]))
        if status != 200:
            return _refused(wire, status, "invalid x-api-key" if status == 401 else "This fault was asked for.")
        await asyncio.sleep(model.faults.delay)
        if model.faults.garbage > 0:
            model.faults.garbage -= 1
            return web.Response(body=GARBAGE, content_type="text/event-stream" if talk.stream else "application/json")
        if request.match_info.get("verb") == "countTokens":
            return web.json_response({"totalTokens": talk.size // 4})
        reply = model_scripts.play(talk) if talk.tools else model_scripts.title(talk)
        reply = dataclasses.replace(reply, told_tokens=model.faults.tokens)
        if not talk.stream:
            return web.json_response(wire.whole(talk, reply))
        return await _stream(model, request, wire, talk, reply)

    return answer


def _of_path(request: web.Request) -> Json:
    """What Gemini says in the path, as the others say it in the body."""
    if "verb" not in request.match_info:
        return {}
    return {"model": request.match_info["model"], "stream": request.match_info["verb"].startswith("stream")}


def _with_tokens(talk: Talk, tokens: int) -> Talk:
    return dataclasses.replace(talk, size=tokens * 4) if tokens else talk


def _status(model: Model, request: web.Request) -> int:
    if not model.knows(request):
        return 401
    return model.faults.errors.pop(0) if model.faults.errors else 200


async def _json(request: web.Request) -> Json:
    raw = bytearray()
    async for chunk in request.content.iter_chunked(1 << 16):
        raw += chunk
        if len(raw) > BODY_BYTES:
            raise ValueError("the request is too large")
    try:
        body = json.loads(raw)
    except ValueError as wrong:
        raise ValueError("the body is not JSON") from wrong
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


def _refused(wire: Wire, status: int, message: str) -> web.Response:
    headers = {"retry-after": "1"} if status in (429, 529) else {}
    return web.json_response(wire.error(status, message), status=status, headers=headers)


async def _stream(model: Model, request: web.Request, wire: Wire, talk: Talk, reply: Reply) -> web.StreamResponse:
    """The reply as server-sent events, at its pace; ends early when the client goes, or when a cut was asked for."""
    pace = model.faults.pace if reply.pace is None else reply.pace
    cut, model.faults.cut_after = model.faults.cut_after, 0
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await answer.prepare(request)
    try:
        for number, part in enumerate(wire.events(talk, reply), start=1):
            await asyncio.sleep(pace)
            await answer.write(part)
            if number == cut and request.transport is not None:
                request.transport.abort()
                return answer
        await answer.write_eof()
    except ConnectionError:
        log.info("the client went before the end of the stream")
    return answer


class Switch:
    """The small addresses: lists, counts, and the faults."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def models(self, request: web.Request) -> web.Response:
        """GET /v1/models: the one that there is."""
        if not self._model.knows(request):
            return _refused(WIRES["/v1/chat/completions"], 401, "Incorrect API key provided.")
        row = {
            "id": MODEL,
            "object": "model",
            "type": "model",
            "display_name": MODEL,
            "created": 0,
            "owned_by": "shipmate",
        }
        return web.json_response({"object": "list", "data": [row], "has_more": False})

    async def gemini_models(self, request: web.Request) -> web.Response:
        """GET /v1beta/models: the same one."""
        if not self._model.knows(request):
            return _refused(GEMINI, 401, "API key not valid.")
        return web.json_response({"models": [{"name": f"models/{MODEL}", "displayName": MODEL}]})

    async def count(self, request: web.Request) -> web.Response:
        """POST /v1/messages/count_tokens: about a token for four characters."""
        wire = WIRES["/v1/messages"]
        if not self._model.knows(request):
            return _refused(wire, 401, "invalid x-api-key")
        try:
            talk = wire.talk(await _json(request))
        except ValueError as wrong:
            return _refused(wire, 400, str(wrong))
        return web.json_response({"input_tokens": talk.size // 4})

    async def seen(self, request: web.Request) -> web.Response:
        """GET /_seen: the newest requests, oldest first; never a key."""
        return web.json_response([dataclasses.asdict(seen) for seen in self._model.seen])

    async def show(self, request: web.Request) -> web.Response:
        """GET /_faults: as they are."""
        return web.json_response(dataclasses.asdict(self._model.faults))

    async def set(self, request: web.Request) -> web.Response:
        """POST /_faults: change those that are named. JSON only, which another site's page cannot send unasked."""
        wish = await request.json() if request.content_type == "application/json" else None
        known = [each.name for each in dataclasses.fields(self._model.faults)]
        if not isinstance(wish, dict) or any(name not in known for name in wish):
            raise web.HTTPBadRequest(text=f"Send a JSON object with some of {', '.join(known)}.\n")
        for name, value in wish.items():
            right = isinstance(value, list) if name == "errors" else isinstance(value, int | float)
            if not right:
                raise web.HTTPBadRequest(
                    text=f"{name}: a {'list of numbers' if name == 'errors' else 'number'}, please.\n"
                )
            setattr(self._model.faults, name, value)
        return await self.show(request)
