"""The facts of a session as a whole, and of what people ask of it. Part of `jobs/events.py`."""

from typing import Literal

from jobs.event_parts import Author, Fact, Lineage, Place, Prompt


class SessionOpened(Fact):
    """Somebody asked for work in a place where none was going on, or, with a `parent`, the agent of another session.

    `model`: which one its agent is to use; empty: the usual one.
    """

    kind: Literal["session_opened"] = "session_opened"
    session: str
    place: Place
    by: Author
    agent: str
    parent: Lineage | None = None
    model: str = ""


class RepositoryAsked(Fact):
    """Which repository is meant is not clear: the thread is asked. `said`: the message that said only one that may not
    be chosen."""

    kind: Literal["repository_asked"] = "repository_asked"
    options: tuple[str, ...]
    reason: str
    said: str = ""


class RepositoryChosen(Fact):
    """The repository is known. `by` is None when nobody had to be asked; `said`: the message that said only this.
    `agent`, `model`: what its recipe chooses, where nobody else did."""

    kind: Literal["repository_chosen"] = "repository_chosen"
    repository: str
    base_branch: str
    by: Author | None = None
    said: str = ""
    agent: str = ""
    model: str = ""


class PromptReceived(Fact):
    """A prompt is accepted: from here on it is done, or said to have failed."""

    kind: Literal["prompt_received"] = "prompt_received"
    prompt: Prompt


class PromptEdited(Fact):
    """The text of a waiting prompt was changed by its author."""

    kind: Literal["prompt_edited"] = "prompt_edited"
    prompt_id: str
    text: str


class PromptWithdrawn(Fact):
    """A waiting prompt will not be done: its message was deleted, or it was stopped before it began."""

    kind: Literal["prompt_withdrawn"] = "prompt_withdrawn"
    prompt_id: str
    reason: str


class Noted(Fact):
    """Something that people should know and that changes nothing: a refused command, a dropped frame."""

    kind: Literal["noted"] = "noted"
    text: str
    prompt_id: str = ""


class SessionClosed(Fact):
    """The session is over: nothing more is accepted, and its log may be archived."""

    kind: Literal["session_closed"] = "session_closed"
    reason: str


class SnapshotForgotten(Fact):
    """The session has been closed for so long that what its box left is let go: a new prompt begins from the branch."""

    kind: Literal["snapshot_forgotten"] = "snapshot_forgotten"
