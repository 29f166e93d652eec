"""Two places that run boxes, as one provider: this machine, and one far away. Each name says which place it is of.

`jobs/wiring.py` makes one; `jobs/` names boxes with `named` and asks `place_of` where something is. Nothing is looked
up: a box that is not of this machine has its place before its name (`modal-…`), a snapshot before its id (`modal:…`).
So a box is found where it is, whatever the settings say by now.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from threading import Event
from typing import Protocol, TypeVar, runtime_checkable

from sandbox.provider import (
    BoxError,
    BoxInfo,
    BoxSpec,
    ExecResult,
    Missing,
    Provider,
    Snapshot,
    SnapshotKind,
    Unreachable,
)

log = logging.getLogger(__name__)
T = TypeVar("T")
PATIENCE_SECONDS = 3.0  # with a place that is asked for all its boxes, and has been before
HERE = "local"
FAR = ("modal",)


def named(place: str, name: str) -> str:
    """The name of a box at this place."""
    return name if place == HERE else f"{place}-{name}"


def place_of(name: str) -> str:
    """Where the box of this name, or the snapshot of this id, is."""
    return next((far for far in FAR if name.startswith((f"{far}-", f"{far}:"))), HERE)


@runtime_checkable
class Rented(Protocol):
    """What a place that is somebody else's is asked for besides."""

    async def prepare(self) -> None:
        """Have made beforehand what all boxes there grow from."""

    async def renew(self, before: float) -> int:
        """Keep some of the snapshots for longer that would be let go before this time; how many that were."""

    async def close(self) -> None:
        """Hang up."""


class SideBySide:
    """Sends each call to the place that it is about. `places` has this machine, and those far away that are set up."""

    name = "side by side"

    def __init__(self, places: Mapping[str, Provider]) -> None:
        self._places = places
        self.isolated = all(place.isolated for place in places.values())
        limits = [place.longest_seconds for place in places.values() if place.longest_seconds is not None]
        self.longest_seconds = min(limits, default=None)
        self._listed: dict[str, list[BoxInfo]] = {}
        self._looking: dict[str, asyncio.Task[BoxError | None]] = {}

    def _at(self, name: str) -> Provider:
        """The place of this box or snapshot. Raises Unreachable if it is not set up: what is there is not gone."""
        place = place_of(name)
        if place not in self._places:
            raise Unreachable(f"{name} is at {place}, which is not set up here: see `shipmate doctor`")
        return self._places[place]

    async def create(self, spec: BoxSpec) -> BoxInfo:
        """Start a box where its name says. Raises Missing if it is to grow from what is elsewhere."""
        place = self._at(spec.name)
        if spec.base is not None and place_of(spec.base) != place_of(spec.name):
            raise Missing(f"{spec.name} cannot grow from {spec.base}, which is at {place_of(spec.base)}")
        return await place.create(replace(spec, base=_bare(spec.base) if spec.base is not None else None))

    async def status(self, name: str) -> BoxInfo:
        """Whether the box runs."""
        return await self._at(name).status(name)

    async def exec(
        self,
        name: str,
        argv: tuple[str, ...],
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
        limit: int = 4 << 20,
        heard: Callable[[bytes], None] | None = None,
    ) -> ExecResult:
        """Run a command in a live box."""
        return await self._at(name).exec(name, argv, stdin=stdin, timeout=timeout, limit=limit, heard=heard)

    async def snapshot(self, name: str, kind: SnapshotKind, moment: str = "", hurry: Event | None = None) -> Snapshot:
        """Keep the file system of a live box."""
        return _tagged(place_of(name), await self._at(name).snapshot(name, kind, moment, hurry))

    async def last_state(self, name: str, kind: SnapshotKind = SnapshotKind.FOLLOW_UP) -> Snapshot | None:
        """Turn what a dead box left into a snapshot."""
        left = await self._at(name).last_state(name, kind)
        return None if left is None else _tagged(place_of(name), left)

    async def terminate(self, name: str, grace: float = 3.0) -> None:
        """End every process of the box."""
        await self._at(name).terminate(name, grace)

    async def overgrown(self) -> dict[str, str]:
        """Live boxes that have too much of something. A place that does not answer has none to tell of just now."""
        found: dict[str, str] = {}
        for place in self._places.values():
            try:
                found |= await place.overgrown()
            except BoxError as trouble:
                log.warning("boxes at %s could not be weighed: %s", place.name, trouble)
        return found

    async def discard(self, name: str) -> None:
        """Forget a dead box and what it left."""
        await self._at(name).discard(name)

    async def forget_snapshot(self, snapshot: str) -> None:
        """Let go of a snapshot."""
        await self._at(snapshot).forget_snapshot(_bare(snapshot))

    async def list(self) -> list[BoxInfo]:
        """The boxes of all places. One that does not answer, or not soon, is taken to have those that it had when it
        last did, so that nobody takes them for gone; one that has not answered yet has the last word: it is waited for,
        and its error is raised."""
        for name, place in self._places.items():
            trouble = await (self._look(name, place) if name == HERE else self._look_afar(name, place))
            if trouble is not None and name not in self._listed:
                raise trouble
            if trouble is not None:
                log.warning("boxes at %s could not be listed anew: %s", name, trouble)
        return [box for name in self._places for box in self._listed[name]]

    async def _look(self, name: str, place: Provider) -> BoxError | None:
        try:
            self._listed[name] = await place.list()
        except BoxError as trouble:
            if name == HERE:
                raise
            return trouble
        return None

    async def _look_afar(self, name: str, place: Provider) -> BoxError | None:
        """As `_look`; what takes long goes on, and the next one who asks waits for the same answer."""
        looking = self._looking.get(name)
        if looking is None or looking.done():
            looking = self._looking[name] = asyncio.create_task(self._look(name, place))
        patience = PATIENCE_SECONDS if name in self._listed else None
        await asyncio.wait({looking}, timeout=patience)
        return looking.result() if looking.done() else Unreachable(f"no answer within {PATIENCE_SECONDS:.0f} s")

    async def prepare(self) -> None:
        """Have made beforehand what all boxes of places that are not ours grow from."""
        for place in self._rented():
            await place.prepare()

    async def renew(self, before: float) -> int:
        """Keep some of the snapshots for longer that a place would let go before this time; 0: there was none."""
        return sum([await place.renew(before) for place in self._rented()])

    async def close(self) -> None:
        """Hang up."""
        for looking in self._looking.values():
            looking.cancel()
        await asyncio.gather(*self._looking.values(), return_exceptions=True)
        for place in self._rented():
            await place.close()

    def _rented(self) -> Iterator[Rented]:
        return (place for place in self._places.values() if isinstance(place, Rented))


def _bare(snapshot: str) -> str:
    """The id as its place knows it."""
    place = place_of(snapshot)
    return snapshot if place == HERE else snapshot.removeprefix(f"{place}:")


def _tagged(place: str, taken: Snapshot) -> Snapshot:
    return taken if place == HERE else replace(taken, id=f"{place}:{taken.id}")
