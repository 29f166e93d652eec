"""A repository that the agent removed, made anew or broke: it is the forge's again, and the tree is the work in it.

`delivery.py` asks first thing at the end of a turn. What was committed and nowhere else is in the tree all the same.
"""

from __future__ import annotations

import os

from sandbox.runner.branch import Work
from sandbox.runner.git import Git, GitFailed, replace_with_nothing, write_anew
from sandbox.runner.history import DONE
from sandbox.runner.sync import PUSHED, fetch, is_whole, point_at_remote, put_aside

ASIDE = "broken-git"  # in the home folder: what the agent had in the place of the repository
ANEW = "shipmate-anew"  # in a repository that we have begun and that has nothing of the forge's yet: what HEAD had been
LOOKED_AT = 200  # commits of what the agent had there, for the newest that the forge has too


async def see_to_it(git: Git, work: Work) -> list[str]:
    """See to it that the repository is the one that the turn began in; what people should know of that. Raises
    GitFailed."""
    mark = os.path.join(git.repo, ".git", ANEW)
    if os.path.isfile(mark) and not await _is_known(git, f"refs/remotes/origin/{work.base}"):
        return await _fill(git, work, mark)
    return [] if await _is_ours(git, work) else await begin_anew(git, work)


async def _is_ours(git: Git, work: Work) -> bool:
    """Whether it is the one that the turn began in, and git takes it for one."""
    folder = os.path.join(git.repo, ".git")
    if os.path.isfile(os.path.join(folder, DONE)) or await _is_known(git, DONE):
        return is_whole(folder) or bool(await git.head())
    if not await git.head() or not await _is_known(git, work.known):
        return False
    await git("update-ref", DONE, work.known)  # only our refs were removed
    return True


async def begin_anew(git: Git, work: Work) -> list[str]:
    """Put away what there is, and fetch. The tree stays as it is: changes to what it was made from, as far as that can
    be known. Raises GitFailed."""
    if not set(os.listdir(git.repo)) - {".git"}:
        raise GitFailed("the agent removed the whole repository, and nothing is left of its tree")
    had = await git.asks("rev-list", f"--max-count={LOOKED_AT}", "HEAD", "--")
    put_aside(os.path.join(git.repo, ".git"), os.path.join(git.home, ASIDE))
    await git("init", "--quiet", "--initial-branch", work.base)
    mark = os.path.join(git.repo, ".git", ANEW)
    write_anew(mark, had)  # if the forge is away, the next turn goes on from here and puts nothing else aside
    return await _fill(git, work, mark)


async def _fill(git: Git, work: Work, mark: str) -> list[str]:
    await point_at_remote(git)
    await fetch(git, work.base, work.branch)
    pushed = await git.asks("rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{work.branch}")
    newest = pushed or f"refs/remotes/origin/{work.base}"
    start = work.known if await _is_known(git, work.known) else newest
    await git("update-ref", f"refs/heads/{work.branch}", start)
    await git("symbolic-ref", "HEAD", f"refs/heads/{work.branch}")
    with open(mark, encoding="utf-8", errors="replace") as file:
        had = file.read().split()[:LOOKED_AT]
    for commit in had:  # it was cloned, or is what it was: then this is what the tree was made from
        if await _is_known(git, commit):
            await git("update-ref", "--no-deref", "HEAD", commit)
            break
    await git("reset", "--quiet", "--mixed")
    await git("update-ref", DONE, start)
    if pushed:
        await git("update-ref", PUSHED, pushed)
    replace_with_nothing(mark)
    return [
        "The agent removed the repository, made it anew or broke it, so all that is in its folder came as one change. "
        f"The history that it had in its place is kept in the box as ~/{ASIDE}."
    ]


async def _is_known(git: Git, commit: str) -> bool:
    return bool(commit) and await git.agrees("cat-file", "-e", f"{commit}^{{commit}}")
