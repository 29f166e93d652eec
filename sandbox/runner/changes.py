"""Two trees' differences as git tells them, and two sides' joined path by path. Pure.

`carry.py` joins with it, `leftovers.py` reads with it what is staged. Paths are as git writes them, quoted if they are
unusual, so that any name survives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PLAIN = ("100644", "100755")
REPOSITORY = "160000"  # the mode of another repository


class Entry(NamedTuple):
    """A path in a tree: a file, a link or another repository."""

    mode: str
    sha: str


class Change(NamedTuple):
    """What became of one path. `GONE`: it is not there."""

    before: Entry
    after: Entry


GONE = Entry("000000", "0" * 40)


def changes_of(said: str) -> dict[str, Change]:
    """What `git diff-tree` says in its raw form. Pure."""
    found = {}
    for line in said.splitlines():
        facts, _, path = line.partition("\t")
        modes_and_shas = facts.lstrip(":").split()
        if path and len(modes_and_shas) == 5:
            old_mode, new_mode, old, new, _ = modes_and_shas
            found[path] = Change(Entry(old_mode, old), Entry(new_mode, new))
    return found


def joined(mine: Mapping[str, Change], theirs: Mapping[str, Change]) -> tuple[dict[str, Entry], list[str]]:
    """What of mine goes onto theirs as it is, and the paths where both want something else. Pure."""
    kept: dict[str, Entry] = {}
    both: list[str] = []
    there = [path for path, change in theirs.items() if change.after != GONE]
    files, folders = {path.strip('"') for path in there}, {parent for path in there for parent in _parents(path)}
    for path, change in mine.items():
        other = theirs.get(path)
        if other is not None:
            if other.after != change.after:
                both.append(path)
        elif change.after != GONE and (path.strip('"') in folders or not files.isdisjoint(_parents(path))):
            both.append(path)  # a file where they have a folder, or the other way round
        else:
            kept[path] = change.after
    return kept, both


def replaced(changes: Mapping[str, Change]) -> list[str]:
    """The paths that one tree has otherwise than the other, in its place: another file, a file for a folder, or files
    in a folder for a file. Not those that only one of them has. Pure."""
    gone = {path for path, change in changes.items() if change.after == GONE}
    files, folders = {path.strip('"') for path in gone}, {parent for path in gone for parent in _parents(path)}
    return [
        path
        for path, change in changes.items()
        if change.after != GONE
        and (change.before != GONE or path.strip('"') in folders or not files.isdisjoint(_parents(path)))
    ]


def _parents(path: str) -> list[str]:
    """The folders above a path, all without git's quotes."""
    parts = path.strip('"').split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]
