"""A session's events, folded into what a thread shows. Pure and client neutral; the records are in `bot/cards.py`.

`bot/folding.py` folds what is new in a log; `bot/slack/thread.py` has it written, `bot/web/pages.py` makes a page.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from bot.cards import BudgetQuestion, Card, Question, ThreadView
from bot.endings import ending_of
from bot.phases import phase_of
from bot.view_checks import checks_told
from bot.view_family import FAMILY_CHANGES, asked_by_agent, children_for
from bot.view_notices import how_to_reply, notice, sentence
from bot.view_pulls import PULL_CHANGES
from bot.view_tools import TOOL_CHANGES, questions_over
from jobs import events as e
from jobs.events import Event
from jobs.fold import SYNCED, apply
from jobs.session import Status

S = Status
STEPS_SHOWN = 3
ANEW = "The agent could not open its earlier conversation. It begins a new one and is told what was done here."


def fold_view(events: Iterable[Event], view: ThreadView | None = None) -> ThreadView | None:
    """Fold events, onto `view` if given; None without any. Folding a log in two parts gives the same."""
    before = view
    for event in events:
        view = _next(view, event)
    if view is None or view is before:
        return view
    return replace(view, cards=tuple(_up_to_date(view, card) for card in view.cards))


def _next(view: ThreadView | None, event: Event) -> ThreadView:
    """The view after one event, but for how far its cards are: that follows from the session as it is in the end."""
    session = apply(view.session if view else None, event)
    if view is None:
        return ThreadView(session)
    return replace(view, session=session, **_CHANGES.get(type(event), _unchanged)(view, event))


def _up_to_date(view: ThreadView, card: Card) -> Card:
    """Of many cards few change with an event."""
    phase, children = phase_of(view, card), children_for(view.session, card.id)
    return card if (phase, children) == (card.phase, card.children) else replace(card, phase=phase, children=children)


# -- what one event changes: each takes the view before it, whose session does not know the event yet ------------------

Change = dict[str, Any]


def _unchanged(_view: ThreadView, _event: Any) -> Change:
    return {}


def _received(view: ThreadView, event: e.PromptReceived) -> Change:
    prompt = event.prompt
    card = Card(
        id=prompt.id,
        author=prompt.author,
        text=prompt.text,
        attachments=tuple(file.name for file in prompt.attachments),
        asked=prompt.received_at or event.at,
        isolated=view.session.isolated,
        report_of=prompt.report_of,
        by_agent=asked_by_agent(view.session, prompt),
        before=len(prompt.before),
    )
    return {"cards": (*view.cards, card)} | (checks_told(view) if prompt.before else {})


def _edited(view: ThreadView, event: e.PromptEdited) -> Change:
    return _card(view, event.prompt_id, text=event.text, edited=True)


def _withdrawn(view: ThreadView, event: e.PromptWithdrawn) -> Change:
    card = next((card for card in view.cards if card.id == event.prompt_id), None)
    if card is None or view.session.status is not S.FAILED:
        gone = _card(view, event.prompt_id, state="withdrawn", error=event.reason, ended=event.at)
        return gone | questions_over(view, event.prompt_id)
    given_up = _card(view, card.id, state="ended", outcome="failed", error=sentence(event.reason), ended=event.at)
    who = f"Session #{view.session.lineage.number}" if view.session.lineage is not None else "I"
    text = f"{who} could not do this: {sentence(event.reason)} {how_to_reply(view.session)} and I will try again."
    return given_up | notice(view, event.at, text, to=None if card.by_agent else card.author)


def _asked(view: ThreadView, event: e.RepositoryAsked) -> Change:
    return {"question": Question("question", event.at, event.options, event.reason)}


def _chosen(view: ThreadView, event: e.RepositoryChosen) -> Change:
    if view.question is None:
        return {}
    by = event.by.name if event.by else ""
    return {"question": replace(view.question, answer=event.repository, by=by)}


def _box_started(view: ThreadView, event: e.BoxStarted) -> Change:
    fresh: Change = {"isolated": event.isolated, "start": event.start}
    told = tuple(replace(card, **fresh) if card.live else card for card in view.cards)
    return {"cards": told, "runner_phase": "", "trouble": ""}


def _delivered(view: ThreadView, event: e.PromptDelivered) -> Change:
    known = next(card for card in view.cards if card.id == event.prompt_id)
    fresh = {} if event.again else {"task": "", "plan": (), "steps": (), "steps_taken": 0}
    began = known.began if event.again and known.began else event.at
    return _card(view, event.prompt_id, state="running", turn=event.turn, began=began, stop_by=None, **fresh)


def _restated(view: ThreadView, event: e.TaskRestated) -> Change:
    return _of_turn(view, event.turn, task=event.text)


def _planned(view: ThreadView, event: e.PlanUpdated) -> Change:
    return _of_turn(view, event.turn, plan=event.entries)


def _stepped(view: ThreadView, event: e.StepStarted) -> Change:
    card = _running(view, event.turn)
    if card is None:
        return {}
    steps = (*card.steps, event.title)[-STEPS_SHOWN:]
    return _card(view, card.id, steps=steps, steps_taken=card.steps_taken + 1)


def _stop_asked(view: ThreadView, event: e.StopRequested) -> Change:
    return _of_turn(view, event.turn, stop_by=event.by.name if event.by else "")


def _ended(view: ThreadView, event: e.TurnEnded) -> Change:
    turn = view.session.turn
    over = questions_over(view, turn.prompt.id) if turn is not None and event.outcome == "stopped" else {}
    card = _running(view, event.turn)
    if event.pushed and event.head not in ("", view.session.head):
        over |= checks_told(view)
    if card is None:
        return over
    cost, commits = _sum(card.cost, event.cost), (*card.commits, *event.commits)
    if event.outcome == "paused":
        return over | _card(view, card.id, state="waiting", stop_by=None, cost=cost, commits=commits)
    how: Change = {"outcome": event.outcome, "error": event.error or "", "commits": commits, "cost": cost}
    change = _card(view, card.id, state="ended", ended=event.at, **how)
    card = replace(card, cost=cost)
    return change | over | {"endings": (*view.endings, ending_of(view.session, card, event))}


def _sum(one: float | None, other: float | None) -> float | None:
    return other if one is None else one + (other or 0.0)


def _budget_reached(view: ThreadView, event: e.BudgetReached) -> Change:
    """A child's question is its root's, in the same thread."""
    if view.session.lineage is not None:
        return {}
    turn = view.session.turn
    asked = event.seq or view.session.seq + 1
    question = BudgetQuestion(
        id=f"budget:{asked}",
        at=event.at,
        asked=asked,
        used=event.used,
        limit=event.limit,
        more=event.more,
        to=turn.prompt.author if turn is not None else None,
    )
    return {"budgets": (*view.budgets, question)}


def _budget_answered(view: ThreadView, answer: Literal["raised", "declined", "closed"], by: str = "") -> Change:
    return {"budgets": tuple(q if q.answer else replace(q, answer=answer, by=by) for q in view.budgets)}


def _box_lost(view: ThreadView, event: e.BoxLost) -> Change:
    return _interrupted(view, event.cost) | {"trouble": f"the box was lost ({event.reason})"}


def _parked(view: ThreadView, event: e.BoxParked) -> Change:
    return _interrupted(view, event.cost)


def _interrupted(view: ThreadView, cost: float | None) -> Change:
    """The running prompt waits again, for the next box. What it has cost until now stays on its card."""
    turn = view.session.turn
    card = _running(view, turn.number) if turn is not None else None
    return {} if card is None else _card(view, card.id, state="waiting", stop_by=None, cost=_sum(card.cost, cost))


def _start_failed(_view: ThreadView, event: e.StartFailed) -> Change:
    return {"trouble": event.reason}


def _phase_reached(view: ThreadView, event: e.PhaseReached) -> Change:
    over = event.phase == SYNCED and view.session.status not in (S.CONNECTING, S.PREPARING)
    return {"runner_phase": "" if over else event.phase}  # what it waited for while it read is there


def _ready(view: ThreadView, event: e.AgentReady) -> Change:
    known = view.session.conversation
    change: Change = {"runner_phase": "" if event.synced else view.runner_phase, "trouble": ""}
    if not view.session.turns or event.resumed or known in (None, event.conversation):
        return change
    return change | notice(view, event.at, ANEW)


def _noted(view: ThreadView, event: e.Noted) -> Change:
    card = next((card for card in view.cards if card.id == event.prompt_id), None)
    return notice(view, event.at, event.text, to=card.author if card else None)


def _card(view: ThreadView, prompt_id: str, **change: Any) -> Change:
    return {"cards": tuple(replace(c, **change) if c.id == prompt_id else c for c in view.cards)}


def _running(view: ThreadView, turn: int) -> Card | None:
    return next((card for card in view.cards if card.turn == turn and card.state == "running"), None)


def _of_turn(view: ThreadView, turn: int, **change: Any) -> Change:
    card = _running(view, turn)
    return {} if card is None else _card(view, card.id, **change)


_CHANGES: Mapping[type[e.Fact], Callable[[ThreadView, Any], Change]] = {
    **TOOL_CHANGES,
    **PULL_CHANGES,
    **FAMILY_CHANGES,
    e.PromptReceived: _received,
    e.PromptEdited: _edited,
    e.PromptWithdrawn: _withdrawn,
    e.RepositoryAsked: _asked,
    e.RepositoryChosen: _chosen,
    e.StartFailed: _start_failed,
    e.BoxStarted: _box_started,
    e.PhaseReached: _phase_reached,
    e.AgentReady: _ready,
    e.PromptDelivered: _delivered,
    e.TaskRestated: _restated,
    e.PlanUpdated: _planned,
    e.StepStarted: _stepped,
    e.StopRequested: _stop_asked,
    e.TurnEnded: _ended,
    e.BudgetReached: _budget_reached,
    e.BudgetRaised: lambda view, event: _budget_answered(view, "raised", event.by.name),
    e.BudgetDeclined: lambda view, event: _budget_answered(view, "declined", event.by.name),
    e.SessionClosed: lambda view, _event: _budget_answered(view, "closed"),
    e.BoxLost: _box_lost,
    e.BoxParked: _parked,
    e.Noted: _noted,
}
