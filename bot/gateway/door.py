"""Lets boxes in at the gateway's socket: each only so many connections at a time, told apart by the kernel.

A token says whose a request is, but a box can connect without one, and half a request never shows any. So each
connection belongs to the pid namespace of the process that made it, which is one box's. `server.py` opens the door,
and gives `access.py` a way to ask who a stranger is (`Names`).
"""

import asyncio
import logging
import os
import socket
import struct
import time
from asyncio.trsock import TransportSocket
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from jobs.log import about, forgiven
from sandbox import host_processes
from sandbox.box_folder import named_by_namespace

log = logging.getLogger(__name__)
CONNECTIONS_MOST = 96  # of one box: its link needs two, its runner forwards fewer than the rest at a time
CREDENTIALS = struct.Struct("3i")
SAID_EVERY_SECONDS = 10.0
BUSY_SECONDS = 0.5
FORGET_EVERY = 64  # connections
KNOWN_SECONDS, KNOWN_MOST = 5.0, 10_000


class Door:
    """Accepts at `listening` and hands each connection to a protocol of `make`. `boxes_dir`: where boxes have names.

    `most`: connections of one box at a time.
    """

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[], asyncio.Protocol],
        boxes_dir: Path,
        most: int = CONNECTIONS_MOST,
    ) -> None:
        self._listening, self._make, self._boxes_dir, self._most = listening, make, boxes_dir, most
        self._open: defaultdict[int, list[asyncio.Transport]] = defaultdict(list)
        self._let_in_since = 0
        self._said: dict[int, float] = {}
        self.of_no_box = host_processes.namespace_of(os.getpid())
        self._accepting: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to let in."""
        self._listening.setblocking(False)
        self._accepting = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Let nobody in any more."""
        if self._accepting is not None:
            self._accepting.cancel()
        self._listening.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listening)
            except OSError as busy:
                log.warning("no connection can be taken just now: %s", busy)
                await asyncio.sleep(BUSY_SECONDS)
                continue
            with forgiven(log, "a connection could not be taken"):  # whatever it is, the next one is let in
                await self._let_in(connection)

    async def _let_in(self, connection: socket.socket) -> None:
        namespace = namespace_behind(connection)
        if not self._has_room(namespace):
            connection.close()
            self._say(namespace)
            return
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(self._make, connection)
        if namespace != self.of_no_box:
            self._open[namespace].append(transport)
            self._forget_the_closed()

    def _has_room(self, namespace: int) -> bool:
        """Whether one more may come. Processes of no box, which run without isolation, are not told apart."""
        return namespace == self.of_no_box or sum(map(_is_open, self._open[namespace])) < self._most

    def _forget_the_closed(self) -> None:
        """Now and then, of all boxes: most of them are never heard of again."""
        self._let_in_since += 1
        if self._let_in_since >= FORGET_EVERY:
            self._let_in_since = 0
            alive = {namespace: [*filter(_is_open, all_)] for namespace, all_ in self._open.items()}
            self._open = defaultdict(list, {namespace: some for namespace, some in alive.items() if some})

    def _say(self, namespace: int) -> None:
        """A box that does not stop is told of now and then only: it must not fill the log either."""
        now = time.monotonic()
        self._said = {known: at for known, at in self._said.items() if now - at < SAID_EVERY_SECONDS}
        if namespace not in self._said:
            self._said[namespace] = now
            box = named_by_namespace(self._boxes_dir, namespace)
            with about(box=box):
                log.warning("refused more than %d connections at a time of box %s", self._most, box or "unknown")


def _is_open(transport: asyncio.Transport) -> bool:
    return not transport.is_closing()


class Names:
    """Which box is at the other end of a connection. The folder of boxes is looked through for one of them only now and
    then: that takes longer than it takes a stranger to ask again."""

    def __init__(self, boxes_dir: Path, named: Callable[[Path, int], str] = named_by_namespace) -> None:
        self._boxes_dir, self._named = boxes_dir, named
        self._known: dict[int, tuple[float, str]] = {}

    def behind(self, request: web.Request) -> str:
        """The box whose process made this connection; empty if it cannot be told."""
        return self.of(namespace_of_request(request), time.monotonic())

    def of(self, namespace: int, now: float) -> str:
        """The name of the box with this pid namespace."""
        at, name = self._known.get(namespace, (-KNOWN_SECONDS, ""))
        if now - at >= KNOWN_SECONDS:
            if len(self._known) >= KNOWN_MOST:
                self._known.clear()
            name = self._named(self._boxes_dir, namespace)
            self._known[namespace] = (now, name)
        return name


def namespace_of_request(request: web.Request) -> int:
    """The pid namespace of the process that made this request's connection; 0 if it cannot be told."""
    connection = request.transport.get_extra_info("socket") if request.transport is not None else None
    return namespace_behind(connection) if connection is not None else 0


def namespace_behind(connection: socket.socket | TransportSocket) -> int:
    """The pid namespace of the process at the other end; 0 if it is gone, or where the kernel does not tell."""
    if not hasattr(socket, "SO_PEERCRED") or connection.family != socket.AF_UNIX:
        return 0
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    pid, _, _ = CREDENTIALS.unpack(said)
    return host_processes.namespace_of(pid)
