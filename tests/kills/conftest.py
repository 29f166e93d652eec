"""One site for all tests of this folder. Each test leaves it as it found it, with everything up."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.kills.site import PROGRAMS, Site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_site() -> AsyncIterator[Site]:
    async with Site.open() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def site(shared_site: Site) -> Site:
    """The shared site, with nothing wrong and everything up."""
    await shared_site.back(*PROGRAMS)
    await shared_site.quiet()
    return shared_site
