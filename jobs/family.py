"""Sessions that were started by a session's agent: what is known of each, as records. Pure.

All that descend from one that a person opened, its root, are on record there (`Session.children`), so that their
bounds are one decision. `jobs/fold.py` folds them here, `jobs/decide_family.py` decides, `jobs/children.py` hands
over what is owed between the logs, and every client shows them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jobs import events as e
from jobs.events import Author, Fact, Frozen, Outcome, Prompt

CHILDREN_KEPT = 60  # ended ones of earlier requests beyond it are forgotten, the oldest first
SUMMARY_CHARS, TASK_CHARS = 500, 300
STOP, BUDGET = "", "budget"  # in the place of a prompt's id: a stop, or an answer about money, was handed over


class BudgetAnswer(Frozen):
    """What a person said to the root's question for money, which is also its children's: go on (`raised`) or not."""

    by: Author
    raised: bool


class Child(Frozen):
    """A session that an agent started. `number` is how people name it; `cause`: the prompt of its root that it is for;
    `task`: what the agent asked it for last, and `author` on whose behalf.

    `waits`: its parent is given what comes of it. `pending`, `stop_by` and `budget`: what it was not given yet.
    """

    id: str
    number: int
    parent: str
    depth: int
    repository: str
    base_branch: str
    agent: str
    model: str
    task: str
    author: Author
    cause: str
    waits: bool
    since: float
    pending: Prompt | None = None
    stop_by: Author | None = None
    budget: BudgetAnswer | None = None
    outcome: Outcome | None = None
    summary: str = ""
    reported: int = 0
    pull_request: int | None = None
    url: str = ""

    @property
    def working(self) -> bool:
        """Whether it has been given something that nothing came of yet."""
        return self.outcome is None

    @property
    def owed(self) -> bool:
        """Whether it is still to be given something."""
        return self.pending is not None or self.stop_by is not None or self.budget is not None


class Owed(Frozen):
    """What a session has come to that its parent does not know yet. `upto`: the number of the event that ended it."""

    upto: int
    at: float
    outcome: Outcome
    summary: str = ""
    error: str = ""


Children = tuple[Child, ...]


def child_of(children: Children, sid: str) -> Child | None:
    """The child of this id."""
    return next((child for child in children if child.id == sid), None)


def descends(children: Children, sid: str, ancestor: str) -> bool:
    """Whether `sid` was started by `ancestor`, or by one that it started, and so on."""
    child = child_of(children, sid)
    while child is not None:
        if child.parent == ancestor:
            return True
        child = child_of(children, child.parent)
    return False


def at_work(children: Children) -> Children:
    """Those that nothing came of yet."""
    return tuple(child for child in children if child.working)


def folded(children: Children, event: Fact) -> Children:
    """The children after an event about them."""
    return _FOLD[type(event)](children, event)


def _spawned(children: Children, event: e.ChildSpawned) -> Children:
    prompt = event.prompt
    child = Child(
        id=event.child, number=event.number, parent=event.parent, depth=event.depth, repository=event.repository,
        base_branch=event.base_branch, agent=event.agent, model=event.model, task=_task(prompt),
        author=prompt.author, cause=event.cause, waits=event.waits, since=event.at, pending=prompt,
    )  # fmt: skip
    over = [one.id for one in children if not one.working and not one.owed and one.cause != event.cause]
    forgotten = set(over[: max(0, len(children) + 1 - CHILDREN_KEPT)])
    return (*(one for one in children if one.id not in forgotten), child)


def _prompted(children: Children, event: e.ChildPrompted) -> Children:
    return _changed(
        children, event.child, pending=event.prompt, task=_task(event.prompt), author=event.prompt.author,
        waits=event.waits, since=event.at, outcome=None, summary="",
    )  # fmt: skip


def _task(prompt: Prompt) -> str:
    return " ".join(prompt.text.split())[:TASK_CHARS]


def _handed(children: Children, event: e.ChildHanded) -> Children:
    """A newer prompt than the one that it was given is still to be given."""
    child = child_of(children, event.child)
    if child is None:
        return children
    if event.prompt_id in (STOP, BUDGET):
        return _changed(children, child.id, **{"stop_by" if event.prompt_id == STOP else "budget": None})
    given = child.pending is not None and child.pending.id == event.prompt_id
    return _changed(children, child.id, pending=None) if given else children


def _reported(children: Children, event: e.ChildReported) -> Children:
    child = child_of(children, event.child)
    if child is None:
        return children
    more: dict[str, Any] = {"pull_request": event.number, "url": event.url} if event.url else {}
    if child.pending is None:  # else it is about what it was given before
        more |= {"outcome": event.outcome, "waits": False}
    return _changed(children, child.id, summary=event.summary, reported=event.upto, **more)


def _stop_requested(children: Children, event: e.ChildrenStopRequested) -> Children:
    return tuple(one.model_copy(update={"stop_by": event.by}) if one.working else one for one in children)


def _budget_answered(children: Children, event: e.BudgetRaised | e.BudgetDeclined) -> Children:
    """Any may be paused by it, for people give them work too. After a no nobody is given what comes of them: it would
    go on with that, and ask again."""
    answer = BudgetAnswer(by=event.by, raised=isinstance(event, e.BudgetRaised))
    return tuple(one.model_copy(update={"budget": answer, "waits": one.waits and answer.raised}) for one in children)


def _changed(children: Children, sid: str, **change: Any) -> Children:
    return tuple(one.model_copy(update=change) if one.id == sid else one for one in children)


_FOLD: Mapping[type[Fact], Callable[[Children, Any], Children]] = {
    e.ChildSpawned: _spawned,
    e.ChildPrompted: _prompted,
    e.ChildHanded: _handed,
    e.ChildReported: _reported,
    e.ChildrenStopRequested: _stop_requested,
    e.BudgetRaised: _budget_answered,
    e.BudgetDeclined: _budget_answered,
}
