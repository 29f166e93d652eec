"""Frames that are not yet stored by the gateway, kept in a file outside the box's mounts (docs/wire.md, up frames).

Whoever has something to say calls `say`; `link.py` sends what waits and tells what was acknowledged. Memory holds only
where each frame lies, so a gateway that is away for hours costs disk, not memory, and not without a bound either.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import deque
from typing import Any

FRAME_BYTES = 768 << 10
BATCH_BYTES, BATCH_FRAMES = 900 << 10, 256
FULL_BYTES = 64 << 20
TRANSCRIPT = ("text", "thought", "tool")
REPEATED = ("plan", "step")  # facts that an agent may repeat without end


class Outbox:
    """Numbered frames on their way to the gateway. Numbers begin at 1 and have no gaps."""

    def __init__(self, fd: int | None = None) -> None:
        self._fd = _scratch_file() if fd is None else fd
        self._end = 0
        self._waiting: deque[tuple[int, int, int]] = deque()  # (n, offset, bytes)
        self._kept: dict[int, bytes] = {}  # frames that are not in the file, or not as it has them
        self._given_up: set[int] = set()
        self._full = False
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.last = 0
        os.ftruncate(self._fd, 0)

    def say(self, kind: str, **fields: Any) -> None:
        """Add a frame. Words and tool output are left out, and said to be, while far too much is waiting already."""
        if self._full and (kind in TRANSCRIPT or (kind in REPEATED and self._end > 2 * FULL_BYTES)):
            return
        at = fields.pop("at", None) or time.time()
        line = _line({"n": self.last + 1, "at": at, "kind": kind, **fields})
        if len(line) > FRAME_BYTES:
            line = _dropped(self.last + 1, f"a {kind} frame of {len(line)} bytes was too large to send")
        self._append(line)
        if not self._full and self._end > FULL_BYTES:
            self._full = True
            self.say(
                "dropped", reason="too much waits for the gateway: words and tool output are left out until it is less"
            )

    def _append(self, line: bytes) -> None:
        self.last += 1
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._fd, line[written:], self._end + written)
            self._waiting.append((self.last, self._end, len(line)))
        except OSError:  # a full disk: what matters is kept in memory, the rest is left out from now on
            self._kept[self.last] = line
            self._waiting.append((self.last, 0, len(line)))
            self._full = True
        self._end = os.fstat(self._fd).st_size
        self._empty.clear()
        self._news.set()

    def batch(self) -> list[tuple[int, bytes]]:
        """The oldest frames that wait, as (n, JSON), as many as one request may carry."""
        found: list[tuple[int, bytes]] = []
        size = 0
        for n, offset, length in self._waiting:
            if len(found) == BATCH_FRAMES or (found and size + length > BATCH_BYTES):
                break
            line = self._kept.get(n) or os.pread(self._fd, length, offset)
            found.append((n, line.rstrip(b"\n")))
            size += length
        return found

    def acknowledged(self, upto: int) -> None:
        """The gateway has stored every frame up to this number."""
        while self._waiting and self._waiting[0][0] <= upto:
            n, _, _ = self._waiting.popleft()
            self._kept.pop(n, None)
            self._given_up.discard(n)
        self._begin_anew_if_empty()

    def _begin_anew_if_empty(self) -> None:
        if not self._waiting:
            os.ftruncate(self._fd, 0)
            self._end = 0
            self._full = False
            self._news.clear()
            self._empty.set()

    def refused(self, n: int, why: str) -> None:
        """The gateway will never take frame `n`: a `dropped` frame goes in its place, so that numbers have no gap.

        If that is refused as well, the frame is given up.
        """
        if n in self._given_up:
            self._waiting = deque(row for row in self._waiting if row[0] != n)
            self._begin_anew_if_empty()
        else:
            self._given_up.add(n)
            self._kept[n] = _dropped(n, f"a frame was refused: {why}"[:300])

    async def news(self) -> None:
        """Wait until a frame waits."""
        await self._news.wait()

    async def emptied(self) -> None:
        """Wait until every frame is stored."""
        await self._empty.wait()


def _line(frame: dict[str, Any]) -> bytes:
    text = json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"  # "replace": half a surrogate pair is no text


def _dropped(n: int, reason: str) -> bytes:
    return _line({"n": n, "at": time.time(), "kind": "dropped", "reason": reason})


def _scratch_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("outbox", os.MFD_CLOEXEC)
    path = f"/tmp/shipmate-outbox-{os.getpid()}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    os.unlink(path)
    return fd
