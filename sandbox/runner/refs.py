"""The refs that work hangs on: our branch brought back where it is nowhere, and commits kept that are on no branch.

`sync.py` and `branch.py` use it. A crash of the machine may leave a ref empty; an agent may remove any.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys

from sandbox.runner.git import Git

APART = "refs/shipmate/apart"  # below it: commits of this box that do not go together with our branch
NOWHERE = "0" * 40


async def commit_at(git: Git, name: str) -> str:
    """The sha of a commit; empty if there is none of that name."""
    return await git.asks("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") if name else ""


async def keep_apart(git: Git, commit: str) -> None:
    """Let git keep a commit that does not go together with our branch. People are told at the end of a turn."""
    await git("update-ref", f"{APART}/{commit[:12]}", commit)


async def bring_back(git: Git, branch: str, known: str = "") -> None:
    """Let our branch, which is nowhere, be where its log or that of HEAD saw it last, else at the commit `known`."""
    path = os.path.join(git.repo, ".git/refs/heads", branch)
    with contextlib.suppress(OSError):
        os.unlink(path)
    for candidate in (_last(git, f"refs/heads/{branch}"), _last(git, "HEAD"), known):
        if sha := await commit_at(git, candidate):
            print(f"runner: {branch} was nowhere, and is at {sha} again", file=sys.stderr)
            await git("update-ref", f"refs/heads/{branch}", sha)
            return


def is_nowhere(git: Git, branch: str) -> bool:
    """Whether our branch has no file of its own, or an empty one."""
    try:
        return not os.path.getsize(os.path.join(git.repo, ".git/refs/heads", branch))
    except OSError:
        return True


def names_below(git: Git, below: str) -> set[str]:
    """The names of all refs below this one, also of those that a garbage collection has packed; without a process."""
    top = os.path.join(git.repo, ".git", below)
    loose = (os.path.relpath(os.path.join(folder, name), top) for folder, _, files in os.walk(top) for name in files)
    packed = (line.partition(f" {below}/")[2] for line in _lines_of(os.path.join(git.repo, ".git/packed-refs")))
    return {name for name in loose if not name.endswith(".lock")} | {name for name in packed if name}


async def left_at(git: Git, branch: str) -> str:
    """Where a branch was when the tree left it last, for one that is not there any more."""
    moved = re.compile(rf"([0-9a-f]{{40,64}}) .*\tcheckout: moving from {re.escape(branch)} to .*")
    found = [match[1] for match in map(moved.fullmatch, _log(git, "HEAD")) if match]
    return await commit_at(git, found[-1]) if found else ""


def _last(git: Git, ref: str) -> str:
    """The last commit in the log of a ref; if the ref was deleted, the one that it was at."""
    for line in reversed(_log(git, ref)):
        shas = line.split(" ", 2)[:2]
        found = [sha for sha in reversed(shas) if re.fullmatch("[0-9a-f]{40,64}", sha) and sha != NOWHERE]
        if found:
            return found[0]
    return ""


def _log(git: Git, ref: str) -> list[str]:
    return _lines_of(os.path.join(git.repo, ".git/logs", ref))


def _lines_of(path: str) -> list[str]:
    if not os.path.isfile(path):  # a pipe would be waited at for ever
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().splitlines()
