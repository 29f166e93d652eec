"""What the agent changed and did not commit itself, put into a commit; and what of it cannot be.

`delivery.py` and `branch.py` commit with it at the end of a turn, `turns.py` before another person's; `carry.py` takes
a whole tree in with it.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping

from sandbox.runner.changes import PLAIN, REPOSITORY, Change, changes_of
from sandbox.runner.git import Git, GitFailed, Person, identity, lines_of, plain
from sandbox.runner.visible import visible

LARGEST = 50 << 20  # bytes of a file: the gateway takes none that is larger, nor anything that follows it
ADD, NOT_ALL = ("add", "--all", "--ignore-errors"), 1  # and how it ends if it had to leave out something
ADD_TRIES, ADD_PAUSE, SPARED_MOST = 3, 0.1, 20
STOPPED = r"fatal: ([^;]+): clean filter '[^']*' failed|(?:required|prohibited) in '([^']+)'|failed to encode '([^']+)'"
NAMED, PATH_CHARS = 5, 200
# What git says of what it did not add. Compiled when it says anything: the start of every box would wait for that.
UNREAD = (
    r"error: open\(\"(?P<file>.*)\"\): (?P<why>.*)"
    r"|warning: could not open directory '(?P<folder>.*)': (?P<how>.*)"
    r"|error: '(?P<empty>.*)' does not have a commit checked out"
)
FOLLOWS = r"error: unable to index file '.*'|fatal: adding files failed"
ONLY_HERE = "only in the box"
OWN = "a repository of its own"
UNDER_WAY = {  # what git leaves in its folder while it is in the middle of something
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
}
Reasons = dict[str, str]  # path → why it is in no commit


class NotAdded(GitFailed):
    """What the agent changed is not in a commit; why."""


async def commit(git: Git, author: Person, message: str) -> Reasons:
    """Commit all that can be, and tell what was left out for good. Raises NotAdded if work is in no commit that might
    be in the next one: files in conflict, a full disk."""
    await refuse_conflicts(git)
    left_out, failed = await take_in(git)
    more, staged = await _unstage(git)
    try:
        if staged or under_way(git) == "a merge":  # one that takes nothing of theirs is a merge all the same
            await git(
                "commit", "--quiet", "--no-verify", "--cleanup=whitespace", "--file=-",
                stdin=message.encode(), env=identity(author, author),
            )  # fmt: skip
    except GitFailed as refused:
        failed = failed or str(refused)
        if stopped_at(str(refused)) and not under_way(git):
            await _commit_the_index(git, author, message)
    if failed:
        raise NotAdded(failed)
    return left_out | more


async def _commit_the_index(git: Git, author: Person, message: str) -> None:
    """Without a look at the files that are not in it, at one of which git stops."""
    tree = (await git("write-tree")).strip()
    said, env = ("commit-tree", tree, "-p", "HEAD", "-F", "-"), identity(author, author)
    await git("update-ref", "HEAD", (await git(*said, stdin=message.encode() + b"\n", env=env)).strip())


def under_way(git: Git) -> str:
    """What git is in the middle of, such as "a merge"; else nothing."""
    folder = os.path.join(git.repo, ".git")
    return next((what for name, what in UNDER_WAY.items() if os.path.lexists(os.path.join(folder, name))), "")


async def refuse_conflicts(git: Git) -> None:
    """Raise NotAdded while files are in conflict: to add them would say that they are not, with git's marks in them."""
    listed = await git.asks("ls-files", "--unmerged")
    if paths := dict.fromkeys(line.partition("\t")[2] for line in listed.splitlines()):
        what = under_way(git)
        middle = f", for the agent stopped in the middle of {what}" if what else ""
        raise NotAdded(f"{named(map(plain, paths))} {'is' if len(paths) == 1 else 'are'} in conflict{middle}")


async def take_in(git: Git, env: Mapping[str, str] | None = None) -> tuple[Reasons, str]:
    """Have the tree in the index as it is: what cannot be read, and why; and why something else is not in it.

    Git adds nothing at all if a file goes away under its eyes, as those of a program that still runs do: then it looks
    again.
    """
    is_sparse = os.path.lexists(os.path.join(git.repo, ".git/info/sparse-checkout"))
    everywhere = ("--sparse", ".") if is_sparse else (".",)  # what is there is there, whatever was not checked out
    spared: dict[str, str] = {}  # a file at which git stops would keep all others back
    left = ADD_TRIES
    while True:
        others = (f":(top,exclude,literal){path}" for path in spared)
        try:
            ran = await git.ran(*ADD, *everywhere, *others, env=env, also=NOT_ALL)
            reasons, failed = read(ran.stderr.decode("utf-8", "replace"))
            return reasons, next(iter(spared.values()), failed if ran.code else "")
        except GitFailed as refused:
            path = stopped_at(str(refused))
            if path and path not in spared and len(spared) < SPARED_MOST:
                spared[path] = str(refused)
                continue
            left -= 1
            if refused.code < 0 or not left:
                return {}, str(refused)
        await asyncio.sleep(ADD_PAUSE)


