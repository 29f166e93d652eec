"""How much of a session's work its snapshots have: up to which turn, and whether another one is due. Pure.

`jobs/session.py` has a `Saved`, `jobs/fold.py` keeps it true, `jobs/decide_snapshots.py` tells people of it.
"""

from datetime import UTC, datetime

from jobs import events as e
from jobs.events import Frozen

TURNS_APART, TRIES_APART = 1000, 20  # in the number of an attempt


class Saved(Frozen):
    """`turn`: what the newest snapshot has everything of, and `at`: when it was taken. `due`: the turn after which none
    was taken yet, 0 for none, and `due_since`; `retry_at` None: trying again cannot help. `told`: people know of it."""

    turn: int = 0
    at: float = 0.0
    due: int = 0
    due_since: float = 0.0
    failures: int = 0
    retry_at: float | None = 0.0
    told: bool = False

    @property
    def when(self) -> str:
        """Which moment the newest snapshot is of, for people."""
        at = datetime.fromtimestamp(self.at, UTC)
        return f"after turn {self.turn}, {at.day} {at:%B %H:%M} UTC" if self.turn else f"of {at.day} {at:%B %H:%M} UTC"


def after_turn(saved: Saved, event: e.TurnEnded, idle: bool) -> Saved:
    """A turn has ended: what it did is in no snapshot yet. `idle`: it did nothing, so that one of all that was done
    before has everything of it, too."""
    if idle and not saved.due and saved.turn == event.turn - 1:
        return saved.model_copy(update={"turn": event.turn})
    return saved.model_copy(update={"due": event.turn, "due_since": event.at, "retry_at": 0.0})


def after_snapshot(saved: Saved, event: e.SnapshotTaken) -> Saved:
    """There is a snapshot of it, and perhaps a later turn has ended since."""
    due = saved.due if saved.due > event.turn else 0
    return Saved(turn=event.turn, at=event.at, due=due, due_since=saved.due_since)


def after_failure(saved: Saved, event: e.SnapshotFailed) -> Saved:
    """It could not be taken."""
    told = saved.told or event.told
    return saved.model_copy(update={"failures": saved.failures + 1, "retry_at": event.retry_at, "told": told})


def at_rest(saved: Saved, turns: int, at: float, snapshot: str | None) -> Saved:
    """The box is gone, and left this."""
    return Saved(turn=turns, at=at) if snapshot is not None else Saved(turn=saved.turn, at=saved.at)
