"""Looks back at every session on record, and says what became of each (`jobs/outcomes.py`).

`shipmate outcomes` looks once. The upkeep looks every few minutes and keeps a summary of the last days for those who
must not wait: the metrics and the Home tab. Nothing is added up from look to look: each summary is counted anew from
the logs, of which only those are read again that have grown. The archive is read where it is.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence

from jobs.commands import Unreadable
from jobs.log import about
from jobs.outcomes import Outcome, Summary, outcome_of, summary
from jobs.store import Store
from jobs.store_histories import Histories, History

log = logging.getLogger(__name__)
AT_ONCE = 10  # logs in one question: nobody waits long for the record meanwhile
SUMMARY_DAYS = 30
RENEW_SECONDS = 300.0
BROKEN = (OSError, Unreadable, ValueError)  # a file that is not whole, or facts of a newer release
DAY = 86_400.0

_Size = tuple[str, float]  # where a log is, and how long it is there, or when its file was written


class Hindsight:
    """Looks back. What it has seen it knows until the log is another. `unread`: sessions that the last look left out,
    for they cannot be read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.unread: list[str] = []
        self._known: dict[str, tuple[_Size, Outcome | None]] = {}

    @property
    def _histories(self) -> Histories:
        return self._store.histories

    async def renew(self, now: float) -> None:
        """See to it that there is a summary, and a recent one."""
        kept = await self._histories.summary()
        if kept is None or not 0 <= now - kept.at < RENEW_SECONDS:
            await self._histories.keep(await self.last_days(now))

    async def last_days(self, now: float, days: int = SUMMARY_DAYS) -> Summary:
        """What became of the sessions that were opened in the last so many days."""
        return summary(await self.since(now - days * DAY), now, days)

    async def since(self, since: float) -> list[Outcome]:
        """What became of the sessions that were opened since then. One that cannot be read is left out, and logged."""
        self.unread = []
        found = await self._sizes(since)
        self._known = {sid: kept for sid, kept in self._known.items() if kept[0] == found.get(sid)}
        fresh = [sid for sid in found if sid not in self._known]
        for some in _few(fresh):
            for sid, history in zip(some, await self._histories.of(some), strict=True):
                try:
                    self._known[sid] = found[sid], await self._outcome(sid, history)
                except BROKEN as trouble:
                    self.unread.append(sid)
                    with about(session=sid):
                        log.warning("what became of it cannot be read: %s", trouble)
                await asyncio.sleep(0)  # whoever else works in this process has a turn
        known = (outcome for _, outcome in self._known.values())
        return [outcome for outcome in known if outcome is not None and outcome.opened_at >= since]

    async def _sizes(self, since: float) -> dict[str, _Size]:
        """What is to be read. A session in which nothing has happened since then was opened before."""
        in_files: dict[str, _Size] = {
            sid: ("archive", at) for sid, at in (await self._histories.archived_since(since)).items()
        }
        here = await self._histories.here_since(since)
        lengths = [length for some in _few(here, 200) for length in await self._store.changes.lengths(some)]
        return in_files | {sid: ("here", length) for sid, length in zip(here, lengths, strict=True) if length}

    async def _outcome(self, sid: str, history: History | None) -> Outcome | None:
        """Of what is in Redis, for a file is older than that; else of the file."""
        told = history or await self._histories.archived(sid)
        return outcome_of(told.events(), told.stamps)


def _few(sids: Sequence[str], at_once: int = AT_ONCE) -> Iterator[Sequence[str]]:
    return (sids[first : first + at_once] for first in range(0, len(sids), at_once))
