"""git in the box: how it is called, as whom it commits, and what it meant when it failed.

`sync.py`, `history.py` and `delivery.py` use it. All of it talks to the gateway through the runner's own address. The
repository is hostile ground: its hooks and monitors are switched off.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import stat
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from sandbox.runner import commands
from sandbox.runner.processes import Children
from sandbox.runner.visible import visible

NAME_CHARS, EMAIL_CHARS = 100, 254
QUICK_SECONDS, NETWORK_SECONDS = 120.0, 900.0
LOCK_SECONDS, LOCK_LOOK_SECONDS = 1.0, 0.02
ADD_ALL, NOT_ALL = ("add", "--all", "--ignore-errors", "."), 1  # and how it ends if it had to leave out something
ADD_TRIES = 3
ADD_PAUSE = 0.1
OURS = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "commit.gpgSign=false", "-c", "gc.auto=0",
    "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false", "-c", "protocol.version=2",
    "-c", "i18n.commitEncoding=UTF-8", "-c", "i18n.logOutputEncoding=UTF-8",
)  # fmt: skip
IGNORED = "__pycache__/\n*.py[co]\n.DS_Store\nnode_modules/\n.venv/\n"
READ_BY_GIT = (
    ".gitconfig", ".config/git/config", ".config/git/ignore", ".config/git/attributes", ".git/config", ".git/HEAD",
    ".git/index", ".git/info/exclude", ".git/info/attributes", ".gitattributes", ".gitignore", ".gitmodules",
    ".mailmap",
)  # fmt: skip
NO_REASON = ("error: failed to push some refs", "fatal: repository ")  # how git ends, whatever the reason was
GATEWAY = re.compile(r"https?://127\.0\.0\.1:\d+/git/")
FINAL = ("couldn't find remote ref", "returned error: 403", "returned error: 404", "not found", "Permission denied")
# 502 is the runner's own word for a gateway that is away; the others are how git says that it hung up in the middle.
AWAY = (
    "error: 502",
    "HTTP 502",
    "hung up unexpectedly",
    "unexpected disconnect",
    "early EOF",
    "Empty reply from server",
)


class GitFailed(Exception):
    """git said no. The message is a sentence with its words; `final`: trying again will not help; `away`: the gateway
    was not there, so nobody has judged anything; `code`: how git ended, negative for a signal."""

    def __init__(self, said: str, final: bool = False, away: bool = False, code: int = 0) -> None:
        super().__init__(said)
        self.final, self.away, self.code = final, away, code


class NotAdded(GitFailed):
    """What the agent changed is not all in a commit: git could not add it."""


class Person(NamedTuple):
    """Who commits are by."""

    name: str
    email: str

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Person:
        """From the wire's `{id, name, email}`; characters that git does not take in an identity are left out."""
        name, email = (" ".join(_clean(str(said.get(key) or "")).split()) for key in ("name", "email"))
        email = email.replace(" ", "")[:EMAIL_CHARS]
        return cls(name[:NAME_CHARS] or email or "somebody", email or "somebody@users.noreply.invalid")

    @property
    def signature(self) -> str:
        """`Name <email>`."""
        return f"{self.name} <{self.email}>"


def _clean(text: str) -> str:
    return "".join(char for char in visible(text) if char.isprintable() and char not in "<>").strip(" .,:;\"'\\")


