"""What a person is told at the end of a turn: the record of it, and what its pull request makes of that. Pure.

`bot/view.py` asks while it folds.
"""

from dataclasses import replace

from bot.cards import Card, Ending, Publishing
from jobs import events as e
from jobs.family import Child, at_work
from jobs.session import Session


def ending_of(session: Session, card: Card, event: e.TurnEnded) -> Ending:
    """What the person is told. Commits that were pushed are awaited in the pull request before it is said; those that
    `card` has already are from before a pause."""
    shown = session.pull_request
    commits = (*card.commits, *event.commits)
    publishing = _publishing(session, event, commits)
    return Ending(
        id=f"end:{event.turn}",
        to=card.author,
        task=card.task,
        turn=event.turn,
        outcome=event.outcome,
        summary=event.summary,
        error=event.error or "",
        commits=commits,
        ended=event.at,
        publishing=publishing,
        settled=None if publishing == "pending" else event.at,
        head=event.head,
        branch=session.branch,
        pull_request=shown.number if shown else None,
        url=shown.url if shown else "",
        cost=card.cost,
        session=session.lineage.number if session.lineage is not None else 0,
        by_agent=card.by_agent,
        stopped_by=(card.stop_by or "") if event.outcome == "stopped" else "",
        made=_made_by_others(session, card),
        waits_for=tuple(one.number for one in at_work(session.children) if one.waits and one.parent == session.id),
    )


def _made_by_others(session: Session, card: Card) -> tuple[Child, ...]:
    """With the report of a session that it had started: all that were started for the same prompt and have a pull
    request."""
    reported = next((child for child in session.children if child.number == card.report_of), None)
    if reported is None:
        return ()
    return tuple(child for child in session.children if child.cause == reported.cause and child.url)


def _publishing(session: Session, event: e.TurnEnded, commits: tuple[e.Commit, ...]) -> Publishing:
    """What becomes of the turn's commits, by the rule of `Session.unpublished`."""
    shown = session.pull_request.head if session.pull_request else ""
    pushed = event.pushed or (bool(commits) and not event.commits)  # before a pause: `session.head` knows
    head = event.head if event.pushed else session.head
    if pushed and head and head != shown:
        return "pending"
    if not commits:
        return "nothing"
    return "shown" if pushed and shown else "unpushed"


def shown_by(ending: Ending, event: e.PullRequestPublished) -> Ending:
    """The ending once its pull request shows it."""
    settled = ending.settled or event.at
    return replace(
        ending, publishing="shown", settled=settled, pull_request=event.number, url=event.url, trouble=""
    )  # fmt: skip
