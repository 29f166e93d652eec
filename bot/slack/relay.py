"""Keeps every thread in step with its session's log: a bell says "look again", and a sweep hears what bells missed.

`app.py` runs one `Relay` in each web process; leases let one of them write each thread. Nothing is remembered here but
folded views, which are made again from the log at any time. Threads that wait for Slack may be thousands: a sweep looks
at those only in which something has changed, and now and then at all.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from bot.cards import ThreadView
from bot.slack.calls import Calls
from bot.slack.config import SlackConfig
from bot.slack.status import StatusLine
from bot.slack.thread import Record, Thread
from jobs.log import forgiven
from jobs.store_changes import Changed

log = logging.getLogger(__name__)
GAP_SECONDS = 0.2  # between two looks at one thread: what happens together is shown together
TROUBLE_SECONDS = 5.0
RESTED_MOST = 100
ALL_SECONDS = 15.0  # so often each thread is looked at that does not show everything, whatever changed


class Changes(Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def since(self, upto: str) -> Changed:
        """The logs that grew since then."""


class Bells(Record, Protocol):
    """The same."""

    @property
    def changes(self) -> Changes:
        """What has changed."""

    def bells(self) -> AsyncIterator[str]:
        """Sessions whose log grew."""

    async def unshown(self) -> list[str]:
        """Sessions with something in their log that no thread shows yet."""


class Relay:
    """Runs until cancelled."""

    def __init__(
        self,
        record: Bells,
        calls: Calls,
        view_url: Callable[[str, float], str],
        config: SlackConfig,
        clock: Callable[[], float],
    ) -> None:
        self._record, self._calls, self._view_url = record, calls, view_url
        self._config, self._clock = config, clock
        self._owner = secrets.token_hex(8)
        self._status = StatusLine(calls, record, config, clock)
        self._threads: dict[str, Thread] = {}
        self._rested: dict[str, ThreadView | None] = {}  # of threads that show all, as far as they were folded
        self._rung: dict[str, asyncio.Event] = {}
        self._elsewhere: set[str] = set()  # sessions that have no thread here
        self._upto, self._swept_all_at = "", float("-inf")
        self._team = ""

    async def run(self, team: str) -> None:
        """Relay the sessions of this workspace until cancelled."""
        self._team = team
        self._elsewhere.clear()
        self._rung.clear()  # a follower that was cancelled before its first step tidied nothing
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(group))
            group.create_task(self._sweep(group))

    async def _listen(self, group: asyncio.TaskGroup) -> None:
        while True:
            with forgiven(log, "bells are not heard just now; the sweep looks meanwhile"):
                async for sid in self._record.bells():
                    self._wake(sid, group)
            _end_if_cancelled()
            await asyncio.sleep(self._config.sweep_seconds)

    async def _sweep(self, group: asyncio.TaskGroup) -> None:
        while True:
            with forgiven(log, "a sweep failed; the next one tries again"):
                unshown = set(await self._record.unshown())
                self._elsewhere &= unshown
                for sid in await self._due(unshown - self._elsewhere):
                    self._wake(sid, group)
                self._let_rest(self._threads.keys() - unshown - self._rung.keys())
            _end_if_cancelled()
            await asyncio.sleep(self._config.sweep_seconds)

    def _let_rest(self, shown: set[str]) -> None:
        """Forget these threads, but for the views of the newest: folding a long log again takes others' time."""
        for sid in shown:
            self._rested[sid] = self._threads.pop(sid).view
        for sid in list(self._rested)[:-RESTED_MOST]:
            del self._rested[sid]

    async def _due(self, unshown: set[str]) -> set[str]:
        """Those of them that may have missed a bell, or that nobody follows here."""
        changed, now = await self._record.changes.since(self._upto), time.monotonic()
        self._upto = changed.upto
        if changed.complete and now - self._swept_all_at < ALL_SECONDS:
            return {sid for sid in unshown if sid in changed.logs or sid not in self._rung}
        self._swept_all_at = now
        return unshown

    def _wake(self, sid: str, group: asyncio.TaskGroup) -> None:
        _end_if_cancelled()  # a group that is ending takes no more tasks
        if sid in self._elsewhere:
            return
        if sid in self._rung:
            self._rung[sid].set()
            return
        self._rung[sid] = asyncio.Event()
        group.create_task(self._follow(sid, self._rung[sid]))

    async def _follow(self, sid: str, rung: asyncio.Event) -> None:
        """Write one thread for as long as there is something to come."""
        try:
            while True:
                rung.clear()
                began = time.monotonic()
                again = await self._catch_up(sid)
                _end_if_cancelled()
                if again is None and not rung.is_set():
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(again):
                        await rung.wait()
                await asyncio.sleep(began + GAP_SECONDS - time.monotonic())
        finally:
            del self._rung[sid]

    async def _catch_up(self, sid: str) -> float | None:
        thread = self._threads.get(sid)
        if thread is None:
            thread = self._threads[sid] = Thread(
                sid,
                self._owner,
                self._record,
                self._calls,
                self._status,
                self._view_url,
                self._config,
                self._clock,
                self._rested.pop(sid, None),
            )
        try:
            again = await thread.catch_up(self._team)
            if thread.elsewhere:
                self._elsewhere.add(sid)
                del self._threads[sid]
            return again
        except Exception:
            log.exception("%s: its thread could not be brought up to date; trying again", sid)
            del self._threads[sid]  # fold again from the start, should the fold be at fault
            return TROUBLE_SECONDS


def _end_if_cancelled() -> None:
    """The record's client waits with `asyncio.wait_for`, which in Python 3.11 may lose the cancellation of its task."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
