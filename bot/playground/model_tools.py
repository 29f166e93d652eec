"""What a script wants done, said in the tools that the agent happens to offer.

Agents name the same few tools differently (`bash`, `Bash`, `run_shell_command`), and their arguments too. A script asks
for a deed; `call_for` looks through the offered tools and their schemas for one that does it. Pure.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bot.playground.model_talk import Call, Json

Kind = Literal["read", "run", "edit", "write", "plan", "tool"]
NAMES: dict[Kind, tuple[str, ...]] = {
    "read": ("read", "read_file", "view", "str_replace_based_edit_tool"),
    "run": ("bash", "shell", "run_shell_command", "exec_command", "shell_command", "execute", "terminal"),
    "edit": ("edit", "replace", "str_replace", "edit_file"),
    "write": ("write", "write_file", "create_file"),
    "plan": ("todowrite", "todo_write", "write_todos", "update_plan"),
    "tool": (),
}
ARGUMENTS = {
    "path": ("filePath", "file_path", "absolute_path", "path", "filename"),
    "old": ("oldString", "old_string", "old_str"),
    "new": ("newString", "new_string", "new_str"),
    "content": ("content", "file_text", "text"),
    "command": ("command", "cmd", "script"),
    "description": ("description", "explanation"),
    "plan": ("todos", "plan", "items"),
}
EMPTY: dict[str, Any] = {"string": "", "boolean": False, "integer": 0, "number": 0, "array": [], "object": {}}


@dataclass(frozen=True)
class Deed:
    """Something to be done, with arguments named as in `ARGUMENTS`."""

    kind: Kind
    arguments: Json


def read(path: str) -> Deed:
    """Look at a file."""
    return Deed("read", {"path": path})


def run(command: str, description: str) -> Deed:
    """Run a shell command."""
    return Deed("run", {"command": command, "description": description})


def edit(path: str, old: str, new: str) -> Deed:
    """Put `new` in the place of `old`."""
    return Deed("edit", {"path": path, "old": old, "new": new})


def write(path: str, content: str) -> Deed:
    """Write a whole file."""
    return Deed("write", {"path": path, "content": content})


def plan(steps: list[str], done: int) -> Deed:
    """Tell the plan, of which the first `done` steps are behind us."""
    states = ["completed" if n < done else "in_progress" if n == done else "pending" for n in range(len(steps))]
    return Deed("plan", {"plan": list(zip(steps, states, strict=True))})


def tool(name: str, arguments: Json) -> Deed:
    """Call a tool of an MCP server by its own name, which agents put the server's in front of."""
    return Deed("tool", {"name": name, "arguments": arguments})


def call_for(deed: Deed, tools: Mapping[str, Json]) -> Call | None:
    """The call that does it; by the shell if there is no tool of its own; None if that is missing, too."""
    offered = {name.lower().replace("-", "_"): name for name in tools}
    if deed.kind == "tool":
        meant = next((given for name, given in offered.items() if name.endswith(deed.arguments["name"])), None)
        return Call(meant, deed.arguments["arguments"]) if meant is not None else None
    for name in NAMES[deed.kind]:
        if name in offered:
            return Call(offered[name], _arguments(deed, tools[offered[name]]))
    by_shell = _in_shell(deed)
    return call_for(by_shell, tools) if by_shell else None


def _in_shell(deed: Deed) -> Deed | None:
    """The same deed as a command; None: there is no such way, or it is a command already."""
    told = deed.arguments
    if deed.kind == "read":
        return run(f"cat {shlex.quote(told['path'])}", "Reads a file")
    if deed.kind == "write":
        return run(f"printf %s {shlex.quote(told['content'])} > {shlex.quote(told['path'])}", "Writes a file")
    if deed.kind == "edit":
        program = (
            "import pathlib, sys; path, old, new = sys.argv[1:]; file = pathlib.Path(path); text = file.read_text(); "
            "assert old in text, 'not found'; file.write_text(text.replace(old, new, 1))"
        )
        return run(shlex.join(["python3", "-c", program, told["path"], told["old"], told["new"]]), "Edits a file")
    return None


def _arguments(deed: Deed, schema: Json) -> Json:
    """The deed's arguments under the schema's names; required ones that we know nothing of are left empty."""
    properties: Json = schema.get("properties") or {}
    found: Json = {}
    for ours, theirs in ARGUMENTS.items():
        name = next((name for name in theirs if name in properties), None)
        if ours in deed.arguments and (name or not properties):
            name = name or theirs[0]
            found[name] = _shaped(ours, deed.arguments[ours], properties.get(name) or {})
    for name in schema.get("required") or []:
        found.setdefault(name, EMPTY.get(str((properties.get(name) or {}).get("type")), ""))
    return found


def _shaped(ours: str, value: Any, schema: Json) -> Any:
    """A value in the form that the schema asks for."""
    if ours == "plan":
        fields = (schema.get("items") or {}).get("properties") or {"content": {}, "status": {}, "priority": {}}
        return [_planned(number, step, status, fields) for number, (step, status) in enumerate(value, start=1)]
    if ours == "command" and schema.get("type") == "array":
        return ["bash", "-lc", value]
    return value


def _planned(number: int, step: str, status: str, fields: Json) -> Json:
    known = {
        "id": str(number),
        "content": step,
        "step": step,
        "description": step,
        "activeForm": step,
        "status": status,
        "priority": "medium",
    }
    return {name: known[name] for name in fields if name in known}
