"""Every bad day of `days.py` ends as it must."""

from pathlib import Path

import pytest

from tests.modal.days import DAYS, Day
from tests.modal.places import Spot
from tests.modal_cloud.client import ModalCloud

CROWD = "a_hundred_creates_at_once"
REAL = [day for day in DAYS if day.name != CROWD]


@pytest.mark.parametrize("day", REAL, ids=[day.name for day in REAL])
async def test_a_bad_day_ends_well(cloud: ModalCloud, tmp_path: Path, day: Day) -> None:
    async with Spot(cloud.url, tmp_path, **day.settings) as spot:
        assert await day.play(cloud, spot)


async def test_a_hundred_boxes_are_made_at_once(paper: ModalCloud, tmp_path: Path) -> None:
    (crowd,) = (day for day in DAYS if day.name == CROWD)
    async with Spot(paper.url, tmp_path, **crowd.settings) as spot:
        assert await crowd.play(paper, spot)
