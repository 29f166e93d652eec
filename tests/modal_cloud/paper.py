"""Boxes on paper: no process, next to no memory. What an entrypoint and a command say is scripted by the test."""

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.modal_cloud.commands import Command

KEPT_BYTES = 64 << 10


@dataclass(frozen=True)
class Script:
    """What a command whose words, joined by spaces, match `pattern` does. It ends at once, unless `runs`: then with its
    stdin, or never."""

    pattern: str
    code: int = 0
    stdout: str = ""
    stderr: str = ""
    runs: bool = False


class Paper:
    """The methods of `machine.Machine`. A command without a script succeeds and says nothing."""

    several_users = True
    layers = None

    def __init__(self) -> None:
        self._scripts: list[Script] = []

    def script(self, facts: dict[str, Any]) -> None:
        """Add a script; the newest that matches counts."""
        self._scripts.insert(0, Script(**facts))

    async def start(self, name: str, chain: tuple[str, ...], argv: list[str], env: dict[str, str], cwd: str) -> Command:
        """An entrypoint that runs until it is ended."""
        return Command(keep=KEPT_BYTES)

    def run(self, name: str, command: str, argv: list[str], env: dict[str, str], cwd: str) -> Command:
        """A command that does what its script says."""
        made, words = Command(), " ".join(argv)
        script = next((script for script in self._scripts if re.search(script.pattern, words)), Script(""))
        made.stdout.add(script.stdout.encode())
        made.stderr.add(script.stderr.encode())
        if script.runs:
            made.stdin.on_end = partial(made.exited, script.code, 0)
        else:
            made.exited(script.code, 0)
        return made

    def signal(self, name: str, command: str, number: int) -> None:
        """Nobody is there to hear it."""

    async def snapshot(self, name: str) -> None:
        """An image without a layer."""

    async def end(self, name: str) -> None:
        """Nothing runs."""

    def forget(self, name: str) -> None:
        """Nothing was written."""

    def reset(self, layers: set[str]) -> None:
        """Forget the scripts."""
        self._scripts.clear()

    def close(self) -> None:
        """Nothing runs."""
