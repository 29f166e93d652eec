"""Anthropic Messages (POST /v1/messages): requests read, answers written, as a stream of typed events or whole.

One of the wires of `model.py`. https://docs.anthropic.com/en/api/messages-streaming names the events and their order.
"""

import json
import uuid
from collections.abc import Iterator

from bot.playground.model_talk import Json, Listener, Reply, Talk, messages_of, sse, words_of

ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


class AnthropicMessages:
    """The wire of /v1/messages."""

    def talk(self, body: Json) -> Talk:
        """Tool results travel in the user's messages, before the words of a next prompt."""
        listener = Listener()
        for message in messages_of(body, "messages"):
            content = message.get("content")
            if message.get("role") != "user":
                continue
            if not isinstance(content, list):
                listener.heard(content)
                continue
            parts = [part for part in content if isinstance(part, dict)]
            for part in parts:
                if part.get("type") == "tool_result":
                    listener.returned(part.get("content"))
            listener.heard([part for part in parts if part.get("type") == "text"])
        tools = {str(tool.get("name")): tool.get("input_schema") or {} for tool in body.get("tools") or []}
        return Talk(
            model=str(body.get("model", "")),
            prompt=listener.prompt,
            earlier=tuple(listener.earlier),
            results=tuple(listener.results),
            tools=tools,
            stream=bool(body.get("stream")),
            size=len(json.dumps(body)),
        )

    def whole(self, talk: Talk, reply: Reply) -> Json:
        """A message."""
        content: list[Json] = [{"type": "text", "text": reply.words}] if reply.words else []
        if reply.call:
            use = {"type": "tool_use", "id": _id("toolu"), "name": reply.call.name, "input": reply.call.arguments}
            content.append(use)
        usage = {"input_tokens": talk.size // 4, "output_tokens": reply.tokens}
        return {**_message(talk), "content": content, "stop_reason": _reason(reply), "usage": usage}

    def events(self, talk: Talk, reply: Reply) -> Iterator[bytes]:
        """message_start, a block for the words, one for the tool, message_delta, message_stop."""
        start = {**_message(talk), "content": [], "usage": {"input_tokens": talk.size // 4, "output_tokens": 1}}
        yield _event("message_start", message=start)
        index = 0
        if reply.words:
            yield _event("content_block_start", index=index, content_block={"type": "text", "text": ""})
            for word in words_of(reply.words):
                yield _event("content_block_delta", index=index, delta={"type": "text_delta", "text": word})
            yield _event("content_block_stop", index=index)
            index += 1
        if reply.call:
            use = {"type": "tool_use", "id": _id("toolu"), "name": reply.call.name, "input": {}}
            told = {"type": "input_json_delta", "partial_json": json.dumps(reply.call.arguments)}
            yield _event("content_block_start", index=index, content_block=use)
            yield _event("content_block_delta", index=index, delta=told)
            yield _event("content_block_stop", index=index)
        end = {"stop_reason": _reason(reply), "stop_sequence": None}
        yield _event("message_delta", delta=end, usage={"output_tokens": reply.tokens})
        yield _event("message_stop")

    def error(self, status: int, message: str) -> Json:
        """An error body."""
        return {"type": "error", "error": {"type": ERRORS.get(status, "api_error"), "message": message}}


def _message(talk: Talk) -> Json:
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "model": talk.model,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _reason(reply: Reply) -> str:
    return "tool_use" if reply.call else "end_turn"


def _event(kind: str, **fields: object) -> bytes:
    return sse({"type": kind, **fields}, event=kind)


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:24]}"
