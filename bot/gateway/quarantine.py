"""Where the objects of one push are kept apart until they are judged, and what there is to know about them.

`receive.py` opens one for each push. git writes the push's objects into a folder of their own and finds everything else
in the mirror, which stays as it was. Whatever becomes of the push, the folder goes.
"""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.gateway.backend import HostGit, Ran, TooMuch
from bot.gateway.push_rules import WORKFLOWS, NewCommit, NewObject
from bot.gateway.upstream import essence

INDEX_SECONDS, LOOK_SECONDS, SEND_SECONDS = 600.0, 120.0, 300.0
ABANDONED_SECONDS = 7_200.0
SOURCES_MOST = 100
OBJECTS_MOST, COMMITS_MOST = 200_000, 1_000  # of one push: each costs this machine memory or a process
MESSAGES_BYTES = 4 << 20  # of all its commits together
PLAIN_TEXT = ("", "utf-8", "utf8")
CO_AUTHOR = "co-authored-by"


class Rejected(Exception):
    """The push cannot be taken; why, in a sentence."""


class Quarantine:
    """One push's objects in `folder`, in front of those of `mirror`."""

    def __init__(self, git: HostGit, mirror: Path, folder: Path) -> None:
        self._git = git
        objects = folder / "objects"
        (objects / "info").mkdir(parents=True)
        (objects / "pack").mkdir()
        (objects / "info" / "alternates").write_text(f"{mirror / 'objects'}\n")
        self._env = {"GIT_DIR": str(mirror), "GIT_OBJECT_DIRECTORY": str(objects)}

    async def take(self, pack: AsyncIterator[bytes], most: int) -> None:
        """Index the pack, strictly, if it has at most so many bytes. Raises Rejected, in git's words."""
        ran = await self._git.run(
            "index-pack", "--stdin", "--strict", "--fix-thin", "--threads=2", f"--max-input-size={most}",
            stdin=pack, env=self._env, seconds=INDEX_SECONDS, limited=True,
        )  # fmt: skip
        if ran.code:
            raise Rejected(f"the pack is not sound: {essence(ran.words)}")

    async def is_commit(self, sha: str) -> bool:
        """Whether this is a commit that we have."""
        ran = await self._look("cat-file", "-t", sha)
        return ran.code == 0 and ran.out == b"commit\n"

    async def is_forward(self, old: str, new: str) -> bool:
        """Whether `new` has `old` in its history."""
        return (await self._look("merge-base", "--is-ancestor", old, new)).code == 0

    async def commits(self, tip: str) -> list[NewCommit]:
        """The commits of `tip` that the forge has not. Raises Rejected for too many, and for words in a code of their
        own: what we read in them would not be what others read."""
        form = "--format=tformat:%H%x00%ae%x00%ce%x00%e%x00%B"
        said = await self._said(
            "log", "-z", form, "--encoding=none", "--no-mailmap", "--no-show-signature",
            f"--max-count={COMMITS_MOST + 1}", tip, "--not", "--all",
        )  # fmt: skip
        if len(said) > MESSAGES_BYTES:
            raise Rejected(f"the messages of its commits have more than {MESSAGES_BYTES >> 20} MB: shorten them")
        return await asyncio.to_thread(_commits, said)  # others get on meanwhile

    async def objects(self, tip: str) -> list[NewObject]:
        """All that `tip` brings and the forge has not. Raises Rejected if anything is missing."""
        listed = await self._look("rev-list", "--objects", tip, "--not", "--all")
        if listed.code:
            raise Rejected(f"the pack is not complete: {essence(listed.words)}")
        if listed.out.count(b"\n") > OBJECTS_MOST:
            raise Rejected(f"the push has more than {OBJECTS_MOST} objects")
        sizes = await self._look("cat-file", "--batch-check=%(objectsize) %(rest)", stdin=listed.out)
        return await asyncio.to_thread(_sized, sizes.out)  # others get on meanwhile

    async def check_unfolded(self, commit: str) -> None:
        """Raise Rejected for a tree that is small as it is kept, shared by itself many times, and endless unfolded."""
        try:
            await self._look("ls-tree", "-r", "-z", "--full-tree", "--name-only", commit)
        except Rejected:
            raise Rejected(f"the files of {commit[:10]} are more than the gateway takes at once") from None

    async def workflows(self, commit: str) -> dict[str, str]:
        """The forge's workflow files at this commit: path → mode and sha."""
        said = await self._said("ls-tree", "-r", "-z", "--full-tree", commit, "--", WORKFLOWS)
        rows = (entry.partition("\t") for entry in said.split("\0") if entry)
        return {path: what for what, _, path in rows}

    async def folders_of_workflows(self, commits: Collection[str]) -> dict[str, str]:
        """The first of these commits for each state that the folder of workflow files has in them: state → commit."""
        asked = "".join(f"{sha}:{WORKFLOWS}\n" for sha in commits).encode()
        ran = await self._look("cat-file", "--batch-check=%(objectname)", stdin=asked)
        states = ran.out.decode("utf-8", "replace").splitlines()
        if len(states) != len(commits):
            raise Rejected("the push cannot be read")
        rows = reversed([*zip(states, commits, strict=True)])
        return {"" if state.endswith(" missing") else state: sha for state, sha in rows}

    async def grown_from(self, tip: str) -> list[str]:
        """The forge's commits that the new ones follow directly; `tip` itself if the forge has it."""
        said = await self._said("rev-list", "--boundary", tip, "--not", "--all")
        lines = said.split()
        if not lines:
            return [tip]
        sources = [line[1:] for line in lines if line.startswith("-")]
        if len(sources) > SOURCES_MOST:
            raise Rejected(f"the push joins more than {SOURCES_MOST} lines of history")
        return sources

    async def send(self, address: str, sha: str, ref: str, secret: str) -> Ran:
        """Push to the forge."""
        refspec = f"{sha}:{ref}"
        return await self._git.run(
            "push", "--porcelain", "--no-recurse-submodules", "--no-signed", address, refspec,
            env=self._env, seconds=SEND_SECONDS, secret=secret,
        )  # fmt: skip

    async def _look(self, *args: str, stdin: bytes = b"") -> Ran:
        try:
            return await self._git.run(*args, stdin=stdin, env=self._env, seconds=LOOK_SECONDS, limited=True)
        except TooMuch:
            raise Rejected("the push has more objects than the gateway takes at once") from None

    async def _said(self, *args: str) -> str:
        ran = await self._look(*args)
        if ran.code:
            raise Rejected(f"the push cannot be read: {essence(ran.words)}")
        return ran.out.decode("utf-8", "replace")


