"""Brings one thread up to date: reads what is new in the log, and has written what is missing or changed.

`relay.py` runs one `Thread` per changed session; `writer.py` writes. Only the process that holds the thread's lease
does anything; while nothing is due by what it wrote itself, it does not take that either.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bot.cards import ThreadView
from bot.folding import Log, view_of
from bot.slack.calls import Budgets, Calls, Later, SlackError, Unsure
from bot.slack.config import SlackConfig
from bot.slack.posts import Draft, Due, Posted, drafts, due, next_settling
from bot.slack.status import StatusLine
from bot.slack.writer import Lease, Lost, Memory, Writer
from jobs.events import Place

log = logging.getLogger(__name__)
REFUSED_SECONDS, REFUSED_MOST_SECONDS = 30.0, 3_600.0  # before what Slack refused is tried again
UNSURE_MOST = 4  # tries without a clear answer, before one message keeps the others waiting no longer
LATER_MOST_SECONDS = 5.0  # so long a thread that has to wait for Slack is left alone, however much happens in it
LOOK_SECONDS = 1.0  # after so long it is looked anew what is due: much may have changed while Slack let us wait
PLACE_GONE = (
    "channel_not_found", "is_archived", "not_in_channel", "thread_not_found", "invalid_thread_ts",
    "cannot_reply_to_message", "restricted_action", "restricted_action_read_only_channel",
    "restricted_action_thread_only_channel", "restricted_action_thread_locked",
    "restricted_action_non_threadable_channel",
)  # fmt: skip
PLACE, STATUS = "place", "status"


class Record(Budgets, Memory, Log, Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def posts(self, sid: str) -> dict[str, str]:
        """What is remembered of a thread's messages."""

    async def shown(self, sid: str, seq: int) -> None:
        """Everything up to this number is shown: nobody needs to look again before something new happens."""

    async def said(self, sid: str, at: float) -> None:
        """Slack took everything that was worth saying at that time; what is left comes with the next edits."""


class PlaceGone(Exception):
    """Nothing can be said in this thread any more."""


@dataclass(frozen=True)
class _Refusal:
    """Slack said no to one message: how often in a row, and when to try it again."""

    times: int
    until: float


