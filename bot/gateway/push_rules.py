"""What a box may push, as verdicts: None, or why not in a sentence for the person whose work it is. Pure.

`receive.py` finds out what a push is and asks here. A push moves one branch, forward, with work of people who take
part in the session; files that the forge would run with its own secrets stay as they are.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from bot.gateway.pktline import NOTHING, Command
from sandbox.runner.leftovers import LARGEST

WORKFLOWS = ".github/workflows"
SHOWN = 3
_IN_BRACKETS = re.compile(r"<([^<>]*)>")

NOT_FORWARD = "not a fast-forward: the branch may only move forward; fetch it and merge first"
NOT_A_COMMIT = "a branch may only be at a commit"


class Limits(NamedTuple):
    """How much one push may bring, in bytes: a file, and all of it as it is sent."""

    file: int = LARGEST
    pack: int = 500 << 20


USUAL = Limits()


class NewCommit(NamedTuple):
    """A commit that the forge has not. E-mail addresses as they stand in it; co-authors as `Name <address>`."""

    sha: str
    author: str
    committer: str
    co_authors: tuple[str, ...] = ()


class NewObject(NamedTuple):
    """Something that the forge has not: where it was found first, and its size in bytes."""

    path: str
    bytes: int


def of_commands(commands: Sequence[Command], branch: str) -> dict[str, str]:
    """The commands that are refused before anything is looked at: ref → why. Empty: there is one, and it may go on."""
    allowed = f"refs/heads/{branch}"
    refused: dict[str, str] = {}
    for command in commands:
        if command.ref != allowed:
            refused[command.ref] = f"this session may push to {branch} only"
        elif command.new == NOTHING:
            refused[command.ref] = "the session's branch may not be deleted"
        elif len(commands) > 1:
            refused[command.ref] = f"{branch} has to be pushed alone"
    return refused


def of_people(commits: Iterable[NewCommit], emails: Collection[str]) -> str | None:
    """Every new commit is written and committed by people of the session, and credits nobody else."""
    known = {email.lower() for email in emails}
    for commit in commits:
        for role, email in (("author", commit.author), ("committer", commit.committer)):
            if email.lower() not in known:
                return f"the {role} of {commit.sha[:10]}, <{email[:100]}>, does not take part in this session"
        for named in commit.co_authors:
            if not {email.strip().lower() for email in _IN_BRACKETS.findall(named) or [named]} <= known:
                return f"the co-author of {commit.sha[:10]}, {named[:100]}, does not take part in this session"
    return None


def of_workflows(found: Mapping[str, str], grown_from: Sequence[Mapping[str, str]], below: str = "") -> str | None:
    """Each workflow file is as in one of the forge's commits that the push grows from. Mappings: path → sha.

    `below`: the commit in which they were found, if it is not the newest one.
    """
    paths = sorted({*found, *(path for files in grown_from for path in files)})
    sources = grown_from or [{}]
    changed = [path for path in paths if all(found.get(path) != files.get(path) for files in sources)]
    if not changed:
        return None
    remedy = f"; {below[:10]} does it: make your commits anew without that" if below else ""
    return f"files under {WORKFLOWS}/ may not be changed from here: {_some(changed)}{remedy}"


def of_size(objects: Iterable[NewObject], most: int) -> str | None:
    """No file is too large."""
    large = [f"{each.path or 'a file'} ({each.bytes / (1 << 20):.0f} MB)" for each in objects if each.bytes > most]
    return f"files above {most >> 20} MB are not pushed: {_some(large)}" if large else None


def _some(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
