"""What comes of a snapshot that was taken, could not be taken, or could not be read. Pure; `jobs/decide.py` asks."""

from collections.abc import Callable, Mapping
from typing import Any

from jobs import events as e
from jobs.commands import FinishStart, Refused
from jobs.commands_snapshots import FailSnapshot, FinishSnapshot, PutOffSnapshot
from jobs.events import Event
from jobs.session import Rules, Session, Status

S = Status
LIVE = (S.IDLE, S.WORKING, S.STOPPING, S.FAILED)
TELL_AFTER = 2  # tries: what passes by itself is not told


def _finish(s: Session, c: FinishSnapshot, now: float, _: Rules) -> tuple[Event, ...]:
    if s.snapshot == c.snapshot:
        return ()
    if c.generation != s.generation or s.box is None or s.status not in LIVE or c.turn <= s.saved.turn:
        raise Refused("this snapshot comes too late")
    return (e.SnapshotTaken(at=now, generation=c.generation, turn=c.turn, snapshot=c.snapshot),)


def _fail(s: Session, c: FailSnapshot, now: float, _: Rules) -> tuple[Event, ...]:
    if c.generation != s.generation or s.box is None or s.status not in LIVE or c.turn != s.saved.due:
        return ()
    retry_at = None if c.delay is None else now + c.delay
    tells = not s.saved.told and (retry_at is None or s.saved.failures + 1 >= TELL_AFTER)
    failed = e.SnapshotFailed(
        at=now, generation=c.generation, turn=c.turn, reason=c.reason, retry_at=retry_at, told=tells
    )
    if not tells:
        return (failed,)
    goes_on = "I will try again after the next turn." if retry_at is None else "I will keep trying."
    text = f"What I did up to turn {c.turn} could not be saved: {c.reason}. {goes_on} Should its box be lost:"
    return (failed, e.Noted(at=now, text=f"{text} {rest(s)}"))


def _put_off(s: Session, c: PutOffSnapshot, now: float, _: Rules) -> tuple[Event, ...]:
    if c.generation != s.generation or s.box is None or s.status not in LIVE or c.turn != s.saved.due:
        return ()
    why = "its box was needed"
    return (e.SnapshotFailed(at=now, generation=c.generation, turn=c.turn, reason=why, retry_at=None),)


def rest(s: Session) -> str:
    """What there is beside the box, in sentences."""
    branch = f"`{s.branch}` on the forge has all that was pushed." if s.head else "Nothing was pushed yet."
    return f"{branch} The newest snapshot is {s.saved.when}." if s.snapshot is not None else branch


def told_of_nothing_left(s: Session, now: float) -> tuple[Event, ...]:
    """What people must know of a box that was gone before it could be put to sleep, unless all it did was kept."""
    if not s.box_turns or (s.turn is None and s.snapshot is not None and s.saved.turn >= s.turns):
        return ()
    text = f"The box was gone before it could be put to sleep, and what only it had is lost. {rest(s)}"
    return (e.Noted(at=now, text=text),)


def told_of_start(s: Session, c: FinishStart, now: float) -> tuple[Event, ...]:
    """What people must know of what a new box grew from, if it is not the last state of the one before."""
    why = f" ({c.instead})" if c.instead else ""
    if c.start == "snapshot":
        if s.lost_box is None or c.base != s.snapshot:
            return ()
        text = f"What the lost box had could not be read{why}. I go on from the snapshot {s.saved.when}"
    elif s.snapshot is not None or (s.lost_box is not None and s.turns):
        text = f"What the last box had left is not there any more{why}. I begin from the branch"
    else:
        return ()
    pushed = "with all that was pushed." if s.head else "and nothing had been pushed."
    return (e.Noted(at=now, text=f"{text}, {pushed}"),)


DECIDE_SNAPSHOTS: Mapping[type[Any], Callable[[Session, Any, float, Rules], tuple[Event, ...]]] = {
    FinishSnapshot: _finish,
    FailSnapshot: _fail,
    PutOffSnapshot: _put_off,
}
