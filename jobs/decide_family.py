"""Which events come of commands about sessions that agents start. Pure; rows of `jobs/decide.py`.

Their bounds are decided in the log of their root, in one place for the whole family, so that two agents which ask at
the same time cannot both have the last one.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jobs import commands_family as commands
from jobs import events as e
from jobs.commands import Refused
from jobs.events import Event
from jobs.family import BUDGET, STOP, SUMMARY_CHARS, Child, at_work, child_of
from jobs.session import Rules, Session

NOT_WORKING = "Sessions can be started only while a request is worked on."


def open_child(c: commands.OpenChild, now: float) -> tuple[Event, ...]:
    """The beginning of a child's log."""
    opened = e.SessionOpened(
        at=now, session=c.session, place=c.place, by=c.prompt.author, agent=c.agent, parent=c.lineage, model=c.model
    )
    chosen = e.RepositoryChosen(at=now, repository=c.repository, base_branch=c.base_branch)
    return (opened, chosen, e.PromptReceived(at=now, prompt=c.prompt))


def _open_again(s: Session, c: commands.OpenChild, now: float, _: Rules) -> tuple[Event, ...]:
    return () if c.prompt.id in s.seen else (e.PromptReceived(at=now, prompt=c.prompt),)


def _spawn(s: Session, c: commands.SpawnChild, now: float, rules: Rules) -> tuple[Event, ...]:
    if child_of(s.children, c.child) is not None:
        return ()
    parent = child_of(s.children, c.parent)
    if s.lineage is not None or (parent is None and c.parent != s.id):
        raise Refused("This session's family is not known here.")
    depth = parent.depth + 1 if parent is not None else 1
    cause = parent.cause if parent is not None else _cause(s)
    _check_bounds(s, depth, cause, rules)
    number = s.children[-1].number + 1 if s.children else 1
    return (
        e.ChildSpawned(
            at=now, child=c.child, number=number, parent=c.parent, depth=depth, repository=c.repository,
            base_branch=c.base_branch, agent=c.agent, model=c.model, prompt=c.prompt, cause=cause, waits=c.waits,
        ),
    )  # fmt: skip


def _cause(s: Session) -> str:
    """The request of a person that a root works on now; of a report, the one that its session was started for."""
    if s.turn is None:
        raise Refused(NOT_WORKING)
    reported = (child for child in s.children if child.number == s.turn.prompt.report_of)
    return next((child.cause for child in reported), s.turn.prompt.id)


def _check_bounds(s: Session, depth: int, cause: str, rules: Rules) -> None:
    if rules.children_most == 0 or rules.children_depth == 0:
        raise Refused("Starting sessions is turned off here. Do the work yourself.")
    if s.paused is not None:
        raise Refused("The budget is used up, and people are asked for more. End your turn; do not start anything.")
    if depth > rules.children_depth:
        deep = f"{rules.children_depth} deep"
        raise Refused(f"Sessions may start sessions only {deep}, and this one is as deep as that. Do it yourself.")
    if sum(child.cause == cause for child in s.children) >= rules.children_most:
        most = f"{rules.children_most} sessions were started for this request already, which is the most"
        raise Refused(f"{most}. Give one of them more work with prompt_session, or do the rest yourself.")
    _check_room(s, rules)


def _check_room(s: Session, rules: Rules) -> None:
    working = at_work(s.children)
    if len(working) >= rules.children_parallel:
        names = ", ".join(f"#{child.number} ({child.repository})" for child in working)
        raise Refused(
            f"{len(working)} sessions are at work, which is the most at a time: {names}. End your turn and start this "
            "one when one of them has reported, or stop one with stop_session."
        )


def _prompt(s: Session, c: commands.PromptChild, now: float, rules: Rules) -> tuple[Event, ...]:
    child = _known(s, c.child)
    if child.pending is not None:
        if child.pending.id == c.prompt.id:
            return ()
        raise Refused("It is still being given what you asked before. Try again in a few seconds.")
    if not child.working:
        _check_room(s, rules)
    return (e.ChildPrompted(at=now, child=c.child, prompt=c.prompt, waits=c.waits),)


def _known(s: Session, sid: str) -> Child:
    child = child_of(s.children, sid)
    if child is None:
        raise Refused("There is no such session here.")
    return child


def _finish_handing(s: Session, c: commands.FinishHanding, now: float, _: Rules) -> tuple[Event, ...]:
    child = child_of(s.children, c.child)
    if child is None:
        return ()
    waits = {STOP: child.stop_by is not None, BUDGET: child.budget is not None}
    waited = waits.get(c.prompt_id, child.pending is not None and child.pending.id == c.prompt_id)
    return (e.ChildHanded(at=now, child=c.child, prompt_id=c.prompt_id),) if waited else ()


def _stop_all(s: Session, c: commands.StopChildren, now: float, _: Rules) -> tuple[Event, ...]:
    if not at_work(s.children):
        raise Refused("They have all ended already: there is nothing left to stop.")
    if all(child.stop_by is not None for child in at_work(s.children)):
        return ()
    return (e.ChildrenStopRequested(at=now, by=c.by),)


def _take_child_report(s: Session, c: commands.TakeChildReport, now: float, _: Rules) -> tuple[Event, ...]:
    child = child_of(s.children, c.child)
    if child is None or child.reported >= c.upto:
        return ()
    return (
        e.ChildReported(
            at=now, child=c.child, upto=c.upto, outcome=c.outcome, summary=c.summary[:SUMMARY_CHARS],
            number=c.number, url=c.url,
        ),
    )  # fmt: skip


def _take_report(s: Session, c: commands.TakeReport, now: float, _: Rules) -> tuple[Event, ...]:
    """A person who stopped it does not want it to go on because another one has ended."""
    return () if c.prompt.id in s.seen or s.halted else (e.PromptReceived(at=now, prompt=c.prompt),)


def _finish_report(s: Session, c: commands.FinishReport, now: float, _: Rules) -> tuple[Event, ...]:
    return (e.Reported(at=now, upto=c.upto),) if s.owed is not None and s.owed.upto <= c.upto else ()


def offer_to_stop(s: Session, by: e.Author, now: float) -> tuple[Event, ...]:
    """What is said to a person who stopped a session whose own ones are at work."""
    working = at_work(s.children)
    if working and s.halted and s.turn is None:
        raise Refused("The sessions that it started go on. Press the button above, or Stop on one of their cards.")
    return (e.StopOffered(at=now, by=by, children=len(working)),) if working and not s.halted else ()


DECIDE_FAMILY: Mapping[type[Any], Callable[[Session, Any, float, Rules], tuple[Event, ...]]] = {
    commands.SpawnChild: _spawn,
    commands.PromptChild: _prompt,
    commands.FinishHanding: _finish_handing,
    commands.StopChildren: _stop_all,
    commands.TakeChildReport: _take_child_report,
    commands.TakeReport: _take_report,
    commands.OpenChild: _open_again,
    commands.FinishReport: _finish_report,
}
