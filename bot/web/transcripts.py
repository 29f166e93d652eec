"""The transcripts of sessions whose pages are open. `pages.py` has one `Transcripts`.

A page is fetched again every other second: only what is new is read. The first time all of it is, in small pieces, for
reading holds up whoever else is served by this process.
"""

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from jobs.records import Entry

PIECE = 100  # entries: five milliseconds
ENTRIES_MOST, CHARS_MOST = 10_000, 16 << 20  # of one session, as the record has it
KEPT_CHARS = 48 << 20  # of all together


class Record(Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def transcript(self, sid: str, after: str = "0-0", limit: int = 1000) -> list[Entry]:
        """A session's transcript, from an entry on."""


class _Read:
    """What was read of one, from its newest entries back as far as there is room."""

    def __init__(self, most: int) -> None:
        self._entries, self._sizes = deque[Entry](), deque[int]()
        self._most, self.chars = most, 0

    @property
    def upto(self) -> str:
        """The id of the last one."""
        return self._entries[-1].id if self._entries else "0-0"

    def add(self, entries: Iterable[Entry]) -> None:
        """More of them, in order."""
        for entry in entries:
            self._entries.append(entry)
            self._sizes.append(len(str(entry.body)))
            self.chars += self._sizes[-1]
            while len(self._entries) > self._most or self.chars > CHARS_MOST:
                self._entries.popleft()
                self.chars -= self._sizes.popleft()

    def all(self) -> list[Entry]:
        """As they are now, for whoever goes through them in a thread."""
        return list(self._entries)


class Transcripts:
    """Keeps those that were looked at last, of each `most` entries."""

    def __init__(self, record: Record, most: int = ENTRIES_MOST) -> None:
        self._record, self._most = record, most
        self._kept: dict[str, _Read] = {}

    async def of(self, sid: str) -> list[Entry]:
        """A session's transcript, up to date."""
        read = self._kept.pop(sid, None) or _Read(self._most)  # nobody else reads on in the same one meanwhile
        while True:
            piece = await self._record.transcript(sid, read.upto, PIECE)
            read.add(piece)
            if len(piece) < PIECE:
                break
        self._kept.pop(sid, None)
        self._kept[sid] = read
        while len(self._kept) > 1 and sum(one.chars for one in self._kept.values()) > KEPT_CHARS:
            del self._kept[next(iter(self._kept))]
        return read.all()
