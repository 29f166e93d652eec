"""What the app may do and is told, read from the project's own `manifest.yml`, as Slack reads it at installation."""

import re
from dataclasses import dataclass
from pathlib import Path

MANIFEST = Path(__file__).with_name("manifest.yml")  # the one at the root, which a wheel carries here


@dataclass(frozen=True)
class Manifest:
    """`scopes` of the bot token, the `events` that the app is subscribed to, and its slash `commands`."""

    scopes: tuple[str, ...]
    events: frozenset[str]
    commands: frozenset[str] = frozenset()

    @classmethod
    def read(cls, file: Path = MANIFEST) -> "Manifest":
        """The lists of the manifest that matter here. Raises ValueError if they are not there."""
        lines = [re.sub(r"(^|\s+)#.*$", "", line).rstrip() for line in file.read_text(encoding="utf-8").splitlines()]
        commands = (line.strip().removeprefix("- command:") for line in lines if line.strip().startswith("- command:"))
        events = frozenset(_list(lines, "bot_events", file))
        return cls(tuple(_list(lines, "bot", file)), events, frozenset(command.strip() for command in commands))


def _list(lines: list[str], name: str, file: Path) -> list[str]:
    """The words of a list under `name:`, one in a line."""
    try:
        start = next(number for number, line in enumerate(lines) if line.strip() == f"{name}:") + 1
    except StopIteration:
        raise ValueError(f"{file} has no list called {name}") from None
    words: list[str] = []
    for line in lines[start:]:
        if not line.strip():
            continue
        if not line.strip().startswith("- "):
            break
        words.append(line.strip().removeprefix("- ").strip())
    return words
