"""The way out, from a client in a box through the real runner's proxy and the real gateway to a server."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.gateway.access import Access
from bot.gateway.egress import STREAMS_MOST, EgressGateway
from bot.gateway.egress_rules import Target
from bot.gateway.outward import Outward, system
from jobs.records import Grant
from jobs.store import Store
from sandbox.runner.dial import Dialer
from sandbox.runner.egress import CLIENTS, Egress
from tests.gateway.conftest import REPOSITORY, Site
from tests.gateway.test_tls_hello import greeting
from tests.waiting import until

GRANT = Grant("s1", "s1-1", 1, REPOSITORY, "serve", "shipmate/s1")
BIG = b"0123456789abcdef" * 65536  # a megabyte
Talk = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SOON = 10.0


class Far:
    """A server at the far end: what each connection does is the test's to say."""

    def __init__(self) -> None:
        self.serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] = echo
        self.heard: list[bytes] = []
        self.open = 0

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            with contextlib.suppress(OSError):
                await self.serve(reader, writer)
        finally:
            self.open -= 1
            writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say everything back, and end when the other side has ended."""
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()


class Ways:
    """The proxy in the box, with what stands behind it."""

    def __init__(self, far: Far, port: int, proxy: int) -> None:
        self.far, self.port, self.proxy = far, port, proxy
        self.counted: list[str] = []

    async def connect(self) -> Talk:
        return await asyncio.open_connection("127.0.0.1", self.proxy)

    async def tunnel(self, host: str, port: int) -> tuple[str, Talk]:
        """The status line of CONNECT, and the connection."""
        reader, writer = await self.connect()
        writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        async with asyncio.timeout(SOON):
            line = (await reader.readline()).decode().strip()
            while (await reader.readline()).strip():
                pass
        return line, (reader, writer)


async def all_hung_up() -> None:
    """Wait until the proxy has nobody to serve any more."""
    await until(lambda: not [task for task in asyncio.all_tasks() if "Egress._client" in repr(task.get_coro())])


@asynccontextmanager
async def proxied(folder: Path, gateway: EgressGateway | Path) -> AsyncIterator[int]:
    """The runner's proxy before a gateway; yields its port."""
    async with contextlib.AsyncExitStack() as opened:
        if isinstance(gateway, Path):
            path = gateway
        else:
            path = folder / "web-1.sock"

            async def granted(_: str) -> Grant:
                return GRANT

            app = web.Application(middlewares=[Access(granted).check])
            app.add_routes(gateway.routes)
            runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
            await runner.setup()
            opened.push_async_callback(runner.cleanup)
            await web.UnixSite(runner, str(path)).start()
        listening = socket.create_server(("127.0.0.1", 0))
        server = await Egress(Dialer(f"unix:{path}", "t-1")).serve(listening)
        opened.push_async_callback(all_hung_up)
        opened.callback(server.close)
        yield listening.getsockname()[1]


@pytest.fixture
async def far() -> AsyncIterator[tuple[Far, int]]:
    far = Far()
    server = await asyncio.start_server(far.client, "127.0.0.1", 0)
    yield far, server.sockets[0].getsockname()[1]
    server.close()


async def nothing_more(_: str) -> tuple[str, ...]:
    return ()


@pytest.fixture
async def ways(far: tuple[Far, int], short_folder: Path) -> AsyncIterator[Ways]:
    """A gateway that knows `far.test` as a host of its own network, and looks names up in a table."""
    counted: list[str] = []

    async def resolve(host: str, _: int) -> list[str]:
        return {"far.test": ["127.0.0.1"], "pypi.org": ["127.0.0.1"], "crates.io": ["203.0.113.1", "169.254.169.254"]}[
            host
        ]

    listed, private = ("pypi.org", "crates.io"), (Target("far.test", far[1]),)
    gateway = EgressGateway(listed, private, nothing_more, Outward(resolve=resolve), counted.append)
    async with proxied(short_folder, gateway) as port:
        ways = Ways(far[0], far[1], port)
        ways.counted = counted
        yield ways


