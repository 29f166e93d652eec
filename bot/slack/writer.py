"""Writes the messages of one thread: posts each of them once, edits it in place ever after.

`thread.py` says which message is due. Before a post the record says that it is being made; so when the answer was lost,
or the process died, the thread is searched for it by its metadata before it is made again. Edits are safe to repeat.
"""

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from bot.slack.block_kit import Message
from bot.slack.calls import Calls, Later, SlackError, Unsure
from bot.slack.config import SlackConfig
from bot.slack.posts import Draft, Due, Posted
from bot.slack.sharing import Sharing
from jobs.events import Place

log = logging.getLogger(__name__)
EVENT_TYPE = "shipmate_card"
LEASE_SECONDS = 15.0  # more than one call takes with all its waiting
JUST_SECONDS = 0.1  # a lease that was taken or renewed so lately is ours for as long as any call takes
PATIENCE_SECONDS = 2.0  # for a budget, while we hold the lease
MESSAGE_GONE = ("message_not_found", "cant_update_message", "edit_window_closed")
TOO_MUCH = ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "metadata_too_large")
UNKNOWN = "?"  # no digest: what stands there has to be shown again
REPLIES_PAGE, REPLIES_PAGES = 200, 20


class Memory(Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        """Take or renew a lease; False: somebody else has it."""

    async def release(self, name: str, owner: str) -> None:
        """Give a lease back."""

    async def save_post(self, sid: str, card: str, value: str) -> None:
        """Remember something of one message."""

    async def stamp(self, sid: str, name: str, at: float) -> None:
        """Note when something happened for the first time."""


class Lost(Exception):
    """Somebody else writes this thread now."""


class Lease:
    """The right to write one thread."""

    def __init__(self, record: Memory, sid: str, owner: str) -> None:
        self._record, self._name, self._owner = record, f"thread:{sid}", owner
        self._held_at = float("-inf")

    async def hold(self) -> None:
        """Take it, or keep it for as long as the next call takes. Raises `Lost`."""
        asked = time.monotonic()
        if asked - self._held_at < JUST_SECONDS:
            return
        if not await self._record.lease(self._name, self._owner, LEASE_SECONDS):
            raise Lost
        self._held_at = asked

    async def release(self) -> None:
        """Let others have it; nothing happens if they have it already."""
        self._held_at = float("-inf")
        await self._record.release(self._name, self._owner)


class Writer:
    """Writes while it holds the lease; raises `Lost` once somebody else has it, else as `Calls` does. `posted` says
    how many messages it has posted; `saved` is told what the record remembers of each from now on."""

    def __init__(
        self,
        sid: str,
        lease: Lease,
        record: Memory,
        calls: Calls,
        config: SlackConfig,
        clock: Callable[[], float],
        saved: Callable[[str, str], None],
    ) -> None:
        self._sid, self._lease, self._record, self._calls, self._saved = sid, lease, record, calls, saved
        self._config, self._clock = config, clock
        self._sharing = Sharing(sid, lease.hold, calls, config, clock)
        self._stamped = False
        self.posted = 0

    async def write(self, place: Place, one: Due) -> float | None:
        """Post or edit it; in how many seconds to come again, if it is to be edited without anything new."""
        await self._lease.hold()
        if one.posted is not None and one.posted.state == "posted":
            return await self._edit(place, one.draft, one.posted, urgent=one.urgent)
        file = one.draft.file
        if file is not None and await self._sharing.share(place, file, one.posted, partial(self._save, one.draft.id)):
            self.posted += 1
            return None
        await self._post(place, one.draft, one.posted if one.posted and one.posted.state == "posting" else None)
        return self._config.elapsed_seconds if one.draft.ticking else None

    # -- posting ---------------------------------------------------------------------------------------------------

    async def _post(self, place: Place, draft: Draft, before: Posted | None) -> None:
        if before is not None and before.state == "posting":
            if (ts := await self._find(place, draft.id)) is not None:
                await self._save(draft.id, Posted(state="posted", ts=ts))
                await self._edit(place, draft, Posted(state="posted", ts=ts), urgent=True)
                return
            if 0 <= self._clock() - before.at < self._config.arrive_seconds:
                raise Unsure("chat.postMessage", "it has not arrived yet")  # the others wait for it, but not for long
        metadata = {"event_type": EVENT_TYPE, "event_payload": {"card": draft.id, "session": self._sid}}
        await self._calls.make_room("chat.postMessage", place.channel, PATIENCE_SECONDS)
        await self._lease.hold()
        await self._save(draft.id, Posted(state="posting", at=self._clock()))
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
        except Unsure as unsure:
            # what is not under way any more is there now, or never
            await self._save(draft.id, Posted(state="posting", at=self._clock() if unsure.under_way else 0.0))
            raise
        except SlackError:
            await self._save(draft.id, Posted(state="wanted"))
            raise
        self.posted += 1
        await self._shown(draft, str(answer.get("ts", "")))

    async def _find(self, place: Place, card: str) -> str | None:
        """The ts of the message with this card's metadata, if it is in the thread."""
        cursor: str | None = None
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

    async def _edit(self, place: Place, draft: Draft, posted: Posted, urgent: bool) -> float | None:
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
        await self._lease.hold()
        try:
            return await self._calls.send(method, text=message.text, blocks=list(message.blocks), **args)
        except (Later, Unsure):
            raise
        except SlackError as refused:
            if refused.error not in TOO_MUCH:
                raise
            log.error("%s: Slack refused the form of a message (%s); sending its text", self._sid, refused)
            await self._lease.hold()
            return await self._calls.send(method, text=message.text, blocks=[], **args)

    async def _shown(self, draft: Draft, ts: str) -> None:
        now = self._clock()
        shown = Posted(state="posted", ts=ts, digest=draft.digest, mark=draft.mark, at=now)
        try:
            await self._lease.hold()
        except Lost:  # whoever has it may have shown something newer, which ours has covered
            await self._save(draft.id, shown.model_copy(update={"digest": UNKNOWN}))
            raise
        await self._save(draft.id, shown)
        if draft.has_words and not self._stamped:
            await self._record.stamp(self._sid, "first_words", now)
            self._stamped = True

    async def _save(self, card: str, posted: Posted) -> None:
        written = posted.model_dump_json()
        await self._record.save_post(self._sid, card, written)
        self._saved(card, written)
