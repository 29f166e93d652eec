"""The scripted model over real HTTP, in each protocol, by a small agent that really runs the tools it is asked for."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientSession, web

from bot.playground import sample
from bot.playground.model import Model, model_routes
from bot.playground.model_scripts import line_to_add
from bot.playground.model_tools import call_for, edit, read

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


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("speaker", PROTOCOLS, ids=ids)
async def test_the_script_fixes_the_failing_test_in_every_protocol(
    served: Served, rocket: Path, speaker: Speaker, stream: bool
) -> None:
    turns = await served.turn(speaker, "fix the failing test", tool_user(rocket), stream=stream)
    used = [answer.name for answer, _ in turns]
    assert used == ["bash", "todowrite", "bash", "read", "read", "todowrite", "edit", "bash", "todowrite", ""]
    assert "I will find the failing test" in turns[0][0].words
    assert "not a model" in turns[0][0].words
    assert "test_a_part_filled_tank_is_a_tank_too" in turns[-1][0].words
    todos = (turns[-2][0].arguments or {})["todos"]
    assert [todo["status"] for todo in todos] == ["completed"] * 4
    said = await asyncio.to_thread(shell, rocket, "python3 -m unittest; git status --short")
    assert "OK" in said
    assert said.endswith(" M rocket/fuel.py\n")


async def test_with_commit_in_the_prompt_it_commits_by_itself(served: Served, rocket: Path) -> None:
    await asyncio.to_thread(shell, rocket, "git config user.name a && git config user.email a@b")
    await served.turn(Chat(), "Fix the failing test and commit it", tool_user(rocket), stream=True)
    said = await asyncio.to_thread(shell, rocket, "git log -1 --format=%s; git status --short")
    assert said == "Count the last, partly filled tank\n"


async def test_when_all_tests_pass_it_changes_nothing(served: Served, rocket: Path) -> None:
    fuel = rocket / "rocket" / "fuel.py"
    fuel.write_text(fuel.read_text().replace("int(fuel // tank)", "math.ceil(fuel / tank)"))
    turns = await served.turn(Chat(), "fix the failing test", tool_user(rocket), stream=False)
    assert turns[-1][0].words == "All tests pass already, so I changed nothing."


async def test_the_shell_alone_is_enough(served: Served, rocket: Path) -> None:
    tools = {"Bash": TOOLS["bash"]}
    turns = await served.turn(
        Anthropic(),
        "fix the failing test",
        lambda a: shell(rocket, (a.arguments or {})["command"]),
        tools=tools,
        stream=True,
    )
    assert {answer.name for answer, _ in turns[:-1]} == {"Bash"}
    assert turns[-1][0].words.startswith("Fixed")


@pytest.mark.parametrize(
    ("prompt", "line"),
    [
        ("add a line to the README saying Hello, it's us", "Hello, it's us"),
        ('Please put "Made with care" into the readme', "Made with care"),
        ("Use fewer tanks", "Use fewer tanks"),
    ],
)
async def test_other_wishes_become_a_line_of_the_readme(served: Served, rocket: Path, prompt: str, line: str) -> None:
    assert line_to_add(prompt) == line
    turns = await served.turn(Chat(), prompt, tool_user(rocket), stream=True)
    assert turns[-1][0].words == f"Done: README.md now ends with “{line}”."
    assert (rocket / "README.md").read_text().endswith(f"\n{line}\n")


@pytest.mark.parametrize(("prompt", "words"), [("What is this?", "This is rocket"), ("Ask me first", "one thing")])
async def test_a_question_is_answered_with_words_alone(served: Served, rocket: Path, prompt: str, words: str) -> None:
    turns = await served.turn(Chat(), prompt, tool_user(rocket), stream=True)
    assert words in turns[-1][0].words
    assert await asyncio.to_thread(shell, rocket, "git status --short") == ""


@pytest.mark.parametrize("speaker", PROTOCOLS, ids=ids)
async def test_a_new_prompt_begins_a_new_script(served: Served, speaker: Speaker) -> None:
    old = (Answer("Running", "bash", {"command": "x"}, "c1"), "FAILED")
    body = speaker.body("fix the failing test", TOOLS, [old])
    new = speaker.body("add a line to the README saying Hi", TOOLS, [])
    key = next(name for name in ("input", "messages", "contents") if name in body)
    body[key] += [message for message in new[key] if message["role"] == "user"]
    answer = await served.ask(speaker, body)
    assert "I will add this line to README.md: “Hi”" in answer.words


async def test_words_after_tool_results_in_one_message_are_a_new_prompt(served: Served) -> None:
    body = Anthropic().body("fix the failing test", TOOLS, [(Answer("", "bash", {}, "c1"), "aborted")])
    body["messages"][-1]["content"] += [
        {"type": "text", "text": "<system-reminder>be brief</system-reminder>"},
        {"type": "text", "text": "add a line saying Hi"},
    ]
    assert "“Hi”" in (await served.ask(Anthropic(), body)).words


@pytest.mark.parametrize("speaker", PROTOCOLS, ids=ids)
async def test_a_request_without_tools_gets_a_title(served: Served, speaker: Speaker) -> None:
    answer = await served.ask(
        speaker, speaker.body("Title please:\nfix the failing test, then rest", {}, []), stream=True
    )
    assert (answer.words, answer.name) == ("Fix the failing test then rest", "")


@pytest.mark.parametrize("speaker", PROTOCOLS, ids=ids)
async def test_only_the_right_key_is_answered(served: Served, speaker: Speaker) -> None:
    body = speaker.body("fix the failing test", TOOLS, [])
    for key in ("", "box-token"):
        with pytest.raises(AssertionError, match="^401"):
            await served.ask(speaker, body, key=key)
    assert [seen.status for seen in served.model.seen] == [401, 401]


@pytest.mark.parametrize("speaker", PROTOCOLS, ids=ids)
async def test_errors_come_when_asked_for_and_are_over_then(served: Served, speaker: Speaker) -> None:
    body = speaker.body("fix the failing test", TOOLS, [])
    async with ClientSession() as http, http.post(f"{served.url}/model/_faults", json={"errors": [429, 529]}) as answer:
        assert answer.status == 200
    for status in (429, 529):
        with pytest.raises(AssertionError, match=f"^{status}"):
            await served.ask(speaker, body)
    await served.ask(speaker, body)


async def test_a_stream_is_cut_when_asked_for(served: Served) -> None:
    served.model.faults.cut_after = 3
    body = Chat().body("fix the failing test", TOOLS, [])
    with pytest.raises(ClientPayloadError):
        await served.ask(Chat(), body, stream=True)
    await served.ask(Chat(), body, stream=True)


async def test_slow_words_come_one_by_one_until_the_client_goes(served: Served) -> None:
    body = {**Chat().body("count slowly", TOOLS, []), "stream": True}
    async with (
        ClientSession() as http,
        http.post(served.url + "/model" + Chat.path, json=body, headers=Chat().headers(KEY)) as answer,
    ):
        parts = [await answer.content.readuntil(b"\n\n") for _ in range(3)]
        assert not answer.content.at_eof()
    assert b"I " in parts[1]


async def test_an_answer_makes_no_sense_when_that_is_asked_for(served: Served) -> None:
    served.model.faults.garbage = 1
    body = Anthropic().body("fix the failing test", TOOLS, [])
    with pytest.raises(ValueError):
        await served.ask(Anthropic(), body)
    await served.ask(Anthropic(), body)


async def test_what_an_answer_took_is_what_was_asked_for(served: Served) -> None:
    served.model.faults.tokens = 70_000
    async with (
        ClientSession(headers={"x-api-key": KEY}) as http,
        http.post(served.url + "/model/v1/messages", json=Anthropic().body("hello", {}, [])) as answer,
    ):
        assert (await answer.json())["usage"] == {"input_tokens": 70_000, "output_tokens": 70_000}


@pytest.mark.parametrize("speaker", PROTOCOLS, ids=ids)
async def test_a_script_is_played_by_its_name(served: Served, speaker: Speaker) -> None:
    said = await served.ask(speaker, speaker.body("script: ask-back, whatever the README says", TOOLS, []))
    assert "should the change go into the code" in said.words
    said = await served.ask(speaker, speaker.body("script: no-such-thing, but fix the failing test", TOOLS, []))
    assert "find the failing test" in said.words


@pytest.mark.parametrize("speaker", PROTOCOLS, ids=ids)
async def test_it_calls_a_servers_tool_by_the_name_that_the_agent_gives_it(served: Served, speaker: Speaker) -> None:
    tools = TOOLS | {"shipmate_spawn_session": schema("repository", "prompt")}
    spread = "spread acme/rocket: fix the failing test; acme/docs: add a line"
    first = await served.ask(speaker, speaker.body(spread, tools, []))
    assert (first.name, first.arguments) == (
        "shipmate_spawn_session", {"repository": "acme/rocket", "prompt": "fix the failing test"}
    )  # fmt: skip
    second = await served.ask(speaker, speaker.body(spread, tools, [(first, "Session #1 works.")]))
    assert second.arguments == {"repository": "acme/docs", "prompt": "add a line"}
    asked = await served.ask(speaker, speaker.body('use tool spawn_session {"prompt": "go"}', tools, []))
    assert asked.arguments == {"prompt": "go"}
    over = await served.ask(speaker, speaker.body("Report of #1 (acme/rocket): done.", tools, []))
    assert (over.name, "take note of a report" in over.words) == ("", True)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": "x"}', b'{"messages": [1]}'])
@pytest.mark.parametrize("speaker", PROTOCOLS, ids=ids)
async def test_what_is_no_request_is_refused(served: Served, speaker: Speaker, body: bytes) -> None:
    async with (
        ClientSession() as http,
        http.post(served.url + "/model" + speaker.path, data=body, headers=speaker.headers(KEY)) as answer,
    ):
        assert answer.status == 400
        assert (await answer.json())["error"]["message"]


async def test_the_small_addresses(served: Served) -> None:
    await served.ask(Chat(), Chat().body("fix the failing test", TOOLS, []))
    async with ClientSession(headers={"x-api-key": KEY}) as http:
        async with http.get(served.url + "/model/v1/models") as answer:
            assert [row["id"] for row in (await answer.json())["data"]] == ["shipmate-scripted"]
        body = Anthropic().body("hello", {}, [])
        async with http.post(served.url + "/model/v1/messages/count_tokens", json=body) as answer:
            assert (await answer.json())["input_tokens"] > 5
        async with http.get(served.url + "/model/v1beta/models") as answer:
            assert [row["name"] for row in (await answer.json())["models"]] == ["models/shipmate-scripted"]
        counted = served.url + "/model/v1beta/models/m:countTokens"
        async with http.post(counted, json=Gemini().body("hello", {}, [])) as answer:
            assert (await answer.json())["totalTokens"] > 5
        async with http.get(served.url + "/model/_seen") as answer:
            text = await answer.text()
    assert json.loads(text)[0]["tools"] == len(TOOLS)
    assert KEY not in text


def test_the_key_outlives_the_process(tmp_path: Path) -> None:
    first, second = Model.open(tmp_path), Model.open(tmp_path)
    assert first.key == second.key
    assert (tmp_path / "model-key").stat().st_mode & 0o077 == 0
    assert first.describe("http://h")["OPENAI_BASE_URL"] == "http://h/model/v1"


def test_arguments_take_the_names_and_shapes_that_the_agent_has() -> None:
    claude = {"Edit": schema("file_path", "old_string", "new_string"), "Read": schema("file_path")}
    codex = {"shell": {"properties": {"command": {"type": "array"}}, "required": ["command"]}}
    assert call_for(edit("a", "b", "c"), claude).arguments == {"file_path": "a", "old_string": "b", "new_string": "c"}  # type: ignore[union-attr]
    assert call_for(read("a b"), codex).arguments == {"command": ["bash", "-lc", "cat 'a b'"]}  # type: ignore[union-attr]
    assert call_for(read("a"), {"other": {}}) is None
