"""From the text of a devcontainer.json to a `Recipe`. Pure; called by `jobs/image_recipe.py` with what a box has.

https://containers.dev/implementors/json_reference says what the properties mean. `_RULES` are those that are followed,
`_SENTENCES` say why others are not; both kinds and the unknown ones end up in the build's log.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox import jsonc
from sandbox.jsonc import Document, Path
from sandbox.recipe import (
    KNOWN_VARIABLES,
    MOST_COMMAND_BYTES,
    MOST_COMMANDS,
    MOST_ENV_BYTES,
    MOST_HOSTS,
    MOST_START_BYTES,
    MOST_VARIABLES,
    SHELL,
    Command,
    Recipe,
    RecipeError,
)

MIB = 1 << 20
MOST_SECONDS, MOST_WARM_BOXES, MOST_CPU, MOST_MEMORY_MB = 3600.0, 20, 64.0, 1 << 20
MOST_NAMED = 50
OURS = ("customizations", "shipmate")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_HOST = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,199}", re.ASCII)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_KEPT = ("HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_NO_DOCKERFILE = "Dockerfiles are not built: what it installs has to be on the machine that runs the boxes"
_SENTENCES: Mapping[str, str] = {
    "build": _NO_DOCKERFILE,
    "dockerFile": _NO_DOCKERFILE,
    "dockerComposeFile": "a box is one system; start services in postStartCommand",
    "features": "features are not installed; write what they do into onCreateCommand",
    "initializeCommand": "nothing of a repository runs outside its box",
    "postAttachCommand": "nobody attaches to a box; use postStartCommand",
    "remoteEnv": "use containerEnv",
    "mounts": "a box sees its own tree and nothing of the machine",
    "workspaceMount": "the repository is always in /work/repo",
    "workspaceFolder": "the repository is always in /work/repo",
    "containerUser": "use remoteUser",
    "hostRequirements": "use customizations.shipmate: cpu, memory",
    "forwardPorts": "ports are not forwarded",
    "runArgs": "boxes are not started by Docker",
    "secrets": "a box holds no secret",
}
_NOTHING_TO_DO = ("$schema", "name")


def parse(text: str | bytes, where: str) -> Recipe:
    """Read the file that was found at `where`. Raises RecipeError and nothing else."""
    try:
        document = jsonc.read(text if isinstance(text, str) else text.decode("utf-8"))
    except jsonc.NotJson as wrong:
        raise RecipeError(wrong.line, wrong.reason) from None
    except UnicodeDecodeError as wrong:
        assert isinstance(text, bytes)
        raise RecipeError(text.count(b"\n", 0, wrong.start) + 1, "it is not UTF-8") from None
    if not isinstance(document.value, dict):
        raise RecipeError(1, "it must be one object, in braces")
    return _Reading(document).recipe(where)


class _Reading:
    """One document being read: a method for each kind of value, and what was left out so far."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.left_out: list[str] = []

    def recipe(self, where: str) -> Recipe:
        """All of it."""
        root: dict[str, Any] = self._document.value
        said = {field: read(self, (key,)) for key, (field, read) in _RULES.items() if key in root}
        for key in root:
            if key not in _RULES and key not in _NOTHING_TO_DO and key != "customizations":
                self.leave_out((key,), key, _SENTENCES.get(key, "it is not known here"))
        said |= self._ours()
        return Recipe(where=where, left_out=tuple(self.left_out), **said)

    def _ours(self) -> dict[str, Any]:
        customizations = self._document.value.get("customizations", {})
        if not isinstance(customizations, dict):
            raise self.wrong(("customizations",), "must be an object")
        for key in customizations:
            if key != "shipmate":
                self.leave_out(("customizations", key), f"customizations.{key}", "it is meant for another program")
        given = customizations.get("shipmate", {})
        if not isinstance(given, dict):
            raise self.wrong(OURS, "must be an object")
        for key in given:
            if key not in _OURS:
                self.leave_out((*OURS, key), f"customizations.shipmate.{key}", "it is not known here")
        return {field: read(self, (*OURS, key)) for key, (field, read) in _OURS.items() if key in given}

    def leave_out(self, path: Path, what: str, why: str) -> None:
        """Say that this is not followed. After some dozens only that there are more."""
        if len(self.left_out) < MOST_NAMED:
            self.left_out.append(f"line {self._document.line(path)}: {what[:80]!r} is left out: {why}")
        elif len(self.left_out) == MOST_NAMED:
            self.left_out.append("more than that is left out")

    def wrong(self, path: Path, reason: str) -> RecipeError:
        """What is wrong with the value at this path."""
        name = ".".join(str(step)[:60] for step in path)
        return RecipeError(self._document.line(path), f"{name} {reason}")

    def at(self, path: Path) -> Any:
        """The value at a path that is there."""
        value = self._document.value
        for step in path:
            value = value[step]
        return value

    def text(self, path: Path, most: int = 200) -> str:
        """A string that can be written down, and given to a program."""
        value = self.at(path)
        if not isinstance(value, str):
            raise self.wrong(path, "must be a string")
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise self.wrong(path, "has characters that no program can be given")
        if len(value.encode()) > most:
            raise self.wrong(path, f"is longer than {most} bytes")
        return value

    def word(self, path: Path) -> str:
        """A name without spaces and surprises."""
        value = self.text(path)
        if not _WORD.fullmatch(value):
            raise self.wrong(path, "must be a name of letters, digits and . _ / : @ -")
        return value

    def number(self, path: Path, least: float, most: float) -> float:
        """A number within bounds."""
        value = self.at(path)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self.wrong(path, f"must be a number from {least:g} to {most:g}")
        return float(value)

    def items(self, path: Path, most: int) -> list[Path]:
        """The paths of an array's items."""
        value = self.at(path)
        if not isinstance(value, list):
            raise self.wrong(path, "must be an array")
        if len(value) > most:
            raise self.wrong(path, f"has more than {most} items")
        return [(*path, index) for index in range(len(value))]

    def stage(self, path: Path) -> tuple[Command, ...]:
        """A lifecycle command: a string, an array, or an object of either, to run side by side."""
        value = self.at(path)
        if not isinstance(value, dict):
            return (self.command(path, ""),)
        if len(value) > MOST_COMMANDS:
            raise self.wrong(path, f"has more than {MOST_COMMANDS} commands")
        return tuple(self.command((*path, key), self.label((*path, key), key)) for key in value)

    def label(self, path: Path, key: str) -> str:
        """The name of one of several commands, fit for a log."""
        if not key.isprintable() or len(key) > 60:
            raise self.wrong(path, "has a name that cannot be shown")
        return key

    def command(self, path: Path, name: str) -> Command:
        """One command: a line for a shell, or a program and its arguments."""
        if isinstance(self.at(path), str):
            line = self.text(path, MOST_COMMAND_BYTES)
            if not line.strip():
                raise self.wrong(path, "is empty")
            return Command(name, (*SHELL, line))
        if not isinstance(self.at(path), list):
            raise self.wrong(path, "must be a string, an array of strings, or an object of those")
        argv = tuple(self.text(item, MOST_COMMAND_BYTES) for item in self.items(path, 100))
        if not argv or argv[0] == "" or "=" in argv[0] or sum(map(len, argv)) > MOST_COMMAND_BYTES:
            raise self.wrong(path, f"must name a program, and be at most {MOST_COMMAND_BYTES} bytes long")
        return Command(name, argv)

    def start(self, path: Path) -> tuple[Command, ...]:
        """As `stage`; it travels to every box, so it is short."""
        commands = self.stage(path)
        if sum(len(word.encode()) for command in commands for word in command.argv) > MOST_START_BYTES:
            raise self.wrong(path, f"is longer than {MOST_START_BYTES} bytes: put it into a script of the repository")
        return commands

    def lines(self, path: Path) -> tuple[Command, ...]:
        """Commands to run one after the other."""
        return tuple(self.command(item, "") for item in self.items(path, MOST_COMMANDS))

    def env(self, path: Path) -> tuple[tuple[str, str], ...]:
        """Environment variables. Those that boxes live by stay as they are, which is said."""
        value = self.at(path)
        if not isinstance(value, dict) or len(value) > MOST_VARIABLES:
            raise self.wrong(path, f"must be an object of at most {MOST_VARIABLES} strings")
        kept = [(key, self.text((*path, key), MOST_ENV_BYTES)) for key in value if self._may_set((*path, key), key)]
        if sum(len(key) + len(text.encode()) for key, text in kept) > MOST_ENV_BYTES:
            raise self.wrong(path, f"is longer than {MOST_ENV_BYTES} bytes")
        return tuple(kept)

    def _may_set(self, path: Path, key: str) -> bool:
        if not _NAME.fullmatch(key):
            raise self.wrong(path, "is no name for a variable: letters, digits and _")
        unknown = [name for name in _VARIABLE.findall(self.text(path, MOST_ENV_BYTES)) if name not in KNOWN_VARIABLES]
        if key in _KEPT:
            self.leave_out(path, f"containerEnv.{key}", "boxes set it themselves")
        elif unknown:
            self.leave_out(path, f"containerEnv.{key}", f"${{{unknown[0][:60]}}} means nothing in a box")
        return key not in _KEPT and not unknown

    def hosts(self, path: Path) -> tuple[str, ...]:
        """Names of hosts, or of everything below one: `*.example.com`."""
        found = tuple(self.text(item).lower() for item in self.items(path, MOST_HOSTS))
        for item, host in zip(self.items(path, MOST_HOSTS), found, strict=True):
            if len(host) > 253 or not _HOST.fullmatch(host):
                raise self.wrong(item, "must be a host's name, like example.com or *.example.com, and nothing else")
        return tuple(dict.fromkeys(found))


