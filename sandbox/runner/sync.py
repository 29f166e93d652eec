"""The tree brought in step with the forge before the first turn: cloned if there is nothing, else only the difference.

`life.py` calls `patient_sync`. A branch that lives on keeps its work: after a restore nothing is thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
from collections.abc import Callable

from sandbox.runner.git import NETWORK_SECONDS, Git, GitFailed, replace_with_nothing

SYNC_PAUSE, TOLD_PAUSE, LONGEST_PAUSE = 0.1, 0.4, 3.2  # doubled from try to try
FINAL_TRIES = 3  # for failures that waiting will hardly mend

# What a killed git may have left. Nothing else runs yet, so nobody holds them.
LOCKS = ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock", "refs/shipmate/done.lock")
PLAIN = ("HEAD", "config")  # without these it is no repository
MARK = "shipmate-checkout"  # there while files are being moved: after a kill in the middle they are moved again


async def patient_sync(git: Git, base: str, branch: str, seconds: float, dawdles: Callable[[], None]) -> str:
    """Sync until it works; raise GitFailed when it has not within `seconds`, or when it hardly ever will.

    `dawdles` is called once, when somebody who waits should know that it does not work at present.
    """
    loop, pause, finals = asyncio.get_running_loop(), SYNC_PAUSE, 0
    end = loop.time() + seconds
    while True:
        try:
            return await sync(git, base, branch)
        except (GitFailed, OSError, KeyError) as failed:
            finals += isinstance(failed, GitFailed) and failed.final
            if finals >= FINAL_TRIES or loop.time() + pause > end:
                raise failed if isinstance(failed, GitFailed) else GitFailed(repr(failed)) from failed
        if pause == TOLD_PAUSE:
            dawdles()
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def sync(git: Git, base: str, branch: str) -> str:
    """Fetch the base branch, and ours if the forge has it, and check ours out (the base if `branch` is empty).

    Returns the sha of HEAD. Raises GitFailed.
    """
    folder = os.path.join(git.repo, ".git")
    if not _is_whole(folder):
        _put_aside(folder, os.path.join(git.home, "broken-git"))
    if os.path.isdir(folder):
        _break_locks(folder, branch)
    else:
        await git("init", "--quiet", "--initial-branch", base)
    await point_at_remote(git)
    await fetch(git, base, branch)
    await _check_out(git, folder, base, branch)
    return await git.head()


def _is_whole(folder: str) -> bool:
    """Whether git can be asked about it at all. The agent may have made links, or pipes that are waited at for ever."""
    try:
        return stat.S_ISDIR(os.lstat(folder).st_mode) and all(
            stat.S_ISREG(os.lstat(os.path.join(folder, name)).st_mode) for name in PLAIN
        )
    except OSError:
        return False


def _put_aside(folder: str, aside: str) -> None:
    """Begin anew beside what is left of a repository; the files of the tree stay where they are."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.islink(aside) or not os.path.isdir(aside):
            os.unlink(aside)
        else:
            shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, aside)


async def fetch(git: Git, base: str, branch: str) -> None:
    """Bring what we know of the forge up to date."""
    wanted = [f"+refs/heads/{base}:refs/remotes/origin/{base}"]
    if branch:  # a pattern, because a branch that is not there yet is no mistake
        wanted.append(f"+refs/heads/{branch}*:refs/remotes/origin/{branch}*")
    quick = ("--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")  # three processes less
    await git("fetch", "--quiet", *quick, "origin", *wanted, timeout=NETWORK_SECONDS)


def _break_locks(folder: str, branch: str) -> None:
    for name in (*LOCKS, f"refs/heads/{branch}.lock"):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, name))


async def point_at_remote(git: Git) -> None:
    """Let `origin` be the forge, wherever the agent pointed it."""
    with open(os.path.join(git.repo, ".git/config"), encoding="utf-8", errors="replace") as config:
        if f"\turl = {git.remote}\n" in config.read():
            return  # one process less on the way to the first prompt
    await git("config", "remote.origin.url", git.remote)
    await git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")


async def _check_out(git: Git, folder: str, base: str, branch: str) -> None:
    listed = (
        await git("for-each-ref", "--format=%(HEAD) %(refname) %(objectname)", "refs/heads", "refs/remotes")
    ).split("\n")
    known = {line[2:].split()[0]: line.split()[-1] for line in listed if line.strip()}
    current = next((line[2:].split()[0] for line in listed if line.startswith("*")), "")
    start, theirs = known[f"refs/remotes/origin/{base}"], known.get(f"refs/remotes/origin/{branch}")
    ours = known.get(f"refs/heads/{branch}") if branch else None
    mark = os.path.join(folder, MARK)
    broken = os.path.lexists(mark)
    replace_with_nothing(mark)
    os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    if ours is None:
        await _switch(git, branch or base, theirs or start, "" if broken else known.get(current, ""))
    else:
        if broken or current != f"refs/heads/{branch}":
            await git("checkout", "--quiet", *(["--force"] if broken else []), branch, "--")
        if theirs and theirs != ours:
            await git.asks(
                "merge", "--quiet", "--ff-only", theirs
            )  # behind: forward. Apart: the next push sorts it out
    os.unlink(mark)


async def _switch(git: Git, branch: str, to: str, at: str) -> None:
    """Begin `branch` at the commit `to`; the tree is at the commit `at`, or in no state that counts."""
    if at == to:
        await git("checkout", "--quiet", "-B", branch)
    elif at:  # what an image's set-up changed in tracked files is carried over
        await git("checkout", "--quiet", "--merge", "--no-track", "-B", branch, to)
    else:
        await git("checkout", "--quiet", "--force", "--no-track", "-B", branch, to)
