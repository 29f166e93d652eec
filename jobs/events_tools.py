"""The facts of what an agent asks people and shows them. Part of `jobs/events.py`."""

from typing import Literal

from jobs.event_parts import Author, Fact


class QuestionAsked(Fact):
    """The agent asks the people of the thread. `options` may be none: then only their own words can answer. With the
    `id` of one that is open: a later turn asks the same."""

    kind: Literal["question_asked"] = "question_asked"
    id: str
    turn: int
    question: str
    options: tuple[str, ...] = ()


class QuestionAnswered(Fact):
    """Somebody answered, for all. `said` is the id of the message that did; empty for a button."""

    kind: Literal["question_answered"] = "question_answered"
    id: str
    answer: str
    by: Author
    said: str = ""


class AnswerTaken(Fact):
    """The agent was given the answer while it waited; one that it was not given becomes a prompt."""

    kind: Literal["answer_taken"] = "answer_taken"
    id: str


class FileWanted(Fact):
    """The agent attaches a file of its box: the runner is asked for it."""

    kind: Literal["file_wanted"] = "file_wanted"
    generation: int
    id: str
    turn: int
    path: str
    title: str = ""


class FileAttached(Fact):
    """The file is kept, for the thread and the pull request. `url`: for everybody who has it, "" in a private place."""

    kind: Literal["file_attached"] = "file_attached"
    id: str
    name: str
    title: str = ""
    mimetype: str = ""
    bytes: int
    digest: str
    url: str = ""


class FileRefused(Fact):
    """The file could not be had, or is not taken."""

    kind: Literal["file_refused"] = "file_refused"
    id: str
    reason: str
