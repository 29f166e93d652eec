"""One bare git repository on disk: what git says about it, and the few things that a forge writes into it itself.

`bot/playground/forge.py` asks it; `forge_git.py` uses `Git` to serve it. All git runs go through `Git.run`, in an
environment of our own: no configuration of the machine or of the person takes part.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.playground.sample import Written

PATCH_BYTES = 2_000_000
GIT_SECONDS = 60.0
BOUNDED = 'ulimit -v 4194304 2>/dev/null; exec "$@"'  # what was pushed may unfold to more than any machine has
LOG_LIMIT = 250
_FIELDS = (
    "%H",
    "%P",
    "%an",
    "%ae",
    "%at",
    "%cn",
    "%ce",
    "%ct",
    "%(trailers:key=Co-authored-by,valueonly,separator=%x1f)",
    "%B",
)
# To compare two files by lines, git takes up to forty times their size in memory: larger ones count as binary.
_CONFIG = """\
[core]
	bigFileThreshold = 2m
[safe]
	directory = *
[init]
	defaultBranch = main
[gc]
	auto = 0
[receive]
	autogc = false
	fsckObjects = true
	hideRefs = refs/pull
	maxInputSize = 1g
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
[core]
	quotePath = false
"""


class GitFailed(Exception):
    """git ended with an error; the message is what it said."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said.strip()[:2000] or f"git ended with {code}")
        self.code = code


@dataclass(frozen=True)
class Commit:
    """A commit. Times are seconds since the epoch; `co_authors` as written in the trailers."""

    sha: str
    parents: tuple[str, ...]
    author: str
    author_email: str
    authored_at: int
    committer: str
    committer_email: str
    committed_at: int
    co_authors: tuple[str, ...]
    message: str

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.split("\n", 1)[0]


class Git:
    """The git program, in an environment that the forge made (its configuration lies in `state`)."""

    def __init__(self, state: Path) -> None:
        program = shutil.which("git")
        if program is None:
            raise FileNotFoundError("git was not found on PATH; install it (for example: apt install git)")
        self.program = program
        config = state / "gitconfig"
        config.write_text(_CONFIG)
        self._env = {
            "PATH": os.pathsep.join((str(Path(program).parent), os.defpath)),
            "HOME": str(state),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_TERMINAL_PROMPT": "0",
        }

    def env(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of every git process of the forge."""
        return {**self._env, **(more or {})}

    async def run(self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """What git wrote to stdout. Raises GitFailed with what it wrote to stderr."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", BOUNDED, "sh", self.program, *args, stdin=pipe, stdout=pipe, stderr=pipe, env=self.env(env)
        )
        try:
            async with asyncio.timeout(GIT_SECONDS):
                out, err = await process.communicate(stdin)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise GitFailed(-9, f"git {args[0]} took longer than {GIT_SECONDS:.0f} seconds") from None
        if process.returncode:
            # `merge-tree` names the conflicts on stdout
            raise GitFailed(process.returncode, (err or out).decode(errors="replace"))
        return out


