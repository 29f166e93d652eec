"""Every bad day on Modal, played on the stand-in, and the table of what came of it: `make modal-days`.

`python -m tests.modal [--only NAME]`. Exits with 1 if one does not end as it must.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.modal.days import DAYS, Day
from tests.modal.places import Spot
from tests.modal.test_bad_days import CROWD
from tests.modal_cloud.client import ModalCloud

WIDTHS = (36, 112)


async def played(cloud: ModalCloud, day: Day, folder: Path) -> tuple[bool, str]:
    """Whether it ended as it must, and what came of it."""
    try:
        async with Spot(cloud.url, folder, **day.settings) as spot:
            return True, await day.play(cloud, spot)
    except Exception as failed:
        return False, f"{type(failed).__name__}: {failed}"
    finally:
        await cloud.reset()


async def main(folder: Path, days: list[Day]) -> int:
    """Play and print; the exit code."""
    bad = 0
    for mode in ("boxes", "paper"):
        with ModalCloud.started(folder / mode, mode) as cloud:
            os.environ |= cloud.environment()
            for day in (each for each in days if (each.name == CROWD) == (mode == "paper")):
                began = time.monotonic()
                well, came = await played(cloud, day, folder / day.name)
                bad += not well
                took = time.monotonic() - began
                print(f"{'ok ' if well else 'BAD'}  {day.name:<{WIDTHS[0]}} {took:5.1f} s  {day.what}")
                print(f"{'':<{WIDTHS[0] + 15}}-> {came[: WIDTHS[1]]}", flush=True)
    print(f"{len(days)} bad days, {len(days) - bad} ended as they must, {bad} did not")
    return 1 if bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    wanted = parser.parse_args().only
    with tempfile.TemporaryDirectory(prefix="modal-days-", dir="/var/tmp") as made:
        sys.exit(asyncio.run(main(Path(made), [day for day in DAYS if wanted in day.name])))
