"""What a noisy box costs its neighbour: the way of the same words to the record, alone and beside a noisy one."""

import json
import re
from dataclasses import dataclass

from tests.e2e.people import Thread
from tests.hostile.ground import Ground
from tests.hostile.play import over

SECONDS = 15
STAMP = re.compile(r"<(\d+\.\d+)>")


@dataclass(frozen=True)
class Noise:
    """95 of 100 words took at most so many milliseconds from the agent's mouth to the record."""

    alone: float
    beside: float

    def line(self) -> str:
        """For a person."""
        more = (self.beside / self.alone - 1) * 100
        took = f"{self.beside:.0f} ms instead of {self.alone:.0f}"
        return f"beside a noisy box a neighbour's words take {took} to the record (p95): {more:+.0f} %"


async def measure(ground: Ground) -> Noise:
    """Two boxes: one steady all the time, the other first silent and then as noisy as it can be."""
    steady, noisy = [await ground.office.ada.says("@shipmate play nothing") for _ in range(2)]
    for thread in (steady, noisy):
        await thread.settled(seconds=60)
    alone = await _p95(ground, steady, 2)
    given = json.dumps({"seconds": SECONDS + 5, "processes": 60}).encode().hex()
    await ground.office.ada.replies(noisy, f"play mouth.noise {given}")
    await noisy.until(lambda session: session.turn is not None)
    beside = await _p95(ground, steady, 3)
    await over(noisy, 2)
    return Noise(alone, beside)


async def _p95(ground: Ground, thread: Thread, heard: int) -> float:
    store = ground.office.shop.store
    known = [entry.id for entry in await store.transcript(thread.sid, limit=100_000)]
    given = json.dumps({"seconds": SECONDS}).encode().hex()
    await ground.office.ada.replies(thread, f"play mouth.steady {given}")
    await over(thread, heard)
    entries = await store.transcript(thread.sid, known[-1] if known else "0-0", limit=100_000)
    took = sorted(
        float(entry.id.split("-")[0]) - float(stamp) * 1000
        for entry in entries
        if entry.kind == "text"
        for stamp in STAMP.findall(str(entry.body.get("text", "")))
    )
    return took[int(len(took) * 0.95)]
