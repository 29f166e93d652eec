"""What a bad day on Modal is, and what days are played with. `days.py` has all of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sandbox.modal_records import SnapshotRecord
from sandbox.provider import BoxSpec
from tests.modal.places import Spot
from tests.modal_cloud.client import ModalCloud

HOUR = 3600.0
Play = Callable[[ModalCloud, Spot], Awaitable[str]]


@dataclass(frozen=True)
class Day:
    """One bad day. `settings`: of the place, beside the usual."""

    name: str
    play: Play
    settings: dict[str, float]

    @property
    def what(self) -> str:
        """What goes wrong, and what must come of it."""
        return (self.play.__doc__ or "").strip()


DAYS: list[Day] = []


def day(**settings: float) -> Callable[[Play], Play]:
    """Add a day to the list."""

    def add(play: Play) -> Play:
        DAYS.append(Day(play.__name__, play, settings))
        return play

    return add


def spec(spot: Spot, name: str, base: str | None = None, **labels: str) -> BoxSpec:
    """A box that does nothing but serve commands."""
    return BoxSpec(name, spot.greeting(), base=base, labels=labels or {"session": "s1", "generation": "1"})


async def sh(spot: Spot, name: str, command: str, timeout: float = 20.0) -> str:
    """What a command says in a box."""
    return (await spot.provider.exec(name, ("sh", "-c", command), timeout=timeout)).stdout.decode().strip()


async def fails(call: Awaitable[object], error: type[Exception]) -> Exception:
    """The error that a call ends with, which must be of this kind and no other."""
    try:
        await call
    except error as failed:
        assert type(failed) is error, f"{type(failed).__name__} instead of {error.__name__}: {failed}"
        return failed
    raise AssertionError(f"it did not end with {error.__name__}")


async def noted(spot: Spot, snapshot: str) -> SnapshotRecord:
    """What the ledger has of a snapshot."""
    return SnapshotRecord.read(await spot.ledger.get(f"snapshot:{snapshot}") or {})


async def alive(cloud: ModalCloud) -> list[str]:
    """The names of the boxes that run."""
    return sorted(box["name"] for box in await cloud.boxes(alive=True))
