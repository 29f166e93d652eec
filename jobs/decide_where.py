"""Which repository a session works on: known, asked for, answered by button or in words. Pure; part of `decide.py`."""

from jobs import commands
from jobs import events as e
from jobs.commands import Choice, Refused
from jobs.events import Event
from jobs.session import Rules, Session, Status


def where(choice: Choice, now: float) -> e.RepositoryChosen | e.RepositoryAsked:
    """What is known of it, or that it is asked for."""
    if choice.repository is not None:
        return e.RepositoryChosen(at=now, repository=choice.repository, base_branch=choice.base_branch)
    return e.RepositoryAsked(at=now, options=choice.options, reason=choice.reason)


def answer_where(s: Session, c: commands.Submit, now: float) -> tuple[Event, ...]:
    """A reply that says nothing but which repository is meant, while something waits to hear it, is no prompt."""
    if not (c.choice.only and s.queue) or c.prompt.attachments:
        return ()
    match where(c.choice, now):
        case e.RepositoryChosen() as answer:
            return (answer.model_copy(update={"by": c.prompt.author, "said": c.prompt.id}),)
        case asked:
            return (asked.model_copy(update={"said": c.prompt.id}),)


def choose(s: Session, c: commands.ChooseRepository, now: float, _: Rules) -> tuple[Event, ...]:
    """A pressed button."""
    if s.repository == c.repository:
        return ()
    if s.repository is not None:
        raise Refused(f"This thread already works on {s.repository}. Mention me in a new thread for another one.")
    if s.status is not Status.ASKING or not s.queue:
        raise Refused("Nothing waits for this answer any more. Reply here with the task to begin again.")
    return (e.RepositoryChosen(at=now, repository=c.repository, base_branch=c.base_branch, by=c.by),)
