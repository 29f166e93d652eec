"""What was written in the tree before it was in step, carried over to where the tree moves. Nothing of it is lost.

`sync.py` calls `carry_over` when git will not move the tree by itself, and `carry_again` after a kill in the middle.
What both sides changed is merged if it can be; if not, the tree has the forge's version, and ours is kept in `EARLY`.
Paths are as git writes them, quoted if they are unusual, so that any name survives.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sandbox.runner.git import ADD_ALL, NOT_ALL, Git, GitFailed, replace_with_nothing, write_anew

EARLY = "refs/shipmate/early"  # the tree as it was before it moved, if something of it could not be carried over
PLAIN = ("100644", "100755")


class Entry(NamedTuple):
    """A path in a tree: a file, a link or another repository."""

    mode: str
    sha: str


class Change(NamedTuple):
    """What became of one path. `GONE`: it is not there."""

    before: Entry
    after: Entry


class Carried(NamedTuple):
    """The paths that both sides had changed: those that were merged, and those that have the forge's version only."""

    merged: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


GONE = Entry("000000", "0" * 40)


async def differences(git: Git, before: str, after: str) -> dict[str, Change]:
    """The paths in which two trees differ."""
    return changes_of(await git("diff-tree", "-r", "--no-renames", "--no-abbrev", before, after, "--"))


def changes_of(said: str) -> dict[str, Change]:
    """What `git diff-tree` says in its raw form. Pure."""
    found = {}
    for line in said.splitlines():
        facts, _, path = line.partition("\t")
        modes_and_shas = facts.lstrip(":").split()
        if path and len(modes_and_shas) == 5:
            old_mode, new_mode, old, new, _ = modes_and_shas
            found[path] = Change(Entry(old_mode, old), Entry(new_mode, new))
    return found


def joined(mine: Mapping[str, Change], theirs: Mapping[str, Change]) -> tuple[dict[str, Entry], list[str]]:
    """What of mine goes onto theirs as it is, and the paths where both want something else. Pure."""
    kept: dict[str, Entry] = {}
    both: list[str] = []
    files = {path for path, change in theirs.items() if change.after != GONE}
    folders = {parent for path in files for parent in _parents(path)}
    for path, change in mine.items():
        other = theirs.get(path)
        if other is not None:
            if other.after != change.after:
                both.append(path)
        elif change.after != GONE and (path in folders or not files.isdisjoint(_parents(path))):
            both.append(path)  # a file where they have a folder, or the other way round
        else:
            kept[path] = change.after
    return kept, both


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def plain(path: str) -> str:
    """A path without git's quotes."""
    if not path.startswith('"'):
        return path
    import ast  # 7 ms, for names that nearly nobody has

    return os.fsdecode(ast.literal_eval("b" + path))


async def carry_over(git: Git, branch: str, to: str, mark: str) -> Carried:
    """Begin `branch` at the commit `to`, with the tree as it is carried over. `mark` is told what a kill would undo."""
    index = _Index(git)
    index.begin()
    at = await git.head()
    theirs = await differences(git, at, to)
    await index.add_all()
    hidden = [path for path, change in theirs.items() if change.before == GONE and _is_there(git, path)]
    await index("update-index", "--add", "--stdin", stdin=_lines(hidden))  # ignored here, but not by the new commit
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
    tree = (await index("write-tree")).strip()
    index.discard()
    early = (await git("commit-tree", tree, "-p", to, "-m", "Before the repository was made anew")).strip()
    changed = (await differences(git, to, early)).items()
    differs = tuple(plain(path) for path, change in changed if GONE not in (change.before, change.after))
    if differs:
        await git("update-ref", EARLY, early)
    return differs


async def put_in_place(git: Git, branch: str, at: str, to: str) -> None:
    """End a move that git had found harmless: every path that differs is as `to` has it, everything else as it is."""
    changed = await differences(git, at, to)
    await _point_at(git, branch, to)
    await git("reset", "--quiet", "--mixed", to, "--")
    there = [path for path, change in changed.items() if change.after != GONE]
    await git("checkout-index", "--force", "--stdin", stdin=_lines(there))
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
    inside = ("-C", os.path.join(git.repo, ".git"))
    files: list[str] = []
    try:
        for entry in (ours, base, other):
            files.append((await git(*inside, "unpack-file", entry.sha)).strip())
        await git(*inside, "merge-file", "--quiet", *files)
        return Entry(mode, (await git(*inside, "hash-object", "-w", "--no-filters", files[0])).strip())
    except GitFailed:
        return None  # the same lines, or no lines at all
    finally:
        for name in files:
            replace_with_nothing(os.path.join(git.repo, ".git", name))


async def _tree(git: Git, to: str, kept: Mapping[str, Entry]) -> str:
    """The tree of the commit `to` with these paths put in."""
    index = _Index(git, "shipmate-merged")
    index.discard()
    await index("read-tree", to)
    await index("update-index", "--index-info", stdin=_lines(f"{e.mode} {e.sha}\t{path}" for path, e in kept.items()))
    tree = await index("write-tree")
    index.discard()
    return tree.strip()


def _is_there(git: Git, path: str) -> bool:
    whole = os.path.join(git.repo, plain(path))
    return os.path.lexists(whole) and (os.path.islink(whole) or not os.path.isdir(whole))


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


class _Index:
    """An index beside the repository's own. Called like git; `keep` puts it in the place of that one."""

    def __init__(self, git: Git, name: str = "shipmate-index") -> None:
        self._git, self._path = git, os.path.join(git.repo, ".git", name)
        self._own = os.path.join(git.repo, ".git/index")

    async def __call__(self, *args: str, stdin: bytes = b"") -> str:
        return await self._git(*args, stdin=stdin, env={"GIT_INDEX_FILE": self._path})

    def begin(self) -> None:
        """As the repository's own is, and as old: git goes by that to know which files it must look into."""
        self.discard()
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(self._own, self._path, follow_symlinks=False)

    async def add_all(self) -> None:
        """Take in the tree as it is, but for what cannot be read."""
        try:
            await self(*ADD_ALL)
        except GitFailed as failed:
            if failed.code != NOT_ALL:
                raise

    def keep(self) -> None:
        os.replace(self._path, self._own)

    def discard(self) -> None:
        replace_with_nothing(self._path)
        replace_with_nothing(self._path + ".lock")
