"""What sessions that agents started add to a thread: lines on cards, and the offer to stop them. Pure; part of
`bot/view.py`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.cards import StopOffer, ThreadView
from jobs import events as e
from jobs.events import Prompt
from jobs.family import Child, at_work
from jobs.session import Session

Change = dict[str, Any]


def children_for(session: Session, prompt_id: str) -> tuple[Child, ...]:
    """Those that were started for this prompt of a root, and theirs."""
    return tuple(child for child in session.children if child.cause == prompt_id)


def asked_by_agent(session: Session, prompt: Prompt) -> bool:
    """Whether an agent gave this prompt to the session that it had started."""
    return session.lineage is not None and prompt.id.startswith(f"{session.id}:")


def _offered(view: ThreadView, event: e.StopOffered) -> Change:
    offer = StopOffer(id=f"offer:{len(view.offers) + 1}", at=event.at, to=event.by, children=event.children)
    return {"offers": (*view.offers, offer)}


def _stop_requested(view: ThreadView, event: e.ChildrenStopRequested) -> Change:
    return {"offers": tuple(offer if offer.over else replace(offer, by=event.by.name) for offer in view.offers)}


def _reported(view: ThreadView, event: e.ChildReported) -> Change:
    """Once the last one has ended there is nothing left to offer."""
    if [child.id for child in at_work(view.session.children)] != [event.child]:
        return {}
    return {"offers": tuple(offer if offer.over else replace(offer, ended=True) for offer in view.offers)}


FAMILY_CHANGES: Mapping[type[e.Fact], Callable[[ThreadView, Any], Change]] = {
    e.StopOffered: _offered,
    e.ChildrenStopRequested: _stop_requested,
    e.ChildReported: _reported,
}
