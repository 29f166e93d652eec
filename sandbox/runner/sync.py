"""The tree brought in step with the forge before the first turn: cloned if there is nothing, else only the difference.

`life.py` calls `sync` until it works. A branch that lives on keeps its work: after a restore nothing is thrown away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sandbox.runner.carry import Carried, carry_again, carry_over, differences, keep_aside, put_in_place
from sandbox.runner.git import FORGE, NETWORK_SECONDS, Git, GitFailed, plain, replace_with_nothing, write_anew
from sandbox.runner.history import DONE
from sandbox.runner.holding import held_still, nobody_held
from sandbox.runner.leftovers import under_way
from sandbox.runner.refs import bring_back, keep_apart

# What a killed git may have left. Nothing else runs yet, so nobody holds them.
LOCKS = ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock", "refs/shipmate/done.lock")
PLAIN, FOLDERS = ("HEAD", "config"), ("objects", "refs")  # without these it is no repository
POINTS = re.compile(rb"ref: refs/[^\0- \x7f]+\n|[0-9a-f]{40,64}\n")  # what a whole HEAD says
PUSHED = "refs/shipmate/pushed"  # what we pushed last: if the forge has exactly that, nobody else has pushed since
BEGUN = "shipmate-begun"  # where we put our branch, without any work of its own
BROKEN = r"bad object|object file .* is empty|loose object .* is corrupt|unable to read (tree|sha1)"
MARK = "shipmate-checkout"  # there while files are being moved: after a kill in the middle they are moved again


class Step(NamedTuple):
    """How the tree came into step. `changed`: the paths that its move changed; `carried`: what became of those among
    them that had been written to before."""

    head: str
    changed: tuple[str, ...] = ()
    carried: Carried = Carried()


async def sync(git: Git, base: str, branch: str, begun: Callable[[], str] = str) -> Step:
    """Fetch the base branch, and ours if the forge has it, and check ours out (the base if `branch` is empty).

    `begun`: the commit from which somebody has been at work meanwhile, if anybody has. Raises GitFailed.
    """
    folder = os.path.join(git.repo, ".git")
    if not is_whole(folder):
        put_aside(folder, os.path.join(git.home, "broken-git"))
    if os.path.isdir(folder):
        _break_locks(folder, branch)
        if branch and os.path.isfile(ours := os.path.join(folder, "refs/heads", branch)) and not os.path.getsize(ours):
            await bring_back(git, branch)  # a machine that crashed leaves such a file
    else:
        await git("init", "--quiet", "--initial-branch", base)
    try:
        return await _bring_in_step(git, base, branch, begun)
    except GitFailed as failed:
        if not re.search(BROKEN, str(failed)) or not os.path.isfile(os.path.join(folder, DONE)):
            raise
    put_aside(folder, os.path.join(git.home, "broken-git"))  # a crash of the machine took objects that were just made
    await git("init", "--quiet", "--initial-branch", base)
    return await _bring_in_step(git, base, branch, begun)


async def _bring_in_step(git: Git, base: str, branch: str, begun: Callable[[], str]) -> Step:
    await point_at_remote(git)
    await fetch(git, base, branch)
    return await _check_out(git, base, branch, begun())


def is_readable(git: Git) -> bool:
    """Whether there is a tree already that was not left in the middle of anything."""
    folder = os.path.join(git.repo, ".git")
    return is_whole(folder) and not os.path.lexists(os.path.join(folder, MARK))


def is_whole(folder: str) -> bool:
    """Whether git can be asked about it at all. The agent may have made links, or pipes that are waited at for ever;
    and a git that was killed as it made the repository leaves the half of one."""
    try:
        folders = (folder, *(os.path.join(folder, name) for name in FOLDERS))
        files = [os.path.join(folder, name) for name in PLAIN]
        if not all(stat.S_ISDIR(os.lstat(path).st_mode) for path in folders):
            return False
        if not all(stat.S_ISREG(os.lstat(path).st_mode) for path in files):
            return False
        with open(files[0], "rb") as head:
            return POINTS.fullmatch(head.read(1_000)) is not None
    except OSError:
        return False


def put_aside(folder: str, aside: str) -> None:
    """Begin anew beside what is left of a repository; the files of the tree stay where they are."""
    if not os.path.lexists(folder):
        return  # what was put aside before stays
    with contextlib.suppress(FileNotFoundError):
        if os.path.islink(aside) or not os.path.isdir(aside):
            os.unlink(aside)
        else:
            shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        try:
            os.rename(folder, aside)
        except OSError as failed:
            if failed.errno != errno.EXDEV:
                raise
            _copy_aside(folder, aside)  # a folder of the snapshot underneath cannot be renamed


def _copy_aside(folder: str, aside: str) -> None:
    def odd(parent: str, names: list[str]) -> list[str]:
        kinds = {name: os.lstat(os.path.join(parent, name)).st_mode for name in names}
        return [n for n, kind in kinds.items() if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind))]

    with contextlib.suppress(shutil.Error):  # what cannot be read is of no use
        shutil.copytree(folder, aside, symlinks=True, ignore=odd)
    shutil.rmtree(folder)


async def fetch(git: Git, base: str, branch: str) -> None:
    """Bring what we know of the forge up to date."""
    wanted = [f"+refs/heads/{base}:refs/remotes/origin/{base}"]
    if branch:  # a pattern, because a branch that is not there yet is no mistake
        wanted.append(f"+refs/heads/{branch}*:refs/remotes/origin/{branch}*")
    quick = ("--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")  # three processes less
    await git("fetch", "--quiet", *quick, FORGE, *wanted, timeout=NETWORK_SECONDS)


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


async def _check_out(git: Git, base: str, branch: str, begun: str) -> Step:
    """Nobody writes while the tree moves; where it has to go is seen once more then."""
    mark = os.path.join(git.repo, ".git", MARK)
    goal = await _goal(git, base, branch, begun)
    if os.path.lexists(mark):
        step = await _mend(git, goal, mark)
    elif goal.at == goal.to:
        if goal.current != f"refs/heads/{goal.branch}":
            await git("checkout", "--quiet", "-B", goal.branch)  # a name only: no file is touched
        step = Step(goal.to)
    elif under_way(git):
        return Step(goal.at)  # a merge, or a rebase: whoever is in the middle of it brings it to an end
    else:
        async with held_still() if begun else nobody_held():
            goal = await _goal(git, base, branch, begun)
            if goal.current != f"refs/heads/{goal.branch}" and await _has_own(git, goal.at, goal.to):
                await keep_apart(git, goal.at)
            step = await _move(git, goal, mark)
    if goal.bare:
        write_anew(os.path.join(git.repo, ".git", BEGUN), goal.to)
    return step


class Goal(NamedTuple):
    """The tree is at the commit `at` ("": at none), on the branch `current`; `branch` is to begin at `to`, `bare` of
    any work of its own."""

    at: str
    current: str
    branch: str
    to: str
    bare: bool


async def _goal(git: Git, base: str, branch: str, begun: str) -> Goal:
    """The tree moves only while it has no commit of its own: from there on, whoever made them brings them together."""
    listed = (
        await git("for-each-ref", "--format=%(HEAD) %(refname) %(objectname)", "refs/heads", "refs/remotes")
    ).split("\n")
    known = {line[2:].split()[0]: line.split()[-1] for line in listed if line.strip()}
    current = next((line[2:].split()[0] for line in listed if line.startswith("*")), "")
    at = known.get(current) or await git.head()
    start, theirs = known[f"refs/remotes/origin/{base}"], known.get(f"refs/remotes/origin/{branch}")
    ours = known.get(f"refs/heads/{branch}") if branch else None
    newest = theirs or start
    if ours is None:
        to = at if begun and at != begun else newest
    else:
        behind = ours != newest and (
            await git.agrees("merge-base", "--is-ancestor", ours, newest)
            or (theirs is None and await _is_left_behind(git, base, ours))
        )
        to = newest if behind else ours  # apart: the next push sorts it out
    if branch and at != to and current != f"refs/heads/{branch}" and await _goes_on(git, at, ours or newest):
        to = at
    return Goal(at, current, branch or base, to, bool(branch) and theirs is None and to == start and to != ours)


async def _goes_on(git: Git, at: str, ours: str) -> bool:
    """Whether the tree, which is not on our branch, is at commits that follow ours and that only this box has."""
    return await _has_own(git, at, ours) and await git.agrees("merge-base", "--is-ancestor", ours, at)


async def _has_own(git: Git, at: str, other: str) -> bool:
    found = at and await git.asks("rev-list", "--max-count=1", at, "--not", other, "--remotes=origin", "--")
    return bool(found)


async def _is_left_behind(git: Git, base: str, ours: str) -> bool:
    """Whether the base branch was where ours is, and was made anew since: nothing of that is this session's to push."""
    if ours == _begun_at(git):
        return True
    pushed = await git.asks("rev-parse", "--verify", "--quiet", PUSHED)
    if pushed and await git.agrees("merge-base", "--is-ancestor", pushed, ours):
        return False  # it is our work, which the base branch had for a while
    return ours == await git.asks("merge-base", "--fork-point", f"refs/remotes/origin/{base}", ours)


