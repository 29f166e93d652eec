"""The record: the only file that knows Redis and its keys. Async; one `Store` a process, or a job.

Of each session: the log (a list; event n is item n-1), the folded session beside it (so loading is one read), the
transcript (a bounded stream), the link's pointers, stamps and what is remembered of its thread; their keys share the
tag `{sid}`. What must be true at once happens in one script (`jobs/store_scripts.py`); a bell only says "look again".
Closed sessions go to files (`jobs/archive.py`) and come back when somebody asks for them.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import redis.asyncio as redis

from jobs import archive as files
from jobs import archive_scripts as archiving
from jobs import store_connection as connection
from jobs import store_scripts as scripts
from jobs.archive import Archived
from jobs.commands import Unreadable
from jobs.events import Event, event_from_json
from jobs.records import Conflict, Entry, Fence, Grant, Heard, Link, Looked, StaleLink, Unnamed
from jobs.session import Session, Status
from jobs.store_berths import Berths
from jobs.store_changes import Changes
from jobs.store_counts import Counts
from jobs.store_egress import EgressHosts
from jobs.store_histories import Histories
from jobs.store_images import Images
from jobs.store_ledger import RedisLedger
from jobs.store_leftovers import Leftovers
from jobs.store_recent import RecentSessions
from jobs.store_scripts import ACTIVE, BELL, CLOSED, KEPT, PREFIX, SLEEPING, TOTALS, UNSHOWN, key, keys
from jobs.store_usage import Usage
from jobs.store_warm import WarmBoxes

__all__ = ["Conflict", "Entry", "Fence", "Grant", "Heard", "Link", "Looked", "StaleLink", "Store", "Unnamed"]
log = logging.getLogger(__name__)


class Store:
    """The record, as the rest of the project sees it. Made with `open`."""

    def __init__(self, client: redis.Redis, archive: Path) -> None:
        self._redis, self._folder = client, archive
        self._append, self._shown = client.register_script(scripts.APPEND), client.register_script(scripts.SHOWN)
        self._lease, self._release = client.register_script(scripts.LEASE), client.register_script(scripts.RELEASE)
        self._spend, self._revoke = client.register_script(scripts.SPEND), client.register_script(scripts.REVOKE)
        self._drop, self._bring = client.register_script(archiving.DROP), client.register_script(archiving.BRING_BACK)
        self._stamp, self._look = client.register_script(scripts.STAMP), client.register_script(scripts.LOOK)
        self.leftovers, self.counts, self.images = Leftovers(client), Counts(client), Images(client)
        self.usage, self.egress, self.warm = Usage(client), EgressHosts(client), WarmBoxes(client)
        self.berths, self.recent, self.changes = Berths(client), RecentSessions(client), Changes(client)
        self.ledger, self.histories = RedisLedger(client), Histories(client, archive)

    @classmethod
    async def open(cls, url: str, *, archive: Path) -> "Store":
        """A store on the server of this URL; it is dialled when first needed. `archive`: where closed sessions go."""
        return cls(connection.to(url), archive)

    async def close(self) -> None:
        """Hang up."""
        await self._redis.aclose()

    async def ping(self) -> None:
        """Raise `OSError` if the server does not answer."""
        await self._asked("PING")

    async def info(self) -> dict[str, str]:
        """What the server says of itself, in its own words; `OSError` if it does not answer."""
        said: dict[str, Any] = await self._asked("INFO", "everything")
        return {name: str(value) for name, value in said.items()}

    async def _asked(self, *command: str) -> Any:
        try:
            return await self._do(*command)
        except redis.RedisError as trouble:
            raise ConnectionError(str(trouble)) from trouble

    async def _do(self, *command: Any) -> Any:
        return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]

    async def load(self, sid: str) -> Session | None:
        """The session as it is now, or None if there is none."""
        kept = await self._do("GET", key(sid, "session"))
        if kept is None and await self._brought_back(sid):
            kept = await self._do("GET", key(sid, "session"))
        return None if kept is None else Session.model_validate_json(kept)

    async def events(self, sid: str, after: int = 0, most: int | None = None) -> list[Event]:
        """The events of a session after a number, `most` of them if that is given."""
        asked = "LRANGE", key(sid, "log"), after, -1 if most is None else after + most - 1
        kept = await self._do(*asked)
        if not kept and after == 0 and await self._brought_back(sid):
            kept = await self._do(*asked)
        return [event_from_json(text) for text in kept]

    async def transcript(self, sid: str, after: str = "0-0", limit: int = 1000) -> list[Entry]:
        """At most `limit` entries of the transcript after an id."""
        if after == "0-0":
            await self._brought_back(sid)
        rows: Any = await self._redis.xrange(key(sid, "transcript"), min=f"({after}", count=limit)
        return [Entry(id_, float(r["at"]), int(r["turn"]), r["kind"], json.loads(r["body"])) for id_, r in rows]

    async def append(
        self,
        sid: str,
        events: Sequence[Event],
        folded: Session,
        *,
        expected: int,
        fence: Fence | None = None,
        heard: Heard | None = None,
        transcript: Sequence[Entry] = (),
        stamps: Mapping[str, float] | None = None,
        unnamed: str | None = None,
        claims: Sequence[Sequence[str]] = (),
    ) -> None:
        """Add to the log, whose last number is `expected`, and to the transcript; all or nothing.

        `folded` is the session with the events applied; `unnamed`: a snapshot that it names no more; `claims`: the
        warm box that it takes. Raises `Conflict` if somebody else wrote or took it first, and `StaleLink` if there is a
        newer generation or epoch than the fence's, or its token allows nothing any more.
        """
        args = scripts.append_args(
            sid, secrets.token_hex(8), events, folded, expected, fence, heard, transcript, stamps or {}, unnamed, claims
        )
        said = await self._append(keys=[*keys(sid), *scripts.INDEXES], args=args)
        if said.startswith("stale"):
            raise StaleLink(said)
        if said == "missing":
            await self._brought_back(sid)
        if said != "ok":
            raise Conflict(f"{said}: the log of {sid} does not end at {expected}, or the warm box is another's")

    async def bells(self) -> AsyncIterator[str]:
        """Sessions whose log grew, from the first look on, for ever. A bell may get lost; the log never is."""
        async with self._redis.pubsub(ignore_subscribe_messages=True) as listening:
            await listening.subscribe(BELL)
            while True:
                rung = await listening.get_message(timeout=scripts.BELL_SECONDS)
                if rung is not None and rung["type"] == "message":
                    yield rung["data"]

    async def active(self) -> list[str]:
        """Sessions where something is going on or due."""
        return sorted(await self._do("SMEMBERS", ACTIVE))

    async def all_sessions(self) -> list[str]:
        """Every session that is not in the archive."""
        resting = await self._do("ZRANGE", SLEEPING, 0, -1), await self._do("ZRANGE", CLOSED, 0, -1)
        return sorted({*await self.active(), *resting[0], *resting[1]})

    async def sleeping(self, before: float) -> list[str]:
        """Sessions at rest, but not closed, since before that time."""
        return list(await self._do("ZRANGEBYSCORE", SLEEPING, "-inf", f"({before}"))

    async def closed(self, before: float) -> list[str]:
        """Sessions that were closed (or brought back from the archive) before that time."""
        return list(await self._do("ZRANGEBYSCORE", CLOSED, "-inf", f"({before}"))

    async def unshown(self) -> list[str]:
        """Sessions whose log has something that no relay said it has shown."""
        return list(await self._do("ZRANGE", UNSHOWN, 0, -1))

    async def shown(self, sid: str, seq: int) -> None:
        """Everything up to this number is shown; if the log ends there, the session is not `unshown` any more."""
        await self._shown(keys=[key(sid, "log"), UNSHOWN], args=[sid, seq])

    async def said(self, sid: str, at: float) -> None:
        """What the log had at that time is said, or was not worth saying yet; `unshown` it may still be."""
        await self._do("ZADD", UNSHOWN, "XX", at, sid)

    async def begin_epoch(self, sid: str, generation: int) -> int:
        """A new epoch for the link of this generation: older ones are stale from here on."""
        return int(await self._do("HINCRBY", key(sid, "link"), f"epoch:{generation}", 1))

    async def link(self, sid: str, generation: int) -> Link:
        """The newest epoch of this generation and the last frame of it that is stored; zeros if there was none."""
        return _link(await self._do("HMGET", key(sid, "link"), f"epoch:{generation}", f"heard:{generation}"))

    async def look(self, sid: str, generation: int, token: str = "") -> Looked:
        """The session and its link in one round trip. Raises `StaleLink` as `append` does by a token."""
        said = await self._look(keys=[key(sid, "session"), key(sid, "link"), scripts.GRANTS], args=[generation, token])
        if not said:
            raise StaleLink("stale token")
        return Looked(None if said[0] is None else Session.model_validate_json(said[0]), _link(said[1:]))

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        """Take or renew a lease; False: somebody else has it."""
        return bool(await self._lease(keys=[f"{PREFIX}lease:{name}"], args=[owner, _milliseconds(seconds)]))

    async def release(self, name: str, owner: str) -> None:
        """Give a lease back; nothing happens if it is not ours any more."""
        await self._release(keys=[f"{PREFIX}lease:{name}"], args=[owner])

    async def spend(self, budget: str, capacity: int, per_seconds: float) -> float:
        """Take one of `capacity`, which grow back in `per_seconds`: 0.0 if one was there, else seconds to wait."""
        if capacity < 1:
            return per_seconds
        return float(await self._spend(keys=[f"{PREFIX}budget:{budget}"], args=[capacity, per_seconds]))

    async def remember(self, key: str, value: str, seconds: float) -> bool:
        """Keep a small fact for a while; False: it is kept already, and stays as it is."""
        kept = await self._do("SET", f"{PREFIX}fact:{key}", value, "NX", "PX", _milliseconds(seconds))
        return kept is not None

    async def recall(self, key: str) -> str | None:
        """A small fact, if it is kept."""
        return cast(str | None, await self._do("GET", f"{PREFIX}fact:{key}"))

    async def recall_each(self, *keys: str) -> list[str | None]:
        """Some small facts, in one round trip."""
        return list(await self._do("MGET", *(f"{PREFIX}fact:{key}" for key in keys)))

    async def posts(self, sid: str) -> dict[str, str]:
        """What is remembered of the messages of a session's thread."""
        return await self._hash(sid, "posts")

    async def save_post(self, sid: str, card: str, value: str) -> None:
        """Remember something of one message."""
        await self._do("HSET", key(sid, "posts"), card, value)

    async def stamp(self, sid: str, name: str, at: float) -> None:
        """Note when something happened for the first time."""
        await self._stamp(keys=[key(sid, "stamps"), TOTALS], args=[name, at])

    async def stamps(self, sid: str) -> dict[str, float]:
        """When things happened for the first time."""
        return {name: float(at) for name, at in (await self._hash(sid, "stamps")).items()}

    async def _hash(self, sid: str, part: str) -> dict[str, str]:
        await self._brought_back(sid)
        return await cast(Awaitable[dict[str, str]], self._redis.hgetall(key(sid, part)))

    async def grant(self, token_hash: str, grant: Grant) -> None:
        """From here on a token of this hash allows this."""
        async with self._redis.pipeline(transaction=True) as both:
            both.hset(scripts.GRANTS, token_hash, json.dumps(grant))
            both.sadd(f"{PREFIX}tokens:{grant.box}", token_hash)
            await both.execute()

    async def granted(self, token_hash: str) -> Grant | None:
        """What a token of this hash allows; None: nothing."""
        kept = await self._do("HGET", scripts.GRANTS, token_hash)
        return None if kept is None else Grant(*json.loads(kept))

    async def allowed(self, token_hashes: Sequence[str]) -> list[bool]:
        """Whether each token of these hashes allows anything now; in one question."""
        kept = await self._do("HMGET", scripts.GRANTS, *token_hashes)
        return [grant is not None for grant in kept]

    async def revoke(self, box: str) -> None:
        """The tokens of this box allow nothing any more."""
        await self._revoke(keys=[f"{PREFIX}tokens:{box}", scripts.GRANTS, scripts.CHANGES])

    async def archive(self, sid: str) -> bool:
        """Move a closed session to its file; False: it is not closed, or somebody wrote meanwhile."""
        log, beside, transcript, *hashes = keys(sid)
        async with self._redis.pipeline(transaction=True) as whole:
            whole.lrange(log, 0, -1)
            whole.get(beside)
            whole.xrange(transcript)
            for one in hashes:
                whole.hgetall(one)
            events, session, rows, link, stamps, posts = await whole.execute()
        if session is None or (folded := Session.model_validate_json(session)).status is not Status.CLOSED:
            return False
        left = folded.since if folded.snapshot or folded.lost_box else ""
        said = tuple((id_, row["at"], row["turn"], row["kind"], row["body"]) for id_, row in rows)
        kept = Archived(session=session, events=events, transcript=said, link=link, stamps=stamps, posts=posts)
        await asyncio.to_thread(files.write, self._folder, sid, kept)
        return bool(await self._drop(keys=[*keys(sid), CLOSED, UNSHOWN, KEPT], args=[sid, len(events), left]))

    async def _brought_back(self, sid: str) -> bool:
        """See to it that a session that has a file is here; whether it has one."""
        if not files.has(self._folder, sid):
            return False
        if await self._do("EXISTS", key(sid, "log")):
            return True
        try:
            kept = await asyncio.to_thread(files.read, self._folder, sid)
        except Unreadable as broken:
            log.error("session %s in %s: %s (%r)", sid, self._folder, files.MEND, broken.__cause__)
            raise
        await self._bring(keys=[*keys(sid), CLOSED], args=archiving.bring_back_args(sid, time.time(), kept))
        return True


def _link(kept: Sequence[str | None]) -> Link:
    return Link(epoch=int(kept[0] or 0), acked=int(kept[1] or 0))


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
