"""Places with boxes for the tests of this folder."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sandbox import probe
from tests.sandbox.places import Place, clear, folder

FOUND = probe.probe()


@pytest.fixture
def spot() -> Iterator[Path]:
    with folder() as made:
        yield made


@pytest.fixture
async def local(spot: Path) -> AsyncIterator[Place]:
    if not FOUND.allowed:
        pytest.skip(FOUND.reason)
    place = Place("local", spot)
    yield place
    await clear(place)


@pytest.fixture
async def plain(spot: Path) -> AsyncIterator[Place]:
    place = Place("unisolated", spot)
    yield place
    await clear(place)


def pytest_report_header() -> str:
    return f"isolation: {FOUND.reason} ({sys.platform})"
