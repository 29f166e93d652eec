"""What the events of the agent's tools make of a session: questions, files, the words of the pull request. Pure.

`jobs/fold.py` has these folds in its table. None of these events changes a status.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jobs import events as e
from jobs.asked import Description, Inquiry, Kept, Wanted, digest_of, inquiry_of, remembered
from jobs.events import Fact
from jobs.fold_pulls import tried_anew
from jobs.session import Session

Change = dict[str, Any]


def answer_id(s: Session, inquiry_id: str) -> str:
    """The id of the prompt that an answer becomes when the agent does not wait for it any more."""
    return f"{s.place.team}:{s.place.channel}:{s.place.thread}/{s.id}/{inquiry_id}"


def _asked(s: Session, event: e.QuestionAsked) -> Change:
    """One that was asked before and is open is asked by this turn from here on, which is given its answer."""
    about = s.turn.prompt.id if s.turn is not None else ""
    if inquiry_of(s.inquiries, event.id) is not None:
        return _inquiry(s, event.id, prompt_id=about)
    inquiry = Inquiry(id=event.id, prompt_id=about, question=event.question, options=event.options)
    return {"inquiries": remembered((*s.inquiries, inquiry)), "asked": s.asked + 1}


def _answered(s: Session, event: e.QuestionAnswered) -> Change:
    return _inquiry(s, event.id, answer=event.answer, by=event.by, said=event.said) | tried_anew()


def _taken(s: Session, event: e.AnswerTaken) -> Change:
    return _inquiry(s, event.id, taken=True)


def _inquiry(s: Session, inquiry_id: str, **change: object) -> Change:
    changed = (i.model_copy(update=change) if i.id == inquiry_id else i for i in s.inquiries)
    return {"inquiries": remembered(tuple(changed))}


def late_answer_came(s: Session, prompt_id: str) -> Change:
    """The answer that this prompt brings is on its way to the agent."""
    return {"inquiries": tuple(_settled(i) if answer_id(s, i.id) == prompt_id else i for i in s.inquiries)}


def nobody_asks(s: Session, prompt_id: str) -> Change:
    """Nobody waits any more for what was asked for this prompt: its turn was stopped, or it was withdrawn."""
    return {"inquiries": tuple(_settled(i) if i.prompt_id == prompt_id else i for i in s.inquiries)}


def _settled(inquiry: Inquiry) -> Inquiry:
    return inquiry.model_copy(update={"taken": True})


def _wanted(s: Session, event: e.FileWanted) -> Change:
    wanted = Wanted(id=event.id, path=event.path, title=event.title)
    return {"wanted_files": (*s.wanted_files, wanted), "files_asked": s.files_asked + 1}


def _without(s: Session, file_id: str) -> Change:
    return {"wanted_files": tuple(file for file in s.wanted_files if file.id != file_id)}


def _attached(s: Session, event: e.FileAttached) -> Change:
    kept = Kept(id=event.id, name=event.name, mimetype=event.mimetype, bytes=event.bytes, digest=event.digest)
    return _without(s, event.id) | {"files": (*s.files, kept)}


def _described(s: Session, event: e.PullRequestDescribed) -> Change:
    number = s.description.number + 1 if s.description is not None else 1
    described = Description(number=number, digest=digest_of(event.title, event.body, event.draft))
    return {"description": described} | tried_anew()


FOLD_TOOLS: Mapping[type[Fact], Callable[[Session, Any], Change]] = {
    e.QuestionAsked: _asked,
    e.QuestionAnswered: _answered,
    e.AnswerTaken: _taken,
    e.FileWanted: _wanted,
    e.FileAttached: _attached,
    e.FileRefused: lambda s, v: _without(s, v.id),
    e.PullRequestDescribed: _described,
}
