"""Conversations on disk under HOME, so that another process, in another box, can go on with one.

One file of JSON lines for each, appended to as things happen: a turn that was cut off is remembered up to there.
`agent.py` opens them for `session/new`, `session/load` and `session/resume`; `turn.py` notes what is asked and done.
"""

from __future__ import annotations

import json
import os
import re

FOLDER = ".local/share/rehearsal"
ID = re.compile(r"[0-9a-f]{16}")
ASKED, SAID, DID = "asked", "said", "did"


class Unknown(Exception):
    """There is no such conversation."""


class Conversation:
    """`notes`: what was asked, said and done, as pairs of (kind, text), oldest first."""

    def __init__(self, number: str, path: str, notes: list[tuple[str, str]]) -> None:
        self.id, self._path, self.notes = number, path, notes

    def note(self, kind: str, text: str) -> None:
        """Remember something; it is on disk when this returns."""
        self.notes.append((kind, text))
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "text": text}) + "\n")

    def earlier(self) -> tuple[tuple[str, str], ...]:
        """What was asked, each with the last words that were said to it."""
        found: list[tuple[str, str]] = []
        for kind, text in self.notes:
            if kind == ASKED:
                found.append((text, "I was interrupted."))
            elif kind == SAID and found:
                found[-1] = (found[-1][0], text)
        return tuple(found)


def begin(home: str) -> Conversation:
    """A new conversation."""
    number = os.urandom(8).hex()
    folder = os.path.join(home, FOLDER)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{number}.jsonl")
    with open(path, "x", encoding="utf-8"):
        return Conversation(number, path, [])


def find(home: str, number: str) -> Conversation:
    """An earlier conversation; raise Unknown if there is none by this id."""
    path = os.path.join(home, FOLDER, f"{number}.jsonl")
    if not ID.fullmatch(number) or not os.path.isfile(path):
        raise Unknown(f"there is no conversation {number[:40]}")
    with open(path, encoding="utf-8") as file:
        return Conversation(number, path, [note for line in file if (note := _note(line))])


def _note(line: str) -> tuple[str, str] | None:
    try:
        said = json.loads(line)
        return str(said["kind"]), str(said["text"])
    except (ValueError, KeyError, TypeError):
        return None  # cut off in the middle of a line
