"""What workers say of a live box's snapshots, as records. Pure; `jobs/decide_snapshots.py` says what comes of each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FinishSnapshot:
    """The box of this generation was copied after this turn."""

    generation: int
    turn: int
    snapshot: str


@dataclass(frozen=True)
class FailSnapshot:
    """It could not be copied; again in `delay` seconds. None: that cannot help before the next turn."""

    generation: int
    turn: int
    reason: str
    delay: float | None


@dataclass(frozen=True)
class PutOffSnapshot:
    """The box was needed before it was copied; again after the next turn."""

    generation: int
    turn: int


SnapshotCommand = FinishSnapshot | FailSnapshot | PutOffSnapshot
