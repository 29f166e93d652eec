"""JSON-RPC 2.0 in lines over an agent's stdin and stdout, tolerant of agents that print other things too.

`acp.py` speaks the Agent Client Protocol through it. Everything that comes is untrusted: lines are bounded, what is not
JSON is passed over, and an answer nobody waits for is dropped. One that says more than anybody reads has to wait until
it is read: its pipe is full, so it takes no processor from the host's other boxes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.runner.allowance import Allowance
from sandbox.runner.journal import Journal
from sandbox.runner.processes import Child
from sandbox.runner.within import within

LINE_BYTES = 48 << 20
READ = (8_000, 2_000)  # at once, and in each second: readings, lines and pieces of 32 kB
READ_BYTES = 32 << 10
READ_PAUSE = 1.0  # seconds at most, for an answer to a cancel may be behind it
STDERR_TAIL = 4000
UNREAD_BYTES = 96 << 20  # more than the largest prompt: an agent that leaves so much unread reads no more
ASKED_MOST = 1_000  # requests of the agent that wait for their answers
DRAIN_SECONDS = 0.1
METHOD_NOT_FOUND, INTERNAL_ERROR = -32601, -32603
Request = Callable[[str, dict[str, Any]], Awaitable[Any]]
Notification = Callable[[str, dict[str, Any]], None]


class AgentGone(Exception):
    """The agent ended. The message says how, with its last words."""


class AgentError(Exception):
    """The agent answered with an error, or not in time."""

    def __init__(self, said: str, code: int = 0) -> None:
        super().__init__(said)
        self.code = code


class NoSuchMethod(Exception):
    """The agent asked for something that we do not offer."""


class Peer:
    """The other end of an agent's pipes. All that passes is written into `journal`."""

    def __init__(self, child: Child, journal: Journal, on_request: Request, on_notification: Notification) -> None:
        self.child, self._journal = child, journal
        self.gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._on_request = on_request
        self._on_notification = on_notification
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        self._writer: asyncio.WriteTransport | None = None
        self._stderr = _Tail(journal.erred)
        self._stdout = _Lines(self._take, self._closed)
        self._answering: set[asyncio.Task[None]] = set()
        self._reads = True

    async def connect(self) -> None:
        """Take over the agent's pipes."""
        loop, process = asyncio.get_running_loop(), self.child.process
        self._writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
        await loop.connect_read_pipe(lambda: self._stderr, process.stderr)
        await loop.connect_read_pipe(lambda: self._stdout, process.stdout)
        self.child.when_ended(self._ended)

    async def call(self, method: str, params: dict[str, Any], timeout: float | None = None) -> Any:
        """Ask the agent and wait for its answer. Raises AgentError or AgentGone."""
        self._next += 1
        number = self._next
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        try:
            self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            return await within(timeout, answer)
        except asyncio.TimeoutError:
            raise AgentError(f"the agent did not answer {method} within {timeout:.0f} seconds") from None
        finally:
            self._calls.pop(number, None)

    @property
    def answering(self) -> bool:
        """Whether the agent waits for an answer of ours."""
        return bool(self._answering)

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Tell the agent something. Nothing happens if it is gone."""
        self._tell({"jsonrpc": "2.0", "method": method, "params": params})

    def end_input(self) -> None:
        """Close the agent's stdin: the kind way to ask it to end."""
        if self._writer is not None:
            self._writer.close()

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is None or self.gone.done():
            raise AgentGone(self._how_it_went())
        line = json.dumps(message).encode()
        self._journal.sent(line)
        self._writer.write(line + b"\n")
        if self._writer.get_write_buffer_size() > UNREAD_BYTES:
            self._reads = False
            self.child.kill()

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._journal.heard(line, is_json=False)  # a log line on stdout, or nothing that anybody means
            return
        self._journal.heard(line, is_json=True)
        if not isinstance(message, dict):
            return
        method, params = message.get("method"), message.get("params")
        if not isinstance(method, str):
            self._answered(message)
        elif "id" in message and len(self._answering) >= ASKED_MOST:
            self._tell(_refusal(message["id"], INTERNAL_ERROR, "Too many requests wait for an answer."))
        elif "id" in message:
            task = asyncio.ensure_future(
                self._answer(message["id"], method, params if isinstance(params, dict) else {})
            )
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        else:
            self._on_notification(method, params if isinstance(params, dict) else {})

    def _answered(self, message: dict[str, Any]) -> None:
        number = message.get("id")
        waiting = self._calls.get(number) if isinstance(number, int) else None
        if waiting is None or waiting.done():
            return
        error = message.get("error")
        if error:
            said = error if isinstance(error, dict) else {}
            code = said.get("code")
            waiting.set_exception(AgentError(_sentence(said), code if isinstance(code, int) else 0))
        else:
            waiting.set_result(message.get("result"))

    async def _answer(self, number: object, method: str, params: dict[str, Any]) -> None:
        try:
            answer = {"jsonrpc": "2.0", "id": number, "result": await self._on_request(method, params)}
        except NoSuchMethod:
            answer = _refusal(number, METHOD_NOT_FOUND, f"Method not found: {method}")
        except Exception as wrong:  # whatever it asked for, it gets an answer
            answer = _refusal(number, INTERNAL_ERROR, str(wrong))
        self._tell(answer)

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(AgentGone):
            self._send(message)

    def _ended(self, _code: int) -> None:
        """Its last words may still lie in the pipe: they are read first, unless somebody else holds the pipe open."""
        self._stdout.hurry()
        asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._closed)

    def _closed(self) -> None:
        """The agent's stdout was closed, or it ended: either way it says nothing any more."""
        if self.gone.done():
            return
        if self.child.code is None:
            self.child.kill()  # an agent without a voice is of no use
            self.child.when_ended(lambda _code: self._closed())
            return
        self.gone.set_result(self._how_it_went())
        for waiting in self._calls.values():
            if not waiting.done():
                waiting.set_exception(AgentGone(self.gone.result()))
        for task in self._answering:
            task.cancel()
        if self._writer is not None and not self._writer.is_closing():
            self._writer.abort()

    def _how_it_went(self) -> str:
        code, words = self.child.code, self._stderr.text()
        how = "the agent was killed" if code == -9 else f"the agent ended with code {code}"
        how += "" if self._reads else ", for it read nothing of what it was told"
        return f"{how}: {words}" if words else how


