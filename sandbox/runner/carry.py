"""What was written in the tree before it was in step, carried over to where the tree moves. Nothing of it is lost.

`sync.py` calls `carry_over` when git will not move the tree by itself, and `carry_again` after a kill in the middle.
What both sides changed is merged if it can be; if not, the tree has the forge's version, and ours is kept in `EARLY`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sandbox.runner import leftovers
from sandbox.runner.changes import GONE, PLAIN, Change, Entry, changes_of, joined, replaced
from sandbox.runner.git import Git, GitFailed, lines_of, plain, replace_with_nothing, write_anew

EARLY = "refs/shipmate/early"  # the tree as it was before it moved, if something of it could not be carried over


class Carried(NamedTuple):
    """The paths that both sides had changed: those that were merged, and those that have the forge's version only."""

    merged: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


async def differences(git: Git, before: str, after: str) -> dict[str, Change]:
    """The paths in which two trees differ."""
    return changes_of(await git("diff-tree", "-r", "--no-renames", "--no-abbrev", before, after, "--"))


async def carry_over(git: Git, branch: str, to: str, mark: str) -> Carried:
    """Begin `branch` at the commit `to`, with the tree as it is carried over. `mark` is told what a kill would undo."""
    index = _Index(git)
    index.begin()
    at = await git.head()
    theirs = await differences(git, at, to)
    await index.add_all()
    await index.add_in_the_way(path for path, change in theirs.items() if change.after != GONE)
    tree = (await index("write-tree")).strip()
    early = (await git("commit-tree", tree, "-p", at, "-m", "Before the repository was in step")).strip()
    await git("update-ref", EARLY, early)
    write_anew(mark, early)
    return await _finish(git, index, branch, to, early, mark)


async def carry_again(git: Git, branch: str, to: str, early: str, mark: str) -> Carried:
    """The same once more, with what was kept: the tree itself is in no state that counts."""
    index = _Index(git)
    index.discard()
    await index("read-tree", "--reset", "-u", early)
    return await _finish(git, index, branch, to, early, mark)


async def keep_aside(git: Git, to: str) -> tuple[str, ...]:
    """Keep a tree that has lost its repository in EARLY: the paths that it has otherwise than the commit `to`."""
    index = _Index(git)
    index.discard()
    await index.add_all()
    await index.add_in_the_way((await git("ls-tree", "-r", "--name-only", "--full-tree", to)).splitlines())
    tree = (await index("write-tree")).strip()
    index.discard()
    early = (await git("commit-tree", tree, "-p", to, "-m", "Before the repository was made anew")).strip()
    differs = tuple(map(plain, replaced(await differences(git, to, early))))
    if differs:
        await git("update-ref", EARLY, early)
    return differs


async def put_in_place(git: Git, branch: str, at: str, to: str) -> None:
    """End a move that git had found harmless: every path that differs is as `to` has it, everything else as it is."""
    changed = await differences(git, at, to)
    await _point_at(git, branch, to)
    await git("reset", "--quiet", "--mixed", to, "--")
    there = [path for path, change in changed.items() if change.after != GONE]
    await git("checkout-index", "--force", "--stdin", stdin=lines_of(there))
    for path, change in changed.items():
        if change.after == GONE:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(git.repo, plain(path)))


async def _point_at(git: Git, branch: str, to: str) -> None:
    await git("update-ref", f"refs/heads/{branch}", to)
    await git("symbolic-ref", "HEAD", f"refs/heads/{branch}")


async def _finish(git: Git, index: _Index, branch: str, to: str, early: str, mark: str) -> Carried:
    mine = await differences(git, f"{early}^", early)
    theirs = await differences(git, f"{early}^", to)
    kept, both = joined(mine, theirs)
    conflicts = []
    for path in both:
        entry = await _merge(git, mine[path], theirs[path]) if path in theirs else None
        if entry is None:
            conflicts.append(path)
        else:
            kept[path] = entry
    tree = await _tree(git, to, kept)
    await index("read-tree", "-m", "-u", early, tree)
    await _point_at(git, branch, to)
    await index("read-tree", "-m", to)
    index.keep()
    replace_with_nothing(mark)
    if not conflicts:
        await git.asks("update-ref", "-d", EARLY)
    return Carried(tuple(plain(path) for path in both if path in kept), tuple(map(plain, conflicts)))


