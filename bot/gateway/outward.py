"""Connections from the gateway to the outside, made for boxes: resolved once, judged, and made to what was judged.

`egress.py` asks. Nothing is looked up a second time between the judgement and the connection, so a name cannot change
its mind in between. Behind a proxy (`SHIPMATE_EGRESS_PROXY`) the proxy looks names up, and whoever runs it decides.
"""

import asyncio
import base64
import contextlib
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import unquote, urlsplit

from bot.gateway.egress_rules import Denied, Target, check_addresses

RESOLVE_SECONDS, CONNECT_SECONDS, PROXY_SECONDS = 10.0, 10.0, 30.0
TRIED_MOST = 4  # addresses of one name
PIECE = 64 << 10
Resolve = Callable[[str, int], Awaitable[list[str]]]
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def system(host: str, port: int) -> list[str]:
    """The addresses of a name, as this machine knows them; none if it does not."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Outward:
    """Opens connections. `proxy`: the host's own way out, as http://[user:password@]host:port; empty: directly."""

    def __init__(self, proxy: str = "", resolve: Resolve = system) -> None:
        self._resolve = resolve
        self._proxy = urlsplit(proxy) if proxy else None

    async def open(self, target: Target, is_private: bool) -> Pair:
        """A connection to this host. Raises Denied if there is no way there."""
        if self._proxy is not None and not is_private:
            return await self._through_proxy(target)
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self._resolve(target.host, target.port)
        except TimeoutError:
            found = []
        check_addresses(target, found, is_private)
        for address in found[:TRIED_MOST]:
            with contextlib.suppress(OSError, TimeoutError):
                return await _connect(address, target.port)
        raise Denied("unreachable", f"{target} does not answer just now. Try again.", 502)

    async def _through_proxy(self, target: Target) -> Pair:
        assert self._proxy is not None
        try:
            reader, writer = await _connect(self._proxy.hostname or "", self._proxy.port or 3128)
        except (OSError, TimeoutError):
            raise Denied("unreachable", "The proxy of the Shipmate server does not answer just now.", 502) from None
        try:
            async with asyncio.timeout(PROXY_SECONDS):
                writer.write(self._request(target))
                head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode("latin-1")
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):  # the last: a head without an end
            head = ""
        if head.split(" ")[1:2] == ["200"]:
            return reader, writer
        writer.close()
        said = f"The proxy of the Shipmate server does not let boxes reach {target}: {head[9:100] or 'no answer'}"
        raise Denied("unreachable", said, 502)

    def _request(self, target: Target) -> bytes:
        assert self._proxy is not None
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self._proxy.username is not None:
            who = f"{unquote(self._proxy.username)}:{unquote(self._proxy.password or '')}"
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(who.encode()).decode()}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def _connect(host: str, port: int) -> Pair:
    async with asyncio.timeout(CONNECT_SECONDS):
        return await asyncio.open_connection(host, port, limit=PIECE)
