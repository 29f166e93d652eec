"""What a script of the rehearsal can have done, as records, and what comes of each.

`scripts.py` and `tool_scripts.py` yield them; `turn.py` does them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, Union

NO_MODEL = "(I am the rehearsal: a script, with no model behind me.)"


class Result(NamedTuple):
    """How an act went: its output, and a command's exit code."""

    ok: bool = True
    text: str = ""
    code: int | None = None


class Say(NamedTuple):
    """Words, streamed. `pace`: seconds between two pieces, None for the usual."""

    text: str
    pace: float | None = None


class Think(NamedTuple):
    """A thought."""

    text: str


class Plan(NamedTuple):
    """The plan, of which the first `done` steps are over."""

    steps: tuple[str, ...]
    done: int


class Read(NamedTuple):
    """Read a file."""

    path: str


class Edit(NamedTuple):
    """Put `new` in the place of `old`, which must be there once."""

    path: str
    old: str
    new: str


class Write(NamedTuple):
    """Give a file this text, whether it was there or not."""

    path: str
    text: str


class Run(NamedTuple):
    """Run a command in a shell. `why` is for people."""

    command: str
    why: str


class UseTool(NamedTuple):
    """Call a tool of the service, by its name."""

    name: str
    arguments: dict[str, Any]


class Environment(NamedTuple):
    """Look which environment variables there are; the result has their names."""


class Deafen(NamedTuple):
    """Say something and wait, and heed nothing meanwhile, a cancel neither."""

    text: str
    seconds: float


class Crash(NamedTuple):
    """End the process, here and now."""


Act = Union[Say, Think, Plan, Read, Edit, Write, Run, UseTool, Environment, Deafen, Crash]
Script = Generator[Act, Result, None]


class Asked(NamedTuple):
    """A prompt's words, and what was asked and answered before in its conversation, oldest first."""

    words: str
    earlier: tuple[tuple[str, str], ...] = ()
