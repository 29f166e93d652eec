"""The way of models that call their tools in a program: one tool runs JavaScript, in which all others are functions.

`model_responses.py` uses it for requests that offer tools so (items of the kind `additional_tools`). Pure.
"""

import json
import re
from collections.abc import Iterator

from bot.playground.model_talk import Call, Json

PROGRAM = "exec"  # the tool that runs programs
IN_CODE = "called in a program"  # marks the schema of a function that only a program can call
PATIENCE_MS = 30_000
# What we know to call of what a program may: its name -> the tool that it is for us, and the schema of its arguments.
FUNCTIONS: dict[str, tuple[str, Json]] = {
    "exec_command": ("exec_command", {"properties": {"cmd": {"type": "string"}}}),
    "apply_patch": ("edit", {"properties": {"path": {}, "old_string": {}, "new_string": {}}}),
}


def functions_in(items: list[Json]) -> dict[str, Json]:
    """The functions that a program may call, as tools; empty if no program can be run."""
    for tool in _tools(items):
        if tool.get("type") == "custom" and tool.get("name") == PROGRAM:
            named = re.findall(r"(?m)^### `(\w+)`", str(tool.get("description", "")))
            known = [FUNCTIONS[name] for name in named if name in FUNCTIONS]
            return {ours: {**schema, IN_CODE: True} for ours, schema in known}
    return {}


def _tools(items: list[Json]) -> Iterator[Json]:
    """Every tool of these items, also those in namespaces."""
    for item in items:
        if item.get("type") in ("additional_tools", "namespace"):
            yield from _tools([tool for tool in item.get("tools") or [] if isinstance(tool, dict)])
        else:
            yield item


def program_for(call: Call) -> str:
    """The program that does the call and gives out what it returned."""
    if call.name == "edit":
        return f"text(await tools.apply_patch({json.dumps(_patch(call.arguments))}));\n"
    told = json.dumps({**call.arguments, "yield_time_ms": PATIENCE_MS})
    return f"const said = await tools.{call.name}({told});\ntext(said.output);\n"


def _patch(edit: Json) -> str:
    """An edit in the form that `apply_patch` reads."""
    old, new = (edit[name].splitlines() for name in ("old_string", "new_string"))
    lines = [*(f"-{line}" for line in old), *(f"+{line}" for line in new)]
    return "\n".join(["*** Begin Patch", f"*** Update File: {edit['path']}", "@@", *lines, "*** End Patch"])
