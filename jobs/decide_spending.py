"""What comes of commands about a session's model: what it may spend, and what its provider does not do. Pure.

`jobs/decide.py` has these in its table. The model gateway (`bot/gateway/model_account.py`) sees that a budget is
reached; anybody in the thread answers the question that follows.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobs import commands
from jobs import events as e
from jobs.asked import Pause
from jobs.commands import Refused
from jobs.events import Author, Event
from jobs.session import Rules, Session, Status

S = Status
ANSWERED = "Somebody has answered that already."
CUT_OFF = (e.TurnEnded, e.BoxLost, e.BoxParked)


def _see_model(s: Session, c: commands.SeeModelRequest, now: float, _: Rules) -> tuple[Event, ...]:
    """The first request of a turn is noted."""
    if not _has_turn(s, c.generation) or s.turn is None or s.turn.model_asked:
        return ()
    return (e.ModelRequested(at=now, turn=s.turn.number),)


def _tell_trouble(s: Session, c: commands.TellModelTrouble, now: float, _: Rules) -> tuple[Event, ...]:
    """Trouble is told while a turn runs, each kind once until it changes."""
    if not _has_turn(s, c.generation) or s.turn is None or s.turn.model_trouble == c.trouble:
        return ()
    return (e.ModelTroubled(at=now, turn=s.turn.number, trouble=c.trouble),)


def _tell_refusal(s: Session, c: commands.TellModelRefusal, now: float, _: Rules) -> tuple[Event, ...]:
    """What only a person can mend is said in the thread, once a turn."""
    if not _has_turn(s, c.generation) or s.turn is None or c.note in s.turn.noted:
        return ()
    return (e.Noted(at=now, text=c.note, prompt_id=s.turn.prompt.id),)


def _has_turn(s: Session, generation: int) -> bool:
    return s.generation == generation and s.turn is not None and s.status is not S.PARKING


def _reach_budget(s: Session, c: commands.ReachBudget, now: float, _: Rules) -> tuple[Event, ...]:
    """The turn that runs pauses, and the question is asked once. Where no turn of this box runs nothing is asked, nor
    for a limit that was raised meanwhile. A child waits for the answer whatever becomes of the turn of its root."""
    was_raised = s.lineage is None and c.limit <= s.raised  # a child's limit is its root's
    if s.paused is not None or s.status in (S.OPENED, S.ASKING, S.CLOSED) or was_raised:
        return ()
    if c.generation is not None and not _has_turn(s, c.generation):
        return ()
    reached = e.BudgetReached(at=now, used=c.used, limit=c.limit, more=c.more)
    if s.turn is None or s.status is S.PARKING:
        return (reached,)
    if s.turn.stop_asked is not None:  # it ends anyway
        return (reached,) if c.generation is None else ()
    return (reached, e.StopRequested(at=now, generation=s.generation, turn=s.turn.number))


def _raise_budget(s: Session, c: commands.RaiseBudget, now: float, _: Rules) -> tuple[Event, ...]:
    """The first answer counts."""
    if s.paused is None or s.paused.asked != c.asked:
        raise Refused(ANSWERED)
    return _go_on(s.paused, c.by, now)


def _go_on(paused: Pause, by: Author, now: float) -> tuple[Event, ...]:
    """With as much more as was offered, from what is used by now: one long answer may have cost far more than there
    was left, and nobody should have to press for each part of it."""
    over = max(0.0, paused.used - paused.limit)
    return (e.BudgetRaised(at=now, by=by, more=round(paused.more + over, 6)),)


def _decline_budget(s: Session, c: commands.DeclineBudget, now: float, _: Rules) -> tuple[Event, ...]:
    """Everything that waits is given up, and a turn that has not paused yet is stopped."""
    if s.paused is None or s.paused.asked != c.asked:
        raise Refused(ANSWERED)
    return _give_up(s, c.by, now)


def _give_up(s: Session, by: Author, now: float) -> tuple[Event, ...]:
    reason = f"{by.name} did not raise the budget"
    stopped: list[Event] = []
    if s.turn is not None and s.turn.paused:
        stopped.append(e.StopRequested(at=now, generation=s.generation, turn=s.turn.number, by=by))
    withdrawn = (e.PromptWithdrawn(at=now, prompt_id=p.id, reason=reason) for p in s.queue)
    return (*stopped, *withdrawn, e.BudgetDeclined(at=now, by=by))


def _follow_budget(s: Session, c: commands.FollowBudget, now: float, _: Rules) -> tuple[Event, ...]:
    """A child goes on, or gives up, as its root was told; the question was asked in the root's name."""
    if s.paused is None:
        return ()
    return _go_on(s.paused, c.by, now) if c.raised else _give_up(s, c.by, now)


def cuts_off_turn(s: Session | None, events: Sequence[Event]) -> bool:
    """Whether these events end the turn that runs, or take its box away."""
    return s is not None and s.turn is not None and any(isinstance(event, CUT_OFF) for event in events)


def with_cost(events: Sequence[Event], cost: float | None) -> tuple[Event, ...]:
    """The first event that ends the turn or takes its box away tells what the turn has taken; others have no part."""
    at = next(at for at, event in enumerate(events) if isinstance(event, CUT_OFF))
    return (*events[:at], events[at].model_copy(update={"cost": cost}), *events[at + 1 :])


DECIDE_SPENDING: Mapping[type[Any], Callable[[Session, Any, float, Rules], tuple[Event, ...]]] = {
    commands.SeeModelRequest: _see_model,
    commands.TellModelTrouble: _tell_trouble,
    commands.TellModelRefusal: _tell_refusal,
    commands.ReachBudget: _reach_budget,
    commands.RaiseBudget: _raise_budget,
    commands.DeclineBudget: _decline_budget,
    commands.FollowBudget: _follow_budget,
}
