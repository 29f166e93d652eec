"""What git says about a difference, taken apart for people and for the API: pure, text in, records out.

`forge_pulls.py` calls it with the two outputs of `BareRepo.diff`, which name the same files in the same order.
"""

import re
from dataclasses import dataclass
from typing import Literal

LINES_SHOWN = 3000
Kind = Literal["hunk", "added", "removed", "context", "note"]
_KINDS: dict[str, Kind] = {"@": "hunk", "+": "added", "-": "removed", " ": "context"}
_FILE = re.compile(r"^diff --git ", re.MULTILINE)
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True)
class Line:
    """One line of a patch, its sign included. `old` and `new`: its number in each version, None where it is not."""

    kind: Kind
    text: str
    old: int | None = None
    new: int | None = None


@dataclass(frozen=True)
class FileDiff:
    """One changed file. `was`: its path before, if it was renamed. `cut`: not all lines are here."""

    path: str
    status: Literal["added", "removed", "modified", "renamed"]
    added: int
    removed: int
    binary: bool
    lines: tuple[Line, ...]
    was: str | None = None
    cut: bool = False


def parse(numbers: str, patch: str) -> list[FileDiff]:
    """The changed files. `numbers` is of `git diff --numstat -z`, `patch` of `git diff` with the same arguments."""
    bodies = _FILE.split(patch)[1:]
    files = []
    for number, (added, removed, path, was) in enumerate(_counted(numbers)):
        body = bodies[number] if number < len(bodies) else ""
        lines = _lines(body)
        files.append(
            FileDiff(
                path=path,
                status=_status(body, was),
                added=int(added) if added.isdigit() else 0,
                removed=int(removed) if removed.isdigit() else 0,
                binary=added == "-",
                lines=lines[:LINES_SHOWN],
                was=was,
                cut=len(lines) > LINES_SHOWN or number >= len(bodies),
            )
        )
    return files


def _counted(numbers: str) -> list[tuple[str, str, str, str | None]]:
    """(added, removed, path, path before) of each file; a renamed one spreads over three NUL-separated parts."""
    parts, found = numbers.split("\0"), []
    while parts and parts[0]:
        added, removed, path = parts.pop(0).split("\t", 2)
        was = None
        if not path:
            was, path = parts.pop(0), parts.pop(0)
        found.append((added, removed, path, was))
    return found


def _status(body: str, was: str | None) -> Literal["added", "removed", "modified", "renamed"]:
    header = body.split("\n@@", 1)[0]
    if was is not None:
        return "renamed"
    if "\nnew file mode" in header:
        return "added"
    return "removed" if "\ndeleted file mode" in header else "modified"


def _lines(body: str) -> tuple[Line, ...]:
    """The hunks of one file, numbered; the header above them is left out."""
    start = body.find("\n@@")
    lines: list[Line] = []
    old = new = 0
    for text in body[start + 1 :].rstrip("\n").split("\n") if start >= 0 else ():
        kind: Kind = _KINDS.get(text[:1], "note")
        hunk = _HUNK.match(text) if kind == "hunk" else None
        if hunk:
            old, new = int(hunk[1]), int(hunk[2])
            lines.append(Line(kind, text))
            continue
        in_old, in_new = kind in ("removed", "context"), kind in ("added", "context")
        lines.append(Line(kind, text, old if in_old else None, new if in_new else None))
        old, new = old + in_old, new + in_new
    return tuple(lines)
