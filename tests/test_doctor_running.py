"""What the doctor says of that which runs: in order, or what to do."""

import dataclasses
from typing import Any

import pytest

from bot.doctor_running import GIB, findings
from bot.findings import Finding
from jobs.census import Census, Disk, ImageCount, Server
from jobs.warm_rules import PoolCount

WELL = Census(
    sessions={"working": 2, "idle": 1, "at_rest": 5, "closed": 7}, waiting=0, waiting_seconds=0.0, unshown=0,
    lag_seconds=0.0, unnamed=0, totals={}, boxes={"running": 3, "dead": 0}, strays=(),
    queues={"boxes": 0, "images": 0, "publish": 0}, workers={"boxes": 2, "images": 1, "publish": 1}, upkeep=True,
    server=Server(10 << 20, 1 << 30, True, True),
    disks={"data": Disk(50 * GIB, 99 * GIB), "boxes": Disk(50 * GIB, 99 * GIB)},
)  # fmt: skip
NOTHING = dataclasses.replace(WELL, sessions={}, boxes={}, workers={}, upkeep=False)


def found(census: Census, gateways: int = 1) -> dict[str, Finding]:
    return {one.what: one for one in findings(census, gateways)}


@pytest.mark.parametrize(("census", "gateways"), [(WELL, 1), (NOTHING, 0)])
def test_what_runs_well_and_what_was_never_started_is_in_order(census: Census, gateways: int) -> None:
    assert [one for one in findings(census, gateways) if not one.well] == []


def test_it_says_how_old_images_are_and_why_there_is_no_newer_one() -> None:
    images = (ImageCount("acme/rocket", 90.0, 0, ""), ImageCount("acme/site", None, 3, "onCreateCommand: no"))
    lines = found(dataclasses.replace(WELL, images=images))
    assert lines["image of acme/rocket"] == Finding("image of acme/rocket", "built 90 s ago", "")
    assert lines["image of acme/site"].said.endswith("; the last 3 builds failed: onCreateCommand: no")
    assert lines["image of acme/site"].mend == "see `shipmate images log acme/site`"


def test_it_says_how_much_there_is() -> None:
    lines = found(dataclasses.replace(WELL, waiting=2, waiting_seconds=30.0, unshown=4, lag_seconds=3.0))
    assert lines["sessions"].said == "1 idle, 2 working; 5 at rest, 7 closed; 2 prompts wait, the oldest for 30 s"
    assert lines["links"].said == "3 boxes connected, 0 connecting; 1 web processes answer them"
    assert lines["boxes"].said == "3 running, 0 without a session"
    assert lines["queue boxes"].said == "0 jobs wait, 2 workers alive"
    assert lines["threads"].said == "4 threads are being written, the one behind most by 3 s"
    assert lines["memory of Redis"].said == "10 MB of 1.0 GB"
    assert lines["disk of boxes"].said == "50.0 GB free of 99.0 GB"


def test_it_says_whether_warm_boxes_pay_where_there_are_some() -> None:
    assert "warm boxes" not in found(WELL)
    totals = {
        "start:warm": 6.0,
        "start:image": 2.0,
        "start:snapshot": 9.0,
        "warm:unused": 3.0,
        "warm:unused_seconds": 600,
    }
    lines = found(dataclasses.replace(WELL, warm=(PoolCount("acme/rocket", 2, 1, 1),), totals=totals))
    said = "acme/rocket 1 of 2; 6 of 8 fresh starts were warm; 3 ended unused after 10 min in all"
    assert (lines["warm boxes"].said, lines["warm boxes"].well) == (said, True)


WRONG: list[tuple[dict[str, Any], int, str, str]] = [
    ({"waiting": 1, "waiting_seconds": 600.0}, 1, "sessions", "worker of `boxes`"),
    ({}, 0, "links", "start `shipmate web`"),
    ({"boxes": None}, 1, "boxes", "isolation"),
    ({"strays": ("s1-1",)}, 1, "boxes", "start `shipmate upkeep`"),
    ({"warm": (PoolCount("acme/rocket", 2, 0, 0),)}, 1, "warm boxes", "worker of `boxes`"),
    ({"upkeep": False}, 1, "upkeep", "start `shipmate upkeep`"),
    ({"queues": {"publish": 1}, "workers": {}}, 1, "queue publish", "start `shipmate worker --queue publish`"),
    ({"unshown": 1, "lag_seconds": 121.0}, 1, "threads", "no work is lost"),
    ({"server": Server(900, 1000, True, True)}, 1, "memory of Redis", "raise maxmemory"),
    ({"server": Server(1, 0, True, False)}, 1, "writes of Redis", "free space on its disk"),
    ({"disks": {"boxes": Disk(GIB, 10 * GIB)}}, 1, "disk of boxes", "SHIPMATE_KEEP_SECONDS"),
    ({"disks": {"data": Disk(4 * GIB, 100 * GIB)}}, 1, "disk of data", "docs/running.md"),
]


@pytest.mark.parametrize(("otherwise", "gateways", "what", "mend"), WRONG)
def test_what_is_off_is_said_with_what_to_do(otherwise: dict[str, Any], gateways: int, what: str, mend: str) -> None:
    lines = found(dataclasses.replace(WELL, **otherwise), gateways)
    assert [one.what for one in lines.values() if not one.well] == [what]
    assert mend in lines[what].mend
