"""git in the box: how it is called, as whom it commits, and what it meant when it failed.

Everything that asks git goes through it. It talks to the gateway through the runner's own address. The repository is
hostile ground: its hooks and monitors are switched off, and where it says that the forge is counts for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sandbox.runner import commands
from sandbox.runner.processes import Children
from sandbox.runner.visible import visible

NAME_CHARS, EMAIL_CHARS = 100, 254
QUICK_SECONDS, NETWORK_SECONDS = 120.0, 900.0
LOCK_SECONDS, LOCK_LOOK_SECONDS, LOCKS_MOST = 1.0, 0.02, 4
LOCK = r"Unable to create '([^\n]+\.lock)': File exists|could not lock config file ([^\n]+): File exists"
NO_INDEX = r"index file (corrupt|smaller than expected|open failed)"
NO_CONFIG = r"bad config line \d+ in file [^\n]*\.git/config\b|Expected git repo version|bad \w+ config value"
CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
OURS = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "commit.gpgSign=false", "-c", "gc.auto=0",
    "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false", "-c", "protocol.version=2",
    "-c", "i18n.commitEncoding=UTF-8", "-c", "i18n.logOutputEncoding=UTF-8", "-c", "core.quotePath=true",
    "-c", "core.safecrlf=false",
    *(("-c", "core.ignoreCase=false") if sys.platform == "linux" else ()),
)  # fmt: skip
FORGE = "shipmate-forge"  # the remote that is where we say, wherever the agent pointed its own
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
        here = {  # whatever its settings say of that, and whatever it has put in an object's place
            "GIT_DIR": os.path.join(repo, ".git"), "GIT_WORK_TREE": repo, "GIT_NO_REPLACE_OBJECTS": "1",
        }  # fmt: skip
        self._children, self.repo, self.home, self._env, self.remote = children, repo, home, {**env, **here}, remote
        forge = (f"remote.{FORGE}.url={remote}", f"remote.{FORGE}.fetch=+refs/heads/*:refs/remotes/origin/*")
        self._ours = (*OURS, *(word for said in forge for word in ("-c", said)))

    async def __call__(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = QUICK_SECONDS
    ) -> str:
        """What a git command wrote to stdout. Raises GitFailed with what it said instead."""
        return (await self.ran(*args, stdin=stdin, env=env, timeout=timeout)).stdout.decode("utf-8", "replace")

    async def ran(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = QUICK_SECONDS,
        also: int = 0,
    ) -> commands.Finished:  # fmt: skip
        """All that came of it. Raises GitFailed, but not if it ended with the code `also`."""
        argv, all_env = ("git", *self._ours, *args), {**self._env, **(env or {})}
        for left in reversed(range(LOCKS_MOST)):
            run = await commands.run(
                self._children, argv, cwd=self.repo, env=all_env, stdin=stdin, timeout=timeout, limit=64 << 20
            )
            words = run.stderr.decode("utf-8", "replace")
            if not run.code or not left or not await self._mended(words, all_env):
                break
        if run.code not in (0, also):
            how = f"git {args[0]} took longer than {timeout:.0f} seconds" if run.timed_out else essence(words)
            final, away = (any(each in words for each in known) for known in (FINAL, AWAY))
            raise GitFailed(how or f"git {args[0]} ended with {run.code}", final, away, run.code)
        return run

    async def _mended(self, words: str, env: Mapping[str, str]) -> bool:
        """Whether what stopped git was something that a crash had left, and is not there any more."""
        if lock := self._lock_in(words):
            await _free(lock)
            return not os.path.lexists(lock)
        if re.search(NO_CONFIG, words) and self._has_new_config():
            return True
        index = os.path.join(self.repo, ".git/index")
        if not re.search(NO_INDEX, words) or "GIT_INDEX_FILE" in env or not os.path.isfile(index):
            return False
        print("runner: the index is broken, and is made anew", file=sys.stderr)
        os.unlink(index)
        return await self.agrees("read-tree", "HEAD")

    def _has_new_config(self) -> bool:
        """Put settings that git cannot live with aside. Where the others matter to what the objects are, they stay."""
        path = os.path.join(self.repo, ".git/config")
        with contextlib.suppress(OSError):
            with open(path, encoding="utf-8", errors="replace") as file:
                said = file.read()
            if said != CONFIG and "objectformat" not in said.lower():
                print("runner: the repository's settings are broken, and are made anew", file=sys.stderr)
                os.replace(path, f"{path}.broken")
                write_anew(path, CONFIG)
                return True
        return False

    def _lock_in(self, words: str) -> str:
        """The lock that stopped git, if one did and it is of this repository."""
        found = re.search(LOCK, words)
        if found is None:
            return ""
        lock = os.path.join(self.repo, found[1] or f"{found[2]}.lock")
        return lock if lock.startswith(os.path.join(self.repo, ".git/")) and ".." not in lock.split("/") else ""

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


async def _free(lock: str) -> None:
    """Wait for a lock to go. Agents look at the repository with git of their own, whose lock is only there for a
    moment; one that stays was left behind by a git that was killed."""
    end = time.monotonic() + LOCK_SECONDS
    while os.path.lexists(lock):
        if time.monotonic() > end:
            print(f"runner: {lock} was left behind, and is removed", file=sys.stderr)
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


def plain(path: str) -> str:
    """A path without git's quotes, which it puts around any that is unusual."""
    if not path.startswith('"'):
        return path
    import ast  # 7 ms, for names that nearly nobody has

    return os.fsdecode(ast.literal_eval("b" + path))


def lines_of(lines: Iterable[str]) -> bytes:
    """As git takes them on its stdin."""
    return "".join(line + "\n" for line in lines).encode()


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
