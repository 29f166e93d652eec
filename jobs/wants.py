"""Which operations a session wants: what is due for its box, its pull request and its family. Pure.

`jobs/inbox.py` hints what is wanted after each command, `jobs/upkeep.py` looks again; `jobs/decide.py` asks here what
is taken for lost.
"""

import math
from typing import Literal, NamedTuple

from jobs import lifetimes
from jobs.family import Child
from jobs.saved import TRIES_APART, TURNS_APART
from jobs.session import Rules, Session, Status

S = Status
SKEW_SECONDS = 60.0  # what began later than so far ahead of now was noted before the clock was put back
REPORT_SECONDS = 30.0  # so long a report waits for the pull request that it should name
HAND_SECONDS = 3.0  # far more than handing a prompt over takes
ASKED_AGAIN_SECONDS = 10.0  # after that a hint is taken for lost; then it takes twice as long each time


class Operation(NamedTuple):
    """Work for a worker. `attempt` makes a second try another job; all three are the job's identity."""

    kind: Literal["start", "park", "snapshot", "publish", "report", "hand"]
    generation: int
    attempt: int


def wants(session: Session, now: float, rules: Rules) -> tuple[Operation, ...]:
    """The operations that are due at `now`: on the box, on the forge, and for its family, one of each at most."""
    box = _wants_box(session, now, rules)
    due = (
        box if box is not None else _wants_snapshot(session, now),
        _wants_publish(session, now, rules),
        _wants_report(session, now),
        _wants_hand(session, now),
    )
    return tuple(operation for operation in due if operation is not None)


def start_of(s: Session, now: float, rules: Rules) -> Operation | None:
    """The start that this session waits for, if it is time; whether there is room for its box is not asked here."""
    waited = now - max(s.since, s.retry_at)
    if s.status is S.WAITING and (waited >= 0 or _put_back(s, now)) and s.failures < rules.max_failures:
        return Operation("start", s.generation, s.failures + _lost_hints(waited))
    return None


def _wants_box(s: Session, now: float, rules: Rules) -> Operation | None:
    if s.status is S.WAITING:
        return start_of(s, now, rules) if not s.position else None
    waited = now - max(s.since, s.retry_at)
    if s.status is S.BOOTING and start_is_lost(s, now, rules) and s.failures + 1 < rules.max_failures:
        return Operation("start", s.generation, s.failures + _lost_hints(waited - rules.start_seconds))
    overdue = now - max(min(s.since + _patience(s, rules), _too_old_at(s, rules)), s.retry_at)
    if s.box is not None and (overdue >= 0 or (_put_back(s, now) and s.status is S.PARKING)):
        return Operation("park", s.generation, int(s.retry_at or s.since) + _lost_hints(overdue))
    return None


def _put_back(s: Session, now: float) -> bool:
    """Whether the clock was put back since this status began."""
    return s.since > now + SKEW_SECONDS


def _too_old_at(s: Session, rules: Rules) -> float:
    """When this box is put to sleep because of its age, whatever it does."""
    if s.status is S.IDLE:
        return lifetimes.last_turn_at(s, rules)
    return lifetimes.leaves_at(s, rules) if s.status is S.WORKING else math.inf


def _wants_snapshot(s: Session, now: float) -> Operation | None:
    """What a turn has done is kept as soon as it has ended, whether or not the next one has begun."""
    if not s.saved.due or s.box is None or s.status not in (S.IDLE, S.WORKING) or s.saved.retry_at is None:
        return None
    waited = now - max(s.saved.due_since, s.saved.retry_at)
    if waited < 0 and s.since <= now + SKEW_SECONDS:
        return None
    tries = min(s.saved.failures, TURNS_APART // TRIES_APART - 1) * TRIES_APART
    return Operation("snapshot", s.generation, s.saved.due * TURNS_APART + tries + _lost_hints(waited))


def _lost_hints(waited: float) -> int:
    """How many hints must have been lost when something has been due for so long and nobody has begun.

    A worker that is killed after it took a job and before it began keeps the queue from taking the same one for a
    while; so it becomes another job. That there may be two of them costs nothing: one is refused.
    """
    return int(math.log2(1 + max(0.0, waited) / ASKED_AGAIN_SECONDS))


def start_is_lost(s: Session, now: float, rules: Rules) -> bool:
    """Whether this start has taken so long that it is lost, unless its worker is still heard of (`jobs/at_work.py`)."""
    return s.status is S.BOOTING and not -SKEW_SECONDS <= now - s.since <= rules.start_seconds


def _patience(s: Session, rules: Rules) -> float:
    """How long a box may stay in this status before it is put to sleep. A turn has a limit of its own, in `decide`."""
    if s.status is S.PARKING:
        return 0.0 if s.retry_at else rules.park_seconds
    return {
        S.IDLE: rules.idle_seconds,
        S.CONNECTING: rules.connect_seconds,
        S.PREPARING: rules.connect_seconds,
        S.STOPPING: rules.stop_seconds,
        S.FAILED: 0.0,
    }.get(s.status, math.inf)


def _wants_publish(s: Session, now: float, rules: Rules) -> Operation | None:
    early = now < (s.publish_retry_at or 0.0) and s.since <= now + SKEW_SECONDS
    if not s.publishable or early or publish_is_under_way(s, now, rules):
        return None
    due = s.publish_began if s.publish_began is not None else max(s.since, s.publish_retry_at or 0.0)
    return Operation("publish", s.turns, s.publish_failures + _lost_hints(now - due))


def publish_is_under_way(s: Session, now: float, rules: Rules) -> bool:
    """Whether a worker is at the pull request, and has not been silent for too long."""
    return s.publish_began is not None and -SKEW_SECONDS <= now - s.publish_began < rules.publish_seconds


def turn_seconds(s: Session, rules: Rules) -> float:
    """The most that one turn of this session may take."""
    return rules.turn_seconds if s.lineage is None else min(rules.turn_seconds, rules.child_seconds)


def _wants_report(s: Session, now: float) -> Operation | None:
    """What a child has come to is told once nothing waits any more and its pull request is there, or late."""
    if s.owed is None or s.turn is not None or s.queue:
        return None
    waited = now - s.owed.at
    if s.publishable and 0 <= waited < REPORT_SECONDS:
        return None
    return Operation("report", s.owed.upto, _lost_hints(waited))


def _wants_hand(s: Session, now: float) -> Operation | None:
    """Whoever gives a child a prompt hands it over at once; if it is not there soon, that process died."""
    late = [one.since for one in s.children if one.stop_by or one.budget or _is_late(one, now)]
    return Operation("hand", int(min(late)), _lost_hints(now - min(late))) if late else None


def _is_late(child: Child, now: float) -> bool:
    return child.pending is not None and not 0 <= now - child.since < HAND_SECONDS
