"""What programs have in common. The `…_command.py` of each calls this.

One that runs until it is told to end keeps its secrets out of its log and from its children, begins when the record
answers, and ends in order. One that only asks something begins so, too, and ends by itself (`in_workshop`).
"""

import asyncio
import contextlib
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bot.settings import VARIABLES
from jobs import log, redis_server
from jobs.settings import JobSettings
from jobs.wiring import Workshop, workshop

HEED_SECONDS = 1.0
FILES_MOST = 65_536  # as docs/running.md has it for systemd
RECORD_SECONDS = 5.0  # for a server that was started together with us
SECRETS = (
    *(name for name in VARIABLES.values() if name.endswith(("_TOKEN", "_SECRET", "_KEY"))),
    *("GITHUB_TOKEN", "GITHUB_APP_PRIVATE_KEY", "REDIS_URL", "MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"),
)


class CannotStart(Exception):
    """Something outside is missing or refuses us; the message says what, and what to do."""


async def record_answers(settings: JobSettings) -> None:
    """Raise `CannotStart` unless the Redis-compatible server is there."""
    try:
        await redis_server.answering(settings.redis_url, RECORD_SECONDS)
    except TimeoutError as silent:
        raise CannotStart(f"{silent} Start one, or set REDIS_URL to where it is.") from silent


def in_workshop(settings: JobSettings, work: Callable[[Workshop], Awaitable[int]]) -> int:
    """Do this with all that is set up, once the record answers; the exit code."""

    async def go() -> int:
        await record_answers(settings)
        async with workshop(settings) as shop:
            return await work(shop)

    return asyncio.run(go())


def keep_to_ourselves(env: MutableMapping[str, str], secrets: Sequence[str], settings: JobSettings) -> None:
    """No line of the log has these, and no child inherits what they came in: `env` is this process's environment."""
    log.configure(secrets)
    for name in (*SECRETS, *(one.key_variable for one in settings.upstreams)):
        env.pop(name, None)


def open_many_files() -> None:
    """Take as many descriptors as the system lets us: a box may hold some hundreds, and the usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MOST if hard == resource.RLIM_INFINITY else min(hard, FILES_MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a system may take less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def until_told_to_end(work: Coroutine[Any, Any, None]) -> None:
    """Do this work until it ends, or until the system or a person asks this process to end."""
    async with told_to_end() as ending:
        working, waiting = asyncio.create_task(work), asyncio.create_task(ending.wait())
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        await _end(working, waiting)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel until it is heeded, for a client that is just dialling may swallow that; raises what a task died of."""
    for task in tasks:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=HEED_SECONDS)
        if not task.cancelled():
            task.result()


@asynccontextmanager
async def told_to_end() -> AsyncIterator[asyncio.Event]:
    """An event that is set when the system or a person asks this process to end."""
    loop, ending = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    yield ending