async def test_a_tunnel_carries_a_megabyte_both_ways_and_ends_when_both_have_ended(ways: Ways) -> None:
    line, (reader, writer) = await ways.tunnel("far.test", ways.port)
    assert line == "HTTP/1.1 200 Connection established"
    sending = asyncio.create_task(_send(writer, BIG))
    async with asyncio.timeout(SOON):
        assert await reader.readexactly(len(BIG)) == BIG
        await sending
        writer.write_eof()
        assert await reader.read() == b""
    writer.close()
    assert ways.counted == ["opened"]
    await until(lambda: ways.far.open == 0)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_one_who_has_said_everything_still_hears_the_answer(ways: Ways) -> None:
    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.read(-1)
        writer.write(b"you said %d bytes" % len(said))
        await writer.drain()

    ways.far.serve = answer_at_the_end
    _, (reader, writer) = await ways.tunnel("far.test", ways.port)
    writer.write(b"x" * 1000)
    writer.write_eof()
    async with asyncio.timeout(SOON):
        assert await reader.read() == b"you said 1000 bytes"
    writer.close()


async def test_a_plain_request_is_made_in_its_own_name(ways: Ways) -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ways.far.heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()

    ways.far.serve = page
    async with (
        aiohttp.ClientSession() as http,
        http.get(
            f"http://far.test:{ways.port}/simple/a?b=c",
            proxy=f"http://127.0.0.1:{ways.proxy}",
            headers={"Proxy-Authorization": "Basic bWluZQ==", "X-Kept": "1"},
        ) as got,
    ):
        assert (got.status, await got.text()) == (200, "hello")
    (head,) = ways.far.heard
    assert head.startswith(b"GET /simple/a?b=c HTTP/1.1\r\nHost: far.test:%d\r\n" % ways.port)
    assert b"X-Kept: 1" in head and b"roxy-" not in head and b"t-1" not in head


@pytest.mark.parametrize(
    ("host", "port", "status", "counted"),
    [
        (
            "evil.example",
            443,
            "403 evil.example is not in this repository's list: add it to customizations.",
            "not listed",
        ),
        ("pypi.org", 443, "403 pypi.org stands for an address inside a network", "private"),
        ("crates.io", 443, "403 crates.io stands for an address inside a network", "private"),
        ("127.0.0.1", 8787, "403 Boxes reach hosts by name only", "address"),
        ("far.test", 22, "403 far.test is not in this repository's list", "not listed"),
        ("pypi.org", 22, "403 Boxes reach pypi.org at ports 443 and 80 only", "port"),
    ],
)
async def test_a_refusal_says_why_in_the_status_line_and_is_counted(
    ways: Ways, host: str, port: int, status: str, counted: str
) -> None:
    line, (reader, writer) = await ways.tunnel(host, port)
    assert line.startswith(f"HTTP/1.1 {status}")
    assert (await reader.read()).decode().strip() == line.removeprefix("HTTP/1.1 403 ")
    writer.close()
    assert ways.counted == [counted] and ways.far.open == 0


@pytest.mark.parametrize(
    "request_line",
    [
        "CONNECT far.test HTTP/1.1",
        "CONNECT far.test:80:90@x HTTP/1.1",
        "CONNECT far.test:80&host=evil HTTP/1.1",
        "CONNECT /egress?host=x&port=1 HTTP/1.1",
        "GET /link/attach HTTP/1.1",
        "GET https://far.test/ HTTP/1.1",
        "GET http://user:pw@far.test/ HTTP/1.1",
        "GET http://far.test/a b HTTP/1.1",
        "POST http://far.test/ HTTP/1.1",
        "GET http://far.test/ FTP/1.1",
        "hello",
    ],
)
async def test_what_is_no_request_for_a_proxy_goes_nowhere(ways: Ways, request_line: str) -> None:
    reader, writer = await ways.connect()
    writer.write(f"{request_line}\r\nHost: far.test\r\n\r\n".encode())
    async with asyncio.timeout(SOON):
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    assert ways.counted == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Content-Length: 5\r\n\r\nhello", 400),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 400),
        ("X: a\rGET http://evil.example/ HTTP/1.1\r\n\r\n", 400),
        ("X: a\nHost: evil.example\r\n\r\n", 400),
        ("no header\r\n\r\n", 400),
        (f"X: {'a' * (1 << 17)}\r\n\r\n", 431),
    ],
)
async def test_nothing_is_smuggled_along_with_a_plain_request(ways: Ways, headers: str, status: int) -> None:
    reader, writer = await ways.connect()
    writer.write(f"GET http://far.test:{ways.port}/ HTTP/1.1\r\n{headers}".encode())
    async with asyncio.timeout(SOON):
        assert (await reader.readline()).startswith(b"HTTP/1.1 %d " % status)
    writer.close()
    assert ways.counted == [] and ways.far.open == 0


