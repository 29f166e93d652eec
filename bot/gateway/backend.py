"""The git program on this host: its environment, its limits, and the certain end of everything that it starts.

`mirrors.py`, `quarantine.py` and `git.py` run git through it. No configuration of the machine or of a person takes
part, no hook runs, nobody is asked for a password. git is never run in a tree that a box could write.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

CONFIG = """\
[safe]
	directory = *
[core]
	hooksPath = /dev/null
	fsmonitor = false
	packedGitWindowSize = 32m
	packedGitLimit = 256m
	bigFileThreshold = 16m
[gc]
	auto = 0
[maintenance]
	auto = false
[fetch]
	unpackLimit = 1
[transfer]
	hideRefs = refs
	hideRefs = !refs/heads
	hideRefs = !refs/tags
[uploadpack]
	allowFilter = true
[uploadpackfilter]
	allow = false
[uploadpackfilter "blob:none"]
	allow = true
[uploadpackfilter "blob:limit"]
	allow = true
[uploadpackfilter "tree"]
	allow = true
[protocol]
	version = 2
[http]
	lowSpeedLimit = 1
	lowSpeedTime = 60
"""
OUTPUT_BYTES = 64 << 20
WORDS_BYTES = 1 << 16
SECONDS = 60.0
# For what chews on a box's bytes: address space (KiB), file size (512 bytes), CPU (seconds).
LIMITS = 'ulimit -v {memory} 2>/dev/null; ulimit -f {file} 2>/dev/null; ulimit -t {cpu} 2>/dev/null; exec "$@"'
MEMORY_BYTES, FILE_BYTES, CPU_SECONDS = 2 << 30, 2 << 30, 300


class Ran(NamedTuple):
    """How a git process ended: its exit code, its output, and its words."""

    code: int
    out: bytes
    words: str


class TooMuch(Exception):
    """git had more to say than we are ready to hold."""


class HostGit:
    """git for one service. `folder` is its home, made here."""

    def __init__(self, folder: Path, search_path: str = os.defpath) -> None:
        program = shutil.which("git", path=search_path)
        if program is None:
            raise FileNotFoundError("git was not found on PATH; install it (for example: apt install git)")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = folder / "gitconfig"
        fresh = folder / f"gitconfig.{os.getpid()}"
        fresh.write_text(CONFIG)
        fresh.replace(config)
        self._program, self._home = program, folder
        self._env = {
            "PATH": os.pathsep.join((str(Path(program).parent), os.defpath)),
            "HOME": str(folder),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "http:https",
            "GIT_NO_REPLACE_OBJECTS": "1",
        }

    @asynccontextmanager
    async def child(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        limited: bool = False,
        words: int = asyncio.subprocess.DEVNULL,
        holding: Sequence[int] = (),
        secret: str = "",
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """A git process; when this ends, so has all that it started. `holding`: descriptors that it keeps open.

        `secret`: configuration for this process alone, which is in no argument, environment or file.
        """
        argv = [self._program, *args]
        if limited:
            limits = LIMITS.format(memory=MEMORY_BYTES >> 10, file=FILE_BYTES >> 9, cpu=CPU_SECONDS)
            argv = ["/bin/sh", "-c", limits, "sh", *argv]
        pipe = asyncio.subprocess.PIPE
        with _kept_in_memory(CONFIG + secret if secret else "") as told:
            more = {"GIT_CONFIG_GLOBAL": f"/dev/fd/{told[0]}"} if told else {}
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=pipe, stdout=pipe, stderr=words, cwd=self._home, env={**self._env, **(env or {}), **more},
                start_new_session=True, pass_fds=(*holding, *told),
            )  # fmt: skip
        try:
            yield process
        finally:
            await _end(process)

    async def run(
        self,
        *args: str,
        stdin: bytes | AsyncIterator[bytes] = b"",
        env: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
        limited: bool = False,
        holding: Sequence[int] = (),
        secret: str = "",
    ) -> Ran:
        """Run git to its end. Raises TimeoutError after `seconds`, and whatever `stdin` raises."""
        words = asyncio.subprocess.PIPE
        async with (
            asyncio.timeout(seconds),
            self.child(*args, env=env, limited=limited, words=words, holding=holding, secret=secret) as process,
        ):
            assert process.stdout and process.stderr, "both are pipes"
            feeding = asyncio.create_task(feed(process, stdin))
            out = asyncio.create_task(_whole(process.stdout))
            said = asyncio.create_task(_beginning(process.stderr))
            try:
                await asyncio.gather(feeding, out, said)
            finally:
                for task in (feeding, out, said):
                    task.cancel()
            return Ran(await process.wait(), out.result(), said.result().decode("utf-8", "replace"))


@contextmanager
def _kept_in_memory(text: str) -> Iterator[tuple[int, ...]]:
    """A file without a name that has this text, for a child to inherit; none for no text."""
    if not text:
        yield ()
        return
    descriptor = os.memfd_create("gitconfig")
    try:
        os.write(descriptor, text.encode())
        yield (descriptor,)
    finally:
        os.close(descriptor)


async def feed(process: asyncio.subprocess.Process, stdin: bytes | AsyncIterator[bytes]) -> None:
    """All of `stdin` into a process. That it ends before it has read everything is no error."""
    assert process.stdin is not None, "its stdin is a pipe"
    try:
        async for piece in _once(stdin) if isinstance(stdin, bytes) else stdin:
            with contextlib.suppress(ConnectionError):  # it has ended; the rest is still taken off the wire
                process.stdin.write(piece)
                await process.stdin.drain()
    finally:
        process.stdin.close()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _whole(stream: asyncio.StreamReader) -> bytes:
    kept = bytearray()
    while piece := await stream.read(WORDS_BYTES):
        kept += piece
        if len(kept) > OUTPUT_BYTES:
            raise TooMuch
    return bytes(kept)


async def _beginning(stream: asyncio.StreamReader) -> bytes:
    """The first words; what follows them is read and forgotten, so that git does not wait for us."""
    kept = bytearray()
    while piece := await stream.read(WORDS_BYTES):
        kept += piece[: WORDS_BYTES - len(kept)]
    return bytes(kept)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Looked at before it is killed: a kill just after its end would lose the exit code."""
    if process.returncode is None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.1)
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdout, process.stderr):
            while pipe is not None and await pipe.read(WORDS_BYTES):
                pass  # asyncio sees the end of a process only when its pipes have been read to theirs
        await process.wait()
