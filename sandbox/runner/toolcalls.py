"""What is known of one tool call: merged from an agent's updates, and said as one `tool` frame. Pure.

`translate.py` keeps one `ToolCall` per id. Agents repeat, leave out, or send late; the newest non-empty word counts.
"""

from __future__ import annotations

import re
from typing import Any

TEXT_CHARS, RUNNING_CHARS = 20_000, 4_000
DIFFS, DIFF_CHARS_IN_ALL = 50, 200_000
TERMINAL_CHARS = 2_000_000
TITLE_CHARS = 200
LOCATIONS = 50
PATHS, SEARCHED_CHARS = re.compile(r"[\w./-]+"), 200_000
TOOLS = {
    "read": "read",
    "edit": "edit",
    "delete": "edit",
    "move": "edit",
    "search": "search",
    "execute": "execute",
    "think": "think",
    "fetch": "fetch",
}
TODO_TITLES = ("todowrite", "todoread", "updateplan")


class ToolCall:
    """One tool call as far as it is known."""

    def __init__(self, number: str, repo: str) -> None:
        self.id = number
        self._repo = repo.rstrip("/") + "/"
        self._title = self._kind = self.status = self._output = ""
        self._input: dict[str, Any] = {}
        self._locations: list[str] = []
        self._diffs: list[dict[str, str]] = []
        self._exit: int | None = None
        self.announced = False

    def merge(self, update: dict[str, Any]) -> str:
        """Take what an update says. Returns what changed: "" (nothing), "output" (only that), or "more"."""
        before, output = self._facts(), self._output
        self._title = _words(update.get("title")) or self._title
        self._kind = _words(update.get("kind")) or self._kind
        self.status = _words(update.get("status"))[:40] or self.status
        self._input = record(update.get("rawInput")) or self._input
        self._locations = self._paths(update.get("locations")) or self._locations
        self._take_content(update.get("content"))
        self._take_terminal(record(update.get("_meta")))
        self._take_raw_output(update.get("rawOutput"))
        if self._facts() != before:
            return "more"
        return "output" if self._output != output else ""

    def _facts(self) -> tuple[object, ...]:
        return self._title, self.status, self._kind, tuple(self._locations), len(self._diffs), self._exit

    @property
    def keeps_plan(self) -> bool:
        """Whether this tool is the agent's list of things to do."""
        return bool(self.todos) or self._title.lower().replace("_", "") in TODO_TITLES

    @property
    def todos(self) -> list[Any]:
        """That list, as far as it is known."""
        todos = self._input.get("todos")
        return todos if isinstance(todos, list) else []

    @property
    def tool(self) -> str:
        """The kind of tool, in the wire's words."""
        return TOOLS.get(self._kind, "other")

    @property
    def touched(self) -> set[str]:
        """What it looked at in the repository or wrote to, as far as anybody can tell, among other words."""
        given = [value for value in self._input.values() if isinstance(value, str)]
        words = {self._relative(value) for value in given} | set(self._locations)
        for text in [*given, self._output] if self._kind == "search" else given:
            words |= {self._relative(word) for word in PATHS.findall(text[:SEARCHED_CHARS])}
        return {word[2:] if word.startswith("./") else word for word in words}

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status in ("completed", "failed")

    @property
    def informative(self) -> bool:
        """Whether a person would learn from the title what is being done."""
        bare = _bare(self._title.replace(" ", "") if self.status in ("", "pending") else self._title)
        return bool(self._locations or self._diffs or set(self._input) - {"cwd"}) or not bare

    @property
    def title(self) -> str:
        """A line for a person. A bare tool name gets its command or file beside it."""
        command, title = self._input.get("command"), self._title
        if _bare(title):
            if isinstance(command, str) and command.strip():
                title = command
            elif self._locations:
                title = f"{title or self.tool} {self._locations[0]}"
        line = " ".join(title.split()) or self.tool
        return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1] + "…"

    @property
    def output(self) -> str:
        """What it gave out, whole."""
        return self._output

    @property
    def too_long(self) -> bool:
        """Whether it has ended with more than a frame may hold."""
        return self.over and len(self._output) > TEXT_CHARS

    def frame(self, whole: str = "") -> dict[str, Any]:
        """The fields of a `tool` frame. `whole`: where all of the output is."""
        return {
            "id": self.id,
            "title": self.title,
            "tool": self.tool,
            "status": self.status,
            "locations": self._locations,
            "diff": self._bounded_diffs(),
            "output": cut(self._output, TEXT_CHARS if self.over else RUNNING_CHARS, whole),
            "exit": self._exit,
        }

    def _bounded_diffs(self) -> list[dict[str, str]]:
        found, left = [], DIFF_CHARS_IN_ALL
        for diff in self._diffs[:DIFFS]:
            old, new = cut(diff["old"], min(TEXT_CHARS, left)), cut(diff["new"], min(TEXT_CHARS, left))
            left = max(left - len(old) - len(new), 0)
            found.append({"path": diff["path"], "old": old, "new": new})
        return found

    def _paths(self, locations: object) -> list[str]:
        found = [record(place).get("path") for place in (locations if isinstance(locations, list) else [])]
        named = [path for path in found if isinstance(path, str) and path.rstrip("/") + "/" not in ("/", self._repo)]
        return [self._relative(path) for path in named][:LOCATIONS]

    def _relative(self, path: str) -> str:
        return (path[len(self._repo) :] if path.startswith(self._repo) else path)[:1000]

    def _take_content(self, content: object) -> None:
        blocks = [record(block) for block in (content if isinstance(content, list) else [])]
        diffs = [block for block in blocks if block.get("type") == "diff" and isinstance(block.get("path"), str)]
        if diffs:
            self._diffs = [
                {"path": self._relative(d["path"]), "old": _words(d.get("oldText")), "new": _words(d.get("newText"))}
                for d in diffs
            ]
        if self.status in ("", "pending") or (self.over and content == []):
            self._output = ""  # what it says of itself before it has begun is no output
            return
        texts = [text_of(block.get("content")) for block in blocks if block.get("type") == "content"]
        self._output = "\n".join(text for text in texts if text) or self._output

    def _take_terminal(self, meta: dict[str, Any]) -> None:
        """Some agents tell a command's output piece by piece beside the content, as of a terminal of ours."""
        piece = record(meta.get("terminal_output_delta")).get("data")
        if isinstance(piece, str) and len(self._output) < TERMINAL_CHARS:
            self._output += piece
        self._take_exit(record(meta.get("terminal_exit")))

    def _take_raw_output(self, raw: object) -> None:
        """What the tool gave out, without the dress that an agent puts on the content."""
        if isinstance(raw, str) and raw and self._kind == "execute":
            code = re.match(r"Exit code (\d{1,5})(?:\n|$)", raw)
            self._exit = int(code[1]) if code else self._exit
            self._output = raw[code.end() :] if code else raw
        said = record(raw).get("output")
        if isinstance(said, str) and not self._output:
            self._output = said
        self._take_exit(record(record(raw).get("metadata")))
        self._take_exit(record(raw))

    def _take_exit(self, place: dict[str, Any]) -> None:
        for key in ("exit", "exitCode", "exit_code"):
            code = place.get(key)
            if isinstance(code, int) and not isinstance(code, bool):
                self._exit = code


def record(value: object) -> dict[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(block: object) -> str:
    """The text of a content block; other kinds of content have none."""
    text = record(block).get("text")
    return text if isinstance(text, str) and record(block).get("type", "text") == "text" else ""


def cut(text: str, limit: int, whole: str = "") -> str:
    """At most `limit` characters: the beginning and the end, and how much is missing between. `whole`: where all is."""
    if len(text) <= limit:
        return text
    if limit < 200:
        return ""
    half = limit // 2 - 40 - len(whole)
    where = f"; all of it is in the box: {whole}" if whole else ""
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out{where} …\n{text[-half:]}"


def _bare(title: str) -> bool:
    """Whether a title is only the name of a tool."""
    return re.fullmatch(r"[A-Za-z_]*", title) is not None


def _words(value: object) -> str:
    return value if isinstance(value, str) else ""
