"""A page that takes long to make is made more rarely, whoever asks for it: other work goes on. `pages.py` has one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import NamedTuple
from weakref import WeakValueDictionary

QUICK_SECONDS = 0.1  # what takes no longer is made each time
RARELY = 5  # so many times as long as it took, what was made is given again
KEPT_MOST = 16


class _Made(NamedTuple):
    """A page, and until when it is given again."""

    text: str
    until: float


class Sparing:
    """Remembers what took long."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[Hashable, _Made] = {}
        self._making: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    async def page(self, key: Hashable, make: Callable[[], Awaitable[str]]) -> str:
        """The page of this key, made by one of those who ask at the same moment."""
        async with self._making.setdefault(key, asyncio.Lock()):
            began = self._clock()
            kept = self._kept.pop(key, None)
            if kept is None or kept.until <= began:
                text = await make()
                took = self._clock() - began
                kept = _Made(text, self._clock() + RARELY * took if took > QUICK_SECONDS else 0.0)
            if kept.until:
                self._kept[key] = kept
                if len(self._kept) > KEPT_MOST:
                    del self._kept[next(iter(self._kept))]
            return kept.text
