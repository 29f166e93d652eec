"""How old a box may become: when it begins no more turns, and when the one that runs must go on in another. Pure.

A place may end a box by itself after so long, and what is in it then is lost; so it is put to sleep before. Called by
`jobs/wants.py` (what is due) and `jobs/decide.py`.
"""

from jobs import events as e
from jobs.events import Event
from jobs.session import Rules, Session


def ends_at(s: Session, rules: Rules) -> float:
    """When its place may end this box. A warm one was made some time before it was taken."""
    return s.box_since + rules.box_seconds - (rules.warm_seconds if s.start == "warm" else 0.0)


def leaves_at(s: Session, rules: Rules) -> float:
    """When a turn that still runs is interrupted, so that there is time to put the box to sleep."""
    return ends_at(s, rules) - min(rules.stop_seconds + 2 * rules.park_seconds, rules.box_seconds / 4)


def last_turn_at(s: Session, rules: Rules) -> float:
    """When this box begins its last turn: later ones would not end in time. A new box always begins one."""
    if s.box_turns == 0:
        return float("inf")
    turn = rules.turn_seconds + rules.stop_seconds + 2 * rules.park_seconds
    return ends_at(s, rules) - min(turn, rules.box_seconds / 2)


def must_go(s: Session, now: float, rules: Rules) -> bool:
    """Whether this box is so old that a turn that runs in it is interrupted."""
    return s.box is not None and now >= leaves_at(s, rules)


def is_old(s: Session, now: float, rules: Rules) -> bool:
    """Whether this box begins no turn any more."""
    return s.box is not None and now >= last_turn_at(s, rules)


def moving(s: Session, now: float, rules: Rules) -> tuple[Event, ...]:
    """What is said of a turn whose box is put to sleep under it because of its age."""
    if s.turn is None or s.turn.stop_asked is not None or not must_go(s, now, rules):
        return ()
    hours = f"{rules.box_seconds / 3600:.3g} h"
    if s.turn.again:
        before = f"Its box has reached its age ({hours}), and this turn had been interrupted before"
        error = f"{before}. What was done is kept: reply to go on."
        return (e.TurnEnded(at=now, turn=s.turn.number, outcome="interrupted", error=error),)
    note = f"The box of this thread has reached its age ({hours}). I go on in a new one, with all that this one had."
    return (e.Noted(at=now, text=note, prompt_id=s.turn.prompt.id),)