def _megabytes(reading: _Reading, path: Path) -> int:
    return int(reading.number(path, 64, MOST_MEMORY_MB)) * MIB


_Rule = tuple[str, Callable[[_Reading, Path], Any]]
_RULES: Mapping[str, _Rule] = {
    "image": ("image", _Reading.word),
    "onCreateCommand": ("on_create", _Reading.stage),
    "updateContentCommand": ("update_content", _Reading.stage),
    "postCreateCommand": ("post_create", _Reading.stage),
    "postStartCommand": ("post_start", _Reading.start),
    "containerEnv": ("env", _Reading.env),
    "remoteUser": ("remote_user", _Reading.word),
}
_OURS: Mapping[str, _Rule] = {
    "agent": ("agent", _Reading.word),
    "model": ("model", _Reading.word),
    "warm": ("warm", _Reading.lines),
    "check": ("check", _Reading.lines),
    "egress": ("egress", _Reading.hosts),
    "cpu": ("cpu", lambda reading, path: reading.number(path, 0.1, MOST_CPU)),
    "memory": ("memory_bytes", _megabytes),
    "seconds": ("seconds", lambda reading, path: reading.number(path, 1, MOST_SECONDS)),
    "warmBoxes": ("warm_boxes", lambda reading, path: int(reading.number(path, 0, MOST_WARM_BOXES))),
}
