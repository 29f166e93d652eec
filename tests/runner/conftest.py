"""One archive and one sample repository for all; a gateway and a box, or a repository without, for each test."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.runner.boxes import REPOSITORY, RunningBox
from tests.runner.gateway import StandIn
from tests.runner.story import SEED, Story


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


@pytest.fixture(scope="session")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nothing-lost")
    (root / "seed").mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(("sh", "-ec", SEED), cwd=root / "seed", env=env, check=True)
    return root


@pytest.fixture
async def story(seed: Path, tmp_path: Path) -> AsyncIterator[Story]:
    for name in ("seed", "forge.git"):
        shutil.copytree(seed / name, tmp_path / name)
    told = Story(tmp_path)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCHLD, told.children.reap)
    yield told
    loop.remove_signal_handler(signal.SIGCHLD)
