"""Files of the box that the agent attaches, sent to the gateway when it asks for one (docs/wire.md, `file_wanted`).

`life.py` hands the down events in. A file is read by a command like any other of the box, so that it is nothing that
the agent could not read itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

from sandbox.runner import commands, http1
from sandbox.runner.box import Places
from sandbox.runner.dial import Dialer
from sandbox.runner.processes import Children
from sandbox.runner.within import within

FILE_BYTES = 10 << 20
KEPT_BYTES = FILE_BYTES + (64 << 10)  # of what the command says in all
READ_SECONDS, SEND_SECONDS, PATIENCE, PAUSE = 10.0, 15.0, 20.0, 0.5
NO_FILE, NO_RIGHT = 3, 4
READ = f'[ -f "$1" ] || exit {NO_FILE}; [ -r "$1" ] || exit {NO_RIGHT}; exec head -c {FILE_BYTES + 1} "$1"'
REASONS = {NO_FILE: "There is no regular file of this name.", NO_RIGHT: "It may not be read."}
ELSEWHERE = "It is outside of what a session may attach: the repository, the home folder and /tmp."
AT_ONCE = 4


class Unread(Exception):
    """The file is not sent; the message says why, in a sentence."""


class Sending:
    """Sends what is asked for, each once."""

    def __init__(self, dialer: Dialer, children: Children, places: Places, env: Mapping[str, str]) -> None:
        self._dialer, self._children, self._places, self._env = dialer, children, places, env
        self._under_way: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    def wanted(self, event: Mapping[str, Any]) -> None:
        """A down event: begin to send."""
        task = asyncio.ensure_future(self._send(str(event.get("id") or ""), str(event.get("path") or "")))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send(self, file_id: str, path: str) -> None:
        async with self._room:
            try:
                data, refused = await self._read(path), ""
            except Unread as unread:
                data, refused = b"", f"&refused={_quoted(str(unread))}"
            try:
                await within(PATIENCE, self._deliver(f"/link/file?id={_quoted(file_id)}{refused}", data))
            except asyncio.TimeoutError:
                print(f"runner: the file {file_id[:20]!r} could not be sent", file=sys.stderr)

    async def _read(self, path: str) -> bytes:
        whole = os.path.join(self._places.repo, path)
        if "\0" in path or not self._is_ours(os.path.realpath(whole)):
            raise Unread(ELSEWHERE)
        argv = ("/bin/sh", "-c", READ, "sh", whole)
        read = await commands.run(
            self._children,
            argv,
            cwd=self._places.repo,
            env=self._env,
            timeout=READ_SECONDS,
            limit=KEPT_BYTES,
        )
        if read.timed_out:
            raise Unread("It could not be read in time.")
        if read.code:
            raise Unread(REASONS.get(read.code, "It could not be read."))
        if len(read.stdout) > FILE_BYTES:
            raise Unread(f"It has more than {FILE_BYTES >> 20} MB.")
        if not read.stdout:
            raise Unread("It is empty.")
        return read.stdout

    def _is_ours(self, path: str) -> bool:
        folders = (self._places.repo, self._places.home, self._places.scratch)
        return any(path.startswith(os.path.realpath(folder) + os.sep) for folder in folders)

    async def _deliver(self, address: str, data: bytes) -> None:
        """Until the gateway has answered, whatever it says: it knows whether it wants the file."""
        while True:
            try:
                wire = await self._dialer.open()
                try:
                    head, _ = await within(SEND_SECONDS, wire.ask("POST", address, data))
                finally:
                    wire.close()
                if head.status < 500:
                    return
            except (OSError, EOFError, http1.BadHttp, asyncio.TimeoutError):
                self._dialer.complain()
            await asyncio.sleep(PAUSE)


def _quoted(text: str) -> str:
    """For a query. By hand: urllib costs 5 ms."""
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "replace"))
