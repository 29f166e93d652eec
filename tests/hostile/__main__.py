"""Every trick, played for real, and the table of what came of it: `make hostile`. Exits with 1 if one succeeds.

`--only NAME` plays those whose names have this in them.
"""

import argparse
import asyncio
import sys
import time

from tests.hostile.ground import Ground
from tests.hostile.noise import measure
from tests.hostile.play import Row, play
from tests.hostile.trick import Trick
from tests.hostile.tricks import ALL

NOISY = "mouth.flood"  # with this, the cost of a noisy box is measured
WIDTHS = (30, 58, 44, 60)


async def main(tricks: tuple[Trick, ...]) -> int:
    """Play and print; the exit code."""
    began, rows = time.monotonic(), list[Row]()
    print(_line("trick", "tried", "refused by", "came of it") + "  logged")
    async with Ground.laid_out() as ground:
        async for row in play(ground, tricks):
            rows.append(row)
            print(_row(row), flush=True)
            for fault in row.faults:
                print(f"    SUCCEEDED: {fault}", flush=True)
        if any(trick.name == NOISY for trick in tricks):
            for noise in await measure(ground):
                print(noise.line(), flush=True)
    bad = [row for row in rows if not row.refused]
    print(f"{len(rows)} tricks in {time.monotonic() - began:.0f} s, {len(rows) - len(bad)} refused, {len(bad)} not")
    return 1 if bad else 0


def _row(row: Row) -> str:
    trick = row.trick
    logged = "—" if trick.log is None else str(row.logged)
    return _line(trick.name, trick.tried, trick.by, row.came) + f"  {logged:>6}  {row.seconds:.1f} s"


def _line(*words: str) -> str:
    cut = (" ".join(word.split())[:width] for word, width in zip(words, WIDTHS, strict=True))
    return "  ".join(f"{word:<{width}}" for word, width in zip(cut, WIDTHS, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    asked = parser.parse_args().only
    sys.exit(asyncio.run(main(tuple(trick for trick in ALL if asked in trick.name))))
