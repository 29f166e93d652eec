"""Looks after all open streams of this process: rings for lost bells, has each beat, ends those of revoked tokens.

If each stream did so by itself, thousands of boxes that say nothing would keep a process and the record busy; here one
question a second is for all of them: what has changed. Now and then, and when that cannot be told, each is looked at.
`server.py` starts one; `link.py` has the streams.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol
from weakref import WeakSet

from bot.gateway.link_stream import LOOK_SECONDS, Stream
from jobs.log import forgiven
from jobs.store_changes import Changed

log = logging.getLogger(__name__)
AT_ONCE = 500  # in one question, so that nobody waits long for the record meanwhile
BLIND_SECONDS = 6.0  # who cannot see the record for so long lets its boxes go: another process may see it
ALL_SECONDS = 15.0  # so often each stream is looked at, whatever changed
CANCEL_SECONDS = 0.05


class Changes(Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def since(self, upto: str) -> Changed:
        """The logs that grew, and the tokens that were revoked, since then."""

    async def lengths(self, sids: Sequence[str]) -> list[int]:
        """The last number of each log; 0 if there is none."""


class Record(Protocol):
    """The same."""

    @property
    def changes(self) -> Changes:
        """What has changed."""

    async def allowed(self, token_hashes: Sequence[str]) -> list[bool]:
        """Whether each token of these hashes allows anything now."""


class Lookout:
    """`streams` says which there are. From `start` to `close` they are looked after."""

    def __init__(self, record: Record, streams: Callable[[], Iterable[Stream]]) -> None:
        self._record, self._streams = record, streams
        self._tasks: set[asyncio.Task[None]] = set()
        self._upto, self._looked_at_all = "", float("-inf")
        self._known: WeakSet[Stream] = WeakSet()  # those that were looked at once

    def start(self) -> None:
        """Begin."""
        self._tasks = {asyncio.create_task(self._look_for_ever()), asyncio.create_task(self._beat_for_ever())}

    async def close(self) -> None:
        """End."""
        while self._tasks:
            for task in self._tasks:
                task.cancel()  # more than once if need be: a client that is just dialling may swallow it
            _, self._tasks = await asyncio.wait(self._tasks, timeout=CANCEL_SECONDS)

    async def _beat_for_ever(self) -> None:
        """Apart from the looks: a record that does not answer must not silence the streams."""
        while True:
            began = time.monotonic()
            for some in _some_at_a_time(list(self._streams())):
                for stream in some:
                    with forgiven(log, f"the stream of box {stream.box} could not beat"):
                        await stream.beat()
                await asyncio.sleep(0)  # others get on meanwhile
            await asyncio.sleep(max(0.0, began + LOOK_SECONDS - time.monotonic()))

    async def _look_for_ever(self) -> None:
        seen = time.monotonic()
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(BLIND_SECONDS):
                    await self._look(began)
                seen = time.monotonic()
            except Exception:
                log.exception("the record could not be looked at for the open streams; again in a second")
                if time.monotonic() - seen >= BLIND_SECONDS:
                    self._let_go()
            await asyncio.sleep(max(0.0, began + LOOK_SECONDS - time.monotonic()))

    async def _look(self, now: float) -> None:
        """What has changed counts as known only once it was seen to."""
        changed, streams = await self._record.changes.since(self._upto), list(self._streams())
        if changed.complete and now - self._looked_at_all < ALL_SECONDS:
            streams = [one for one in streams if one not in self._known or _is_touched(one, changed)]
        else:
            self._looked_at_all = now
        await self._ring_for_what_grew(streams)
        await self._end_the_revoked(streams)
        self._known.update(streams)
        self._upto = changed.upto

    async def _ring_for_what_grew(self, streams: Sequence[Stream]) -> None:
        for some in _some_at_a_time(streams):
            lengths = await self._record.changes.lengths([stream.session for stream in some])
            for stream, length in zip(some, lengths, strict=True):
                if length > stream.seen:
                    stream.bell.set()

    async def _end_the_revoked(self, streams: Sequence[Stream]) -> None:
        for some in _some_at_a_time(streams):
            allowed = await self._record.allowed([stream.token for stream in some])
            for stream, still in zip(some, allowed, strict=True):
                if not still:
                    log.info("the token of box %s was revoked: its stream ends", stream.box)
                    stream.end()

    def _let_go(self) -> None:
        for stream in self._streams():
            stream.end()


def _is_touched(stream: Stream, changed: Changed) -> bool:
    return stream.session in changed.logs or stream.token in changed.tokens


def _some_at_a_time(streams: Sequence[Stream]) -> Iterable[Sequence[Stream]]:
    return (streams[first : first + AT_ONCE] for first in range(0, len(streams), AT_ONCE))
