"""The box's own branch: the tree is put back on it at a turn's end, with the work that was done beside it.

`delivery.py` calls it. Agents look at other commits, work on branches of their own, rebase and bisect, and do not
always come back; what goes to the forge is always the one branch, which only moves forward.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from sandbox.runner import history, leftovers
from sandbox.runner.git import Git, GitFailed, Person, identity
from sandbox.runner.refs import bring_back, commit_at, is_nowhere, keep_apart, left_at

SUBJECT_CHARS = 72
HERE = ("checkout", "--quiet", "--no-track", "--ignore-other-worktrees", "-B")


class Work(NamedTuple):
    """Whose turn it was, and where it goes. `known`: a commit that the tree was at and that the forge has."""

    base: str
    branch: str
    author: Person
    others: Sequence[Person]
    asked: str
    known: str

    @property
    def message(self) -> str:
        """What the prompt asked for is the best that is known of changes that the agent did not commit itself."""
        subject = next((line.strip() for line in self.asked.splitlines() if line.strip()), "Work in progress")
        if len(subject) > SUBJECT_CHARS:
            subject = subject[: SUBJECT_CHARS - 1].rsplit(" ", 1)[0] + "…"
        return self.signed(subject[:1].upper() + subject[1:])

    def signed(self, message: str) -> str:
        """A message with everybody who took part."""
        return history.with_trailers(message, self.author, self.others)


async def come_back(git: Git, work: Work) -> list[str]:
    """Be on our branch, with all that counts as its work; what people should know of that. Raises GitFailed if the tree
    is in the middle of something elsewhere."""
    if _stands_on(git) == work.branch:
        if is_nowhere(git, work.branch) and not await git.head():
            await bring_back(git, work.branch, work.known)
        return []  # no process at the end of nearly every turn
    if leftovers.under_way(git) == "a rebase":
        raise GitFailed("the agent stopped in the middle of a rebase, which has to be ended or aborted first")
    await leftovers.refuse_conflicts(git)
    head, tip = await git.head(), await commit_at(git, f"refs/heads/{work.branch}")
    if not head and not tip:
        await bring_back(git, work.branch, work.known)
        tip = await commit_at(git, f"refs/heads/{work.branch}")
    if head and (not tip or await git.agrees("merge-base", "--is-ancestor", tip, head)):
        return await _begin_anew(git, work, head) if not tip else await _take_along(git, work)
    if not head or not await git.asks("rev-list", "--max-count=1", head, "--not", tip, "--remotes=origin", "--"):
        try:
            await git(*HERE, work.branch, tip)
            return []
        except GitFailed as refused:  # what is not committed here is in the way
            print(f"runner: back on {work.branch} with a merge, for git said: {refused}", file=sys.stderr)
    left_out = await leftovers.commit(git, work.author, work.message)
    head = await git.head()
    await keep_apart(git, head)  # a kill comes at any moment
    await git(*HERE, work.branch, tip)
    await merge(git, work, head, f"Merge what was done beside {work.branch}")
    return leftovers.told(left_out)


def _stands_on(git: Git) -> str:
    """The branch that the tree is on, as far as it can be read; empty if none."""
    try:
        with open(os.path.join(git.repo, ".git/HEAD"), encoding="utf-8") as file:
            said = file.read(1_000)
    except (OSError, ValueError):
        return ""
    return said[len("ref: refs/heads/") :].rstrip("\n") if said.startswith("ref: refs/heads/") else ""


async def _take_along(git: Git, work: Work) -> list[str]:
    """All of our branch is in what the tree is at: the name moves there, and no file does."""
    await git(*HERE, work.branch)
    return []


async def _begin_anew(git: Git, work: Work, head: str) -> list[str]:
    """Our branch is gone. It was renamed, or made anew under another name; or it was deleted with work on it."""
    tip = await left_at(git, work.branch)
    elsewhere = ("--not", "HEAD", "--branches", "--remotes=origin", "--")
    lost = bool(tip) and bool(await git.asks("rev-list", "--max-count=1", tip, *elsewhere))
    has_own = bool(await git.asks("rev-list", "--max-count=1", head, "--not", "--remotes=origin", "--"))
    if lost and not has_own:
        await git(*HERE, work.branch, tip)
        return [f"The agent deleted its branch {work.branch} with work on it, which was brought back."]
    await _free_the_name(git, work.branch)
    await git(*HERE, work.branch)
    if lost:
        await keep_apart(git, tip)
    return []


async def _free_the_name(git: Git, branch: str) -> None:
    """Give another name to a branch whose name ours begins with: git keeps both in files, and one is no folder."""
    parts = branch.split("/")
    for name in ("/".join(parts[:n]) for n in range(1, len(parts))):
        if os.path.isfile(os.path.join(git.repo, ".git/refs/heads", name)):
            await git("branch", "--move", "--force", name, f"{name}-of-the-agent")


async def merge(git: Git, work: Work, other: str, said: str) -> bool:
    """Merge a commit into our branch; False, and nothing has changed, if they do not go together."""
    plainly = ("--quiet", "--ff", "--no-verify", "--no-verify-signatures")
    try:
        await git("merge", *plainly, "-m", work.signed(said), other, env=identity(work.author, work.author))
    except GitFailed:
        await git.asks("merge", "--abort")
        return False
    return True
