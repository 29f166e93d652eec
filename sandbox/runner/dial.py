"""Ways to the gateway: a folder of unix sockets (any that is alive will do), one socket, or TLS.

Without TLS only a gateway on the box's own loopback is dialled: nobody else can listen in there.

`link.py` asks through a `Dialer`; `forward.py` opens bare connections with it. The token is added here only.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from typing import Any

from sandbox.runner import http1
from sandbox.runner.box import CA
from sandbox.runner.within import within

OPEN_SECONDS = 5.0
TLS, PLAIN, LOOPBACK = "https://", "http://", ("127.0.0.1", "localhost")


class NoGateway(OSError):
    """Nobody listens at the gateway's address just now."""


class Wire:
    """One open connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, token: str) -> None:
        self.reader, self.writer = reader, writer
        self._fixed = [("Host", host), ("Authorization", f"Bearer {token}"), ("User-Agent", "shipmate-runner")]

    def request(self, method: str, path: str, headers: list[tuple[str, str]]) -> None:
        """Write the head of a request."""
        self.writer.write(http1.write_head(f"{method} {path} HTTP/1.1", self._fixed + headers))

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[http1.Head, AsyncIterator[bytes]]:
        """Send a whole request; the answer's head, and its body as it comes."""
        kind = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))] if body else []
        self.request(method, path, kind)
        if body:
            self.writer.write(body)
        await self.writer.drain()
        head = await http1.read_head(self.reader)
        if head is None:
            raise ConnectionResetError("the gateway hung up")
        return head, http1.pieces(self.reader, http1.answer_length(head, method))

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


class Dialer:
    """Opens connections to the gateway at `address`: `unix:/folder`, `unix:/socket` or `https://host[:port]`.

    `http://127.0.0.1:port` will do as well.
    """

    def __init__(self, address: str, token: str) -> None:
        self._token = token
        self._unix = address[len("unix:") :] if address.startswith("unix:") else ""
        self._failed = ""  # the socket that was used when something went wrong last: it is tried last
        self._used = ""
        self._host, self._port = ("gateway", 0) if self._unix else _host_and_port(address)
        self._tls = _tls() if address.startswith(TLS) else None

    async def open(self) -> Wire:
        """A new connection. Raises NoGateway, or another OSError."""
        try:
            reader, writer = await within(OPEN_SECONDS, self._open())
        except asyncio.TimeoutError:
            raise NoGateway("the gateway does not answer") from None
        return Wire(reader, writer, self._host, self._token)

    def complain(self) -> None:
        """Say that the gateway reached last behaved badly: another one is tried first now."""
        self._failed = self._used

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self._unix:
            return await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=http1.HEAD_BYTES)
        for path in sorted(_sockets(self._unix), key=lambda path: path == self._failed):
            try:
                opened = await asyncio.open_unix_connection(path, limit=http1.HEAD_BYTES)
            except OSError:
                continue  # a dead socket file: the next one may live
            self._used = path
            return opened
        raise NoGateway(f"nobody listens at {self._unix}")


def _sockets(place: str) -> list[str]:
    """The sockets at `place`, the newest first."""
    try:
        if stat.S_ISSOCK(os.stat(place).st_mode):
            return [place]
        with os.scandir(place) as entries:
            found = [(entry.stat().st_mtime, entry.path) for entry in entries if entry.name.endswith(".sock")]
    except OSError:
        return []
    return [path for _, path in sorted(found, reverse=True)]


def _host_and_port(address: str) -> tuple[str, int]:
    scheme = TLS if address.startswith(TLS) else PLAIN
    host, _, port = address[len(scheme) :].strip("/").partition(":")
    if not address.startswith(scheme) or (scheme == PLAIN and host not in LOOPBACK):
        raise ValueError(f"the gateway's address must begin with unix: or https://, not {address!r}")
    return host, int(port or (443 if scheme == TLS else 80))


def _tls() -> Any:
    import ssl  # 5 ms, and only needed away from the gateway's machine

    context = ssl.create_default_context()
    if os.path.exists(CA):
        context.load_verify_locations(CA)
    return context
