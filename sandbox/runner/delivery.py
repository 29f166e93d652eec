"""The end of a turn in git: back on the branch, leftovers committed, authors put right, pushed, and told.

`turns.py` calls `deliver` once for each turn, whatever became of it. What could not be pushed goes with the next one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import Any, NamedTuple, Protocol, TypeVar

from sandbox.runner import history, leftovers
from sandbox.runner.anew import begin_anew, see_to_it
from sandbox.runner.branch import Work, come_back, merge
from sandbox.runner.elsewhere import work_elsewhere
from sandbox.runner.git import FORGE, NETWORK_SECONDS, Git, GitFailed, identity
from sandbox.runner.leftovers import NotAdded
from sandbox.runner.sync import BROKEN, PUSHED, fetch

PAUSES = (0.3, 1.0, None)  # after each of the three tries
AWAY_SECONDS, AWAY_PAUSE = 90.0, 0.5  # a gateway that is started again is waited for, and costs none of them
PLAINLY = (
    "--quiet",
    "--no-follow-tags",
    "--no-signed",
    "--no-recurse-submodules",
)  # whatever the repository's settings


T = TypeVar("T")


class Within(Protocol):
    """Waits for something, as long as there is time; raises asyncio.TimeoutError when there is no more."""

    async def __call__(self, doing: Awaitable[T]) -> T:
        """The result of `doing`."""


class Delivered(NamedTuple):
    """What the forge has of a turn. `pushed`: our branch is there and is at `head`; `told`: what people should know of
    work that is not there, and that no later turn brings by itself."""

    head: str
    commits: list[dict[str, Any]]
    pushed: bool
    error: str | None
    told: list[str]


async def deliver(git: Git, work: Work, within: Within) -> Delivered:
    """Commit, put right, push. Never raises: what went wrong is told in `error`. `within` bounds each half in time."""
    pushed, error, unadded = False, None, ""
    commits, told = [], []  # type: list[dict[str, Any]], list[str]
    git.know(work.author)  # whatever became of it in the turn
    try:
        commits, unadded = await within(_settle_somehow(git, work, told))
        pushed = await within(_push(git, work))
    except asyncio.TimeoutError:  # first: it is an OSError in newer Pythons
        error = "There was no time left to push the work. It is kept in the box, and the next turn pushes it."
    except (GitFailed, OSError) as failed:
        why = str(failed).rstrip(".")
        error = f"The work could not be pushed: {why}. It is kept in the box, and the next turn pushes it."
    if unadded:
        why = unadded.rstrip(".")
        error = error or f"Not all of the work is in a commit: {why}. It is kept in the box, for the next turn."
    return Delivered(await git.head(), commits, pushed, error, told)


async def _settle_somehow(git: Git, work: Work, told: list[str]) -> tuple[list[dict[str, Any]], str]:
    """In a repository that is broken nothing can be settled: then in one that is made anew around the tree."""
    told += await see_to_it(git, work)
    try:
        return await _settle(git, work, told)
    except GitFailed as failed:
        if not re.search(BROKEN, str(failed)):
            raise
    told += await begin_anew(git, work)
    return await _settle(git, work, told)


async def _settle(git: Git, work: Work, told: list[str]) -> tuple[list[dict[str, Any]], str]:
    """Everything is in commits, and the commits are by the right people: they, and why some work is in none of them. If
    this fails, the next turn does it.

    What git cannot add keeps nothing back that the agent has committed itself.
    """
    unadded = ""
    told += await come_back(git, work)
    try:
        told += leftovers.told(await leftovers.commit(git, work.author, work.message))
    except NotAdded as failed:
        unadded = str(failed)
    await history.settle(git, work.branch, work.author, work.others)
    commits = await history.made(git, work.branch)
    await history.finish(git)
    told += await work_elsewhere(git, work)
    return commits, unadded


async def _push(git: Git, work: Work) -> bool:
    """Whether the forge has our branch at HEAD; pushed first, in three tries, if it has not."""
    upstream, head = await _tracked(git, work.branch), await git.head()
    if upstream == head:
        return bool(head)
    if not await _has_own(git) and not await _took_back(git, upstream):
        return False
    ours = f"refs/heads/{work.branch}"  # HEAD is there by now, and a branch may be called HEAD
    loop, pauses = asyncio.get_running_loop(), iter(PAUSES)
    patience = loop.time() + AWAY_SECONDS
    while True:
        try:
            await git("push", *PLAINLY, FORGE, f"{ours}:{ours}", timeout=NETWORK_SECONDS)
            break
        except GitFailed as failed:
            pause = AWAY_PAUSE if failed.away and loop.time() < patience else next(pauses)
            if pause is None:
                raise
        await asyncio.sleep(pause)
        await _catch_up(git, work)
    await git.asks("update-ref", PUSHED, "HEAD")
    return True


async def _has_own(git: Git) -> bool:
    """Whether HEAD has any commit that the forge has not."""
    return bool(await git.asks("rev-list", "--max-count=1", "HEAD", "--not", "--remotes=origin", "--"))


async def _took_back(git: Git, upstream: str) -> bool:
    """Whether the agent has gone back behind what we had pushed, and nobody else pushed since."""
    ours = upstream and upstream == await git.asks("rev-parse", "--verify", "--quiet", PUSHED)
    return bool(ours) and await git.agrees("merge-base", "--is-ancestor", "HEAD", upstream)


async def _catch_up(git: Git, work: Work) -> None:
    """Take in what somebody else pushed to our branch, so that the next try can move it forward."""
    try:
        await fetch(git, work.base, work.branch)
    except GitFailed:
        return  # the next try says what is wrong
    theirs = await _tracked(git, work.branch)
    if not theirs or await git.agrees("merge-base", "--is-ancestor", theirs, "HEAD"):
        return
    env = identity(work.author, work.author)
    if theirs == await git.asks("rev-parse", "--verify", "--quiet", PUSHED):
        # The agent rewrote what we had pushed. Its tree is what counts; the branch goes on from both.
        tree = await git("rev-parse", "HEAD^{tree}")
        said, both = work.signed("Go on from a rewritten history"), ("-p", theirs, "-p", "HEAD", "-F", "-")
        joined = await git("commit-tree", tree.strip(), *both, stdin=said.encode() + b"\n", env=env)
        await git("update-ref", "HEAD", joined.strip())
        return
    if not await merge(git, work, theirs, f"Merge what others pushed to {work.branch}"):
        raise GitFailed(f"somebody else pushed to {work.branch}, and their change is in conflict with this one")


async def _tracked(git: Git, branch: str) -> str:
    return await git.asks("rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{branch}")
