"""OpenAI Responses (POST /v1/responses): requests read, answers written, as a stream of typed events or whole.

One of the wires of `model.py`.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator

from bot.playground import model_code
from bot.playground.model_chat import ChatCompletions
from bot.playground.model_talk import Json, Listener, Reply, Talk, messages_of, sse, words_of


class Responses:
    """The wire of /v1/responses."""

    def talk(self, body: Json) -> Talk:
        """`input` is a prompt, or a list of messages and of what tools gave back."""
        listener, functions = Listener(), dict[str, Json]()
        if isinstance(body.get("input"), str):
            listener.heard(body["input"])
        else:
            items = messages_of(body, "input")
            functions = model_code.functions_in(items)
            for item in items:
                if item.get("type") in ("function_call_output", "custom_tool_call_output"):
                    listener.returned(item.get("output"))
                elif item.get("role") == "user":
                    listener.heard(item.get("content"))
        named = [tool for tool in body.get("tools") or [] if isinstance(tool, dict) and tool.get("name")]
        return Talk(
            model=str(body.get("model", "")),
            prompt=listener.prompt,
            earlier=tuple(listener.earlier),
            results=tuple(listener.results),
            tools=functions | {str(tool["name"]): tool.get("parameters") or {} for tool in named},
            stream=bool(body.get("stream")),
            size=len(json.dumps(body)),
        )

    def whole(self, talk: Talk, reply: Reply) -> Json:
        """A response."""
        return _response(talk, reply, "completed", _output(talk, reply))

    def events(self, talk: Talk, reply: Reply) -> Iterator[bytes]:
        """response.created, the items of the output one by one, response.completed."""
        count = 0

        def event(kind: str, **fields: object) -> bytes:
            nonlocal count
            count += 1
            return sse({"type": kind, "sequence_number": count - 1, **fields}, event=kind)

        output = _output(talk, reply)
        done = _response(talk, reply, "completed", output)
        begun = {**done, "status": "in_progress", "output": [], "usage": None}
        yield event("response.created", response=begun)
        for index, item in enumerate(output):
            yield from _item_events(event, index, item)
        yield event("response.completed", response=done)

    def error(self, status: int, message: str) -> Json:
        """An error body, the same as that of Chat Completions."""
        return ChatCompletions().error(status, message)


def _item_events(event: Callable[..., bytes], index: int, item: Json) -> Iterator[bytes]:
    where = {"output_index": index, "item_id": item["id"]}
    if item["type"] == "custom_tool_call":
        yield event("response.output_item.added", output_index=index, item={**item, "input": ""})
        yield event("response.custom_tool_call_input.delta", **where, delta=item["input"])
        yield event("response.custom_tool_call_input.done", **where, input=item["input"])
    elif item["type"] == "function_call":
        empty = {**item, "arguments": "", "status": "in_progress"}
        yield event("response.output_item.added", output_index=index, item=empty)
        yield event("response.function_call_arguments.delta", **where, delta=item["arguments"])
        yield event("response.function_call_arguments.done", **where, arguments=item["arguments"])
    else:
        part = item["content"][0]
        where["content_index"] = 0
        started = {**item, "content": [], "status": "in_progress"}
        yield event("response.output_item.added", output_index=index, item=started)
        yield event("response.content_part.added", **where, part={**part, "text": ""})
        for word in words_of(part["text"]):
            yield event("response.output_text.delta", **where, delta=word)
        yield event("response.output_text.done", **where, text=part["text"])
        yield event("response.content_part.done", **where, part=part)
    yield event("response.output_item.done", output_index=index, item=item)


def _output(talk: Talk, reply: Reply) -> list[Json]:
    items: list[Json] = []
    if reply.words:
        text = {"type": "output_text", "text": reply.words, "annotations": []}
        items.append(
            {"type": "message", "id": _id("msg"), "role": "assistant", "status": "completed", "content": [text]}
        )
    if reply.call and model_code.IN_CODE in talk.tools.get(reply.call.name, {}):
        told = {"name": model_code.PROGRAM, "input": model_code.program_for(reply.call)}
        items.append({"type": "custom_tool_call", "id": _id("ctc"), "call_id": _id("call"), **told})
    elif reply.call:
        told = {"name": reply.call.name, "arguments": json.dumps(reply.call.arguments)}
        items.append({"type": "function_call", "id": _id("fc"), "call_id": _id("call"), "status": "completed", **told})
    return items


def _response(talk: Talk, reply: Reply, status: str, output: list[Json]) -> Json:
    sent, made = talk.size // 4, reply.tokens
    usage = {
        "input_tokens": sent,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sent + made,
    }
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": talk.model,
        "output": output,
        "parallel_tool_calls": False,
        "tools": [],
        "usage": usage,
    }


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:24]}"
