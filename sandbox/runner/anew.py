"""A repository that the agent removed, or made anew: it is the forge's again, and the tree is the work in it.

`delivery.py` asks first thing at the end of a turn. What was committed and nowhere else is in the tree all the same.
"""

from __future__ import annotations

import os

from sandbox.runner.branch import Work
from sandbox.runner.git import Git, GitFailed, replace_with_nothing, write_anew
from sandbox.runner.history import DONE
from sandbox.runner.sync import PUSHED, fetch, point_at_remote, put_aside

ASIDE = "broken-git"  # in the home folder: what the agent had in the place of the repository
ANEW = "shipmate-anew"  # in a repository that we have begun and that has nothing of the forge's yet


async def begin_anew(git: Git, work: Work) -> list[str]:
    """See to it that the repository is the one that the turn began in; what people should know of that. Raises
    GitFailed."""
    folder = os.path.join(git.repo, ".git")
    mark = os.path.join(folder, ANEW)
    is_begun = os.path.isfile(mark) and not await _is_known(git, f"refs/remotes/origin/{work.base}")
    if not is_begun:
        if await _is_ours(git, work):
            return []
        if not set(os.listdir(git.repo)) - {".git"}:
            raise GitFailed("the agent removed the whole repository, and nothing is left of its tree")
        put_aside(folder, os.path.join(git.home, ASIDE))
        await git("init", "--quiet", "--initial-branch", work.base)
        write_anew(mark, "")  # if the forge is away, the next turn goes on from here and puts nothing else aside
    await point_at_remote(git)
    await fetch(git, work.base, work.branch)
    ours = f"refs/remotes/origin/{work.branch}"
    is_pushed = await _is_known(git, ours)
    start = (
        work.known if await _is_known(git, work.known) else ours if is_pushed else f"refs/remotes/origin/{work.base}"
    )
    await git("update-ref", f"refs/heads/{work.branch}", start)
    await git("symbolic-ref", "HEAD", f"refs/heads/{work.branch}")
    await git("reset", "--quiet", "--mixed")
    await git("update-ref", DONE, "HEAD")
    if is_pushed:
        await git("update-ref", PUSHED, ours)
    replace_with_nothing(mark)
    return [
        "The agent removed the repository or made it anew, so all that is in its folder came as one change. "
        f"The history that it had in its place is kept in the box as ~/{ASIDE}."
    ]


async def _is_ours(git: Git, work: Work) -> bool:
    """Whether it is the one that the turn began in."""
    if os.path.isfile(os.path.join(git.repo, ".git", DONE)) or await _is_known(git, DONE):
        return True
    if not await _is_known(git, work.known):
        return False
    await git("update-ref", DONE, work.known)  # only our refs were removed
    return True


async def _is_known(git: Git, commit: str) -> bool:
    return bool(commit) and await git.agrees("cat-file", "-e", f"{commit}^{{commit}}")
