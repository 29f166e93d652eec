"""The workspace's journal: one JSON line for each change, appended before it counts, read again at the next start.

`workspace.py` writes it. Entries are numbered, so that a page can ask for what came after a number (`since`). A line
that a crash cut in two is dropped. At start, a journal that has grown much longer than what it says is written anew.
"""

import asyncio
import fcntl
import itertools
import json
import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import IO, NamedTuple

from bot.playground.workspace_records import Json

TAIL = 10_000  # entries that are kept for pages


class Entry(NamedTuple):
    """A change: its number, what kind of thing it is about, and how that is now."""

    n: int
    kind: str
    value: Json

    def line(self) -> bytes:
        """As it stands in the journal."""
        return json.dumps([self.n, self.kind, self.value], separators=(",", ":")).encode() + b"\n"


class InUse(ValueError):
    """Another process writes this journal."""


class Journal:
    """An append-only file. `read` once, then `write`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "journal.jsonl"
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as taken:
            raise InUse(f"another playground uses {folder}") from taken
        self._path.touch(mode=0o600, exist_ok=True)
        self._file: IO[bytes] = self._path.open("ab")
        self._tail: deque[Entry] = deque(maxlen=TAIL)
        self._grown = asyncio.Event()
        self._forgotten = 0  # pages cannot be told what came up to here
        self.number = 0

    def read(self) -> list[Entry]:
        """Everything that was written so far. Raises ValueError if a line of it is damaged."""
        entries: list[Entry] = []
        whole = 0
        for line in self._path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            entries.append(self._entry(line, len(entries) + 1))
            whole += len(line)
        os.truncate(self._path, whole)
        if entries and entries[0].kind == "rewritten":
            self._forgotten = entries.pop(0).n
        for entry in entries:
            self._remember(entry)
        self.number = max(self.number, self._forgotten)
        return entries

    def _entry(self, line: bytes, number: int) -> Entry:
        try:
            return Entry(*json.loads(line))
        except (ValueError, TypeError):
            raise ValueError(f"{self._path} is damaged in line {number}; move it away to begin anew") from None

    def rewrite(self, entries: Iterable[Entry]) -> None:
        """Put these in the place of everything; a crash leaves the old journal or the new one."""
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(Entry(self.number, "rewritten", {}).line())
            file.writelines(entry.line() for entry in entries)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        self._file.close()
        self._file = self._path.open("ab")
        self._forgotten = self.number
        self._tail.clear()

    def write(self, kind: str, value: Json) -> Entry:
        """Append a change. It outlives this process at once."""
        entry = Entry(self.number + 1, kind, value)
        self._file.write(entry.line())
        self._file.flush()
        self._remember(entry)
        return entry

    def since(self, n: int) -> list[Entry] | None:
        """What came after entry `n`; None: that is not known any more."""
        oldest = self._tail[0].n - 1 if self._tail else self.number
        if n < max(oldest, self._forgotten) or n > self.number:
            return None
        newer = list(itertools.takewhile(lambda entry: entry.n > n, reversed(self._tail)))
        return newer[::-1]

    async def grown(self, n: int) -> None:
        """Until there is something after entry `n`."""
        while self.number <= n:
            await self._grown.wait()

    def close(self) -> None:
        """Let another process have it."""
        self._file.close()
        self._lock.close()

    def _remember(self, entry: Entry) -> None:
        self.number = entry.n
        self._tail.append(entry)
        self._grown.set()
        self._grown = asyncio.Event()
