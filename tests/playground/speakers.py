"""The scripted model, served, and who asks it: an agent in small for each protocol, which really runs the tools."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from bot.playground import sample
from bot.playground.model import Model, model_routes

KEY = "sk-the-real-one"
Json = dict[str, Any]


def schema(*names: str, **more: Json) -> Json:
    return {
        "type": "object",
        "properties": {**{name: {"type": "string"} for name in names}, **more},
        "required": [*names],
    }


TODOS = {"type": "array", "items": {"type": "object", "properties": {"content": {}, "status": {}, "priority": {}}}}
TOOLS = {
    "bash": schema("command", "description"),
    "read": schema("filePath"),
    "edit": schema("filePath", "oldString", "newString", replaceAll={"type": "boolean"}),
    "write": schema("filePath", "content"),
    "todowrite": schema(todos=TODOS),
}


@dataclass
class Answer:
    """What came back in one request, whatever the protocol."""

    words: str
    name: str = ""
    arguments: Json | None = None
    id: str = ""


class Anthropic:
    path = "/v1/messages"

    def headers(self, key: str) -> dict[str, str]:
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}

    def body(self, prompt: str, tools: dict[str, Json], turns: list[tuple[Answer, str]]) -> Json:
        messages: list[Json] = [{"role": "user", "content": [{"type": "text", "text": prompt}]}]
        for answer, result in turns:
            use = {"type": "tool_use", "id": answer.id, "name": answer.name, "input": answer.arguments}
            words = [{"type": "text", "text": answer.words}] if answer.words else []
            messages.append({"role": "assistant", "content": [*words, use]})
            returned = {"type": "tool_result", "tool_use_id": answer.id, "content": [{"type": "text", "text": result}]}
            messages.append({"role": "user", "content": [returned]})
        offered = [{"name": name, "input_schema": each} for name, each in tools.items()]
        return {"model": "m", "max_tokens": 100, "messages": messages, "tools": offered}

    def whole(self, body: Json) -> Answer:
        answer = Answer("".join(part["text"] for part in body["content"] if part["type"] == "text"))
        for part in body["content"]:
            if part["type"] == "tool_use":
                answer.name, answer.arguments, answer.id = part["name"], part["input"], part["id"]
        assert body["stop_reason"] == ("tool_use" if answer.name else "end_turn")
        return answer

    def streamed(self, events: list[Json]) -> Answer:
        assert [event["type"] for event in events][:1] == ["message_start"]
        assert [event["type"] for event in events][-2:] == ["message_delta", "message_stop"]
        content: list[Json] = []
        for event in events:
            if event["type"] == "content_block_start":
                content.append(dict(event["content_block"]))
            elif event["type"] == "content_block_delta":
                delta = event["delta"]
                if delta["type"] == "text_delta":
                    content[event["index"]]["text"] += delta["text"]
                else:
                    content[event["index"]]["input"] = json.loads(delta["partial_json"])
        return self.whole({"content": content, "stop_reason": events[-2]["delta"]["stop_reason"]})


class Chat:
    path = "/v1/chat/completions"

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    def body(self, prompt: str, tools: dict[str, Json], turns: list[tuple[Answer, str]]) -> Json:
        messages: list[Json] = [{"role": "system", "content": "You are"}, {"role": "user", "content": prompt}]
        for answer, result in turns:
            function = {"name": answer.name, "arguments": json.dumps(answer.arguments)}
            call = {"id": answer.id, "type": "function", "function": function}
            messages.append({"role": "assistant", "content": answer.words, "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": answer.id, "content": result})
        offered = [{"type": "function", "function": {"name": n, "parameters": each}} for n, each in tools.items()]
        return {"model": "m", "messages": messages, **({"tools": offered} if offered else {})}

    def whole(self, body: Json) -> Answer:
        (choice,) = body["choices"]
        answer = Answer(choice["message"]["content"] or "")
        for call in choice["message"].get("tool_calls", []):
            answer.name, answer.id = call["function"]["name"], call["id"]
            answer.arguments = json.loads(call["function"]["arguments"])
        assert choice["finish_reason"] == ("tool_calls" if answer.name else "stop")
        return answer

    def streamed(self, events: list[Json]) -> Answer:
        choices = [event["choices"][0] for event in events if event["choices"]]
        words = "".join(choice["delta"].get("content") or "" for choice in choices)
        calls = [call for choice in choices for call in choice["delta"].get("tool_calls", [])]
        message = {"content": words, "tool_calls": calls}
        assert events[-1]["usage"]["total_tokens"] > 0
        return self.whole({"choices": [{"message": message, "finish_reason": choices[-1]["finish_reason"]}]})


class Responses:
    path = "/v1/responses"

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    def body(self, prompt: str, tools: dict[str, Json], turns: list[tuple[Answer, str]]) -> Json:
        items: list[Json] = [{"role": "user", "content": [{"type": "input_text", "text": prompt}]}]
        for answer, result in turns:
            told = {"name": answer.name, "arguments": json.dumps(answer.arguments)}
            items.append({"type": "function_call", "call_id": answer.id, **told})
            items.append({"type": "function_call_output", "call_id": answer.id, "output": result})
        offered = [{"type": "function", "name": name, "parameters": each} for name, each in tools.items()]
        return {"model": "m", "input": items, "tools": offered}

    def whole(self, body: Json) -> Answer:
        answer = Answer("")
        for item in body["output"]:
            if item["type"] == "message":
                answer.words = item["content"][0]["text"]
            else:
                answer.name, answer.id = item["name"], item["call_id"]
                answer.arguments = json.loads(item["arguments"])
        return answer

    def streamed(self, events: list[Json]) -> Answer:
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        words = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
        answer = self.whole(events[-1]["response"])
        assert answer.words == words
        return answer


class Gemini:
    path = "/v1beta/models/m:generateContent"

    def headers(self, key: str) -> dict[str, str]:
        return {"x-goog-api-key": key}

    def body(self, prompt: str, tools: dict[str, Json], turns: list[tuple[Answer, str]]) -> Json:
        contents: list[Json] = [{"role": "user", "parts": [{"text": prompt}]}]
        for answer, result in turns:
            call = {"functionCall": {"name": answer.name, "args": answer.arguments}}
            contents.append({"role": "model", "parts": [*([{"text": answer.words}] if answer.words else []), call]})
            returned = {"functionResponse": {"name": answer.name, "response": {"output": result}}}
            contents.append({"role": "user", "parts": [returned]})
        offered = [{"name": name, "parametersJsonSchema": each} for name, each in tools.items()]
        return {"contents": contents, **({"tools": [{"functionDeclarations": offered}]} if offered else {})}

    def whole(self, body: Json) -> Answer:
        (candidate,) = body["candidates"]
        assert candidate["finishReason"] == "STOP"
        assert body["usageMetadata"]["totalTokenCount"] > 0
        return self._of_parts(candidate["content"]["parts"])

    def streamed(self, events: list[Json]) -> Answer:
        assert events[-1]["candidates"][0]["finishReason"] == "STOP"
        return self._of_parts([part for event in events for part in event["candidates"][0]["content"]["parts"]])

    def _of_parts(self, parts: list[Json]) -> Answer:
        answer = Answer("".join(part.get("text", "") for part in parts))
        for part in parts:
            if "functionCall" in part:
                answer.name, answer.arguments = part["functionCall"]["name"], part["functionCall"]["args"]
        return answer


PROTOCOLS = [Anthropic(), Chat(), Responses(), Gemini()]
Speaker = Anthropic | Chat | Responses | Gemini


@dataclass
class Served:
    model: Model
    url: str

    async def ask(self, speaker: Speaker, body: Json, *, stream: bool = False, key: str = KEY) -> Answer:
        """One request. Raises AssertionError with the body of an error."""
        path = speaker.path.replace(":generate", ":streamGenerate") if stream else speaker.path
        async with (
            ClientSession() as http,
            http.post(
                self.url + "/model" + path, json={**body, "stream": stream}, headers=speaker.headers(key)
            ) as answer,
        ):
            text = await answer.text()
            assert answer.status == 200, f"{answer.status} {text}"
        if not stream:
            return speaker.whole(json.loads(text))
        lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
        return speaker.streamed([json.loads(line) for line in lines if line != "[DONE]"])

    async def turn(
        self,
        speaker: Speaker,
        prompt: str,
        use: Callable[[Answer], str],
        *,
        tools: dict[str, Json] = TOOLS,
        stream: bool,
    ) -> list[tuple[Answer, str]]:
        """A whole turn of an agent: ask, run the tool, ask again, until the model is done."""
        turns: list[tuple[Answer, str]] = []
        while len(turns) < 20:
            answer = await self.ask(speaker, speaker.body(prompt, tools, turns), stream=stream)
            if not answer.name:
                return [*turns, (answer, "")]
            turns.append((answer, await asyncio.to_thread(use, answer)))
        raise AssertionError("the script does not end")


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    model = Model(KEY)
    app = web.Application()
    app.add_routes(model_routes(model))
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Served(model, f"http://127.0.0.1:{runner.addresses[0][1]}")
    await runner.cleanup()


@pytest.fixture
def rocket(tmp_path: Path) -> Path:
    """The sample repository as a folder with a git repository in it."""
    for commit in sample.history("rocket"):
        for name, text in commit.files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    shell(tmp_path, "git init -q && git add -A && git -c user.name=a -c user.email=a@b commit -qm all")
    return tmp_path


def shell(folder: Path, command: str) -> str:
    async def run() -> str:
        process = await asyncio.create_subprocess_shell(
            command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        return (await process.communicate())[0].decode()

    return asyncio.run(run())


def tool_user(folder: Path) -> Callable[[Answer], str]:
    """Does what the tools of TOOLS would do, in `folder`."""

    def use(answer: Answer) -> str:
        told = answer.arguments or {}
        if answer.name == "bash":
            return shell(folder, told["command"])
        if answer.name == "read":
            return (folder / told["filePath"]).read_text()
        if answer.name == "edit":
            text = (folder / told["filePath"]).read_text()
            assert told["oldString"] in text
            (folder / told["filePath"]).write_text(text.replace(told["oldString"], told["newString"]))
        return "ok"

    return use


def ids(value: object) -> str:
    return type(value).__name__
