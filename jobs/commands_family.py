"""What may be asked of a session for the sake of those that agents start, as records. Pure.

The gateway's tools, Slack's buttons and `jobs/children.py` give them; `jobs/decide_family.py` says what
comes of each.
"""

from dataclasses import dataclass

from jobs.events import Author, Lineage, Outcome, Place, Prompt


@dataclass(frozen=True)
class SpawnChild:
    """To a root: an agent of its family, in `parent`, starts the session `child`. Done once for each id."""

    child: str
    parent: str
    repository: str
    base_branch: str
    agent: str
    model: str
    prompt: Prompt
    waits: bool


@dataclass(frozen=True)
class PromptChild:
    """To a root: the agent that started a session gives it more to do."""

    child: str
    prompt: Prompt
    waits: bool


@dataclass(frozen=True)
class FinishHanding:
    """To a root: the session has this prompt; an empty id: it was told to stop."""

    child: str
    prompt_id: str


@dataclass(frozen=True)
class StopChildren:
    """To a root: a person wants every session that it has started to stop."""

    by: Author


@dataclass(frozen=True)
class TakeChildReport:
    """To a root: what one of its family has come to."""

    child: str
    upto: int
    outcome: Outcome
    summary: str
    number: int | None
    url: str


@dataclass(frozen=True)
class TakeReport:
    """To a parent: what a session that it waits for has come to, as a prompt."""

    prompt: Prompt


@dataclass(frozen=True)
class OpenChild:
    """To a session that is not there yet: it is opened, with its lineage and its first prompt."""

    session: str
    place: Place
    lineage: Lineage
    repository: str
    base_branch: str
    agent: str
    model: str
    prompt: Prompt


@dataclass(frozen=True)
class FinishReport:
    """To a child: its family knows what it has come to, up to the event of this number."""

    upto: int


FamilyCommand = (
    SpawnChild | PromptChild | FinishHanding | StopChildren | TakeChildReport | TakeReport | OpenChild | FinishReport
)
