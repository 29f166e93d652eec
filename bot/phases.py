"""The human words for how far a session and each of its cards is. Pure; called by `bot/view.py` and `bot/web/pages.py`.

Every `Status` has words in `_PHASE_OF`; a test holds that.
"""

from collections.abc import Callable, Mapping

from bot.cards import Card, ThreadView
from jobs.events import ModelTrouble, Outcome
from jobs.family import at_work
from jobs.session import Session, Status

S = Status

STARTS: Mapping[str, str] = {
    "cold": "Box started from scratch",
    "image": "Box started from the repository's image",
    "snapshot": "Box woken from its snapshot",
    "warm": "Box was waiting, warm",
}
PHASES: Mapping[str, str] = {
    "agent_starting": "starting the agent",
    "syncing": "fetching the repository",
    "syncing_again": "the repository cannot be fetched just now; trying again",
    "synced": "repository in step, waiting for the agent",
    "agent_restarting": "starting the agent again",
}
READING: Mapping[str, str] = {
    "syncing_again": "Reading, and changes wait: the repository cannot be fetched just now; trying again",
    "agent_restarting": "Working: starting the agent again",
}
READS_ALREADY = "Reading while the repository is fetched; changes wait for it"
MOMENTS: Mapping[str, str] = {
    "received": "Message received",
    "durable": "On record",
    "repository": "Repository known",
    "box": "Box there",
    "attached": "Box connected",
    "synced": "Repository in step",
    "ready": "Agent ready",
    "delivered": "Prompt handed to the agent",
    "model_request": "Model asked for the first time",
    "model_first_byte": "Model's first byte",
    "first_words": "First words in the thread",
    "pull_request": "Pull request opened",
}
OUTCOMES: Mapping[Outcome, str] = {
    "done": "Done",
    "stopped": "Stopped",
    "failed": "Failed",
    "timed_out": "Ran out of time",
    "interrupted": "Interrupted",
    "paused": "Paused",
}
TROUBLES: Mapping[ModelTrouble, str] = {
    "overloaded": "the model provider is overloaded; the agent keeps trying",
    "unreachable": "the model provider cannot be reached; the agent keeps trying",
}
PAUSED = "Paused: its budget is used up"


def phase_of(view: ThreadView, card: Card) -> str:
    """How far this card is, in words, without a full stop."""
    if card.state == "withdrawn":
        return f"Withdrawn: {card.error}"
    if card.state == "ended" and card.outcome is not None:
        by = f" by {card.stop_by}" if card.outcome == "stopped" and card.stop_by else ""
        return f"{OUTCOMES[card.outcome]}{by}{_going_on(view.session, card.id)}"
    if card.state == "running":
        return _running_phase(view, card)
    if view.session.paused is not None:
        return PAUSED
    ahead = _ahead(view.session, card.id)
    if ahead:
        return f"Waiting its turn ({ahead} ahead)"
    return session_phase(view)


def _going_on(session: Session, prompt_id: str) -> str:
    """The sessions that were started for it and are at work."""
    numbers = [f"#{child.number}" for child in at_work(session.children) if child.cause == prompt_id]
    return f"; {', '.join(numbers)} at work" if numbers else ""


def _ahead(session: Session, prompt_id: str) -> int:
    before = 0
    for prompt in session.queue:
        if prompt.id == prompt_id:
            break
        before += 1
    return before + (1 if session.turn is not None else 0)


def _running_phase(view: ThreadView, card: Card) -> str:
    session = view.session
    if session.status is S.PARKING:
        return "The box is being put to sleep"
    if session.turn is not None and session.turn.paused:
        return "Pausing: its budget is used up"
    if card.stop_by is not None:
        return f"Stopping, as {card.stop_by} asked" if card.stop_by else "Stopping: its time is over"
    if not session.synced:
        return READING.get(view.runner_phase, READS_ALREADY)
    if view.runner_phase:
        return f"Working: {PHASES.get(view.runner_phase, view.runner_phase)}"
    if any(one.open and one.about == card.id for one in view.asked):
        return "Waiting for an answer"
    if session.turn is not None and session.turn.model_trouble:
        return f"Working: {TROUBLES[session.turn.model_trouble]}"
    again = session.turn is not None and session.turn.again
    return "Working on it again, after it was interrupted" if again else "Working"


def session_phase(view: ThreadView) -> str:
    """What the session as a whole is waiting for, in words; every status has some."""
    if view.session.paused is not None and view.session.turn is None:
        return PAUSED
    return _PHASE_OF[view.session.status](view)


def _waiting(view: ThreadView) -> str:
    if view.session.position:
        return f"{_ordinal(view.session.position)} in the queue for a box"
    return f"Trying again: {view.trouble}" if view.trouble else "Waiting for a box"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"


def _booting(view: ThreadView) -> str:
    kept = view.session.snapshot is not None or view.session.lost_box is not None
    return "Waking its box" if kept else "Making a box"


def _box_is_there(view: ThreadView) -> str:
    return STARTS[view.session.start] if view.session.start else "The box is there"


def _preparing(view: ThreadView) -> str:
    doing = PHASES.get(view.runner_phase, view.runner_phase)
    return f"{_box_is_there(view)}, {doing or 'getting ready'}"


def _working(view: ThreadView) -> str:
    running = next((card for card in view.cards if card.state == "running"), None)
    return "Working" if running is None else _running_phase(view, running)


_PHASE_OF: Mapping[Status, Callable[[ThreadView], str]] = {
    S.OPENED: lambda _: "Received",
    S.ASKING: lambda _: "Waiting to hear which repository",
    S.WAITING: _waiting,
    S.BOOTING: _booting,
    S.CONNECTING: lambda view: f"{_box_is_there(view)}, connecting",
    S.PREPARING: _preparing,
    S.IDLE: lambda _: "Ready",
    S.WORKING: _working,
    S.STOPPING: lambda _: "Stopping",
    S.PARKING: lambda _: "The box is being put to sleep",
    S.ASLEEP: lambda _: "Asleep; a reply wakes it",
    S.FAILED: lambda _: "Could not work; a reply tries again",
    S.CLOSED: lambda _: "Closed; a reply opens it again",
}


def dollars(amount: float) -> str:
    """Such as `$0.42` or `$5`; what is less than a cent is `under $0.01`."""
    return "under $0.01" if 0 < amount < 0.005 else f"${amount:,.2f}".removesuffix(".00")