async def _merge(git: Git, mine: Change, theirs: Change) -> Entry | None:
    """A file that both changed, with both changes; None if that cannot be."""
    base, ours, other = mine.before, mine.after, theirs.after
    if any(entry.mode not in PLAIN for entry in (base, ours, other)):
        return None
    mode = other.mode if ours.mode == base.mode else ours.mode
    if base.sha in (ours.sha, other.sha):
        return Entry(mode, other.sha if ours.sha == base.sha else ours.sha)
    folder = os.path.join(git.repo, ".git")
    inside, there = ("-C", folder), {"GIT_WORK_TREE": folder}
    files: list[str] = []
    try:
        for entry in (ours, base, other):
            files.append((await git(*inside, "unpack-file", entry.sha, env=there)).strip())
        await git(*inside, "merge-file", "--quiet", *files, env=there)
        return Entry(mode, (await git(*inside, "hash-object", "-w", "--no-filters", files[0], env=there)).strip())
    except GitFailed:
        return None  # the same lines, or no lines at all
    finally:
        for name in files:
            replace_with_nothing(os.path.join(folder, name))


async def _tree(git: Git, to: str, kept: Mapping[str, Entry]) -> str:
    """The tree of the commit `to` with these paths put in."""
    index = _Index(git, "shipmate-merged")
    index.discard()
    await index("read-tree", to)
    await index("update-index", "--index-info", stdin=lines_of(f"{e.mode} {e.sha}\t{path}" for path, e in kept.items()))
    tree = await index("write-tree")
    index.discard()
    return tree.strip()


class InTheWay(NamedTuple):
    """What is where a commit has files: files and links, folders, and what cannot be read."""

    files: list[str]
    folders: list[str]
    unread: list[str]


def in_the_way(repo: str, paths: Iterable[str]) -> InTheWay:
    """What is in the tree at these paths, or where a folder above them has to be."""
    found, seen = InTheWay([], [], []), {}  # type: InTheWay, dict[str, int | None]
    for path in paths:
        parts = plain(path).split("/")
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth])
            if name not in seen:
                seen[name] = _mode(repo, name)
                _sort_in(repo, name, depth == len(parts), found, seen[name])
            mode = seen[name]
            if mode is None or not stat.S_ISDIR(mode):
                break
    return found


def _sort_in(repo: str, name: str, whole: bool, found: InTheWay, mode: int | None) -> None:
    if mode is None or (stat.S_ISDIR(mode) and not whole):
        return
    if stat.S_ISDIR(mode):
        found.folders.append(name)
    elif stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and os.access(os.path.join(repo, name), os.R_OK)):
        found.files.append(name)
    else:
        found.unread.append(name)


def _make_way(path: str) -> None:
    """A file stays beside the new one; a pipe or a socket holds nothing."""
    if os.path.isfile(path):
        os.replace(path, f"{path}.early")
    else:
        os.unlink(path)


def _mode(repo: str, name: str) -> int | None:
    try:
        return os.lstat(os.path.join(repo, name)).st_mode
    except (OSError, ValueError):
        return None


def _named(paths: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


class _Index:
    """An index beside the repository's own. Called like git; `keep` puts it in the place of that one."""

    def __init__(self, git: Git, name: str = "shipmate-index") -> None:
        self._git, self._path = git, os.path.join(git.repo, ".git", name)
        self._env, self._own = {"GIT_INDEX_FILE": self._path}, os.path.join(git.repo, ".git/index")

    async def __call__(self, *args: str, stdin: bytes = b"") -> str:
        return await self._git(*args, stdin=stdin, env=self._env)

    def begin(self) -> None:
        """As the repository's own is, and as old: git goes by that to know which files it must look into."""
        self.discard()
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(self._own, self._path, follow_symlinks=False)

    async def add_all(self) -> None:
        """Take in the tree as it is, but for what cannot be read. Raises GitFailed."""
        _, failed = await leftovers.take_in(self._git, self._env)
        if failed:
            raise GitFailed(failed)

    async def add_in_the_way(self, paths: Iterable[str]) -> None:
        """Take in what is where these files are to be, also if the tree ignores it. What cannot be read makes way."""
        found = in_the_way(self._git.repo, paths)
        known = set((await self("ls-files", "-z")).split("\0"))
        files = [name for name in found.files if name not in known]
        await self("update-index", "--add", "-z", "--stdin", stdin=_named(files))
        if found.folders:
            literally = {**self._env, "GIT_LITERAL_PATHSPECS": "1"}
            forced = ("add", "--force", "--ignore-errors", "--pathspec-from-file=-", "--pathspec-file-nul")
            await self._git.ran(*forced, stdin=_named(found.folders), env=literally, also=leftovers.NOT_ALL)
        for name in found.unread:
            _make_way(os.path.join(self._git.repo, name))

    def keep(self) -> None:
        os.replace(self._path, self._own)

    def discard(self) -> None:
        replace_with_nothing(self._path)
        replace_with_nothing(self._path + ".lock")
