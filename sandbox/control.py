"""The host's side of a box's control socket (docs/wire.md): one command for each connection. Providers call `run`.

One that cannot reach the socket itself writes a `request` to what passes it on, and reads what is `answered`.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any

from sandbox.provider import ExecResult, Permanent

LINE_BYTES = 1 << 16
ASK_SECONDS = 1.0
PATIENCE = 15.0  # beyond the command's own time: the runner may be starting, and a busy host is slow


# What comes of reading an answer that is none: a box may say anything.
GARBLED = (EOFError, ValueError, KeyError, TypeError, RecursionError)


class NoAnswer(Exception):
    """The runner did not answer in time, hung up, or is not there."""


Heard = Callable[[bytes], None]


async def run(
    address: str, argv: tuple[str, ...], stdin: bytes, timeout: float, limit: int, heard: Heard | None = None
) -> ExecResult:
    """Run a command through the control socket; `heard` gets its output while it comes. Raises NoAnswer."""
    try:
        return await asyncio.wait_for(_run(address, argv, stdin, timeout, limit, heard), timeout + PATIENCE)
    except (TimeoutError, OSError, *GARBLED) as failed:
        raise NoAnswer(repr(failed)) from failed


def ask_to_end(address: str) -> None:
    """Tell the runner to end; one that is just starting reads it when it listens. Raises OSError if it is gone."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(ASK_SECONDS)
        wire.connect(address)
        wire.sendall(b'{"op":"end"}\n')


async def _run(
    address: str, argv: tuple[str, ...], stdin: bytes, timeout: float, limit: int, heard: Heard | None
) -> ExecResult:
    reader, writer = await asyncio.open_unix_connection(address, limit=LINE_BYTES)
    try:
        writer.write(request(argv, stdin, timeout, limit, heard))
        await writer.drain()
        return await answered(reader, limit, heard)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def request(argv: tuple[str, ...], stdin: bytes, timeout: float, limit: int, heard: Heard | None) -> bytes:
    """What a client writes to have a command run."""
    asked = {"op": "exec", "argv": argv, "timeout": timeout, "limit": limit, "stdin_bytes": len(stdin)}
    return json.dumps({**asked, "follow": heard is not None}).encode() + b"\n" + stdin


async def answered(reader: asyncio.StreamReader, limit: int, heard: Heard | None) -> ExecResult:
    """What the runner answers. Raises one of GARBLED if that is cut short or none, Permanent if it refuses."""
    answer = await _answer(reader, limit, heard)
    if "error" in answer:
        raise Permanent(f"the runner refused a command: {answer['error']}")
    return await _result(answer, reader, limit)


async def _answer(reader: asyncio.StreamReader, limit: int, heard: Heard | None) -> dict[str, Any]:
    """The line that comes last; the pieces of output before it go to `heard`."""
    while True:
        line: dict[str, Any] = json.loads(await reader.readline())
        if heard is None or "piece" not in line:
            return line
        limit -= (size := int(line["piece"]))
        if size < 0 or limit < 0:
            raise ValueError("more output than asked for")
        heard(await reader.readexactly(size))


async def _result(answer: dict[str, Any], reader: asyncio.StreamReader, limit: int) -> ExecResult:
    sizes = int(answer["stdout_bytes"]), int(answer["stderr_bytes"])
    if min(sizes) < 0 or sum(sizes) > limit:
        raise ValueError("an answer larger than asked for")
    stdout, stderr = [await reader.readexactly(size) for size in sizes]
    timed_out = bool(answer.get("timed_out", False))
    return ExecResult(int(answer["code"]), stdout, stderr, bool(answer["truncated"]), timed_out)
