"""What each event makes of a session: the fold. Pure.

`apply` folds one event where `TRANSITIONS` has a place for it. `jobs/decide.py` and `jobs/inbox.py` use it, and
`bot/view.py` while it folds what people see.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jobs import events as e
from jobs.asked import Pause
from jobs.events import Event, Fact, Outcome
from jobs.family import Owed, folded
from jobs.fold_pulls import FOLD_PULLS, tried_anew
from jobs.fold_tools import FOLD_TOOLS, late_answer_came, nobody_asks
from jobs.queued import with_prompt
from jobs.reviews import after_prompt
from jobs.saved import Saved, after_failure, after_snapshot, after_turn, at_rest
from jobs.session import ANY_TIME, TRANSITIONS, Session, Status, Turn
from jobs.untold import after_withdrawal

S = Status
COMMITS_KEPT = 500
SYNCED = "synced"  # the runner's word for a repository that is in step


class IllegalEvent(Exception):
    """An event that `TRANSITIONS` does not allow: a fault in our own code, never in what a person did."""


Change = dict[str, Any]


def apply(session: Session | None, event: Event) -> Session:
    """Fold one event. Raises `IllegalEvent` where `TRANSITIONS` has no place for it, and then changes nothing."""
    if isinstance(event, e.SessionOpened):
        if session is not None:
            raise IllegalEvent("a session is opened once")
        return _opened(event)
    if session is None:
        raise IllegalEvent(f"{event.kind} before session_opened")
    status = _next_status(session, event)
    change = _FOLD.get(type(event), _nothing)(session, event)
    change |= {"seq": event.seq or session.seq + 1, "told": _told(session, event)}
    folded = session.model_copy(update=change)
    status = _settled(folded, status)
    moved = {"status": status, "since": event.at, "position": 0} if status is not session.status else {}
    return folded.model_copy(update=moved)


def fold(events: Iterable[Event], session: Session | None = None) -> Session | None:
    """Fold many events, onto `session` if given."""
    for event in events:
        session = apply(session, event)
    return session


def _next_status(session: Session, event: Event) -> Status:
    if type(event) in ANY_TIME:
        return session.status
    try:
        return TRANSITIONS[session.status][type(event)]
    except KeyError:
        raise IllegalEvent(f"{event.kind} while {session.status}") from None


def _settled(session: Session, status: Status) -> Status:
    """A failed box must be put to sleep before another one is made: it may hold work. Nothing is made while paused."""
    if status not in (S.WAITING, S.ASLEEP):
        return status
    if session.box is not None:
        return S.FAILED
    return S.WAITING if session.queue and session.paused is None else S.ASLEEP


def _told(s: Session, event: Event) -> int:
    """How much the box has told, about in lines. `jobs/hearing.py` goes by it."""
    if isinstance(event, e.PromptDelivered | e.BoxStarted):
        return 0
    lines = len(event.entries) if isinstance(event, e.PlanUpdated) else 0
    return s.told + lines + _TELLS.get(type(event), 0)


def _opened(event: e.SessionOpened) -> Session:
    return Session(
        id=event.session, place=event.place, opened_by=event.by, agent=event.agent, opened_at=event.at,
        since=event.at, seq=event.seq or 1, lineage=event.parent, model=event.model,
    )  # fmt: skip


def _nothing(_session: Session, _event: Any) -> Change:
    return {}


def _prompt_received(s: Session, event: e.PromptReceived) -> Change:
    author = event.prompt.author
    others = tuple(p for p in s.participants if p.id != author.id)
    known = len(others) != len(s.participants)
    looked = tried_anew() if event.prompt.report_of == 0 else {}
    received = {
        "queue": with_prompt(s, event.prompt),
        "seen": (*s.seen, event.prompt.id),
        "participants": s.participants if known else (*s.participants, author),
        "failures": 0 if s.status in (S.ASLEEP, S.FAILED, S.CLOSED) else s.failures,
        "halted": s.halted and event.prompt.report_of > 0,
        "untold": tuple(said for said in s.untold if said not in event.prompt.before),
    }
    return received | looked | after_prompt(s, event.prompt.before) | late_answer_came(s, event.prompt.id)


def _prompt_edited(s: Session, event: e.PromptEdited) -> Change:
    edited = (p.model_copy(update={"text": event.text}) if p.id == event.prompt_id else p for p in s.queue)
    return {"queue": tuple(edited)}


def _prompt_withdrawn(s: Session, event: e.PromptWithdrawn) -> Change:
    left = tuple(p for p in s.queue if p.id != event.prompt_id)
    change: Change = {"queue": left, "untold": after_withdrawal(s, s.waiting(event.prompt_id))}
    if s.lineage is None or s.turn is not None or left or not s.queue:
        return change
    outcome: Outcome = "failed" if s.status is S.FAILED else "stopped"
    owed = Owed(upto=event.seq or s.seq + 1, at=event.at, outcome=outcome, error=event.reason)
    return change | {"owed": owed}


def _start_began(s: Session, event: e.StartBegan) -> Change:
    given_up = s.status is S.BOOTING
    return {
        "generation": event.generation, "retry_at": 0.0, "since": event.at, "failures": s.failures + given_up,
    }  # fmt: skip


def _park_began(s: Session, event: e.ParkBegan) -> Change:
    never_ready = s.status in (S.CONNECTING, S.PREPARING)
    return {"failures": s.failures + never_ready, "retry_at": 0.0, "since": event.at}


def _box_started(s: Session, event: e.BoxStarted) -> Change:
    restored = event.base if event.start == "snapshot" else None
    saved = Saved() if restored is None else at_rest(s.saved, s.turns, event.at, restored)
    if restored == s.snapshot:
        saved = at_rest(s.saved, s.turns, event.at, None)
    return {
        "saved": saved, "box": event.box, "box_since": event.at, "box_turns": 0, "start": event.start,
        "isolated": event.isolated, "snapshot": restored, "lost_box": None, "synced": False, "park_failures": 0,
    }  # fmt: skip


def _prompt_delivered(s: Session, event: e.PromptDelivered) -> Change:
    prompt = s.waiting(event.prompt_id)
    if prompt is None:
        raise IllegalEvent(f"{event.prompt_id} is delivered but does not wait")
    turn = Turn(number=event.turn, prompt=prompt, began=event.at, again=event.again)
    rest = tuple(p for p in s.queue if p.id != prompt.id)
    return {
        "queue": rest, "turn": turn, "turns": event.turn, "interrupted": None, "box_turns": s.box_turns + 1,
    }  # fmt: skip


def _agent_ready(s: Session, event: e.AgentReady) -> Change:
    began = {"anew": s.turns} if s.turns and not event.resumed and event.conversation != s.conversation else {}
    return {"conversation": event.conversation, "failures": 0, "synced": event.synced} | began


def _turn_ended(s: Session, event: e.TurnEnded) -> Change:
    pushed = {"head": event.head} if event.pushed and event.head else {}
    fresh = tried_anew() if pushed and event.head != s.head else {}
    stopped = nobody_asks(s, s.turn.prompt.id) if s.turn is not None and event.outcome == "stopped" else {}
    told = {"anew": None} if s.anew is not None and event.turn > s.anew else {}  # with the turn's prompt
    over: Change = told | {"turn": None, "wanted_files": (), "commits": (s.commits + event.commits)[-COMMITS_KEPT:]}
    idle = s.snapshot is not None and s.turn is not None and not s.turn.started and not event.head
    over |= {"saved": after_turn(s.saved, event, idle), "worked": _worked(s, event)}
    return over | pushed | fresh | stopped | (_to_go_on(s) if event.outcome == "paused" else _owes(s, event))


def _worked(s: Session, event: Fact) -> float:
    return s.worked + (max(0.0, event.at - s.turn.began) if s.turn is not None else 0.0)


def _owes(s: Session, event: e.TurnEnded) -> Change:
    """What the family is to be told."""
    if s.lineage is None:
        return {}
    upto, error = event.seq or s.seq + 1, event.error or ""
    return {"owed": Owed(upto=upto, at=event.at, outcome=event.outcome, summary=event.summary, error=error)}


def _to_go_on(s: Session) -> Change:
    """The running prompt in front of the queue: it is delivered again."""
    return {"queue": (s.turn.prompt, *s.queue), "interrupted": s.turn.prompt.id} if s.turn is not None else {}


def _box_gone(s: Session, event: Fact) -> Change:
    """The queue with the interrupted prompt in front: it is delivered again by the next box."""
    return {"box": None, "turn": None, "wanted_files": (), "worked": _worked(s, event)} | _to_go_on(s)


def _budget_reached(s: Session, event: e.BudgetReached) -> Change:
    """A turn that is being stopped already does not go on later."""
    asked = Pause(asked=event.seq or s.seq + 1, used=event.used, limit=event.limit, more=event.more)
    pauses = s.turn is not None and s.turn.stop_asked is None
    return {"paused": asked} | (_turn_set(s, paused=True) if pauses else {})


def _budget_raised(s: Session, event: e.BudgetRaised) -> Change:
    failures = 0 if s.status is S.ASLEEP else s.failures
    return _budget_declined(s, event) | tried_anew() | {"raised": s.raised + event.more, "failures": failures}


def _budget_declined(s: Session, event: e.BudgetRaised | e.BudgetDeclined) -> Change:
    return {"paused": None, "children": folded(s.children, event)}


def _stop_requested(s: Session, event: e.StopRequested) -> Change:
    """A turn that a person stops does not go on later."""
    paused = s.turn is not None and s.turn.paused and event.by is None
    return _turn_set(s, stop_asked=event.at, paused=paused) | {"halted": s.halted or event.by is not None}


def _box_lost(s: Session, event: e.BoxLost) -> Change:
    """What it left is looked for by the next start, unless it was a warm one that never had a prompt of ours."""
    untouched = s.start == "warm" and s.status in (S.CONNECTING, S.PREPARING)
    left = None if untouched else s.box
    return _box_gone(s, event) | {"lost_box": left, "failures": s.failures + (s.status != S.IDLE)}


def _turn_set(s: Session, **change: object) -> Change:
    return {"turn": s.turn.model_copy(update=change) if s.turn else None}


def _noted(s: Session, event: e.Noted) -> Change:
    about_it = s.turn is not None and s.turn.prompt.id == event.prompt_id
    return _turn_set(s, noted=(*s.turn.noted, event.text)) if about_it and s.turn else {}


def _reported(s: Session, event: e.Reported) -> Change:
    return {"owed": None} if s.owed is not None and s.owed.upto <= event.upto else {}


def _children(s: Session, event: Fact) -> Change:
    return {"children": folded(s.children, event)}


_CHILDREN = (e.ChildSpawned, e.ChildPrompted, e.ChildHanded, e.ChildReported, e.ChildrenStopRequested)
_TELLS: Mapping[type[Fact], int] = {
    e.LinkAttached: 1, e.PhaseReached: 1, e.AgentReady: 1, e.TurnStarted: 1, e.TaskRestated: 1, e.PlanUpdated: 1,
    e.ModelTroubled: 1, e.StepStarted: 1,
    e.Noted: 100, e.QuestionAsked: 100, e.FileWanted: 100,  # for these are messages in the thread
}  # fmt: skip

_FOLD: Mapping[type[Fact], Callable[[Session, Any], Change]] = {
    **FOLD_TOOLS,
    **FOLD_PULLS,
    e.RepositoryAsked: lambda s, v: {"options": v.options, "seen": (*s.seen, v.said) if v.said else s.seen},
    e.RepositoryChosen: lambda s, v: {"repository": v.repository, "base_branch": v.base_branch, "options": ()}
    | {"agent": v.agent or s.agent, "model": v.model or s.model, "seen": (*s.seen, v.said) if v.said else s.seen},
    e.PromptReceived: _prompt_received,
    e.PromptEdited: _prompt_edited,
    e.PromptWithdrawn: lambda s, v: _prompt_withdrawn(s, v) | nobody_asks(s, v.prompt_id),
    e.StartBegan: _start_began,
    e.BoxAwaited: lambda s, v: {"position": v.position},
    e.StartFailed: lambda s, v: {"failures": s.failures + 1, "retry_at": v.retry_at},
    e.StartAbandoned: lambda s, v: {"failures": 0},
    e.BoxStarted: _box_started,
    e.PhaseReached: lambda s, v: {"synced": True} if v.phase == SYNCED else {},
    e.AgentReady: _agent_ready,
    e.PromptDelivered: _prompt_delivered,
    e.TurnStarted: lambda s, v: _turn_set(s, started=True),
    e.ModelRequested: lambda s, v: _turn_set(s, model_asked=True),
    e.TaskRestated: lambda s, v: {"title": s.title or v.text},
    e.ModelTroubled: lambda s, v: _turn_set(s, model_trouble=v.trouble),
    e.StopRequested: _stop_requested,
    e.BudgetReached: _budget_reached,
    e.BudgetRaised: _budget_raised,
    e.BudgetDeclined: _budget_declined,
    e.SessionClosed: lambda s, v: {"paused": None},
    e.TurnEnded: _turn_ended,
    e.BoxLost: _box_lost,
    e.ParkBegan: _park_began,
    e.ParkFailed: lambda s, v: {"retry_at": v.retry_at, "park_failures": s.park_failures + 1},
    e.BoxParked: lambda s, v: _box_gone(s, v)
    | {"saved": at_rest(s.saved, s.turns, v.at, v.snapshot)}
    | {"snapshot": v.snapshot or s.snapshot, "lost_box": None, "retry_at": 0.0},
    e.Noted: _noted,
    e.StopOffered: lambda s, v: {"halted": True},
    e.Reported: _reported,
    e.SnapshotTaken: lambda s, v: {"snapshot": v.snapshot, "saved": after_snapshot(s.saved, v)},
    e.SnapshotFailed: lambda s, v: {"saved": after_failure(s.saved, v)},
    e.SnapshotForgotten: lambda s, v: {"snapshot": None, "lost_box": None, "conversation": None, "saved": Saved()},
    **dict.fromkeys(_CHILDREN, _children),
}  # fmt: skip
