"""What the tests of this floor share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobs.store import Store


@pytest.fixture
async def other(store: Store, redis_url: str, archive: Path) -> AsyncIterator[Store]:
    """Another process's store on the same server."""
    opened = await Store.open(redis_url, archive=archive)
    yield opened
    await opened.close()
