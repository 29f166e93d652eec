"""Which events the agent's tools cause, and what people do with them: questions, files, the pull request's words. Pure.

`jobs/decide.py` has these in its table. What cannot be followed raises `Refused`: for the agent to act on, or for the
person who pressed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jobs import commands_tools as c
from jobs import events as e
from jobs.asked import DESCRIBED_MOST, FILES_BYTES_MOST, FILES_MOST, OPEN_MOST, Inquiry, Wanted, digest_of, inquiry_of
from jobs.commands import Refused
from jobs.events import Event, Prompt
from jobs.fold import fold
from jobs.fold_tools import answer_id
from jobs.session import Rules, Session, Turn


def late_answers(session: Session, events: tuple[Event, ...], now: float) -> tuple[Event, ...]:
    """Answers that came when the agent did not wait for them any more, as prompts of whoever gave them."""
    if not session.inquiries:
        return ()
    after = fold(events, session) or session
    late = [i for i in after.inquiries if i.answer is not None and not i.taken and not _is_worked_on(after, i)]
    return tuple(e.PromptReceived(at=now, prompt=_prompt(after, inquiry, now)) for inquiry in late)


def _is_worked_on(s: Session, inquiry: Inquiry) -> bool:
    """Whether the turn that asked runs, or will run again: then its agent is given the answer when it asks again."""
    running = s.turn is not None and s.turn.prompt.id == inquiry.prompt_id
    return running or s.waiting(inquiry.prompt_id) is not None


def _prompt(s: Session, inquiry: Inquiry, now: float) -> Prompt:
    assert inquiry.by is not None, "an answer is somebody's"
    text = f"{inquiry.answer}\n\n(My answer to your question: {inquiry.question})"
    return Prompt(id=answer_id(s, inquiry.id), author=inquiry.by, text=text, received_at=now)


def same_question(s: Session, question: str, options: tuple[str, ...]) -> Inquiry | None:
    """The question, if it is open or was answered for the prompt that is worked on: it is not asked twice."""
    about = s.turn.prompt.id if s.turn is not None else ""
    same = (i for i in reversed(s.inquiries) if (i.question, i.options) == (question, options))
    return next((i for i in same if i.open or (i.answer is not None and i.prompt_id == about)), None)


def same_file(s: Session, path: str, title: str) -> Wanted | None:
    """The file, if the runner is being asked for it."""
    return next((file for file in s.wanted_files if (file.path, file.title) == (path, title)), None)


def _running(s: Session, generation: int) -> Turn:
    if s.turn is None or generation != s.generation:
        raise Refused("No turn of yours is running any more, so nothing can be done for it.")
    return s.turn


def _ask(s: Session, command: c.AskPeople, now: float, _: Rules) -> tuple[Event, ...]:
    turn = _running(s, command.generation)
    same = same_question(s, command.question, command.options)
    if same is not None and (same.answer is not None or same.prompt_id == turn.prompt.id):
        return ()
    if sum(i.open and i.prompt_id == turn.prompt.id for i in s.inquiries) >= OPEN_MOST:
        raise Refused(
            f"{OPEN_MOST} questions of yours wait for an answer already. Ask no more of them: end your turn now and "
            "say what you wait for."
        )
    known_as = same.id if same is not None else f"q{s.asked + 1}"
    return (
        e.QuestionAsked(
            at=now, id=known_as, turn=turn.number, question=command.question, options=command.options
        ),
    )  # fmt: skip


def _answer(s: Session, command: c.AnswerQuestion, now: float, _: Rules) -> tuple[Event, ...]:
    inquiry = inquiry_of(s.inquiries, command.id)
    if inquiry is None or (inquiry.taken and inquiry.answer is None):
        raise Refused("Nobody waits for this answer any more. Reply in the thread to say something to me.")
    if inquiry.answer is not None and inquiry.by is not None:
        if inquiry.by.id == command.by.id and inquiry.answer == command.answer:
            return ()
        raise Refused(f"{inquiry.by.name} has answered this already: {inquiry.answer}")
    return (e.QuestionAnswered(at=now, id=command.id, answer=command.answer, by=command.by, said=command.said),)


def _take(s: Session, command: c.TakeAnswer, now: float, _: Rules) -> tuple[Event, ...]:
    inquiry = inquiry_of(s.inquiries, command.id)
    if inquiry is None or inquiry.answer is None or inquiry.taken:
        return ()
    return (e.AnswerTaken(at=now, id=command.id),)


def _want(s: Session, command: c.WantFile, now: float, _: Rules) -> tuple[Event, ...]:
    turn = _running(s, command.generation)
    if same_file(s, command.path, command.title) is not None:
        return ()
    if s.files_asked >= FILES_MOST or sum(file.bytes for file in s.files) >= FILES_BYTES_MOST:
        raise Refused(f"This session has attached as much as it may ({FILES_MOST} files, {FILES_BYTES_MOST >> 20} MB).")
    wanted = e.FileWanted(
        at=now, generation=s.generation, id=f"f{s.files_asked + 1}", turn=turn.number, path=command.path,
        title=command.title,
    )  # fmt: skip
    return (wanted,)


def _attach(s: Session, command: c.AttachFile, now: float, _: Rules) -> tuple[Event, ...]:
    wanted = next((file for file in s.wanted_files if file.id == command.id), None)
    if wanted is None or command.generation != s.generation:
        raise Refused("nobody waits for this file any more")
    if any(file.digest == command.digest and file.name == command.name for file in s.files):
        return (e.FileRefused(at=now, id=command.id, reason="This very file is attached already."),)
    attached = e.FileAttached(
        at=now, id=command.id, name=command.name, title=wanted.title, mimetype=command.mimetype, bytes=command.bytes,
        digest=command.digest, url=command.url,
    )  # fmt: skip
    return (attached,)


def _refuse(s: Session, command: c.RefuseFile, now: float, _: Rules) -> tuple[Event, ...]:
    if all(file.id != command.id for file in s.wanted_files):
        return ()
    return (e.FileRefused(at=now, id=command.id, reason=command.reason),)


def _describe(s: Session, command: c.DescribePullRequest, now: float, _: Rules) -> tuple[Event, ...]:
    _running(s, command.generation)
    digest = digest_of(command.title, command.body, command.draft)
    if s.description is not None and s.description.digest == digest:
        return ()
    if s.described >= DESCRIBED_MOST:
        raise Refused(f"The pull request was described {DESCRIBED_MOST} times already. Leave it as it is.")
    return (e.PullRequestDescribed(at=now, title=command.title, body=command.body, draft=command.draft),)


DECIDE_TOOLS: Mapping[type[Any], Callable[[Session, Any, float, Rules], tuple[Event, ...]]] = {
    c.AskPeople: _ask,
    c.AnswerQuestion: _answer,
    c.TakeAnswer: _take,
    c.WantFile: _want,
    c.AttachFile: _attach,
    c.RefuseFile: _refuse,
    c.DescribePullRequest: _describe,
}
