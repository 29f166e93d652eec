"""The facts of a session: one `Event` union, frozen, to and from JSON.

`jobs/fold.py` folds them, `jobs/store.py` keeps them, and every client (`bot/view.py`) reads them. An event never
fails and is never changed; a new fact is a new class in one of the files that are joined here, its places in
`session.TRANSITIONS` and its fold.
Times (`at`) are seconds since the epoch. `seq` is the event's number in its session's log, given when it is appended.
"""

from typing import Annotated

from pydantic import Field, TypeAdapter

from jobs.event_parts import (
    Attachment,
    Author,
    Commit,
    Fact,
    Frozen,
    Lineage,
    ModelTrouble,
    Outcome,
    Place,
    PlanEntry,
    Prompt,
    StartKind,
)
from jobs.events_box import (
    AgentReady,
    AgentUnready,
    BoxAwaited,
    BoxLost,
    BoxParked,
    BoxStarted,
    LinkAttached,
    ParkBegan,
    ParkFailed,
    PhaseReached,
    SnapshotFailed,
    SnapshotTaken,
    StartAbandoned,
    StartBegan,
    StartFailed,
)
from jobs.events_family import (
    ChildHanded,
    ChildPrompted,
    ChildrenStopRequested,
    ChildReported,
    ChildSpawned,
    Reported,
    StopOffered,
)
from jobs.events_pulls import (
    CheckFinished,
    DiffLines,
    LineCommentDeleted,
    LineCommented,
    PublishBegan,
    PublishFailed,
    PullRequestClosed,
    PullRequestDescribed,
    PullRequestPublished,
    PullRequestReviewed,
    ReviewDismissed,
)
from jobs.events_session import (
    Noted,
    PromptEdited,
    PromptReceived,
    PromptWithdrawn,
    RepositoryAsked,
    RepositoryChosen,
    SessionClosed,
    SessionOpened,
    SnapshotForgotten,
)
from jobs.events_tools import AnswerTaken, FileAttached, FileRefused, FileWanted, QuestionAnswered, QuestionAsked
from jobs.events_turn import (
    BudgetDeclined,
    BudgetRaised,
    BudgetReached,
    ModelRequested,
    ModelTroubled,
    PlanUpdated,
    PromptDelivered,
    StepStarted,
    StopRequested,
    TaskRestated,
    TurnEnded,
    TurnStarted,
)

__all__ = [
    "AgentReady", "AgentUnready", "AnswerTaken", "Attachment", "Author", "BoxAwaited", "BoxLost", "BoxParked",
    "BoxStarted", "BudgetDeclined", "BudgetRaised", "BudgetReached", "CheckFinished", "ChildHanded",
    "ChildPrompted", "ChildReported", "ChildSpawned", "ChildrenStopRequested", "Commit", "DiffLines", "Event",
    "Fact", "FileAttached", "FileRefused", "FileWanted", "Frozen", "LineCommentDeleted", "LineCommented", "Lineage",
    "LinkAttached", "ModelRequested", "ModelTrouble", "ModelTroubled", "Noted", "Outcome", "ParkBegan",
    "ParkFailed", "PhaseReached", "Place", "PlanEntry", "PlanUpdated", "Prompt", "PromptDelivered", "PromptEdited",
    "PromptReceived", "PromptWithdrawn", "PublishBegan", "PublishFailed", "PullRequestClosed",
    "PullRequestDescribed", "PullRequestPublished", "PullRequestReviewed", "QuestionAnswered", "QuestionAsked",
    "Reported", "RepositoryAsked", "RepositoryChosen", "ReviewDismissed", "SessionClosed", "SessionOpened",
    "SnapshotFailed", "SnapshotForgotten", "SnapshotTaken", "StartAbandoned", "StartBegan", "StartFailed",
    "StartKind", "StepStarted", "StopOffered", "StopRequested", "TaskRestated", "TurnEnded", "TurnStarted",
    "event_from_json", "event_to_json",
]  # fmt: skip

Event = Annotated[
    SessionOpened
    | RepositoryAsked
    | RepositoryChosen
    | PromptReceived
    | PromptEdited
    | PromptWithdrawn
    | StartBegan
    | BoxAwaited
    | StartFailed
    | StartAbandoned
    | BoxStarted
    | LinkAttached
    | PhaseReached
    | AgentReady
    | AgentUnready
    | PromptDelivered
    | TurnStarted
    | ModelRequested
    | ModelTroubled
    | TaskRestated
    | PlanUpdated
    | StepStarted
    | StopRequested
    | TurnEnded
    | BudgetReached
    | BudgetRaised
    | BudgetDeclined
    | BoxLost
    | ParkBegan
    | ParkFailed
    | BoxParked
    | SnapshotTaken
    | SnapshotFailed
    | PublishBegan
    | PublishFailed
    | PullRequestPublished
    | PullRequestClosed
    | PullRequestReviewed
    | LineCommented
    | LineCommentDeleted
    | ReviewDismissed
    | CheckFinished
    | Noted
    | QuestionAsked
    | QuestionAnswered
    | AnswerTaken
    | FileWanted
    | FileAttached
    | FileRefused
    | PullRequestDescribed
    | ChildSpawned
    | ChildPrompted
    | ChildHanded
    | ChildReported
    | StopOffered
    | ChildrenStopRequested
    | Reported
    | SessionClosed
    | SnapshotForgotten,
    Field(discriminator="kind"),
]

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def event_from_json(text: str | bytes) -> Event:
    """Read one event; raise `pydantic.ValidationError` on anything else."""
    return _EVENT.validate_json(text)


def event_to_json(event: Event) -> str:
    """Write one event on one line."""
    return event.model_dump_json()
