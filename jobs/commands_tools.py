"""What may be asked of a session by its agent's tools, and by the people whom they ask, as records. Pure.

Part of `jobs/commands.py`; `jobs/decide_tools.py` says what comes of each.
"""

from dataclasses import dataclass

from jobs.events import Author


@dataclass(frozen=True)
class AskPeople:
    """The agent of this generation asks the thread. The same question again is the same question."""

    generation: int
    question: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnswerQuestion:
    """Somebody answers the question `id`; `said`: the message that did, if it was no button."""

    id: str
    answer: str
    by: Author
    said: str = ""


@dataclass(frozen=True)
class TakeAnswer:
    """The agent waits for the answer to the question `id`, and is given it now."""

    id: str


@dataclass(frozen=True)
class WantFile:
    """The agent of this generation attaches a file of its box."""

    generation: int
    path: str
    title: str = ""


@dataclass(frozen=True)
class AttachFile:
    """The file `id` came and is kept. `url`: where everybody may see it, "" in a private place."""

    generation: int
    id: str
    name: str
    mimetype: str
    bytes: int
    digest: str
    url: str = ""


@dataclass(frozen=True)
class RefuseFile:
    """The file `id` cannot be had."""

    id: str
    reason: str


@dataclass(frozen=True)
class DescribePullRequest:
    """The agent of this generation says what its pull request is to be called and to say."""

    generation: int
    title: str
    body: str = ""
    draft: bool = False


ToolCommand = AskPeople | AnswerQuestion | TakeAnswer | WantFile | AttachFile | RefuseFile | DescribePullRequest