class BareRepo:
    """A bare repository at `path`."""

    def __init__(self, git: Git, path: Path) -> None:
        self.path = path
        self._git = git

    async def git(self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        """The text that a git command says in this repository."""
        out = await self._git.run("--git-dir", str(self.path), *args, stdin=stdin, env=env)
        return out.decode(errors="replace")

    async def create(self, commits: Sequence[Written], branch: str) -> None:
        """Make the repository, with these commits on `branch`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        await self._git.run("init", "--quiet", "--bare", str(self.path))
        await self.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        await self.write(commits, branch)

    async def write(self, commits: Sequence[Written], branch: str) -> None:
        """Put commits on top of `branch`, or begin it."""
        parent = (await self.branches()).get(branch)
        stream = b"".join(_imported(commit, branch, parent if n == 0 else None) for n, commit in enumerate(commits))
        await self.git("fast-import", "--quiet", stdin=stream)

    async def branches(self) -> dict[str, str]:
        """Branch -> the hash of its tip."""
        out = await self.git("for-each-ref", "--format=%(refname)%00%(objectname)", "refs/heads/")
        rows = (line.split("\0") for line in out.splitlines())
        return {ref.removeprefix("refs/heads/"): sha for ref, sha in rows}

    async def resolve(self, name: str) -> str | None:
        """The hash of the commit that a branch, a tag or a hash names; None if there is none."""
        for ref in (f"refs/heads/{name}", f"refs/tags/{name}", name):
            try:
                return (
                    await self.git("rev-parse", "--verify", "--quiet", "--end-of-options", ref + "^{commit}")
                ).strip()
            except GitFailed:
                continue
        return None

    async def merge_base(self, one: str, other: str) -> str | None:
        """The newest commit that both have; None if they share nothing."""
        try:
            return (await self.git("merge-base", one, other)).strip()
        except GitFailed:
            return None

    async def commits(self, tip: str, without: str | None = None, limit: int = LOG_LIMIT) -> list[Commit]:
        """The commits of `tip` that `without` has not, newest first."""
        fields = "%x00".join(_FIELDS)
        scope = [tip, "^" + without] if without else [tip]
        out = await self.git("log", "-z", f"--format={fields}", f"--max-count={limit}", "--topo-order", *scope, "--")
        parts = out.split("\0")
        return [_commit(parts[at : at + len(_FIELDS)]) for at in range(0, len(parts) - len(_FIELDS) + 1, len(_FIELDS))]

    async def diff(self, base: str, head: str) -> tuple[str, str]:
        """(the numbers, NUL-separated; the patch), both by file and in the same order."""
        options = ("--no-color", "--no-ext-diff", "--no-textconv", "--find-renames")
        numbers = await self.git("diff", *options, "--numstat", "-z", base, head, "--")
        patch = await self.git("diff", *options, base, head, "--")
        return numbers, patch[:PATCH_BYTES]

    async def merged_tree(self, base: str, head: str) -> str:
        """The tree of `head` merged into `base`. Raises GitFailed when they are in conflict."""
        if await self.merge_base(base, head) == base:
            return (await self.git("rev-parse", head + "^{tree}")).strip()
        return (await self.git("merge-tree", "--write-tree", base, head)).split("\n", 1)[0]

    async def commit_tree(self, tree: str, parents: Sequence[str], message: str, author: str, email: str) -> str:
        """A new commit, on no branch yet."""
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", author), ("EMAIL", email))
        }
        flags = [part for parent in parents for part in ("-p", parent)]
        return (await self.git("commit-tree", tree, *flags, "-F", "-", stdin=message.encode(), env=who)).strip()

    async def point(self, ref: str, sha: str, before: str | None = None) -> None:
        """Let `ref` name `sha`; with `before`, only if it still names that. Raises GitFailed if it does not."""
        await self.git("update-ref", ref, sha, *([before] if before else []))

    async def read(self, tip: str, path: str) -> str | None:
        """A file's text at `tip`; None if it is not there."""
        try:
            return await self.git("cat-file", "blob", f"{tip}:{path}")
        except GitFailed:
            return None

    async def files(self, tip: str) -> list[str]:
        """The paths of all files at `tip`."""
        out = await self.git("ls-tree", "-r", "-z", "--name-only", tip)
        return [path for path in out.split("\0") if path]


def _commit(fields: Sequence[str]) -> Commit:
    sha, parents, name, email, at, committer, committer_email, committed, co_authors, message = fields
    return Commit(
        sha.strip(), tuple(parents.split()), name, email, int(at), committer, committer_email, int(committed),
        tuple(line.strip() for line in co_authors.split("\x1f") if line.strip()), message.rstrip("\n"),
    )  # fmt: skip


def _imported(commit: Written, branch: str, parent: str | None) -> bytes:
    """A commit in the language of `git fast-import`."""
    who, message = f"{commit.author} {int(commit.at)} +0000", commit.message.encode()
    lines = [f"commit refs/heads/{branch}", f"author {who}", f"committer {who}", f"data {len(message)}"]
    stream = "\n".join(lines).encode() + b"\n" + message + b"\n"
    if parent:
        stream += f"from {parent}\n".encode()
    for path, text in commit.files.items():
        content = text.encode()
        quoted = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        stream += f'M 100644 inline "{quoted}"\ndata {len(content)}\n'.encode() + content + b"\n"
    return stream + b"\n"
