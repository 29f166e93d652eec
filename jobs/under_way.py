"""The sessions under way as the upkeep sees them: only those whose log grew since its last sweep are read again.

A cache and nothing more: when what changed cannot be told, and now and then, everything is read anew.
"""

import time
from collections.abc import Callable

from jobs.session import Session
from jobs.store import Store

ALL_SECONDS = 60.0  # so often everything is read, whatever changed


class UnderWay:
    """Of one process. `clock` only goes forward."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._sessions: dict[str, Session] = {}
        self._upto, self._read_all_at = "", float("-inf")

    async def now(self) -> list[Session]:
        """Each of them as it is now, in the order of their ids; what cannot be read is left out."""
        changed = await self._store.changes.since(self._upto)  # before the reads
        active = await self._store.active()
        if not changed.complete or self._clock() - self._read_all_at > ALL_SECONDS:
            self._sessions, self._read_all_at = {}, self._clock()
        kept = {sid: self._sessions[sid] for sid in active if sid in self._sessions and sid not in changed.logs}
        async for session in self._store.counts.several([sid for sid in active if sid not in kept]):
            kept[session.id] = session
        self._sessions, self._upto = kept, changed.upto
        return [kept[sid] for sid in active if sid in kept]