def _commits(said: str) -> list[NewCommit]:
    fields = said.split("\0")[:-1]
    rows = [*zip(*(fields[at::5] for at in range(5)), strict=True)]
    if len(rows) > COMMITS_MOST:
        raise Rejected(f"the push has more than {COMMITS_MOST} commits: join some of them")
    for sha, _, _, code, _ in rows:
        if code.lower() not in PLAIN_TEXT:
            raise Rejected(f"the commit {sha[:10]} is written in {code[:40]}: write it in UTF-8")
    return [NewCommit(sha, author, committer, _co_authors(text)) for sha, author, committer, _, text in rows]


def _co_authors(message: str) -> tuple[str, ...]:
    """As tolerant as whoever shows it: spaces around the word, and any sign that ends a line."""
    lines = (line.partition(":") for line in message.splitlines())
    return tuple(named.strip() for word, colon, named in lines if colon and word.strip().lower() == CO_AUTHOR)


def _sized(said: bytes) -> list[NewObject]:
    rows = (line.partition(b" ") for line in said.split(b"\n") if line)  # a name may have a \r in it
    return [NewObject(path.decode("utf-8", "replace"), int(size)) for size, _, path in rows]


@contextmanager
def quarantine(git: HostGit, mirror: Path, folder: Path) -> Iterator[Quarantine]:
    """A quarantine below `folder` that is gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="push-", dir=folder) as own:
        yield Quarantine(git, mirror, Path(own))


def sweep(folder: Path, now: float | None = None) -> None:
    """Remove what pushes left whose process was killed."""
    before = (time.time() if now is None else now) - ABANDONED_SECONDS
    for left in folder.glob("push-*"):
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime < before:
                shutil.rmtree(left, ignore_errors=True)
