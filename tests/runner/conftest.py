"""One archive and one sample repository for all; a gateway and a box for each test."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.runner.boxes import REPOSITORY, RunningBox
from tests.runner.gateway import StandIn


@pytest.fixture
def bare(sample: Path, tmp_path: Path) -> Path:
    """The forge's copy of the repository."""
    return shutil.copytree(sample, tmp_path / f"forge/{REPOSITORY}.git")


@pytest.fixture
async def gateway(tmp_path: Path, bare: Path) -> AsyncIterator[StandIn]:
    stand_in = StandIn(tmp_path / "gateway", tmp_path / "forge")
    await stand_in.start()
    yield stand_in
    stand_in.release.set()
    await stand_in.stop()


@pytest.fixture
async def box(pyz: Path, tmp_path: Path, gateway: StandIn) -> AsyncIterator[RunningBox]:
    running = RunningBox(pyz, tmp_path / "box", gateway.folder)
    yield running
    await running.kill()