class Thread:
    """One session's thread. Between two runs it keeps the folded view, what it wrote and what not to try yet."""

    def __init__(
        self,
        sid: str,
        owner: str,
        record: Record,
        calls: Calls,
        status: StatusLine,
        view_url: Callable[[str, float], str],
        config: SlackConfig,
        clock: Callable[[], float],
        view: ThreadView | None = None,
    ) -> None:
        self._sid, self._record, self._status = sid, record, status
        self._view_url, self._config, self._clock = view_url, config, clock
        self._lease = Lease(record, sid, owner)
        self._writer = Writer(sid, self._lease, record, calls, config, clock, self._has_saved)
        self._written: dict[str, str] | None = None  # what the record remembered of the messages when we wrote last
        self.view = view
        self.elsewhere = False  # it is another client's, or in another workspace
        self._refusals: dict[str, _Refusal] = {}
        self._unclear: dict[str, int] = {}  # how often in a row there was no clear answer to a message
        self._denied: dict[str, float] = {}  # cards whose progress Slack has no room for, until then
        self._later = 0.0  # until then Slack takes nothing more of us, whatever happens here
        self._rest: tuple[int, float, float] = (0, 0.0, 0.0)  # up to which event all is done, since when, how long

    async def catch_up(self, team: str) -> float | None:
        """Write what is due; in how many seconds to look again, None: only when something new happens."""
        if (left := self._later - self._clock()) > 0:
            return left
        view = await self._read()
        self.elsewhere = view is not None and (view.session.place.client, view.session.place.team) != ("slack", team)
        if view is None or self.elsewhere:
            return None
        done, since, seconds = self._rest
        if done == view.session.seq and 0 <= (passed := self._clock() - since) < seconds:
            return seconds - passed
        if (seconds := self._until_due(view)) > 0:
            await self._can_wait(view, seconds)
            return seconds
        try:
            await self._lease.hold()
            return await self._write_all()
        except Lost:
            self._written = None
            return self._config.sweep_seconds
        finally:
            await self._lease.release()

    def _has_saved(self, card: str, value: str) -> None:
        if self._written is not None:
            self._written[card] = value

    async def _read(self) -> ThreadView | None:
        self.view = await view_of(self._record, self._sid, self.view)
        return self.view

    async def _write_all(self) -> float | None:
        view = await self._read()  # whoever had the thread before us may have shown more than we knew
        assert view is not None, "it was there a moment ago"
        again = await self._write(view)
        if again is None:
            await self._record.shown(self._sid, view.session.seq)
        else:
            self._rest = (view.session.seq, self._clock(), again)
        return again

    def _until_due(self, view: ThreadView) -> float:
        """Seconds until something is to be written, by what we ourselves wrote last; 0: now, or nobody knows.

        Should another process have written the thread since, it is that one which writes it: nothing is missed.
        """
        if self._written is None or self._refusals:
            return 0.0
        now = self._clock()
        waits: list[float | None] = [
            one.seconds if one.urgent else max(one.seconds, self._denied.get(one.draft.id, 0.0) - now)
            for one in self._todo(view, self._written)
        ]
        waits.append(next_settling(view.endings, now, self._config.settle_seconds))
        if view.session.lineage is None:
            waits.append(self._status.until_due(view, self._written.get(STATUS)))
        return min((seconds for seconds in waits if seconds is not None), default=0.0)

    async def _can_wait(self, view: ThreadView, seconds: float) -> None:
        self._rest = (view.session.seq, self._clock(), seconds)
        await self._record.said(self._sid, self._clock())

    async def _write(self, view: ThreadView) -> float | None:
        memory = await self._record.posts(self._sid)
        self._written = dict(memory)
        if memory.get(PLACE) == str(len(view.cards)):
            return None  # the place is gone, and nobody has asked anything since
        posted = self._writer.posted
        try:
            waits = await self._post_and_edit(view, memory)
        except Later as later:
            self._later = self._clock() + min(later.seconds, LATER_MOST_SECONDS)
            return later.seconds
        except Unsure as unsure:
            log.warning("%s: Slack gave no clear answer (%s); looking again", self._sid, unsure)
            return self._config.unsure_seconds
        except PlaceGone as gone:
            log.warning("%s: nothing can be said in its thread any more (%s); its work goes on", self._sid, gone)
            await self._record.save_post(self._sid, PLACE, str(len(view.cards)))
            self._written = None
            return None
        waits.append(await self._show_status(view, memory.get(STATUS), self._writer.posted > posted))
        waits.append(next_settling(view.endings, self._clock(), self._config.settle_seconds))
        again = min((seconds for seconds in waits if seconds is not None), default=None)
        if again is not None and not self._refusals:
            await self._record.said(self._sid, self._clock())
        return again

    async def _post_and_edit(self, view: ThreadView, memory: Mapping[str, str]) -> list[float | None]:
        todo = self._todo(view, memory)
        waits: list[float | None] = [one.seconds for one in todo if one.seconds > 0]
        began = self._clock()
        for one in sorted((one for one in todo if one.seconds <= 0), key=lambda one: not one.urgent):
            if self._clock() - began > LOOK_SECONDS:
                return [*waits, 0.0]
            waits.append(await self._try(view.session.place, one))
        return waits

    def _todo(self, view: ThreadView, memory: Mapping[str, str]) -> list[Due]:
        """What is to be done, now or later, about a thread that has these messages."""
        now, config = self._clock(), self._config
        wanted = drafts(view, now, lambda since: self._view_url(self._sid, since), config.settle_seconds)
        found = (
            due(draft, _posted(memory, draft.id), now, config.edit_seconds, config.elapsed_seconds) for draft in wanted
        )
        return [one for one in found if one is not None]

    async def _try(self, place: Place, one: Due) -> float | None:
        """Do it, unless Slack has refused it a short while ago. What Slack refuses keeps nothing else waiting."""
        before = self._refusals.get(one.draft.id)
        if before is not None and (left := before.until - self._clock()) > 0:
            return left
        known = (self._written or {}).get(one.draft.id)
        try:
            again = await self._writer.write(place, one)
        except Later:
            raise
        except Unsure as unsure:
            return self._unsure(one.draft, unsure)
        except SlackError as refused:
            if refused.error in PLACE_GONE:
                raise PlaceGone(str(refused)) from None
            return self._refused(one.draft, refused, before)
        self._refusals.pop(one.draft.id, None)
        self._unclear.pop(one.draft.id, None)
        if again is not None and (self._written or {}).get(one.draft.id) == known:
            self._denied[one.draft.id] = self._clock() + again
        return again

    def _refused(self, draft: Draft, refused: SlackError, before: _Refusal | None) -> float:
        self._unclear.pop(draft.id, None)
        times = before.times + 1 if before is not None else 1
        seconds = _longer_each_time(REFUSED_SECONDS, times, REFUSED_MOST_SECONDS)
        self._refusals[draft.id] = _Refusal(times, self._clock() + seconds)
        log.error("%s: Slack refused %s (%s); trying again in %.0f s", self._sid, draft.id, refused, seconds)
        return seconds

    def _unsure(self, draft: Draft, unsure: Unsure) -> float:
        """Slack may be in trouble, so the others wait as well; unless it is always with this message."""
        self._unclear[draft.id] = times = self._unclear.get(draft.id, 0) + 1
        if times < UNSURE_MOST:
            raise unsure
        alone = len(self._unclear) == 1  # else it is Slack that is in trouble, and all are said as soon as it is not
        again = self._config.unsure_seconds
        seconds = _longer_each_time(again, times - UNSURE_MOST + 1, REFUSED_SECONDS) if alone else again
        self._refusals[draft.id] = _Refusal(1, self._clock() + seconds)
        log.error("%s: still no clear answer to %s (%s); the others go on", self._sid, draft.id, unsure)
        return seconds

    async def _show_status(self, view: ThreadView, before: str | None, faded: bool) -> float | None:
        if view.session.lineage is not None:
            return None  # the thread's status is that of the session that a person opened
        kept, again = await self._status.show(view, before, faded)
        if kept and kept != before:
            await self._record.save_post(self._sid, STATUS, kept)
            self._has_saved(STATUS, kept)
        return again


def _longer_each_time(seconds: float, times: int, most: float) -> float:
    return min(seconds * 2.0 ** min(times - 1, 16), most)


def _posted(memory: Mapping[str, str], card: str) -> Posted | None:
    kept = memory.get(card)
    return Posted.model_validate_json(kept) if kept else None