async def test_a_second_request_behind_a_plain_one_never_gets_to_the_server(ways: Ways) -> None:
    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ways.far.heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nfirst")
        await writer.drain()

    ways.far.serve = collect
    reader, writer = await ways.connect()
    one = f"GET http://far.test:{ways.port}/one HTTP/1.1\r\n\r\n"
    writer.write((one + one.replace("one", "two")).encode())
    async with asyncio.timeout(SOON):
        assert (await reader.read()).endswith(b"first")
    writer.close()
    assert [head.split(b" ")[1] for head in ways.far.heard] == [b"/one"] and ways.counted == ["opened"]


async def test_a_stalled_connection_is_cut(far: tuple[Far, int], short_folder: Path) -> None:
    private = (Target("localhost", far[1]),)
    gateway = EgressGateway((), private, nothing_more, Outward(), lambda _: None, idle_seconds=0.2)
    async with proxied(short_folder, gateway) as port:
        _, (reader, writer) = await Ways(far[0], far[1], port).tunnel("localhost", far[1])
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(SOON):
                await reader.read()
        writer.close()
    await until(lambda: far[0].open == 0)


async def test_a_server_that_breaks_off_is_not_taken_for_one_that_has_finished(ways: Ways) -> None:
    async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half of it")
        await writer.drain()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    ways.far.serve = break_off
    _, (reader, writer) = await ways.tunnel("far.test", ways.port)
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(SOON):
            await reader.read()
    writer.close()


async def test_a_client_that_goes_away_leaves_nothing_open(ways: Ways) -> None:
    _, (_, writer) = await ways.tunnel("far.test", ways.port)
    await until(lambda: ways.far.open == 1)
    writer.transport.abort()
    await until(lambda: ways.far.open == 0)


async def test_a_thousand_connections_at_once_are_answered_or_refused_and_the_next_one_works(ways: Ways) -> None:
    half = [await ways.connect() for _ in range(1000)]  # none of them says what it wants
    async with asyncio.timeout(SOON):
        answers = await asyncio.gather(*(reader.readline() for reader, _ in half[CLIENTS + 50 :]))
    assert set(answers) == {b"HTTP/1.1 503 Too many connections\r\n"}
    for _, writer in half:
        writer.transport.abort()

    async def opened() -> bool:
        line, (_, writer) = await ways.tunnel("far.test", ways.port)
        writer.close()
        return line.startswith("HTTP/1.1 200")

    async with asyncio.timeout(SOON):
        while not await opened():
            pass


async def test_a_box_has_so_many_streams_and_the_next_box_its_own(far: tuple[Far, int], short_folder: Path) -> None:
    counted: list[str] = []
    private = (Target("localhost", far[1]),)
    gateway = EgressGateway((), private, nothing_more, Outward(), counted.append)
    held = [gateway._one_more(GRANT) for _ in range(STREAMS_MOST)]
    async with proxied(short_folder, gateway) as port:
        ways = Ways(far[0], far[1], port)
        with contextlib.ExitStack() as holding:
            for one in held:
                holding.enter_context(one)
            line, (_, writer) = await ways.tunnel("localhost", far[1])
            writer.close()
            assert line.startswith("HTTP/1.1 503 This box has 40 connections") and counted == ["too many"]
            with gateway._one_more(GRANT._replace(box="s2-1")):
                pass
        line, (_, writer) = await ways.tunnel("localhost", far[1])
        writer.close()
        assert line.startswith("HTTP/1.1 200")


async def test_a_name_is_looked_up_once_and_the_connection_goes_to_what_was_judged(
    far: tuple[Far, int], short_folder: Path
) -> None:
    answers = iter([["192.0.2.1"], ["127.0.0.1"]])  # the second answer would be the gateway itself
    asked = []

    async def rebinding(host: str, _: int) -> list[str]:
        asked.append(host)
        return next(answers)

    gateway = EgressGateway(("pypi.org",), (), nothing_more, Outward(resolve=rebinding), lambda _: None)
    async with proxied(short_folder, gateway) as port:
        line, (_, writer) = await Ways(far[0], far[1], port).tunnel("pypi.org", 80)
        writer.close()
    assert "403 pypi.org stands for an address inside" in line and asked == ["pypi.org"]


