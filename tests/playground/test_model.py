"""The scripted model over real HTTP, in each protocol, by a small agent that really runs the tools it is asked for."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import ClientPayloadError, ClientSession

from bot.playground.model import Model
from bot.playground.model_scripts import line_to_add
from bot.playground.model_tools import call_for, edit, read
from tests.playground.speakers import (
    KEY,
    PROTOCOLS,
    TOOLS,
    Answer,
    Anthropic,
    Chat,
    Gemini,
    Served,
    Speaker,
    ids,
    schema,
    shell,
    tool_user,
)
from tests.playground.speakers import rocket as rocket
from tests.playground.speakers import served as served


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


async def test_models_are_listed_tokens_counted_and_requests_remembered_without_their_key(served: Served) -> None:
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
