"""What runs now, counted: for `shipmate doctor` and the metrics (`bot/metrics.py`).

A census changes nothing, reads a bounded part of the record, and costs some milliseconds.
"""

import asyncio
import contextlib
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from jobs.events import Prompt
from jobs.image_records import Standing
from jobs.outcomes import Summary
from jobs.queue import QUEUES
from jobs.session import Session, Status
from jobs.store_counts import LOOKED_AT
from jobs.warm import WarmPool
from jobs.warm_rules import PoolCount
from jobs.wiring import Workshop
from sandbox.provider import BoxError, BoxInfo, BoxState

STARTING_SECONDS = 60.0  # a box younger than this may not be on record yet
AT_REST = "at_rest"  # asleep, failed or asking, without a box
NOT_LOOKED_INTO = "not_looked_into"  # under way, and more than are looked into


class Server(NamedTuple):
    """The Redis-compatible server. `limit` 0: none was set."""

    used: int
    limit: int
    keeps: bool  # everything is written to its append-only file
    written: bool  # and the last write went well


class Disk(NamedTuple):
    """The disk that a folder is on."""

    free: int
    size: int


class ImageCount(NamedTuple):
    """How it stands with the image of a repository. `age` in seconds, None: there is none; `failures` in a row."""

    repository: str
    age: float | None
    failures: int
    reason: str


@dataclass(frozen=True)
class Census:
    """One count. Times are seconds; `boxes` is None if the provider could not say.

    `waiting`: prompts in sessions without a turn; those that wait for a turn to end, or for a person's word on the
    budget, are not missed by anybody.
    """

    sessions: Mapping[str, int]
    waiting: int
    waiting_seconds: float
    unshown: int
    lag_seconds: float
    unnamed: int
    totals: Mapping[str, float]
    boxes: Mapping[str, int] | None
    strays: tuple[str, ...]
    queues: Mapping[str, int]
    workers: Mapping[str, int]
    upkeep: bool
    server: Server
    disks: Mapping[str, Disk] = field(default_factory=dict)
    warm: tuple[PoolCount, ...] = ()
    images: tuple[ImageCount, ...] = ()
    queued: int = 0  # sessions that wait because there are as many boxes as there may be
    outcomes: Summary | None = None  # as the upkeep has last counted them


async def take(shop: Workshop) -> Census:
    """Count. Raises `OSError` or an error of Redis if the record cannot be read."""
    counts, now = shop.store.counts, shop.clock()
    totals, sizes, since = await counts.totals(), await counts.sizes(), await counts.unshown_since()
    under_way, info = await counts.under_way(), await shop.store.info()
    boxes = await _boxes(shop)
    waiting = [s for s in under_way if s.turn is None and s.status is not Status.ASKING and s.paused is None]
    since_when = [_missed_since(session, prompt) for session in waiting for prompt in session.queue]
    return Census(
        sessions=_by_status(under_way, sizes),
        waiting=len(since_when),
        waiting_seconds=max((now - at for at in since_when if at < now), default=0.0),
        unshown=sizes["unshown"],
        lag_seconds=max(0.0, now - since) if since is not None else 0.0,
        unnamed=sizes["unnamed"],
        totals=totals,
        boxes=None if boxes is None else _states(boxes),
        queued=sum(session.position > 0 for session in under_way),
        warm=() if boxes is None else await WarmPool(shop).count(boxes),
        strays=() if boxes is None else await _strays(shop, boxes, under_way),
        queues=_in_use(shop, await shop.queue.depth()),
        workers=_in_use(shop, await shop.queue.workers()),
        upkeep=await counts.leased("upkeep"),
        server=_server(info),
        disks=await asyncio.to_thread(_disks, shop),
        images=await _images(shop, now),
        outcomes=await shop.store.histories.summary(),
    )


def _by_status(under_way: Sequence[Session], sizes: Mapping[str, int]) -> dict[str, int]:
    more = sizes["active"] - len(under_way)
    found = Counter(session.status.value for session in under_way) + Counter({NOT_LOOKED_INTO: more})
    return found | {AT_REST: sizes["sleeping"], Status.CLOSED.value: sizes["closed"]}


def _missed_since(session: Session, prompt: Prompt) -> float:
    """Since when somebody misses what this prompt asks for: what waited for a turn, or was interrupted in one, was
    received long before."""
    return max(prompt.received_at, session.since) if session.turns or not prompt.received_at else prompt.received_at


async def _boxes(shop: Workshop) -> list[BoxInfo] | None:
    with contextlib.suppress(BoxError):
        return await shop.provider.list()
    return None


def _in_use(shop: Workshop, counts: Mapping[str, int]) -> dict[str, int]:
    """Without the queues for boxes far away, unless there are such boxes, or somebody is counted all the same."""
    far = bool(shop.settings.far_places)
    return {name: count for name, count in counts.items() if far or count or not QUEUES[name].waits}


def _states(boxes: list[BoxInfo]) -> dict[str, int]:
    count = Counter(box.state.value for box in boxes)
    return {state.value: count[state.value] for state in (BoxState.RUNNING, BoxState.DEAD)}


async def _strays(shop: Workshop, boxes: list[BoxInfo], under_way: list[Session]) -> tuple[str, ...]:
    """Boxes that run for no session: the upkeep ends them, unless it does not run. As many owners are looked into as
    sessions under way are."""
    known = {name for session in under_way for name in (session.box, session.lost_box)}
    old = shop.clock() - STARTING_SECONDS
    running = [box for box in boxes if box.state is BoxState.RUNNING and "session" in box.labels and box.born < old]
    owner = {box.name: box.labels["session"] for box in running if box.name not in known}
    asked = set(sorted(set(owner.values()))[:LOOKED_AT])
    async for session in shop.store.counts.several(sorted(asked)):
        known |= {session.box, session.lost_box}
    return tuple(name for name, sid in owner.items() if sid in asked and name not in known)


def _server(info: Mapping[str, str]) -> Server:
    return Server(
        used=int(info.get("used_memory", 0)),
        limit=int(info.get("maxmemory", 0)),
        keeps=info.get("aof_enabled", "1") == "1",
        written=info.get("aof_last_write_status", "ok") == "ok",
    )


async def _images(shop: Workshop, now: float) -> tuple[ImageCount, ...]:
    good, standings = await shop.store.images.all_good(), await shop.store.images.standings()
    found = []
    for name in (repository.name for repository in shop.settings.repositories):
        newest, standing = next(iter(good.get(name, [])), None), standings.get(name, Standing())
        reason = standing.latest.reason if standing.latest is not None else ""
        found.append(ImageCount(name, now - newest.built_at if newest else None, standing.failures, reason))
    return tuple(found)


def _disks(shop: Workshop) -> dict[str, Disk]:
    """Of the folders that grow; one that is to be made counts by where it will be."""
    found = {}
    for name, folder in (("data", shop.settings.data_dir), ("boxes", shop.settings.boxes_dir)):
        place = next(each for each in (folder, *folder.parents) if each.exists())
        usage = shutil.disk_usage(Path(place))
        found[name] = Disk(usage.free, usage.total)
    return found
