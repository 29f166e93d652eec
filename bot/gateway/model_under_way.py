"""What requests to models will cost that are not counted yet: a guess, so that several at once do not cross a budget.

`model_account.py` asks before one is passed on, `model.py` passes it on and counts it. Each process knows its own.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial


def _nothing() -> None:
    """Where there is no budget."""


class Expected:
    """One request that is under way: for as long as its `with` lasts, or until it is counted, if somebody counts it."""

    def __init__(self, over: Callable[[], None] = _nothing) -> None:
        self._over, self._is_counted_apart = over, False

    def until_counted(self) -> Callable[[], None]:
        """What to call once, when it is counted; until then it stays under way."""
        self._is_counted_apart = True
        return self._over

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if not self._is_counted_apart:
            self._over()


class UnderWay:
    """By the session whose budget they are on; millionths of a dollar."""

    def __init__(self) -> None:
        self._micros: Counter[str] = Counter()
        self._less = asyncio.Event()

    def of(self, root: str) -> int:
        """What is under way."""
        return self._micros[root]

    def begin(self, root: str, micros: int) -> Expected:
        """One more."""
        self._micros[root] += micros
        return Expected(partial(self._end, root, micros))

    def _end(self, root: str, micros: int) -> None:
        self._micros[root] -= micros
        if not self._micros[root]:
            del self._micros[root]
        self._less.set()
        self._less = asyncio.Event()

    async def less(self) -> None:
        """Wait until one is over."""
        await self._less.wait()
