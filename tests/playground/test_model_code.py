"""A model that calls its tools in a program: what is offered so, what is called so, and what comes back."""

import json
from typing import Any

from bot.playground.model_responses import Responses
from bot.playground.model_scripts import play

EXEC = {
    "type": "custom",
    "name": "exec",
    "description": "Run JavaScript.\n### `apply_patch`\nEdits.\n### `exec_command`\nRuns.",
}
OFFER = {
    "type": "additional_tools",
    "role": "developer",
    "tools": [{"type": "namespace", "name": "functions", "tools": [EXEC, {"type": "function", "name": "wait"}]}],
}


def asked(*results: str) -> dict[str, Any]:
    """What the model does next, having been told these results."""
    prompt = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix the failing test"}]}
    came = [{"type": "custom_tool_call_output", "call_id": "c", "output": result} for result in results]
    talk = Responses().talk({"model": "m", "input": [OFFER, prompt, *came]})
    output: list[dict[str, Any]] = Responses().whole(talk, play(talk))["output"]
    return output[-1]


def test_a_command_is_run_in_a_program() -> None:
    call = asked()
    assert (call["type"], call["name"]) == ("custom_tool_call", "exec")
    assert call["input"].startswith('const said = await tools.exec_command({"cmd": "git ls-files"')
    assert call["input"].endswith("text(said.output);\n")


def test_an_edit_is_a_patch() -> None:
    call = asked("rocket/fuel.py\n", "FAIL: test_tanks\nFAILED (failures=1)", "the tests", "the code")
    patch = json.loads(call["input"].removeprefix("text(await tools.apply_patch(").removesuffix("));\n"))
    assert patch.splitlines() == [
        "*** Begin Patch",
        "*** Update File: rocket/fuel.py",
        "@@",
        "-    return int(fuel // tank)",
        "+    return math.ceil(fuel / tank)",
        "*** End Patch",
    ]


def test_the_stream_tells_the_whole_program() -> None:
    prompt = {"role": "user", "content": "fix the failing test"}
    talk = Responses().talk({"model": "m", "stream": True, "input": [OFFER, prompt]})
    events = b"".join(Responses().events(talk, play(talk))).decode()
    assert "response.custom_tool_call_input.done" in events and events.count('"type": "custom_tool_call"') >= 2


def test_without_a_tool_for_programs_there_is_none() -> None:
    talk = Responses().talk({"model": "m", "input": [{"role": "user", "content": "hello"}]})
    assert talk.tools == {}
