"""Brings one thread up to date: reads what is new in the log, posts what is missing, edits what changed.

`relay.py` runs one `Thread` per changed session. Only the process that holds the thread's lease writes. Before a post
the record says that it is being made; so when the answer was lost, or the process died, the thread is searched for it
by its metadata before it is made again. Edits are safe to repeat.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bot.cards import ThreadView
from bot.slack.blocks import Message
from bot.slack.calls import Budgets, Calls, Later, SlackError, Unsure
from bot.slack.config import SlackConfig
from bot.slack.posts import Draft, Due, Posted, drafts, due, next_settling
from bot.slack.status import StatusLine
from bot.view import fold_view
from jobs.events import Event

log = logging.getLogger(__name__)
EVENT_TYPE = "shipmate_card"
LEASE_SECONDS = 15.0
PATIENCE_SECONDS = 2.0  # for a budget, while we hold the lease
UNSURE_SECONDS = 2.0
TROUBLED_SECONDS = 30.0
PLACE_GONE = (
    "channel_not_found", "is_archived", "not_in_channel", "thread_not_found", "restricted_action",
    "restricted_action_thread_only_channel", "restricted_action_read_only_channel", "invalid_thread_ts",
)  # fmt: skip
MESSAGE_GONE = ("message_not_found", "cant_update_message", "edit_window_closed")
TOO_MUCH = ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "metadata_too_large")
PLACE, STATUS = "place", "status"
REPLIES_PAGE, REPLIES_PAGES = 200, 20


class Record(Budgets, Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def events(self, sid: str, after: int = 0) -> list[Event]:
        """The events of a session after a number."""

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        """Take or renew a lease; False: somebody else has it."""

    async def release(self, name: str, owner: str) -> None:
        """Give a lease back."""

    async def posts(self, sid: str) -> dict[str, str]:
        """What is remembered of a thread's messages."""

    async def save_post(self, sid: str, card: str, value: str) -> None:
        """Remember it."""

    async def shown(self, sid: str, seq: int) -> None:
        """Everything up to this number is shown: nobody needs to look again before something new happens."""

    async def stamp(self, sid: str, name: str, at: float) -> None:
        """Note when something happened for the first time."""


class Lost(Exception):
    """Somebody else writes this thread now."""


