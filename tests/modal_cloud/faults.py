"""Bad days on order: what a test wants to go wrong, how often and for whom. `dispatch.py` asks at each call.

lost_reply     it is done, but the answer never comes: the stream is reset
refused        the stream is reset, and it is not done
error          answered with `status` and `message`; UNAVAILABLE unless it is said
throttled      RESOURCE_EXHAUSTED with a retry policy of `after` seconds
quota          RESOURCE_EXHAUSTED without one
slow           done after `by` seconds of the cloud's clock, whether or not somebody still waits
late           done at once, told after `by` seconds
hang           no answer, ever
cut            a stream of output is reset after `bytes` bytes
build          a recipe's image fails, with `message`
early          the snapshot of a box in which no command has run yet fails
exit_snapshot  `answer` is "pending", "lost" or "internal"
stale          a list is as it was `by` seconds ago
no_task        a finished sandbox names no task any more
held_name      a name is free only `by` seconds after its sandbox has ended
idle           what idles ends with `status`
forgotten      what finished tasks are asked is answered with NOT_FOUND
"""

import itertools
from dataclasses import dataclass, field
from typing import Any

from modal_proto.api_grpc import ModalClientBase
from modal_proto.task_command_router_grpc import TaskCommandRouterBase

from tests.modal_cloud.clock import Clock

CALLS = ModalClientBase.__abstractmethods__ | TaskCommandRouterBase.__abstractmethods__

KINDS = {
    "lost_reply", "refused", "error", "hang", "throttled", "quota", "slow", "late", "cut", "exit_snapshot", "forgotten",
    "build", "early", "stale", "no_task", "held_name", "idle",
}  # fmt: skip


@dataclass
class Fault:
    """One order. `rpc`: which call, "*": any. `box`: a box's name, None: any. `left`: how often still; None: always."""

    number: int
    kind: str
    rpc: str = "*"
    box: str | None = None
    left: int | None = None
    until: float | None = None
    more: dict[str, Any] = field(default_factory=dict)
    hits: int = 0


class Faults:
    """The orders that are still open."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._orders: dict[int, Fault] = {}
        self._numbers = itertools.count(1)

    def order(self, kind: str, rpc: str, box: str | None, times: int | None, seconds: float | None, more: Any) -> int:
        """Add one; its number. ValueError if there is no such kind, or no such call."""
        if kind not in KINDS:
            raise ValueError(f"there is no fault {kind!r}: {', '.join(sorted(KINDS))}")
        if rpc != "*" and rpc not in CALLS:
            raise ValueError(f"there is no call {rpc!r}")
        number = next(self._numbers)
        until = None if seconds is None else self._clock.now() + seconds
        self._orders[number] = Fault(number, kind, rpc, box, times, until, dict(more))
        return number

    def clear(self, number: int | None) -> None:
        """Take one back, or all."""
        if number is None:
            self._orders.clear()
        else:
            self._orders.pop(number, None)

    def told(self) -> list[dict[str, Any]]:
        """The open orders."""
        return [vars(fault) for fault in self._orders.values()]

    def hit(self, kinds: set[str], rpc: str, box: str | None) -> Fault | None:
        """The oldest open order that this call meets, counted as met."""
        for fault in list(self._orders.values()):
            if fault.until is not None and self._clock.now() >= fault.until:
                del self._orders[fault.number]
                continue
            if fault.kind in kinds and fault.rpc in ("*", rpc) and fault.box in (None, box):
                fault.hits += 1
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left <= 0:
                        del self._orders[fault.number]
                return fault
        return None
