"""A clone of the sample repository for each test, and a rehearsal in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rehearsal.driving import Driven, rehearsal
from tests.runner.boxes import git


@pytest.fixture
def repo(sample: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", str(sample), str(tmp_path / "repo"))
    return tmp_path / "repo"


@pytest.fixture
async def driven(pyz: Path, repo: Path) -> AsyncIterator[Driven]:
    async with rehearsal(pyz, repo) as running:
        await running.begin()
        yield running