class Git:
    """The repository in the box. `remote` is its address at the runner."""

    def __init__(self, children: Children, repo: str, home: str, env: Mapping[str, str], remote: str) -> None:
        self._children, self.repo, self.home, self._env, self.remote = children, repo, home, env, remote

    async def __call__(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = QUICK_SECONDS
    ) -> str:
        """What a git command wrote to stdout. Raises GitFailed with what it said instead."""
        argv, more = ("git", *OURS, *args), env or {}
        run = await commands.run(
            self._children, argv, cwd=self.repo, env={**self._env, **more}, stdin=stdin, timeout=timeout, limit=64 << 20
        )
        if run.code:
            said = run.stderr.decode("utf-8", "replace")
            how = f"git {args[0]} took longer than {timeout:.0f} seconds" if run.timed_out else essence(said)
            final, away = (any(words in said for words in known) for known in (FINAL, AWAY))
            raise GitFailed(how or f"git {args[0]} ended with {run.code}", final, away, run.code)
        return run.stdout.decode("utf-8", "replace")

    async def asks(self, *args: str) -> str:
        """As a call, but a refusal is an empty answer."""
        try:
            return (await self(*args)).strip()
        except GitFailed:
            return ""

    async def agrees(self, *args: str) -> bool:
        """Whether git ends a question such as `merge-base --is-ancestor` with yes."""
        try:
            await self(*args)
        except GitFailed:
            return False
        return True

    async def head(self) -> str:
        """The sha of HEAD; empty before the first commit."""
        return await self.asks("rev-parse", "--verify", "--quiet", "HEAD^{commit}")

    def know(self, author: Person) -> None:
        """Let every commit in this box be by this person, whatever the agent's environment says of nobody."""
        for name in READ_BY_GIT:
            _unblock(os.path.join(self.home, name))
            _unblock(os.path.join(self.repo, name))
        folder = os.path.join(self.home, ".config/git")
        quoted = {key: value.replace("\\", "").replace('"', "") for key, value in author._asdict().items()}
        said = f'[user]\n\tname = "{quoted["name"]}"\n\temail = "{quoted["email"]}"\n[init]\n\tdefaultBranch = main\n'
        with contextlib.suppress(OSError):  # the agent may do with its home what it likes; commits are put right later
            os.makedirs(folder, exist_ok=True)
            write_anew(os.path.join(folder, "config"), said)
            write_anew(os.path.join(folder, "ignore"), IGNORED)

    async def commit_leftovers(self, author: Person, message: str) -> None:
        """Commit what the agent changed and did not commit itself, but for what cannot be read. Raises NotAdded if
        nothing was committed for it."""
        await self._add_all()
        if await self._staged():
            await self._unlocked("commit", "--quiet", "--no-verify", "--file=-", stdin=message, author=author)

    async def _add_all(self) -> None:
        """Git adds nothing at all if a file goes away under its eyes, as those of a program that still runs do: then it
        looks again."""
        for left in reversed(range(ADD_TRIES)):
            try:
                await self._unlocked(*ADD_ALL)
            except GitFailed as failed:
                if failed.code != NOT_ALL:
                    if failed.code < 0 or not left:
                        raise NotAdded(str(failed), code=failed.code) from None
                    await asyncio.sleep(ADD_PAUSE)
                    continue
            return

    async def _staged(self) -> bool:
        """Whether there is something to commit. A repository that was cloned into the tree is none of it: all that
        would be kept is a pointer to where nobody else can go."""
        try:
            parts = (await self("diff", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev")).split("\0")
        except GitFailed:
            return True  # whoever commits is told what is wrong
        rows = list(zip(parts[::2], parts[1::2]))
        inner = [path for facts, path in rows if facts.startswith(":000000 160000 ")]
        if inner:
            known = (await self.asks("config", "--blob", ":.gitmodules", "--get-regexp", r"\.path$")).splitlines()
            inner = [path for path in inner if path not in {line.partition(" ")[2] for line in known}]
        if inner:
            await self("update-index", "--force-remove", "-z", "--stdin", stdin="\0".join(inner).encode())
        return len(rows) > len(inner)

    async def _unlocked(self, *args: str, stdin: str = "", author: Person | None = None) -> None:
        """Run git; once more when the index is free. A lock that stays there was left behind by a killed git."""
        env = identity(author, author) if author else {}
        try:
            await self(*args, stdin=stdin.encode(), env=env)
        except GitFailed as failed:
            if "index.lock" not in str(failed):
                raise
            await self._free_index()
            await self(*args, stdin=stdin.encode(), env=env)

    async def _free_index(self) -> None:
        """Agents look at the repository with git of their own, whose lock is only there for a moment."""
        lock, end = os.path.join(self.repo, ".git/index.lock"), time.monotonic() + LOCK_SECONDS
        while os.path.lexists(lock):
            if time.monotonic() > end:
                with contextlib.suppress(OSError):
                    os.unlink(lock)
                return
            await asyncio.sleep(LOCK_LOOK_SECONDS)


def identity(author: Person, committer: Person) -> dict[str, str]:
    """The environment that makes git write these names."""
    return {
        "GIT_AUTHOR_NAME": author.name,
        "GIT_AUTHOR_EMAIL": author.email,
        "GIT_COMMITTER_NAME": committer.name,
        "GIT_COMMITTER_EMAIL": committer.email,
    }


def essence(said: str) -> str:
    """What matters in git's words: what the other side said and why it failed, in one line. Where the gateway is in the
    box is nothing to people."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line[len("remote:") :].strip() for line in lines if line.startswith("remote:")]
    why = [line for line in lines if line.startswith(("fatal:", "error:", "!"))]
    found = dict.fromkeys([line for line in told if line] + (why or lines[-1:]))
    reasons = [line for line in found if not line.startswith(NO_REASON)] or list(found)
    said = "; ".join([*(line.rstrip(".") for line in reasons[:-1]), *reasons[-1:]])
    return GATEWAY.sub("", said)[:800]


def write_anew(path: str, text: str) -> None:
    """Put a file in the place of whatever is there: what the agent left may be a pipe without a reader, or a link."""
    fresh = f"{path}.{os.getpid()}"
    replace_with_nothing(fresh)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(fresh, path)


def _unblock(path: str) -> None:
    """Remove what git would wait for ever to read. A tree has more such places: each git command has a time limit."""
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(mode := os.stat(path).st_mode) and not stat.S_ISDIR(mode):
            os.unlink(path)


def replace_with_nothing(path: str) -> None:
    """Remove what is there, if anything is. Nothing is followed."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
