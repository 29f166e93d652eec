"""The repository on its way into step with the forge: patient, within a deadline, and known to whoever waits for it.

`life.py` has one and begins `sync`; `asking.py` looks at it while an agent reads what is there already.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from sandbox.runner import history
from sandbox.runner.box import Greeting
from sandbox.runner.git import NETWORK_SECONDS, Git, GitFailed
from sandbox.runner.sync import Step, is_readable, sync
from sandbox.runner.within import within

SYNC_PAUSE, TOLD_PAUSE, LONGEST_PAUSE = 0.1, 0.4, 3.2  # doubled from try to try
FINAL_TRIES = 3  # for failures that waiting will hardly mend
CLONE_SECONDS = NETWORK_SECONDS  # a first clone may take long, and nobody waits for it
CLONE_PAUSES = (0.0, 0.5, 2.0)
T = TypeVar("T")


async def patiently(doing: Callable[[], Awaitable[T]], seconds: float, dawdles: Callable[[], None]) -> T:
    """Try until it works; raise GitFailed when it has not within `seconds`, or when it hardly ever will.

    `dawdles` is called once, when somebody who waits should know that it does not work at present.
    """
    loop, pause, finals, last = asyncio.get_running_loop(), SYNC_PAUSE, 0, ""
    end = loop.time() + seconds
    while True:
        try:
            return await within(end - loop.time(), doing())
        except asyncio.TimeoutError:  # first: it is an OSError in newer Pythons
            raise GitFailed(f"it took longer than {seconds:g} seconds" + (last and f" ({last})")) from None
        except (GitFailed, OSError, LookupError, ValueError) as failed:
            last = str(failed)
            finals += isinstance(failed, GitFailed) and failed.final
            if finals >= FINAL_TRIES or loop.time() + pause > end:
                raise failed if isinstance(failed, GitFailed) else GitFailed(repr(failed)) from failed
        if pause == TOLD_PAUSE:
            dawdles()
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def clone(git: Git, base: str, told: str) -> None:
    """What an image begins with; how it went is told by the file `told`, which appears whole, for the host to find.

    A forge that is away is not waited for long: the host tries again later.
    """
    said: dict[str, object] = {}
    for pause in CLONE_PAUSES:
        await asyncio.sleep(pause)
        try:
            said = {"head": (await within(CLONE_SECONDS, sync(git, base, ""))).head}
            break
        except asyncio.TimeoutError:
            said = {"error": f"it took longer than {CLONE_SECONDS:g} seconds", "final": True}
            break
        except (GitFailed, OSError, LookupError, ValueError) as failed:
            said = {"error": str(failed), "final": isinstance(failed, GitFailed) and failed.final}
    with open(f"{told}.new", "w", encoding="utf-8") as file:
        json.dump(said, file)
    os.replace(f"{told}.new", told)


class Branch(NamedTuple):
    """Where a box works: its repository's `base` branch, and the `name` of its own."""

    base: str
    name: str


class Tree:
    """The tree of one box. `step` says how it came into step; None before."""

    def __init__(self, git: Git, said: Greeting, say: Callable[..., None]) -> None:
        self.git, self.branch = git, Branch(said.base_branch, said.branch)
        self.step: Step | None = None
        self._repository, self._seconds, self._say = said.repository, said.sync_seconds, say
        self._moved = asyncio.Event()
        self._begun = ""

    @property
    def head(self) -> str:
        """Where it was when it came into step, or before that when it was found to be readable."""
        return self.step.head if self.step is not None else self._begun

    async def is_readable(self) -> bool:
        """Whether there is something to read before it is in step. From here on somebody may be at work in it."""
        if is_readable(self.git):
            self._begun = await self.git.head()
        return bool(self._begun)

    async def moved(self) -> None:
        """Wait until it is in step: for ever, if it never is."""
        await self._moved.wait()

    async def sync(self) -> None:
        """Bring it in step. Raises GitFailed with a sentence."""
        self._say("phase", phase="syncing")
        try:
            step = await patiently(self._try, self._seconds, lambda: self._say("phase", phase="syncing_again"))
        except GitFailed as failed:
            raise GitFailed(f"The repository {self._repository} could not be fetched: {failed}") from failed
        await history.begin(self.git, self._begun or "HEAD")  # whoever reads already may have committed
        self.step = step
        self._moved.set()
        self._say("phase", phase="synced")

    async def _try(self) -> Step:
        return await sync(self.git, self.branch.base, self.branch.name, lambda: self._begun)
