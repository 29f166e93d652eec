"""The end of a turn in git: leftovers committed, authors put right, pushed, and told.

`turns.py` calls `deliver` once for each turn, whatever became of it. What could not be pushed goes with the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from sandbox.runner import history
from sandbox.runner.git import NETWORK_SECONDS, Git, GitFailed, NotAdded, Person, identity
from sandbox.runner.sync import fetch, point_at_remote

PAUSES = (0.3, 1.0, None)  # after each of the three tries
AWAY_SECONDS, AWAY_PAUSE = 90.0, 0.5  # a gateway that is started again is waited for, and costs none of them
PLAINLY = (
    "--quiet",
    "--no-follow-tags",
    "--no-signed",
    "--no-recurse-submodules",
)  # whatever the repository's settings
PUSHED = "refs/shipmate/pushed"  # what we pushed last: if the forge has exactly that, nobody else has pushed since
SUBJECT_CHARS = 72


T = TypeVar("T")


class Within(Protocol):
    """Waits for something, as long as there is time; raises asyncio.TimeoutError when there is no more."""

    async def __call__(self, doing: Awaitable[T]) -> T:
        """The result of `doing`."""


class Work(NamedTuple):
    """Whose turn it was, and where it goes."""

    base: str
    branch: str
    author: Person
    others: Sequence[Person]
    asked: str


class Delivered(NamedTuple):
    """What the forge has of a turn. `pushed`: our branch is there and is at `head`."""

    head: str
    commits: list[dict[str, Any]]
    pushed: bool
    error: str | None


async def deliver(git: Git, work: Work, within: Within) -> Delivered:
    """Commit, put right, push. Never raises: what went wrong is told in `error`. `within` bounds each half in time."""
    pushed, error, unadded = False, None, None
    commits: list[dict[str, Any]] = []
    git.know(work.author)  # whatever became of it in the turn
    try:
        commits, unadded = await within(_settle(git, work))
        pushed = await within(_push(git, work))
    except asyncio.TimeoutError:  # first: it is an OSError in newer Pythons
        error = "There was no time left to push the work. It is kept in the box, and the next turn pushes it."
    except (GitFailed, OSError) as failed:
        error = f"The work could not be pushed: {failed}. It is kept in the box, and the next turn pushes it."
    if unadded is not None:
        error = error or f"Not all of the work is in a commit: {unadded}. It is kept in the box, for the next turn."
    return Delivered(await git.head(), commits, pushed, error)


async def _settle(git: Git, work: Work) -> tuple[list[dict[str, Any]], NotAdded | None]:
    """Everything is in commits, and the commits are by the right people. If this fails, the next turn does it.

    What git cannot add keeps nothing back that the agent has committed itself.
    """
    unadded = None
    await _come_back(git, work.branch)
    try:
        await git.commit_leftovers(work.author, _message(work))
    except NotAdded as failed:
        unadded = failed
    await history.settle(git, work.branch, work.author, work.others)
    commits = await history.made(git, work.branch)
    await history.finish(git)
    return commits, unadded


async def _come_back(git: Git, branch: str) -> None:
    """What was committed to our branch counts, also if the agent looked at another one since and stayed there."""
    left = await git.asks(
        "rev-list", "--max-count=1", f"refs/heads/{branch}", "--not", "HEAD", "--remotes=origin", "--"
    )
    if left and not await _has_own(git):
        await git.agrees("checkout", "--quiet", branch)


async def _push(git: Git, work: Work) -> bool:
    """Whether the forge has our branch at HEAD; pushed first, in three tries, if it has not."""
    upstream, head = await _tracked(git, work.branch), await git.head()
    if upstream == head or not await _has_own(git):
        return bool(head) and upstream == head
    await point_at_remote(git)
    loop, pauses = asyncio.get_running_loop(), iter(PAUSES)
    patience = loop.time() + AWAY_SECONDS
    while True:
        try:
            await git("push", *PLAINLY, "origin", f"HEAD:refs/heads/{work.branch}", timeout=NETWORK_SECONDS)
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
        said = history.with_trailers("Go on from a rewritten history", work.author, work.others)
        both = ("-p", theirs, "-p", "HEAD", "-F", "-")
        joined = await git("commit-tree", tree.strip(), *both, stdin=said.encode() + b"\n", env=env)
        await git("update-ref", "HEAD", joined.strip())
        return
    said = history.with_trailers(f"Merge what others pushed to {work.branch}", work.author, work.others)
    try:
        await git("merge", "--quiet", "--no-verify", "-m", said, theirs, env=env)
    except GitFailed as failed:
        await git.asks("merge", "--abort")
        raise GitFailed(
            f"somebody else pushed to {work.branch}, and their change is in conflict with this one"
        ) from failed


async def _tracked(git: Git, branch: str) -> str:
    return await git.asks("rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{branch}")


def _message(work: Work) -> str:
    """What the prompt asked for is the best that is known of changes that the agent did not commit itself."""
    subject = next((line.strip() for line in work.asked.splitlines() if line.strip()), "Work in progress")
    if len(subject) > SUBJECT_CHARS:
        subject = subject[: SUBJECT_CHARS - 1].rsplit(" ", 1)[0] + "…"
    return history.with_trailers(subject[:1].upper() + subject[1:], work.author, work.others)
