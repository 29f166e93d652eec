"""Brings what happened to the app: every delivery is tried until it is acknowledged, or as often as Slack tries.

`workspace.py` adds deliveries. They go over the app's sockets (`workspace_sockets.py`), or as signed HTTP
(`workspace_http.py`) once the app has told where it listens. What is not acknowledged is kept in the journal, so that a
restart of the playground goes on with it.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from bot.playground.workspace_faults import Faults
from bot.playground.workspace_records import Delivery, Json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """How patient Slack is, in seconds: for an acknowledgement, and before each further attempt."""

    ack: float = 3.0
    retries: tuple[float, ...] = (0.0, 60.0, 300.0)


class Outcome(Enum):
    """What became of one attempt."""

    TAKEN = "taken"
    REFUSED = "refused"  # try again
    LOST = "lost"  # the way there broke under it: try another one, at once
    UNWANTED = "unwanted"  # the app asks not to be tried again


@dataclass(frozen=True)
class Attempt:
    """`number` 0 is the first; `reason`: why there is another one. `answer` takes what the app sent back."""

    delivery: Delivery
    number: int
    reason: str
    seconds: float
    answer: "asyncio.Future[Json]"


class Result(NamedTuple):
    """What became of an attempt, and Slack's word for why it must be made again."""

    outcome: Outcome
    reason: str = ""


class Way(Protocol):
    """How an attempt reaches the app."""

    async def try_(self, attempt: Attempt) -> Result:
        """Make one attempt, and wait for what comes of it."""


class Deliveries:
    """Everything that is on its way; `settle` is told what is over."""

    def __init__(self, way: Way, faults: Faults, timing: Timing, settle: Callable[[Delivery], None]) -> None:
        self._way = way
        self._faults, self._timing, self._settle = faults, timing, settle
        self._under_way: dict[asyncio.Task[None], Delivery] = {}
        self._held: list[Delivery] = []

    def add(self, delivery: Delivery) -> None:
        """Deliver in the background, as the faults will have it."""
        if self._faults.reorder <= 0:
            self._start(delivery)
            return
        self._held.append(delivery)
        if len(self._held) >= self._faults.reorder:
            self._faults.reorder = 0
            self.release()

    def release(self) -> None:
        """Deliver what is held to be reordered, last first."""
        held, self._held = self._held[::-1], []
        for delivery in held:
            self._start(delivery)

    def _start(self, delivery: Delivery) -> None:
        for _ in range(2 if self._faults.take("duplicate") else 1):
            task = asyncio.get_running_loop().create_task(self._carry(delivery))
            self._under_way[task] = delivery
            task.add_done_callback(lambda done: self._under_way.pop(done, None))

    def use(self, way: Way) -> None:
        """From now on, deliver this way; what is under way begins again."""
        self._way = way
        for task, delivery in list(self._under_way.items()):
            task.cancel()
            self._start(delivery)

    async def _carry(self, delivery: Delivery) -> None:
        if self._faults.delay:
            await asyncio.sleep(self._faults.delay)
        number, reason, waits = 0, "", list(self._timing.retries)
        while True:
            outcome, why = await self._try(delivery, number, reason)
            if outcome in (Outcome.TAKEN, Outcome.UNWANTED) or (outcome is Outcome.REFUSED and not waits):
                break
            number, reason = number + 1, why
            if outcome is Outcome.REFUSED:
                await asyncio.sleep(waits.pop(0))
        if outcome is not Outcome.TAKEN:
            log.warning("the app did not take event %s (%s)", delivery.id, why)
        self._settle(delivery)

    async def _try(self, delivery: Delivery, number: int, reason: str) -> Result:
        result = await self._way.try_(self._attempt(delivery, number, reason))
        if result.outcome is Outcome.TAKEN and self._faults.take("drop_acks"):
            await asyncio.sleep(self._timing.ack)
            return Result(Outcome.REFUSED, "timeout")
        return result

    def _attempt(self, delivery: Delivery, number: int = 0, reason: str = "") -> Attempt:
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        return Attempt(delivery, number, reason, self._timing.ack, answer)

    async def ask(self, delivery: Delivery) -> Json | None:
        """Deliver once, now, and give what the app answers ({} if nothing); None: it did not in time.

        For what a person waits for: a pressed button, a submitted form.
        """
        attempt = self._attempt(delivery)
        try:
            async with asyncio.timeout(self._timing.ack):
                while (result := await self._way.try_(attempt)).outcome is Outcome.LOST:
                    pass
        except TimeoutError:
            return None
        if result.outcome is not Outcome.TAKEN:
            return None
        return attempt.answer.result() if attempt.answer.done() else {}

    async def settled(self) -> None:
        """Until nothing is on its way any more."""
        while self._under_way:
            await asyncio.gather(*self._under_way)

    async def close(self) -> None:
        """Stop; what is not settled stays in the journal."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
