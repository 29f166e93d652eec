"""What the model gateway costs: `gateway_request`, `gateway_chunk` and `gateway_100`.

The provider is a few lines in this process, so that both ends of a stream read the same clock; the gateway is the real
web process, reached over its real socket. Direct and through it are measured in turn, in one run.
"""

import asyncio
import json
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp

from bot.stack import WORKERS, Stack
from jobs.wiring import Workshop
from tests.bench.link_rows import LinkedBox
from tests.bench.measure import Row, interleaved, milliseconds, percentile, row

REQUESTS, BODY_BYTES = 300, 50_000
CHUNKS = 300
SESSIONS, PER_SECOND, SECONDS = 100, 50, 10
TICK_SECONDS = 1 / PER_SECOND
PAGE_BYTES = 4096
WHOLE = json.dumps({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}).encode()
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}\n\ndata: [DONE]\n\n'
AT = re.compile(rb'"at": ([0-9.]+)')


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Provider(asyncio.Protocol):
    """One connection: answers whole, or streams as many events at an even pace as the request asks for."""

    def __init__(self) -> None:
        self._heard = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, found, body = self._heard.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if not found or length is None or len(body) < int(length[1]):
            return
        self._heard.clear()
        events = re.search(rb'"events": (\d+)', body)
        if events is None:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(WHOLE)
            self._transport.write(head + WHOLE)
            return
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        self._stream(int(events[1]), time.perf_counter())

    def _stream(self, left: int, due: float) -> None:
        if self._transport.is_closing():
            return
        if not left:
            self._transport.write(_chunk(USAGE) + b"0\r\n\r\n")
            return
        event = b'data: {"choices": [{"delta": {"content": "word "}}], "at": %.6f}\n\n' % time.perf_counter()
        self._transport.write(_chunk(event))
        due += TICK_SECONDS
        later = max(0.0, due - time.perf_counter())
        asyncio.get_running_loop().call_later(later, self._stream, left - 1, due)


class Listener(asyncio.Protocol):
    """One request: how long after it was written each event came. `done` when the answer has ended."""

    def __init__(self, request: bytes) -> None:
        self._request, self._kept = request, b""
        self.lags: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now, text = time.perf_counter(), self._kept + data
        whole, _, self._kept = text.rpartition(b"\n\n")
        self.lags += [now - float(at) for at in AT.findall(whole)]
        if b"[DONE]" in whole and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Way(NamedTuple):
    """How to ask: directly, or through the gateway."""

    path: str
    head: str
    socket: Path | None = None
    port: int = 0

    def request(self, body: bytes) -> bytes:
        """The bytes of a request."""
        head = f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{self.head}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def listen(self, events: int) -> Listener:
        """Ask for a stream of so many events, and hear it to its end."""
        loop = asyncio.get_running_loop()
        request = self.request(json.dumps({"model": "m", "stream": True, "events": events}).encode())

        def make() -> Listener:
            return Listener(request)

        if self.socket is not None:
            transport, listener = await loop.create_unix_connection(make, str(self.socket))
        else:
            transport, listener = await loop.create_connection(make, "127.0.0.1", self.port)
        await listener.done
        transport.close()
        return listener

    @asynccontextmanager
    async def asking(self, body: bytes) -> AsyncIterator[Callable[[], "asyncio.Future[float]"]]:
        """A kept connection; each call asks once: milliseconds until the answer was there."""
        if self.socket is not None:
            reader, writer = await asyncio.open_unix_connection(str(self.socket))
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        request = self.request(body)

        async def once() -> float:
            start = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            assert head.startswith(b"HTTP/1.1 200") and length is not None, head
            await reader.readexactly(int(length[1]))
            return milliseconds(time.perf_counter() - start)

        yield lambda: asyncio.ensure_future(once())
        writer.close()


class Bench(NamedTuple):
    """A running gateway, and the ways to the provider."""

    shop: Workshop
    direct: Way
    through: list[Way]
    pid: int


