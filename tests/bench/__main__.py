"""`make bench`: measures, prints a table, writes `bench.json`. `--only name,name` measures some.

Bare and ours are interleaved in one run, so ratios say more than figures: those are for a quiet machine of two cores.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.bench import (
    box_rows,
    gate_rows,
    link_rows,
    modal_rows,
    model_rows,
    primed_rows,
    scale_row,
    snapshot_rows,
    start_rows,
    thread_rows,
)
from tests.bench.measure import Row, table, write

ROWS: dict[str, Callable[[], Awaitable[list[Row]]]] = {
    "accept": thread_rows.new_cold,
    "followup": thread_rows.followup,
    "new_cold": thread_rows.new_cold,
    "box_create_small": box_rows.box_create,
    "box_create_large": box_rows.box_create,
    "start_warm": start_rows.start_warm,
    "start_image": start_rows.start_image,
    "start_snapshot": start_rows.start_snapshot,
    "burst_100": start_rows.burst_100,
    "ttfr_primed": primed_rows.ttfr_primed,
    "ttfr_cold": primed_rows.ttfr_cold,
    "snapshot_small": snapshot_rows.snapshot,
    "snapshot_large": snapshot_rows.snapshot,
    "restore_small": snapshot_rows.restore,
    "restore_large": snapshot_rows.restore,
    "event_to_log": link_rows.event_to_log,
    "relay": link_rows.relay,
    "read_during_sync": gate_rows.read_during_sync,
    "gateway_request": model_rows.gateway_request,
    "gateway_chunk": model_rows.gateway_chunk,
    "gateway_100": model_rows.gateway_100,
    "modal_create_overhead": modal_rows.create_overhead,
    "modal_exec_overhead": modal_rows.exec_overhead,
    "control_plane_1000": scale_row.control_plane_1000,
}


async def measure(names: list[str]) -> list[Row]:
    """The rows of these names; what gives two rows is run once."""
    rows: list[Row] = []
    for how in dict.fromkeys(ROWS[name] for name in names):
        found = [one for one in await how() if one.name in names]
        print(table(found), flush=True)
        rows += found
    return rows


def main() -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", default=",".join(ROWS), help=f"some of: {', '.join(ROWS)}")
    names = [name for name in parser.parse_args().only.split(",") if name]
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        print(f"There is no row {', '.join(unknown)}; there are: {', '.join(ROWS)}", file=sys.stderr)
        return 2
    rows = asyncio.run(measure(names))
    write(rows, Path("bench.json"))
    print("\n" + table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
