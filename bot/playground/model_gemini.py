"""Gemini (POST /v1beta/models/NAME:generateContent, :streamGenerateContent): requests read, answers written.

One of the wires of `model.py`, which puts the path's model into the body under `model` and its verb under `stream`.
"""

import json
from collections.abc import Iterator

from bot.playground.model_talk import Json, Listener, Reply, Talk, messages_of, sse, words_of

ERRORS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
}


class Gemini:
    """The wire of /v1beta/models."""

    def talk(self, body: Json) -> Talk:
        """What tools gave back are parts of a user's content, before any words."""
        listener = Listener()
        for content in messages_of(body, "contents"):
            if content.get("role") not in (None, "user", "function"):
                continue
            parts = [part for part in content.get("parts") or [] if isinstance(part, dict)]
            for part in parts:
                if isinstance(part.get("functionResponse"), dict):
                    listener.returned(_said(part["functionResponse"].get("response")))
            listener.heard([{"text": part["text"]} for part in parts if isinstance(part.get("text"), str)])
        declared = [
            one
            for tool in body.get("tools") or []
            if isinstance(tool, dict)
            for one in tool.get("functionDeclarations") or []
        ]
        return Talk(
            model=str(body.get("model", "")),
            prompt=listener.prompt,
            earlier=tuple(listener.earlier),
            results=tuple(listener.results),
            tools={str(one.get("name")): _schema(one) for one in declared if isinstance(one, dict)},
            stream=bool(body.get("stream")),
            size=len(json.dumps(body)),
        )

    def whole(self, talk: Talk, reply: Reply) -> Json:
        """All candidates, which is one."""
        parts: list[Json] = [{"text": reply.words}] if reply.words else []
        if reply.call:
            parts.append({"functionCall": {"name": reply.call.name, "args": reply.call.arguments}})
        return _response(talk, reply, parts, "STOP")

    def events(self, talk: Talk, reply: Reply) -> Iterator[bytes]:
        """A response for each word, one for the tool, one with the reason; each has the usage until then."""
        for word in words_of(reply.words):
            yield sse(_response(talk, reply, [{"text": word}]))
        if reply.call:
            call = {"functionCall": {"name": reply.call.name, "args": reply.call.arguments}}
            yield sse(_response(talk, reply, [call]))
        yield sse(_response(talk, reply, [{"text": ""}], "STOP"))

    def error(self, status: int, message: str) -> Json:
        """An error body."""
        return {"error": {"code": status, "message": message, "status": ERRORS.get(status, "UNAVAILABLE")}}


def _said(response: object) -> str:
    """What a tool gave back: Gemini's clients put it under `output`, or give an object of their own."""
    if isinstance(response, dict):
        told = response.get("output", response.get("result", response))
        return told if isinstance(told, str) else json.dumps(told)
    return str(response or "")


def _schema(declared: Json) -> Json:
    schema = declared.get("parametersJsonSchema") or declared.get("parameters") or {}
    return schema if isinstance(schema, dict) else {}


def _response(talk: Talk, reply: Reply, parts: list[Json], reason: str | None = None) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    sent, made = talk.size // 4, reply.tokens
    usage = {"promptTokenCount": sent, "candidatesTokenCount": made, "totalTokenCount": sent + made}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": talk.model}
