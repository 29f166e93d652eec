"""What a noisy box costs its neighbour: the way of the same words to the record, alone and beside each kind of noise.

Alone and beside take turns, some seconds each, so that what else the machine does falls on both. The record's times are
whole milliseconds, cut; the words come at any moment, so half a millisecond more is right on average.
"""

import json
import re
from dataclasses import dataclass

from tests.e2e.people import Thread
from tests.hostile.ground import Ground
from tests.hostile.play import over

ROUNDS, SECONDS = 5, 8.0
LONGER = 2.0  # a noise begins before the words that are measured, and ends after them
STAMP = re.compile(r"<(\d+\.\d+)>")
NOISES = {
    "says more than anybody reads": ("mouth.flood", {}),
    "computes in 60 processes and says more than anybody reads": ("mouth.noise", {"processes": 60}),
    "asks the gateway on 90 connections without end": ("gateway.storm", {"connections": 90}),
}


@dataclass(frozen=True)
class Noise:
    """How many milliseconds words took from the agent's mouth to the record, in order."""

    kind: str
    alone: tuple[float, ...]
    beside: tuple[float, ...]

    def line(self) -> str:
        """For a person."""
        (half, most), (half_beside, most_beside) = _shares(self.alone), _shares(self.beside)
        return (
            f"beside a box that {self.kind} a neighbour's words take {most_beside:.1f} ms instead of {most:.1f} to the "
            f"record (p95 of {len(self.beside)}): {(most_beside / most - 1) * 100:+.0f} %; p50 {half_beside:.1f} ms "
            f"instead of {half:.1f}"
        )


def _shares(took: tuple[float, ...]) -> tuple[float, float]:
    return took[len(took) // 2], took[int(len(took) * 0.95)]


async def measure(ground: Ground) -> list[Noise]:
    """Two boxes: one is steady, the other in turns silent and as noisy as it can be."""
    ada = ground.office.ada
    steady, noisy = [await ada.says("@shipmate play nothing") for _ in range(2)]
    for thread in (steady, noisy):
        await thread.settled(seconds=60)
    alone: list[float] = []
    beside: dict[str, list[float]] = {kind: [] for kind in NOISES}
    for _ in range(ROUNDS):
        alone += await _took(ground, steady)
        for kind, (trick, more) in NOISES.items():
            given = json.dumps({"seconds": SECONDS + LONGER, **more}).encode().hex()
            heard = await _heard(noisy)
            await ada.replies(noisy, f"play {trick} {given}")
            await noisy.until(lambda session: session.turn is not None)
            beside[kind] += await _took(ground, steady)
            await over(noisy, heard + 1)
    return [Noise(kind, tuple(sorted(alone)), tuple(sorted(took))) for kind, took in beside.items()]


async def _heard(thread: Thread) -> int:
    session = await thread.session()
    assert session is not None
    return len(session.seen)


async def _took(ground: Ground, thread: Thread) -> list[float]:
    store, heard = ground.office.shop.store, await _heard(thread)
    known = [entry.id for entry in await store.transcript(thread.sid, limit=100_000)]
    given = json.dumps({"seconds": SECONDS}).encode().hex()
    await ground.office.ada.replies(thread, f"play mouth.steady {given}")
    await over(thread, heard + 1)
    entries = await store.transcript(thread.sid, known[-1] if known else "0-0", limit=100_000)
    return [
        float(entry.id.split("-")[0]) + 0.5 - float(stamp) * 1000
        for entry in entries
        if entry.kind == "text"
        for stamp in STAMP.findall(str(entry.body.get("text", "")))
    ]
