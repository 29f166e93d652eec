"""The real runner as a process without isolation, and the real sample repository behind a bare one."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bot.playground.sample import history
from tests.runner.gateway import PATIENCE
from tests.waiting import until

REPOSITORY, BRANCH = "acme/rocket", "shipmate/s1"
REHEARSAL = ["{python}", "-I", "-S", "-B", "{runner}", "rehearsal"]


class RunningBox:
    """A runner that is started by `start`. `root` is its tree."""

    def __init__(self, pyz: Path, root: Path, gateway: Path, python: str = sys.executable) -> None:
        self._pyz, self.root, self._gateway, self._python = pyz, root, gateway, python
        self.repo, self.home = root / "work/repo", root / "work/home"
        self.stderr = root.with_name(f"{root.name}.stderr")
        self.outbox = root.with_name(f"{root.name}.outbox")
        self._control = root.with_name(f"{root.name}.control")
        self.process: asyncio.subprocess.Process | None = None

    async def start(
        self, *, argv: list[str] | None = None, env: dict[str, str] | None = None, limits: Any = None,
        variables: dict[str, str] | None = None, **said: Any
    ) -> None:  # fmt: skip
        agent = {"name": "rehearsal", "argv": argv or REHEARSAL, "env": env or {}, "gate": "ask"}
        greeting = {
            "wire": 1, "token": "token", "box": "b1", "generation": 1, "gateway": f"unix:{self._gateway}",
            "repository": REPOSITORY, "base_branch": "main", "branch": BRANCH, "mode": "serve", "agent": agent,
            "conversation": None, "limits": {"silence_seconds": 1, "sync_seconds": 10} | (limits or {}),
            "env": variables or {},
        } | said  # fmt: skip
        self.root.mkdir(exist_ok=True)
        self._control.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as control, self.stderr.open("ab") as stderr:
            control.bind(str(self._control))
            control.listen()
            outbox = os.open(self.outbox, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self.process = await asyncio.create_subprocess_exec(
                self._python, "-I", "-S", "-B", self._pyz, "--root", self.root,
                "--control-fd", str(control.fileno()), "--outbox-fd", str(outbox),
                stdin=subprocess.PIPE, stderr=stderr, pass_fds=(control.fileno(), outbox),
                env={"PATH": os.environ["PATH"], "HOST_SECRET": "never seen in a box"},
            )  # fmt: skip
            os.close(outbox)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(greeting).encode() + b"\n")
        self.process.stdin.close()

    async def become_an_image(self) -> None:
        """Clone the repository and end: the next start finds the tree there."""
        await self.start(mode="build", agent=None)
        await until((self.root / "tmp/cloned-b1.json").exists)
        await self.terminate()

    async def ended(self, seconds: float = PATIENCE) -> int:
        """Wait for the runner's end; its exit code."""
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), seconds)

    async def terminate(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return await self.ended()

    async def kill(self) -> None:
        """End everything, however the test went."""
        if self.process is not None and self.process.returncode is None:
            for pid in descendants(self.process.pid):
                kill(pid)
            self.process.kill()
            await self.process.wait()

    async def control(self, request: Any, stdin: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Ask over the control socket; the answer and the bytes that follow it."""
        async with self.asked(request, stdin) as reader:
            answer = json.loads(await reader.readline())
            return answer, await reader.read()

    @contextlib.asynccontextmanager
    async def asked(self, request: Any, stdin: bytes = b"") -> AsyncIterator[asyncio.StreamReader]:
        """Ask over the control socket; what comes back, for as long as a test has patience."""
        reader, writer = await asyncio.open_unix_connection(str(self._control))
        writer.write((request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n") + stdin)
        try:
            async with asyncio.timeout(PATIENCE):
                yield reader
        finally:
            writer.close()

    async def exec(self, *argv: str) -> str:
        """What a command in the box says."""
        _, said = await self.control({"op": "exec", "argv": argv})
        return said.decode()

    async def address(self) -> str:
        """The gateway's address in the box."""
        url = await self.exec("git", "config", "remote.origin.url")
        return url.split("/git/")[0]


def descendants(pid: int) -> list[int]:
    """Every process below one."""
    try:
        direct = [int(c) for t in Path(f"/proc/{pid}/task").iterdir() for c in (t / "children").read_text().split()]
    except OSError:
        return []
    return [below for child in direct for below in (child, *descendants(child))]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def kill(pid: int, how: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def git(folder: Path, *args: str, **env: str) -> str:
    """What git says."""
    fixed = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(("git", *args), cwd=folder, env=fixed | env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def make_sample(bare: Path, work: Path) -> None:
    """The sample repository with its failing test, as a bare one that takes pushes."""
    work.mkdir(parents=True)
    git(work, "init", "-q", "-b", "main")
    for commit in history("rocket"):
        for name, text in commit.files.items():
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(work, "add", "--all")
        name, _, email = commit.author.rstrip(">").partition(" <")
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in
               (("NAME", name), ("EMAIL", email), ("DATE", f"@{int(commit.at)} +0000"))}  # fmt: skip
        git(work, "commit", "-q", "-m", commit.message, **who)
    git(work, "clone", "-q", "--bare", ".", str(bare))
    git(bare, "config", "http.receivepack", "true")
    git(bare, "config", "receive.denyNonFastForwards", "true")
