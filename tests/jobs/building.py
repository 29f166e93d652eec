"""A process that builds one image and is killed at it: `python -m tests.jobs.building OWNER/NAME [CALL [NUMBER]]`.

With the name of a provider's method it kills itself before that call of it, the first or the one of this number.
"""

import asyncio
import os
import signal
import sys
from dataclasses import replace

from jobs.images import build_image
from jobs.settings import JobSettings
from jobs.wiring import workshop
from tests.jobs.shop import Interrupted


async def main(repository: str, call: str = "", number: str = "1") -> None:
    left = int(number)

    async def die() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    async with workshop(JobSettings.from_env(os.environ)) as shop:
        provider = Interrupted(shop.provider)
        if call:
            provider.before[call] = die
        await build_image(replace(shop, provider=provider), repository)  # type: ignore[arg-type]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