class _Reader(asyncio.Protocol):
    """Reads a pipe that an untrusted process fills: later, if that is more than anybody reads."""

    def __init__(self) -> None:
        self._room = Allowance(*READ, time.monotonic)
        self._hurries = False
        self._pipe: asyncio.ReadTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.ReadTransport), "a pipe to read from"
        self._pipe = transport

    def took(self, size: int, lines: int = 0) -> None:
        """So much was read at once: rest, if that is too much."""
        seconds = self._room.owed(1 + lines + size / READ_BYTES)
        if seconds and not self._hurries and self._pipe is not None:
            self._pipe.pause_reading()
            asyncio.get_running_loop().call_later(min(seconds, READ_PAUSE), self._go_on)

    def hurry(self) -> None:
        """Whoever filled it has ended: read what is left."""
        self._hurries = True
        self._go_on()

    def _go_on(self) -> None:
        if self._pipe is not None and not self._pipe.is_closing():
            self._pipe.resume_reading()


class _Lines(_Reader):
    """Cuts a stream into lines; a line that is far too long is thrown away."""

    def __init__(self, take: Callable[[bytes], None], closed: Callable[[], None]) -> None:
        super().__init__()
        self._take, self._closed = take, closed
        self._rest = bytearray()
        self._skipping = False

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        *ends, tail = data.split(b"\n")
        for end in ends:
            line, self._rest = self._rest + end, bytearray()
            if not self._skipping and line.strip():
                self._take(bytes(line))
            self._skipping = False
        if not self._skipping:
            self._rest += tail
        if len(self._rest) > LINE_BYTES:
            self._skipping, self._rest = True, bytearray()
        self.took(len(data), len(ends))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._closed()


class _Tail(_Reader):
    """Remembers the last of what was written to stderr. `all_of_it` is called with each piece."""

    def __init__(self, all_of_it: Callable[[bytes], None]) -> None:
        super().__init__()
        self._kept = b""
        self._all_of_it = all_of_it

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._all_of_it(data)
        self._kept = (self._kept + data)[-STDERR_TAIL:]
        self.took(len(data))

    def text(self) -> str:
        """The last line that says something, at most 300 characters."""
        lines = [line.strip() for line in self._kept.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1][:300] if lines else ""


def _refusal(number: object, code: int, said: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": said}}


def _sentence(error: dict[str, Any]) -> str:
    """What an error object says, with the part in `data` that agents hide the reason in."""
    said = str(error.get("message") or "an error without words")
    data = error.get("data")
    detail = data.get("message") or data.get("details") if isinstance(data, dict) else data
    return f"{said}: {detail}"[:600] if isinstance(detail, str) and detail and detail not in said else said[:600]