async def test_behind_the_hosts_own_proxy_connections_are_asked_of_it(short_folder: Path) -> None:
    heard = []

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        refusal = bytes(100_000) if b"endless" in heard[-1] else b"HTTP/1.1 403 Not with me\r\n\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if b"pypi" in heard[-1] else refusal)
        await echo(reader, writer)
        writer.close()

    server = await asyncio.start_server(upstream, "127.0.0.1", 0)
    address = f"http://me:p%40ss@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    hosts = ("pypi.org", "crates.io", "endless.example")
    gateway = EgressGateway(hosts, (), nothing_more, Outward(address), lambda _: None)
    async with proxied(short_folder, gateway) as port:
        ways = Ways(Far(), 0, port)
        line, (reader, writer) = await ways.tunnel("pypi.org", 80)
        writer.write(b"hello")
        assert (line[:12], await reader.readexactly(5)) == ("HTTP/1.1 200", b"hello")
        writer.close()
        line, (_, writer) = await ways.tunnel("crates.io", 443)
        writer.close()
        assert (
            line
            == "HTTP/1.1 502 The proxy of the Shipmate server does not let boxes reach crates.io:443: 403 Not with me"
        )
        line, (_, writer) = await ways.tunnel("endless.example", 443)
        writer.close()
        assert line.endswith("reach endless.example:443: no answer")
    server.close()
    assert (
        b"CONNECT pypi.org:80 HTTP/1.1\r\nHost: pypi.org:80\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n" in heard[0]
    )


async def test_the_whole_gateway_knows_the_repositorys_own_hosts_and_the_boxs_token(
    site: Site, store: Store, far: tuple[Far, int], short_folder: Path
) -> None:
    await site.box()
    async with (
        site.gateway(SHIPMATE_EGRESS_PRIVATE=f"localhost:{far[1]}", SHIPMATE_EGRESS_HOSTS="none") as path,
        proxied(short_folder, path) as port,
    ):
        ways = Ways(far[0], far[1], port)
        line, (reader, writer) = await ways.tunnel("localhost", far[1])
        writer.write(b"hi")
        assert (line[:12], await reader.readexactly(2)) == ("HTTP/1.1 200", b"hi")
        writer.close()
        for allowed, word in (((), "is not in this repository's list"), (("nobody.invalid",), "is not known")):
            await store.egress.allow(REPOSITORY, allowed)
            line, (_, writer) = await ways.tunnel("nobody.invalid", 443)
            writer.close()
            assert word in line
        await store.revoke("s1-1")
        line, (_, writer) = await ways.tunnel("localhost", far[1])
        writer.close()
        assert line.startswith("HTTP/1.1 502")
    assert b'shipmate_egress_total{answer="not listed"} 1.0' in site.metrics.text(None)


async def test_this_machine_knows_itself_and_not_what_there_is_not() -> None:
    assert "127.0.0.1" in await system("localhost", 80)
    assert await system("nobody.invalid", 80) == []


async def test_a_tunnel_at_port_443_is_for_the_server_that_was_listed(far: tuple[Far, int], short_folder: Path) -> None:
    """A proxy stands in for the outside, for nothing in here may be reached at a public address."""

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await far[0].client(reader, writer)

    server = await asyncio.start_server(upstream, "127.0.0.1", 0)
    counted: list[str] = []
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    gateway = EgressGateway(("pypi.org",), (), nothing_more, Outward(proxy), counted.append)
    async with proxied(short_folder, gateway) as port:
        ways = Ways(far[0], far[1], port)
        hello = greeting("pypi.org")
        _, (reader, writer) = await ways.tunnel("PyPI.org", 443)
        for at in range(0, len(hello), 100):
            writer.write(hello[at : at + 100])
            await writer.drain()
        assert await asyncio.wait_for(reader.readexactly(len(hello)), SOON) == hello
        writer.close()
        for other in (greeting("evil.example"), greeting(None), b"SSH-2.0-OpenSSH_9.2\r\n"):
            _, (reader, writer) = await ways.tunnel("pypi.org", 443)
            writer.write(other)
            with pytest.raises(ConnectionResetError):
                async with asyncio.timeout(SOON):
                    await reader.read()
            writer.close()
        await until(lambda: counted.count("other name") == 3)
    server.close()
