"""`make kills`: kill -9 to everything there is at every moment of the main job, and what came of it.

Prints a row for each cell and the sums; writes `kills.json`. Exit code 1 if anything was lost, doubled or left open.
"""

import argparse
import asyncio
import logging
import random
import secrets
import sys
import traceback
from pathlib import Path

from tests.kills import table
from tests.kills.moments import MOMENTS, Moment
from tests.kills.rows import Row, play
from tests.kills.site import Site
from tests.kills.victims import VICTIMS, Victim

OUT = Path("kills.json")


def main() -> int:
    logging.disable(logging.WARNING)  # that the supervisor starts again what was killed is not news here
    args = _parser().parse_args()
    cells = [
        (victim, moment)
        for victim in VICTIMS
        for moment in MOMENTS
        if victim.name in (args.victim or [victim.name]) and moment.name in (args.moment or [moment.name])
    ] * args.rounds
    random.Random(args.seed).shuffle(cells)
    rows, failed = asyncio.run(_play_all(cells))
    print(f"\nseed {args.seed}\n{table.summed(rows) if rows else 'no row'}", flush=True)
    table.write(rows, OUT)
    return 0 if table.sound(rows) and not failed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--victim", action="append", choices=[victim.name for victim in VICTIMS])
    parser.add_argument("--moment", action="append", choices=[moment.name for moment in MOMENTS])
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of the order of the cells")
    parser.add_argument("--rounds", type=int, default=1, help="how often each cell is played (default 1)")
    return parser


async def _play_all(cells: list[tuple[Victim, Moment]]) -> tuple[list[Row], int]:
    """The rows, and how many cells could not be played to their end."""
    rows: list[Row] = []
    failed = 0
    print(table.HEAD, flush=True)
    async with Site.open() as site:
        for number, (victim, moment) in enumerate(cells):
            try:
                row = await play(site, victim, moment, f"word{number}")
            except Exception:
                print(f"{victim.name} / {moment.name} came to no end:\n{traceback.format_exc()}", flush=True)
                failed += 1
                await site.quiet()
                continue
            if row is not None:
                rows.append(row)
                print(table.line_of(row), flush=True)
    return rows, failed


if __name__ == "__main__":
    sys.exit(main())
