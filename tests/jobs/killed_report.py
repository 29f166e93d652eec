"""A worker at a report that is killed in the middle: `python -m tests.jobs.killed_report REDIS_URL DATA_DIR SID STEP`.

It ends by SIGKILL before its write number STEP (from 0).
"""

import asyncio
import dataclasses
import os
import signal
import sys
from typing import cast

from jobs.children import report_session
from jobs.inbox import Inbox
from jobs.settings import JobSettings
from jobs.wiring import workshop
from tests.jobs.shop import Interrupted


async def main(redis_url: str, data_dir: str, sid: str, step: str) -> None:
    settings = JobSettings.from_env({"REDIS_URL": redis_url, "SHIPMATE_DATA_DIR": data_dir, "SHIPMATE_UNISOLATED": "1"})
    async with workshop(settings) as shop:
        inbox, left = Interrupted(shop.inbox), int(step)

        async def die_in_time() -> None:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        inbox.before["handle"] = die_in_time
        await report_session(dataclasses.replace(shop, inbox=cast(Inbox, inbox)), sid)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
