"""One at a time for a name, in this process and between all processes that share the folder.

`mirrors.py` holds one while it writes a mirror. The kernel frees a lock when its holder dies.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS = 0.005, 0.2


class Locks:
    """Locks, each a file."""

    def __init__(self) -> None:
        self._ours: dict[Path, asyncio.Lock] = {}

    @asynccontextmanager
    async def held(self, file: Path, seconds: float) -> AsyncIterator[int]:
        """Hold the lock; its descriptor, given to a child, keeps it held until the child has ended too.

        Raises TimeoutError if that takes longer than `seconds`.
        """
        async with asyncio.timeout(seconds) as patience, self._ours.setdefault(file, asyncio.Lock()):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                await _locked(descriptor)
                patience.reschedule(None)
                yield descriptor
            finally:
                os.close(descriptor)


async def _locked(descriptor: int) -> None:
    pause = FIRST_LOOK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_LOOK_SECONDS)
