"""`make scale`: plays it, prints the table, writes `scale.json`. `--burst 1000 --alive 5000 --mentions 20`."""

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.scale.run import Measure, everything
from tests.scale.town import town


async def measured(args: argparse.Namespace) -> list[Measure]:
    """All measures of one town."""
    async with town(args.create_seconds, args.webs) as there:
        return await everything(there, args.burst, args.alive, args.mentions, args.fill_seconds)


def main() -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make scale")
    parser.add_argument("--burst", type=int, default=1000, help="sessions that are started at once (default 1000)")
    parser.add_argument("--alive", type=int, default=5000, help="sessions in all (default 5000)")
    parser.add_argument("--create-seconds", type=float, default=1.0, help="that a create of a box takes (default 1)")
    parser.add_argument("--mentions", type=float, default=20.0, help="a second of the burst (default 20)")
    parser.add_argument("--fill-seconds", type=float, default=3600.0, help="the most for the others (default 3600)")
    parser.add_argument("--webs", type=int, default=1, help="web processes, each with its share of links (default 1)")
    args = parser.parse_args()
    began, load = time.time(), os.getloadavg()[0]
    print(f"burst {args.burst}, alive {args.alive}, a create takes {args.create_seconds} s; load before: {load:.1f}")
    rows = asyncio.run(measured(args))
    about = {
        "began": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - began),
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
        "load_after": round(os.getloadavg()[0], 1),
        **vars(args),
    }
    Path("scale.json").write_text(json.dumps({"about": about, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    print(f"{about['seconds']} s; load after: {about['load_after']}; scale.json has it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