def stopped_at(refused: str) -> str:
    """The file that git could not make anything of, if it is that which it says. Pure."""
    found = re.search(STOPPED, refused)
    return next(filter(None, found.groups()), "") if found else ""


def read(words: str) -> tuple[Reasons, str]:
    """What git says of what it did not add: what it could not read, and what else went wrong. Pure."""
    reasons: Reasons = {}
    failed = ""
    for line in words.splitlines():
        if found := re.fullmatch(UNREAD, line):
            path = found["file"] or found["folder"] or found["empty"]
            reasons[path] = found["why"] or found["how"] or OWN
        elif line.startswith(("error:", "fatal:")) and not re.fullmatch(FOLLOWS, line):
            failed = failed or line
    return reasons, failed


async def _unstage(git: Git) -> tuple[Reasons, bool]:
    """Take out of the index what must not be committed, and why; whether anything else is in it.

    Of a repository that was cloned into the tree all that would be kept is a pointer to where nobody else can go, and
    one file that is too large keeps back every later push.
    """
    try:
        rows = changes_of(
            await git("diff", "--cached", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=none")
        )
    except GitFailed:
        return {}, True  # whoever commits is told what is wrong
    out = await _inner(git, rows) | await _too_large(git, rows)
    if out:
        before = [f"{rows[path].before.mode} {rows[path].before.sha}\t{path}" for path in out]
        await git("update-index", "--index-info", stdin=lines_of(before))
    return {plain(path): why for path, why in out.items()}, len(rows) > len(out)


async def _inner(git: Git, rows: Mapping[str, Change]) -> Reasons:
    found = [path for path, change in rows.items() if change.after.mode == REPOSITORY]
    if not found:
        return {}
    listed = await git.asks("config", "--null", "--blob", ":.gitmodules", "--get-regexp", r"\.path$")
    known = {entry.partition("\n")[2] for entry in listed.split("\0")}
    reasons = {}
    for path in found:
        if plain(path) not in known:
            reasons[path] = OWN
        elif await _is_only_here(git, plain(path)):
            reasons[path] = "a submodule, whose newest commit is only in this box"
    return reasons


async def _is_only_here(git: Git, path: str) -> bool:
    """Whether the commit that a submodule is at was made here."""
    return bool(await git.asks(*inside(git, path), "rev-list", "--max-count=1", "HEAD", "--not", "--remotes", "--"))


def inside(git: Git, path: str) -> tuple[str, ...]:
    """What makes a git command be about another repository in the tree."""
    whole = os.path.join(git.repo, path)
    return f"--git-dir={os.path.join(whole, '.git')}", f"--work-tree={whole}"


async def _too_large(git: Git, rows: Mapping[str, Change]) -> Reasons:
    """By its size here first: a filter may make it small."""
    large = [path for path, change in rows.items() if change.after.mode in PLAIN and _size(git, path) > LARGEST]
    if not large:
        return {}
    asked = lines_of(rows[path].after.sha for path in large)
    sizes = (await git("cat-file", "--batch-check=%(objectsize)", stdin=asked)).split()
    limit = f"larger than {LARGEST >> 20} MB"
    return {path: limit for path, size in zip(large, sizes) if size.isdigit() and int(size) > LARGEST}


def _size(git: Git, path: str) -> int:
    try:
        return os.lstat(os.path.join(git.repo, plain(path))).st_size
    except OSError:
        return 0


def named(paths: Iterable[str]) -> str:
    """Some paths as words for people."""
    names = [visible(" ".join(path.split()))[:PATH_CHARS] for path in paths]
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def told(reasons: Reasons) -> list[str]:
    """What people should know of what was left out."""
    by_reason: dict[str, list[str]] = {}
    for path, why in reasons.items():
        by_reason.setdefault(why, []).append(path)
    return [f"Not committed, and {ONLY_HERE}: {named(paths)} ({why})." for why, paths in by_reason.items()]