class Thread:
    """One session's thread. Keeps the folded view between two runs; everything else is in the record."""

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
    ) -> None:
        self._sid, self._owner, self._record, self._calls = sid, owner, record, calls
        self._status, self._view_url, self._config, self._clock = status, view_url, config, clock
        self._view: ThreadView | None = None

    async def catch_up(self, team: str) -> float | None:
        """Write what is due; in how many seconds to look again, None: only when something new happens."""
        await self._read()
        view = self._view
        if view is None or (view.session.place.client, view.session.place.team) != ("slack", team):
            return None
        lease = f"thread:{self._sid}"
        if not await self._record.lease(lease, self._owner, LEASE_SECONDS):
            return self._config.sweep_seconds
        try:
            again = await self._write(view)
            if again is None:
                await self._record.shown(self._sid, view.session.seq)
            return again
        except Lost:
            return self._config.sweep_seconds
        finally:
            await self._record.release(lease, self._owner)

    async def _read(self) -> None:
        after = self._view.session.seq if self._view is not None else 0
        self._view = fold_view(await self._record.events(self._sid, after), self._view)

    async def _write(self, view: ThreadView) -> float | None:
        memory = await self._record.posts(self._sid)
        if memory.get(PLACE) == str(len(view.cards)):
            return None  # the place is gone, and nobody has asked anything since
        try:
            waits = await self._post_and_edit(view, memory)
        except Later as later:
            return later.seconds
        except Unsure as unsure:
            log.warning("%s: Slack gave no clear answer (%s); looking again", self._sid, unsure)
            return UNSURE_SECONDS
        except SlackError as refused:
            return await self._refused(view, refused)
        waits.append(await self._show_status(view, memory))
        waits.append(next_settling(view.endings, self._clock(), self._config.settle_seconds))
        return min((seconds for seconds in waits if seconds is not None), default=None)

    async def _post_and_edit(self, view: ThreadView, memory: Mapping[str, str]) -> list[float | None]:
        now, config = self._clock(), self._config
        wanted = drafts(view, now, lambda since: self._view_url(self._sid, since), config.settle_seconds)
        todo = [
            found
            for draft in wanted
            if (found := due(draft, _posted(memory, draft.id), now, config.edit_seconds, config.elapsed_seconds))
        ]
        waits: list[float | None] = [one.seconds for one in todo if one.seconds > 0]
        for one in sorted((one for one in todo if one.seconds <= 0), key=lambda one: not one.urgent):
            waits.append(await self._do(view, one))
        return waits

    async def _do(self, view: ThreadView, one: Due) -> float | None:
        if not await self._record.lease(f"thread:{self._sid}", self._owner, LEASE_SECONDS):
            raise Lost
        if one.posted is not None and one.posted.state == "posted":
            return await self._edit(view, one.draft, one.posted, urgent=one.urgent)
        await self._post(view, one.draft, maybe_there=one.posted is not None and one.posted.state == "posting")
        return self._config.elapsed_seconds if one.draft.ticking else None

    # -- posting ---------------------------------------------------------------------------------------------------

    async def _post(self, view: ThreadView, draft: Draft, maybe_there: bool) -> None:
        if maybe_there and (ts := await self._find(view, draft.id)) is not None:
            await self._save(draft.id, Posted(state="posted", ts=ts))
            await self._edit(view, draft, Posted(state="posted", ts=ts), urgent=True)
            return
        place = view.session.place
        metadata = {"event_type": EVENT_TYPE, "event_payload": {"card": draft.id, "session": self._sid}}
        await self._calls.make_room("chat.postMessage", place.channel, PATIENCE_SECONDS)
        await self._save(draft.id, Posted(state="posting"))
        try:
            answer = await self._send(
                "chat.postMessage",
                draft.message,
                channel=place.channel,
                thread_ts=place.thread,
                metadata=metadata,
                unfurl_links=False,
                unfurl_media=False,
            )
        except Unsure:
            raise
        except SlackError:
            await self._save(draft.id, Posted(state="wanted"))
            raise
        await self._shown(draft, str(answer.get("ts", "")))

    async def _find(self, view: ThreadView, card: str) -> str | None:
        """The ts of the message with this card's metadata, if it is in the thread."""
        cursor: str | None = None
        place = view.session.place
        for _ in range(REPLIES_PAGES):
            answer = await self._calls.call(
                "conversations.replies",
                patience=PATIENCE_SECONDS,
                channel=place.channel,
                ts=place.thread,
                limit=REPLIES_PAGE,
                include_all_metadata=1,
                cursor=cursor,
            )
            for message in answer.get("messages") or ():
                metadata = message.get("metadata") or {}
                payload = metadata.get("event_payload") or {}
                ours = message.get("bot_id") and metadata.get("event_type") == EVENT_TYPE
                if ours and payload.get("card") == card and payload.get("session") == self._sid:
                    return str(message.get("ts"))
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
        return None

    async def _edit(self, view: ThreadView, draft: Draft, posted: Posted, urgent: bool) -> float | None:
        place = view.session.place
        patience = PATIENCE_SECONDS if urgent else 0.0
        try:
            await self._calls.make_room("chat.update", place.channel, patience, progress=not urgent)
            await self._send("chat.update", draft.message, channel=place.channel, ts=posted.ts)
        except Later as later:
            if urgent:
                raise
            return later.seconds
        except SlackError as refused:
            if refused.error not in MESSAGE_GONE:
                raise
            log.info("%s: the message of %s is gone", self._sid, draft.id)
            await self._save(draft.id, posted.model_copy(update={"state": "gone"}))
            return None
        await self._shown(draft, posted.ts)
        return self._config.elapsed_seconds if draft.ticking else None

    async def _send(self, method: str, message: Message, **args: Any) -> Mapping[str, Any]:
        """Send with blocks; should Slack not take them, the text alone, for words must not be lost over their form."""
        try:
            return await self._calls.send(method, text=message.text, blocks=list(message.blocks), **args)
        except (Later, Unsure):
            raise
        except SlackError as refused:
            if refused.error not in TOO_MUCH:
                raise
            log.error("%s: Slack refused the form of a message (%s); sending its text", self._sid, refused)
            return await self._calls.send(method, text=message.text, blocks=[], **args)

    async def _shown(self, draft: Draft, ts: str) -> None:
        now = self._clock()
        shown = Posted(state="posted", ts=ts, digest=draft.digest, mark=draft.mark, at=now)
        await self._save(draft.id, shown)
        if draft.has_words:
            await self._record.stamp(self._sid, "first_words", now)

    async def _save(self, card: str, posted: Posted) -> None:
        await self._record.save_post(self._sid, card, posted.model_dump_json())

    # -- what goes wrong, and the status line ----------------------------------------------------------------------

    async def _refused(self, view: ThreadView, refused: SlackError) -> float | None:
        if refused.error in PLACE_GONE:
            log.warning("%s: nothing can be said in its thread any more (%s); its work goes on", self._sid, refused)
            await self._record.save_post(self._sid, PLACE, str(len(view.cards)))
            return None
        log.error("%s: Slack refused (%s); trying again in %.0f s", self._sid, refused, TROUBLED_SECONDS)
        return TROUBLED_SECONDS

    async def _show_status(self, view: ThreadView, memory: Mapping[str, str]) -> float | None:
        before = memory.get(STATUS)
        kept, again = await self._status.show(view, before)
        if kept and kept != before:
            await self._record.save_post(self._sid, STATUS, kept)
        return again


def _posted(memory: Mapping[str, str], card: str) -> Posted | None:
    kept = memory.get(card)
    return Posted.model_validate_json(kept) if kept else None
