"""A process that builds one image and may be killed at it: `python -m tests.jobs.building OWNER/NAME`."""

import asyncio
import os
import sys

from jobs.images import build_image
from jobs.settings import JobSettings
from jobs.wiring import workshop


async def main(repository: str) -> None:
    async with workshop(JobSettings.from_env(os.environ)) as shop:
        await build_image(shop, repository)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
