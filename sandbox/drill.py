"""One real life of a box, step by step and timed: create → exec → snapshot → restore → terminate.

`bot/doctor_drill.py` runs it, through `Provider` alone, so it works wherever boxes run. Each step is bounded. What was
made is taken away again, whatever went wrong; what a drill left that was killed is taken away by the next one.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sandbox.provider import BoxError, BoxSpec, BoxState, Provider, Snapshot, SnapshotKind

LABEL = "drill"
LEFT_SECONDS = 1800.0  # a drill is over by then: what has its label and is older was left behind
TIDY_SECONDS = 60.0
# The most for each. A place may have to build what all its boxes are made of before it makes the first one
SECONDS = {"create": 900.0, "exec": 60.0, "snapshot": 330.0, "restore": 240.0, "terminate": 90.0}
FILE = "drill.txt"


@dataclass(frozen=True)
class Step:
    """One step: how long it took, in seconds, and what was wrong (empty: nothing), as a sentence."""

    name: str
    seconds: float
    trouble: str = ""


@dataclass
class _Made:
    """What has to be taken away again."""

    boxes: list[str] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)


class _Wrong(Exception):
    """The place did something, but not what it promises."""


async def drill(provider: Provider, name: str, clock: Callable[[], float] = time.time) -> list[Step]:
    """The steps, up to the first that went wrong; `name` is one that no box has had (`[a-z0-9-]`, at most 40 long)."""
    run = _Drill(provider, name)
    steps: list[Step] = []
    try:
        for what, do in run.steps():
            steps.append(await _timed(what, do))
            if steps[-1].trouble:
                break
    finally:
        trouble = await _take_away(provider, run.made, clock() - LEFT_SECONDS)
    return [*steps, Step("take away", 0.0, trouble)] if trouble else steps


class _Drill:
    """The steps of one drill; each goes on from what the one before it left."""

    def __init__(self, provider: Provider, name: str) -> None:
        self._provider, self._name = provider, name
        self._snapshot: Snapshot | None = None
        self.made = _Made()

    def steps(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """Their names and what they do, in order."""
        return [
            ("create", self._create), ("exec", self._exec), ("snapshot", self._take),
            ("restore", self._restore), ("terminate", self._terminate),
        ]  # fmt: skip

    async def _create(self) -> None:
        await self._box(self._name)

    async def _box(self, name: str, base: str | None = None) -> None:
        self.made.boxes.append(name)  # before it is made: a create that is given up may have made it
        await self._provider.create(BoxSpec(name, greeting(), base=base, labels={LABEL: self._name}))

    async def _exec(self) -> None:
        done = await self._provider.exec(self._name, ("tee", FILE), stdin=self._name.encode(), timeout=30.0)
        if done.code != 0 or done.stdout != self._name.encode():
            raise _Wrong(f"a command that writes a file ended with {done.code}: {done.stderr[:200]!r}")

    async def _take(self) -> None:
        self._snapshot = await self._provider.snapshot(self._name, SnapshotKind.TURN, LABEL)
        self.made.snapshots.append(self._snapshot.id)

    async def _restore(self) -> None:
        assert self._snapshot is not None, "it was taken in the step before"
        again = f"{self._name}-again"
        await self._box(again, self._snapshot.id)
        kept = await self._provider.exec(again, ("cat", FILE), timeout=30.0)
        if kept.stdout != self._name.encode():
            raise _Wrong("the restored box does not have the file that was in the snapshot")

    async def _terminate(self) -> None:
        for name in self.made.boxes:
            await self._provider.terminate(name, 0.0)
            if (await self._provider.status(name)).state is BoxState.RUNNING:
                raise _Wrong(f"box {name} still runs after it was terminated")


def greeting() -> bytes:
    """The greeting of a box whose runner dials nobody."""
    return json.dumps({"wire": 1, "token": "none", "gateway": None, "mode": "idle"}).encode() + b"\n"


async def _timed(what: str, do: Callable[[], Awaitable[None]]) -> Step:
    began, trouble = time.monotonic(), ""
    try:
        async with asyncio.timeout(SECONDS[what]):
            await do()
    except (BoxError, _Wrong) as said:
        trouble = str(said)
    except TimeoutError:
        trouble = f"it was not done in {SECONDS[what]:.0f} s"
    except Exception as broke:  # whatever a place raises, the one who looks for trouble hears of it
        trouble = f"{type(broke).__name__}: {broke}"
    return Step(what, time.monotonic() - began, trouble)


async def _take_away(provider: Provider, made: _Made, before: float) -> str:
    """End and forget what this drill made, and what others left before that time; what could not be, as a sentence."""
    left = []
    boxes = [*made.boxes, *await _left_behind(provider, before)]
    for name, away in (
        *((name, provider.discard(name)) for name in boxes),
        *((one, provider.forget_snapshot(one)) for one in made.snapshots),
    ):
        try:
            async with asyncio.timeout(TIDY_SECONDS):
                await away
        except Exception as trouble:
            left.append(f"{name} ({str(trouble) or type(trouble).__name__})")
    return f"left behind: {', '.join(left)}" if left else ""


async def _left_behind(provider: Provider, before: float) -> list[str]:
    try:
        async with asyncio.timeout(TIDY_SECONDS):
            return [box.name for box in await provider.list() if LABEL in box.labels and box.born < before]
    except Exception:  # that they cannot be listed is said by the step that went wrong, or by no one
        return []
