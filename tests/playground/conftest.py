"""A browser for each module that tests the page, and a workspace for each of its tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser

from tests.browser import browsing
from tests.playground.windows import Served, serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One for the whole module."""
    async with browsing() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A fresh workspace with its page."""
    async with serving(tmp_path) as found:
        yield found