@asynccontextmanager
async def gateway(sessions: int) -> AsyncIterator[Bench]:
    """A stack with so many sessions at work, whose model is in this process."""
    loop = asyncio.get_running_loop()
    provider = await loop.create_server(Provider, "127.0.0.1", 0)
    port = provider.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="shipmate-bench-") as folder:
        Path(folder).chmod(0o711)
        more = {"SHIPMATE_UPSTREAMS": f"bench=openai,http://127.0.0.1:{port}/v1"}
        async with Stack.running(Path(folder), more) as stack, stack.workshop() as shop:
            await stack.supervisor.end("upkeep", *WORKERS)
            socket = next(stack.settings.jobs.gateway_dir.glob("web-*.sock"))
            connector = aiohttp.UnixConnector(str(socket), limit=0)
            async with aiohttp.ClientSession(connector=connector) as http:
                boxes = [LinkedBox(http, shop, f"sbench{number}") for number in range(sessions)]
                for box in boxes:
                    await box.open()
            ways = [
                Way("/model/bench/chat/completions", f"Authorization: Bearer {box.token}\r\n", socket) for box in boxes
            ]
            pid = stack.supervisor.pid("web")
            assert pid is not None
            yield Bench(shop, Way("/v1/chat/completions", "", port=port), ways, pid)
            await stack.discard()
    provider.close()


async def gateway_request(rounds: int = REQUESTS) -> list[Row]:
    """One request with an answer that does not stream, directly and through the gateway."""
    began = time.time()
    messages = [{"role": "user", "content": "x" * BODY_BYTES}]
    body = json.dumps({"model": "m", "messages": messages, "tools": [{"type": "function"}]}).encode()
    async with gateway(1) as bench, bench.through[0].asking(body) as ours, bench.direct.asking(body) as bare:

        async def through() -> float:
            return await ours()

        async def directly() -> float:
            return await bare()

        times = await interleaved(rounds, through, directly)
    return [
        row("gateway_request", *times, began, f"{BODY_BYTES // 1000} kB in, answered at once; {_added(*times)}; aim 2")
    ]


async def gateway_chunk(chunks: int = CHUNKS) -> list[Row]:
    """One stream at 50 chunks a second: written by the provider → read by the agent."""
    began = time.time()
    async with gateway(1) as bench:
        await asyncio.gather(bench.through[0].listen(5), bench.direct.listen(5))
        ours, bare = await asyncio.gather(bench.through[0].listen(chunks), bench.direct.listen(chunks))
    times = [[milliseconds(lag) for lag in one.lags] for one in (ours, bare)]
    return [row("gateway_chunk", *times, began, f"chunk written → read, both streams at once; {_added(*times)}; aim 2")]


async def gateway_100(sessions: int = SESSIONS, seconds: int = SECONDS) -> list[Row]:
    """Many sessions that stream at once through one gateway."""
    began, events = time.time(), PER_SECOND * seconds
    async with gateway(sessions) as bench:
        before, ticks = _memory(bench.pid), _ticks(bench.pid)
        start = time.perf_counter()
        heard = await asyncio.gather(*(way.listen(events) for way in bench.through))
        took = time.perf_counter() - start
        after, busy = _memory(bench.pid), _ticks(bench.pid) - ticks
    lags = [milliseconds(lag) for one in heard for lag in one.lags]
    lost = sessions * events - len(lags)
    note = (
        f"{sessions} sessions × {PER_SECOND}/s for {took:.1f} s: {len(lags) / took:.0f} chunks/s, lost {lost}; "
        f"from the provider's write to the agent's read; gateway {before:.0f} → {after:.0f} MB, {busy / took:.0%} busy"
    )
    return [row("gateway_100", lags, [], began, note)]


def _added(ours: list[float], bare: list[float]) -> str:
    return f"{percentile(ours, 0.5) - percentile(bare, 0.5):.2f} ms added at p50"


def _memory(pid: int) -> float:
    """Resident memory of a process, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * PAGE_BYTES / 1e6


def _ticks(pid: int) -> float:
    """Seconds of processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
