"""The views of sessions whose pages are open, folded on as their logs grow. `pages.py` has one `Views`.

A page is fetched again every other second: only what is new in the log is read and folded.
"""

from typing import Protocol

from bot.cards import ThreadView
from bot.folding import folded
from jobs.events import Event

KEPT = 64


class Record(Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def events(self, sid: str, after: int = 0) -> list[Event]:
        """Its log, after a number."""


class Views:
    """Keeps those that were looked at last."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._kept: dict[str, ThreadView] = {}

    async def of(self, sid: str) -> ThreadView:
        """The view of a session that there is, up to date."""
        known = self._kept.get(sid)
        view = await folded(await self._record.events(sid, known.session.seq if known is not None else 0), known)
        assert view is not None, "a session has a log"
        self._kept.pop(sid, None)
        self._kept[sid] = view
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return view
