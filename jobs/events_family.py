"""The facts of sessions that agents start: a family, on record at its root. Part of `jobs/events.py`."""

from typing import Literal

from jobs.event_parts import Author, Fact, Outcome, Prompt


class ChildSpawned(Fact):
    """In a root's log: an agent of its family started a session, `child`, in whose name `prompt` is to be done.

    `cause`: the prompt of the root that this is for. `waits`: the parent is given what comes of it.
    """

    kind: Literal["child_spawned"] = "child_spawned"
    child: str
    number: int
    parent: str
    depth: int
    repository: str
    base_branch: str
    agent: str
    model: str
    prompt: Prompt
    cause: str
    waits: bool


class ChildPrompted(Fact):
    """In a root's log: the agent that started a session gives it more to do."""

    kind: Literal["child_prompted"] = "child_prompted"
    child: str
    prompt: Prompt
    waits: bool


class ChildHanded(Fact):
    """In a root's log: a session has the prompt that it was to be given; without one: it was told to stop."""

    kind: Literal["child_handed"] = "child_handed"
    child: str
    prompt_id: str


class ChildReported(Fact):
    """In a root's log: what a session has come to. `upto`: the number of the event in its own log that says so."""

    kind: Literal["child_reported"] = "child_reported"
    child: str
    upto: int
    outcome: Outcome
    summary: str = ""
    number: int | None = None
    url: str = ""


class StopOffered(Fact):
    """A person stopped a session while others that it had started work: whether they are to stop too is for people."""

    kind: Literal["stop_offered"] = "stop_offered"
    by: Author
    children: int


class ChildrenStopRequested(Fact):
    """In a root's log: a person wants every session that it has started to stop."""

    kind: Literal["children_stop_requested"] = "children_stop_requested"
    by: Author


class Reported(Fact):
    """In a child's log: its family knows what it has come to, up to the event of this number."""

    kind: Literal["reported"] = "reported"
    upto: int