def _begun_at(git: Git) -> str:
    path = os.path.join(git.repo, ".git", BEGUN)
    return _said(path) if os.path.isfile(path) else ""


async def _move(git: Git, goal: Goal, mark: str) -> Step:
    """Bring the tree from one commit to another, with what nobody has committed in it."""
    if not goal.at:
        left = await keep_aside(git, goal.to) if os.listdir(git.repo) != [".git"] else ()
        with _marked(mark):
            await git("checkout", "--quiet", "--force", "--no-track", "-B", goal.branch, goal.to)
        return Step(goal.to, carried=Carried(conflicts=left))
    changed = await differences(git, goal.at, goal.to)
    if not await git("ls-files", "--deleted"):  # git would bring back what was deleted, saying nothing
        with contextlib.suppress(GitFailed):  # it refused to overwrite what is not in any commit
            with _marked(mark):
                await git("checkout", "--quiet", "--no-overwrite-ignore", "--no-track", "-B", goal.branch, goal.to)
            return Step(goal.to, tuple(map(plain, changed)))
    carried = await carry_over(git, goal.branch, goal.to, mark)
    return Step(goal.to, tuple(map(plain, changed)), carried)


async def _mend(git: Git, goal: Goal, mark: str) -> Step:
    """Somebody was killed while the tree was moved."""
    early, carried = _said(mark), Carried()
    if early and await git.agrees("rev-parse", "--verify", "--quiet", f"{early}^^{{commit}}"):
        carried = await carry_again(git, goal.branch, goal.to, early, mark)
    elif goal.at:
        await put_in_place(git, goal.branch, goal.at, goal.to)
    else:
        await git("checkout", "--quiet", "--force", "--no-track", "-B", goal.branch, goal.to)
    replace_with_nothing(mark)
    return Step(goal.to, tuple(map(plain, await differences(git, goal.at, goal.to))) if goal.at else (), carried)


def _said(mark: str) -> str:
    """What is to be carried over again: a commit, if it was necessary to make one."""
    try:
        with open(os.open(mark, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), encoding="ascii") as file:
            said = file.read(41)
    except (OSError, ValueError):
        return ""
    return said if len(said) == 40 and said.isalnum() else ""


@contextlib.contextmanager
def _marked(mark: str) -> Iterator[None]:
    """There is a mark while git moves the tree; only a kill leaves it there."""
    os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        yield
    finally:
        os.unlink(mark)
