"""What the frames of a runner mean for a session, as events. Pure; called by `jobs/decide.py`.

A log is kept for good, and boxes are not trusted: between two prompts a box may put so much in it and no more. What the
agent does beyond that is in the transcript, which is bounded by itself.
"""

from collections.abc import Iterable
from typing import assert_never

from jobs import events as e
from jobs import frames as f
from jobs.events import Event
from jobs.fold import fold
from jobs.session import Session, Status, Turn

S = Status
TOLD_MOST = 5_000  # about lines; an agent that works hard tells some hundreds
UNTOLD = "So much happens in this turn that not all of its steps are shown here. View has them."


def events_of(session: Session, frames: Iterable[f.AnyFrame], now: float) -> tuple[Event, ...]:
    """Frames become events one by one, each judged against the session as the ones before it left it."""
    events: list[Event] = []
    for frame in frames:
        heard = _of_frame(session, frame, now)
        events.extend(heard)
        after = fold(heard, session) or session
        if session.told < TOLD_MOST <= after.told:
            note = e.Noted(at=now, text=UNTOLD)
            events.append(note)
            after = fold((note,), after) or after
        session = after
    return tuple(events)


def _of_frame(s: Session, frame: f.AnyFrame, now: float) -> tuple[Event, ...]:
    """The events of one frame. A frame about a turn that is over, or that this status has no use for, has none."""
    if s.told >= TOLD_MOST and not _matters(s, frame):
        return ()
    match frame:
        case f.Phase():
            return (e.PhaseReached(at=now, generation=s.generation, phase=frame.phase),)
        case f.Ready():
            return (_ready(s, frame, now),)
        case f.Unready():
            return _unready(s, frame, now)
        case f.Words() | f.ToolCall():
            return ()
        case f.Dropped():
            return (e.Noted(at=now, text=f"The box's report was cut: {frame.reason}"),)
        case f.Ended():
            return () if s.turn is None or s.turn.number != frame.turn else (_ended(s.turn, frame, now),)
        case f.Remark():
            return (e.Noted(at=now, text=frame.text),)
        case f.Started() | f.Restated() | f.Plan() | f.Step():
            return () if s.turn is None or s.turn.number != frame.turn else (_of_turn(frame, now),)
        case _:
            assert_never(frame)


def _matters(s: Session, frame: f.AnyFrame) -> bool:
    """Whether the session cannot go on without it."""
    return isinstance(frame, f.Ended | f.Unready) or (isinstance(frame, f.Ready) and s.status is S.PREPARING)


def _ready(s: Session, frame: f.Ready, now: float) -> Event:
    return e.AgentReady(
        at=now,
        generation=s.generation,
        conversation=frame.conversation,
        resumed=frame.resumed,
        head=frame.head,
        agent=f"{frame.agent.name} {frame.agent.version}".strip(),
        synced=frame.synced,
    )


def _unready(s: Session, frame: f.Unready, now: float) -> tuple[Event, ...]:
    if s.status in (S.FAILED, S.PARKING):
        return ()
    unready: tuple[Event, ...] = (e.AgentUnready(at=now, generation=s.generation, reason=frame.reason),)
    if s.turn is not None:
        unready = (e.TurnEnded(at=now, turn=s.turn.number, outcome="failed", error=frame.reason), *unready)
    withdrawn = (e.PromptWithdrawn(at=now, prompt_id=p.id, reason=frame.reason) for p in s.queue)
    return (*unready, *withdrawn)


def _of_turn(frame: f.Started | f.Restated | f.Plan | f.Step, now: float) -> Event:
    match frame:
        case f.Started():
            return e.TurnStarted(at=now, turn=frame.turn)
        case f.Restated():
            return e.TaskRestated(at=now, turn=frame.turn, text=frame.text)
        case f.Plan():
            return e.PlanUpdated(at=now, turn=frame.turn, entries=frame.entries)
        case f.Step():
            return e.StepStarted(at=now, turn=frame.turn, title=frame.title, tool=frame.tool)


def _ended(turn: Turn, frame: f.Ended, now: float) -> Event:
    """However its runner saw it end: a turn whose budget was reached is paused, and its error is that and no other."""
    return e.TurnEnded(
        at=now,
        turn=frame.turn,
        outcome="paused" if turn.paused else frame.outcome,
        summary=frame.summary,
        error=None if turn.paused else frame.error,
        head=frame.head,
        commits=frame.commits,
        pushed=frame.pushed,
    )
