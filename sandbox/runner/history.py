"""Whose work a turn's commits are: made the author's, with every other participant as `Co-authored-by`.

`delivery.py` calls it at the end of a turn. Commits are written anew with `commit-tree`, merges stay merges, and what
the forge has already is not touched, because a branch only ever moves forward.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sandbox.runner.git import Git, Person, identity
from sandbox.runner.visible import visible

DONE = "refs/shipmate/done"  # where the last finished turn ended: what follows belongs to the turn under way
TRAILER = re.compile(r"[A-Za-z0-9-]+: \S")
CO_AUTHOR = re.compile(r"\s*co-authored-by\s*:\s*(.*?)\s*", re.IGNORECASE)
NAMES_SOMEBODY = re.compile(
    r"\s*(co-authored-by|signed-off-by|reviewed-by|acked-by|tested-by|approved-by|on-behalf-of)\s*:.*", re.IGNORECASE
)
SHOWN, SHOWN_BYTES = 500, 500 << 10
SUBJECT_CHARS, SIGNATURE_CHARS, CO_AUTHORS = 300, 400, 50  # what the wire takes
DATE = re.compile(r"[0-9]{1,11} [+-](?:0[0-9]|1[0-4])[0-9]{2}")  # anything else was made by hand, and is refused by git
FIELDS = "%H%x00%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%e%x00%B"


class Commit(NamedTuple):
    """A commit as git keeps it. Dates are seconds and time zone, as `--date=raw` writes them; `code`: what its words
    are written in, if it is not UTF-8."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    authored: str
    committer: Person
    committed: str
    code: str
    message: str

    @property
    def co_authors(self) -> list[str]:
        """The names in its trailers."""
        found = (CO_AUTHOR.fullmatch(line) for line in self.message.split("\n"))
        return [match[1] for match in found if match and match[1]]


async def begin(git: Git, at: str = "HEAD") -> None:
    """Remember where the first turn begins. Later ones begin where the last finished one ended, in whatever box."""
    if not os.path.isfile(os.path.join(git.repo, ".git", DONE)):  # no process before each prompt
        await git.asks("update-ref", DONE, at, "0" * 40)  # refused if it is there already


async def settle(git: Git, branch: str, author: Person, others: Sequence[Person]) -> None:
    """Make every commit since the last finished turn the author's, unless the forge has it."""
    renamed: dict[str, str] = {}
    newest = ""
    for commit in await _commits(git, "--not", DONE, "--remotes=origin"):
        parents = tuple(renamed.get(parent, parent) for parent in commit.parents)
        message = with_trailers(commit.message, author, others)
        newest = commit.sha
        as_it_should = (commit.author, commit.committer, commit.parents, commit.message) == (
            author, author, parents, message,
        )  # fmt: skip
        if not as_it_should or commit.code or None in (_date(commit.authored), _date(commit.committed)):
            renamed[commit.sha] = await _write(git, commit, parents, message, author)
    if newest in renamed and newest == await git.head():
        await git("update-ref", "-m", f"shipmate: authors on {branch}", "HEAD", renamed[newest], newest)


async def made(git: Git, branch: str) -> list[dict[str, Any]]:
    """The commits of the turn under way, oldest first, as the wire has them. Other branches' commits are not ours."""
    commits = [
        {
            "sha": commit.sha,
            "subject": commit.message.split("\n", 1)[0][:SUBJECT_CHARS],
            "author": commit.author.signature[:SIGNATURE_CHARS],
            "co_authors": [name[:SIGNATURE_CHARS] for name in commit.co_authors[:CO_AUTHORS]],
        }
        for commit in await _commits(git, f"-{SHOWN}", "--not", DONE, f"--exclude=origin/{branch}", "--remotes=origin")
    ]
    while len(json.dumps(commits)) > SHOWN_BYTES:  # a turn's end must always fit into a frame
        commits = commits[len(commits) // 2 :]
    return commits


async def finish(git: Git) -> None:
    """The turn is over: the next one begins here."""
    await git.asks("update-ref", DONE, "HEAD")


def with_trailers(message: str, author: Person, others: Sequence[Person]) -> str:
    """The message with exactly these people as co-authors: those who took part, and nobody whom the agent made up.

    Nobody is said to have signed or approved it either, and nothing in it steers the screen of whoever reads it.
    """
    said = "\n".join(_without_claims(visible(message).split("\n"))).strip()
    kept = said.split("\n") if said else ["Work in progress"]
    unique = {person.email.lower(): person for person in others if person.email.lower() != author.email.lower()}
    trailers = [f"Co-authored-by: {person.signature}" for person in unique.values()]
    if trailers and not _ends_in_trailers(kept):
        kept.append("")
    return "\n".join(kept + trailers).strip()


def _without_claims(lines: list[str]) -> list[str]:
    """The lines that name nobody. Indented lines belong to the trailer before them."""
    kept: list[str] = []
    naming = False
    for line in lines:
        naming = NAMES_SOMEBODY.fullmatch(line) is not None or (
            naming and line[:1] in (" ", "\t") and bool(line.strip())
        )
        if not naming:
            kept.append(line)
    return kept


def _ends_in_trailers(lines: list[str]) -> bool:
    last = len(lines)
    while last and lines[last - 1].strip():
        last -= 1
    return last > 0 and all(TRAILER.match(line) for line in lines[last:])  # the first paragraph is the subject


async def _commits(git: Git, *which: str) -> list[Commit]:
    """Commits of HEAD, oldest first."""
    said = await git(
        "log", "-z", "--reverse", "--topo-order", "--no-show-signature", "--no-color", "--no-mailmap", "--date=raw",
        f"--format={FIELDS}", "HEAD", *which, "--",
    )  # fmt: skip
    parts = said.split("\0")
    return [_commit(parts[at : at + 11]) for at in range(0, len(parts) - 10, 11)]


def _commit(part: list[str]) -> Commit:
    author, committer = Person(part[3], part[4]), Person(part[6], part[7])
    parents = tuple(part[2].split())
    return Commit(part[0].strip(), part[1], parents, author, part[5], committer, part[8], part[9], part[10].rstrip())


async def _write(git: Git, commit: Commit, parents: tuple[str, ...], message: str, author: Person) -> str:
    told = {"GIT_AUTHOR_DATE": _date(commit.authored), "GIT_COMMITTER_DATE": _date(commit.committed)}
    dates = {name: date for name, date in told.items() if date is not None}
    flags = [word for parent in parents for word in ("-p", parent)]
    env = {**identity(author, author), **dates}
    said = await git("commit-tree", commit.tree, *flags, "-F", "-", stdin=message.encode() + b"\n", env=env)
    return said.strip()


def _date(raw: str) -> str | None:
    """A date as git takes it; None for what is none: then it is now."""
    return f"@{raw}" if DATE.fullmatch(raw) else None
