"""OpenAI Chat Completions (POST /v1/chat/completions): requests read, answers written, streamed or whole.

One of the wires of `model.py`.
"""

import json
import time
import uuid
from collections.abc import Iterator

from bot.playground.model_talk import Json, Listener, Reply, Talk, messages_of, sse, words_of

ERRORS = {400: "invalid_request_error", 401: "invalid_request_error", 429: "rate_limit_error"}
CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


class ChatCompletions:
    """The wire of /v1/chat/completions."""

    def talk(self, body: Json) -> Talk:
        """Tool results are messages of their own, with the role `tool`."""
        listener = Listener()
        for message in messages_of(body, "messages"):
            if message.get("role") == "user":
                listener.heard(message.get("content"))
            elif message.get("role") == "tool":
                listener.returned(message.get("content"))
        functions = [tool.get("function") or {} for tool in body.get("tools") or [] if isinstance(tool, dict)]
        return Talk(
            model=str(body.get("model", "")),
            prompt=listener.prompt,
            earlier=tuple(listener.earlier),
            results=tuple(listener.results),
            tools={str(function.get("name")): function.get("parameters") or {} for function in functions},
            stream=bool(body.get("stream")),
            size=len(json.dumps(body)),
        )

    def whole(self, talk: Talk, reply: Reply) -> Json:
        """A completion."""
        message: Json = {"role": "assistant", "content": reply.words or None}
        if reply.call:
            message["tool_calls"] = [_called(reply, index=None)]
        choice = {"index": 0, "message": message, "finish_reason": _reason(reply), "logprobs": None}
        return {**_head(talk, "chat.completion"), "choices": [choice], "usage": _usage(talk, reply)}

    def events(self, talk: Talk, reply: Reply) -> Iterator[bytes]:
        """A chunk for each word, one for the tool, one with the reason, one with the usage, `[DONE]`."""
        head = _head(talk, "chat.completion.chunk")

        def chunk(delta: Json, reason: str | None = None) -> bytes:
            return sse({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

        yield chunk({"role": "assistant", "content": ""})
        for word in words_of(reply.thought):
            yield chunk({"reasoning_content": word})
        for word in words_of(reply.words):
            yield chunk({"content": word})
        if reply.call:
            yield chunk({"tool_calls": [_called(reply, index=0)]})
        yield chunk({}, _reason(reply))
        yield sse({**head, "choices": [], "usage": _usage(talk, reply)})
        yield sse("[DONE]")

    def error(self, status: int, message: str) -> Json:
        """An error body."""
        kind = ERRORS.get(status, "server_error")
        return {"error": {"message": message, "type": kind, "param": None, "code": CODES.get(status)}}


def _head(talk: Talk, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex[:24]}",
        "object": kind,
        "created": int(time.time()),
        "model": talk.model,
    }


def _called(reply: Reply, index: int | None) -> Json:
    assert reply.call is not None, "asked only for replies that call a tool"
    function = {"name": reply.call.name, "arguments": json.dumps(reply.call.arguments)}
    call: Json = {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}
    return call if index is None else {"index": index, **call}


def _reason(reply: Reply) -> str:
    return "tool_calls" if reply.call else "stop"


def _usage(talk: Talk, reply: Reply) -> Json:
    prompt = talk.size // 4
    return {"prompt_tokens": prompt, "completion_tokens": reply.tokens, "total_tokens": prompt + reply.tokens}
