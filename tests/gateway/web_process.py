"""A web process with nothing but its gateway, for tests to kill: `python -m tests.gateway.web_process`."""

import asyncio
import os
import signal
import sys

from bot.gateway.server import Gateway
from bot.metrics import Metrics
from bot.settings import BotSettings
from jobs import log
from jobs.github import Forge
from jobs.inbox import Inbox
from jobs.store import Store
from jobs.wants import Operation


async def serve(settings: BotSettings) -> None:
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    store = await Store.open(settings.jobs.redis_url, archive=settings.jobs.data_dir / "archive")
    token = settings.jobs.github_token.get_secret_value() if settings.jobs.github_token else ""
    inbox = Inbox(store, _nobody_works, settings.jobs.rules)
    gateway = Gateway(settings, store, inbox, Forge(settings.jobs.github_api_url, token), Metrics())
    await gateway.start()
    print("ready", flush=True)
    await ending.wait()
    await gateway.close()
    await store.close()


async def _nobody_works(_session: object, _operation: Operation) -> None:
    """The test is the only worker."""


if __name__ == "__main__":
    log.configure((), sys.stderr)
    asyncio.run(serve(BotSettings.from_env(os.environ)))
