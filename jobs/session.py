"""What a session is, and what may happen in each of its statuses. Pure; the heart of the project.

`TRANSITIONS` says what may happen and where it leads (ARCHITECTURE.md has it as a diagram), `jobs/fold.py` makes a
`Session` of events by it, `jobs/decide.py` says which events a command causes, `jobs/wants.py` which operations are
due. Nothing here does I/O or reads a clock.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal

from jobs import events as e
from jobs.asked import Description, Inquiry, Kept, Pause, Wanted
from jobs.checks import Checks
from jobs.events import Author, Commit, Fact, Frozen, Lineage, ModelTrouble, Place, Prompt, StartKind
from jobs.family import Child, Owed
from jobs.saved import Saved


class Status(StrEnum):
    """The phase that a person sees; named for what the session is waiting for."""

    OPENED = "opened"  # just opened; where to is decided in the same moment
    ASKING = "asking"  # which repository is meant?
    WAITING = "waiting"  # a prompt waits, no box yet
    BOOTING = "booting"  # a worker makes the box
    CONNECTING = "connecting"  # the box is there, its runner has not called yet
    PREPARING = "preparing"  # agent starting, repository syncing
    IDLE = "idle"  # ready for a prompt
    WORKING = "working"  # a turn runs
    STOPPING = "stopping"  # a turn was asked to stop
    PARKING = "parking"  # the box is being put to sleep
    ASLEEP = "asleep"  # no box; a prompt wakes it
    FAILED = "failed"  # cannot work; a new prompt tries again
    CLOSED = "closed"  # over; a new prompt opens it again


S = Status
_QUEUE: dict[type[Fact], None] = dict.fromkeys((e.PromptReceived, e.PromptEdited, e.PromptWithdrawn))
_TURN: dict[type[Fact], None] = dict.fromkeys(
    (e.TurnStarted, e.ModelRequested, e.ModelTroubled, e.TaskRestated, e.PlanUpdated, e.StepStarted)
)
_BUDGET: dict[type[Fact], None] = dict.fromkeys((e.BudgetReached, e.BudgetRaised, e.BudgetDeclined))
_SAVING: dict[type[Fact], None] = dict.fromkeys((e.SnapshotTaken, e.SnapshotFailed))
_AWAITED: dict[type[Fact], None] = {e.BoxAwaited: None}
_LINK: dict[type[Fact], None] = dict.fromkeys((e.LinkAttached, e.PhaseReached))
FORGE: dict[type[Fact], None] = dict.fromkeys(
    (
        e.PublishBegan,
        e.PublishFailed,
        e.PullRequestPublished,
        e.PullRequestClosed,
        e.PullRequestReviewed,
        e.LineCommented,
        e.LineCommentDeleted,
        e.ReviewDismissed,
        e.CheckFinished,
        e.Noted,
    )
)
TOOLS: dict[type[Fact], None] = dict.fromkeys(
    (
        e.QuestionAsked,
        e.QuestionAnswered,
        e.AnswerTaken,
        e.FileWanted,
        e.FileAttached,
        e.FileRefused,
        e.PullRequestDescribed,
    )
)
FAMILY: dict[type[Fact], None] = dict.fromkeys(
    (
        e.ChildSpawned,
        e.ChildPrompted,
        e.ChildHanded,
        e.ChildReported,
        e.StopOffered,
        e.ChildrenStopRequested,
        e.Reported,
    )
)
ANY_TIME: dict[type[Fact], None] = FORGE | TOOLS | FAMILY


def _stays(status: Status, *groups: Iterable[type[Fact]]) -> dict[type[Fact], Status]:
    return {kind: status for group in groups for kind in group}


TRANSITIONS: Mapping[Status, Mapping[type[Fact], Status]] = {
    S.OPENED: {e.RepositoryAsked: S.ASKING, e.RepositoryChosen: S.ASLEEP},
    S.ASKING: _stays(S.ASKING, _QUEUE, [e.RepositoryAsked])
    | {e.RepositoryChosen: S.WAITING, e.SessionClosed: S.CLOSED},
    S.ASLEEP: _stays(S.ASLEEP, _BUDGET, [e.PromptEdited, e.PromptWithdrawn])
    | {e.PromptReceived: S.WAITING, e.BudgetRaised: S.WAITING, e.SessionClosed: S.CLOSED},
    S.WAITING: _stays(S.WAITING, _AWAITED, _QUEUE, _BUDGET) | {e.StartBegan: S.BOOTING, e.StartAbandoned: S.FAILED},
    S.BOOTING: _stays(S.BOOTING, _QUEUE, _BUDGET, [e.StartBegan])
    | {e.BoxStarted: S.CONNECTING, e.StartFailed: S.WAITING, e.StartAbandoned: S.FAILED},
    S.CONNECTING: _stays(S.CONNECTING, _QUEUE, _BUDGET, [e.PhaseReached])
    | {e.LinkAttached: S.PREPARING, e.ParkBegan: S.PARKING, e.BoxLost: S.ASLEEP},
    S.PREPARING: _stays(S.PREPARING, _QUEUE, _BUDGET, _LINK)
    | {e.AgentReady: S.IDLE, e.AgentUnready: S.FAILED, e.ParkBegan: S.PARKING, e.BoxLost: S.ASLEEP},
    S.IDLE: _stays(S.IDLE, _SAVING, _QUEUE, _BUDGET, _LINK, [e.AgentReady])
    | {e.PromptDelivered: S.WORKING, e.AgentUnready: S.FAILED, e.ParkBegan: S.PARKING, e.BoxLost: S.ASLEEP},
    S.WORKING: _stays(S.WORKING, _SAVING, _QUEUE, _BUDGET, _LINK, _TURN, [e.AgentReady])
    | {e.StopRequested: S.STOPPING, e.TurnEnded: S.IDLE, e.ParkBegan: S.PARKING, e.BoxLost: S.ASLEEP},
    S.STOPPING: _stays(S.STOPPING, _SAVING, _QUEUE, _BUDGET, _LINK, _TURN, [e.AgentReady, e.StopRequested])
    | {e.TurnEnded: S.IDLE, e.ParkBegan: S.PARKING},
    S.PARKING: _stays(S.PARKING, _QUEUE, _BUDGET, _LINK, _TURN, [e.AgentReady, e.StopRequested, e.TurnEnded])
    | _stays(S.PARKING, [e.ParkBegan, e.ParkFailed])
    | {e.BoxParked: S.ASLEEP},
    S.FAILED: _stays(S.FAILED, _SAVING, _LINK, _QUEUE, _BUDGET, [e.AgentReady])
    | {e.PromptReceived: S.WAITING, e.ParkBegan: S.PARKING, e.BoxLost: S.ASLEEP, e.SessionClosed: S.CLOSED},
    S.CLOSED: _stays(S.CLOSED, [e.SnapshotForgotten])
    | {e.PromptReceived: S.WAITING, e.RepositoryAsked: S.ASKING, e.RepositoryChosen: S.ASLEEP},
}
"""What may happen, and where it leads. One exception, in `_settled`: what is queued, whether it is paused, and whether
a failed box is still there, decides between WAITING, ASLEEP and FAILED. The events of `ANY_TIME`, of the forge, of the
agent's tools and of the family, change no status."""


class Turn(Frozen):
    """The agent working on one prompt. `again`: for the second time, because the first box was lost. `noted`: what was
    said about its message already. `paused`: it ends because the budget is reached, and is to go on later.
    `started`: the agent has its prompt."""

    number: int
    prompt: Prompt
    began: float
    again: bool = False
    stop_asked: float | None = None
    model_asked: bool = False
    model_trouble: ModelTrouble = ""
    noted: tuple[str, ...] = ()
    paused: bool = False
    started: bool = False


class PullRequest(Frozen):
    """The session's pull request as the forge last told us. `head` is what it shows; `described` the description."""

    number: int
    url: str
    head: str
    state: Literal["open", "merged", "closed"] = "open"
    described: int = 0


class Session(Frozen):
    """Everything that is true of a session now. `since`: when its status began; `seq`: the last event folded; `told`:
    how much its box has put in the log since its last prompt; `synced`: its box's repository is in step."""

    id: str
    place: Place
    opened_by: Author
    agent: str
    opened_at: float
    seq: int = 0
    status: Status = Status.OPENED
    since: float = 0.0
    repository: str | None = None
    base_branch: str = ""
    options: tuple[str, ...] = ()
    queue: tuple[Prompt, ...] = ()
    seen: tuple[str, ...] = ()
    participants: tuple[Author, ...] = ()
    turn: Turn | None = None
    turns: int = 0
    title: str = ""
    # the box
    generation: int = 0
    box: str | None = None
    box_since: float = 0.0
    box_turns: int = 0  # that were begun in it
    position: int = 0  # of those that wait for a box; 0: it is not known to be one of them
    isolated: bool = True
    synced: bool = False
    start: StartKind | None = None
    snapshot: str | None = None
    saved: Saved = Saved()
    lost_box: str | None = None
    interrupted: str | None = None
    conversation: str | None = None
    anew: int | None = None  # the conversation began after so many turns and knows nothing of them
    failures: int = 0
    park_failures: int = 0  # of this box
    retry_at: float = 0.0
    told: int = 0
    # the work
    worked: float = 0.0  # seconds of all its turns
    paused: Pause | None = None
    raised: float = 0.0  # dollars that people have added to its budget
    commits: tuple[Commit, ...] = ()
    head: str = ""
    pull_request: PullRequest | None = None
    publish_began: float | None = None
    closed_meanwhile: e.PullRequestClosed | None = None  # since then: what the worker had read may be older
    publish_failures: int = 0
    publish_retry_at: float | None = 0.0
    # what goes to the agent with the next prompt: `jobs/untold.py`, of reviewers `jobs/reviews.py`, `jobs/checks.py`
    untold: tuple[str, ...] = ()
    reviews: tuple[e.PullRequestReviewed | e.LineCommented, ...] = ()
    reviews_left_out: int = 0  # comments beyond those
    comments_left_out: tuple[int, ...] = ()  # the forge's numbers of the newest of them that are on lines
    checks: Checks | None = None  # of the newest commit of which any failed
    # what the agent asked of people; `asked` and `files_asked` count
    inquiries: tuple[Inquiry, ...] = ()
    asked: int = 0
    wanted_files: tuple[Wanted, ...] = ()
    files: tuple[Kept, ...] = ()
    files_asked: int = 0
    description: Description | None = None
    # the family: `children` in a root only; `halted`: a person stopped it and has asked nothing since
    lineage: Lineage | None = None
    model: str = ""
    children: tuple[Child, ...] = ()
    halted: bool = False
    owed: Owed | None = None

    @property
    def root(self) -> str:
        """The session that a person opened and that this one descends from; itself, if a person opened it."""
        return self.lineage.root if self.lineage is not None else self.id

    @property
    def branch(self) -> str:
        """The one branch that this session may push to."""
        return f"shipmate/{self.id}"

    @property
    def unpublished(self) -> bool:
        """Whether the forge has work, or the agent has words for it, that no pull request shows yet."""
        shown = self.pull_request
        if not self.head or shown is None:
            return bool(self.head)
        reworded = shown.state == "open" and self.described != shown.described
        return self.head != shown.head or reworded

    @property
    def described(self) -> int:
        """How often the agent has described the pull request."""
        return self.description.number if self.description is not None else 0

    @property
    def publishable(self) -> bool:
        """Whether there is work that a worker can bring to the forge without a person's help."""
        return self.unpublished and self.publish_retry_at is not None

    @property
    def at_rest(self) -> bool:
        """Whether nothing happens any more until a person, or a very long time, makes it."""
        resting = self.status in (S.ASKING, S.ASLEEP, S.FAILED, S.CLOSED)
        owes = (self.owed is not None and not self.queue) or any(child.owed for child in self.children)
        return resting and self.box is None and not self.publishable and not owes

    def waiting(self, prompt_id: str) -> Prompt | None:
        """The prompt of this id, if it still waits."""
        return next((prompt for prompt in self.queue if prompt.id == prompt_id), None)

    def knows(self, message_id: str) -> bool:
        """Whether a message of this id was taken before: as a prompt, or as an answer."""
        return message_id in self.seen or any(i.said == message_id for i in self.inquiries)


class Rules(Frozen):
    """The numbers that `wants` and `decide` go by. Seconds, but for `max_failures`."""

    idle_seconds: float = 900.0  # a box that waits so long for a prompt is put to sleep
    turn_seconds: float = 1800.0  # the most that one turn may take
    session_seconds: float = 7 * 86400.0  # the most that all turns of a session may take together
    box_seconds: float = 86400.0  # a box is put to sleep before it gets so old, and its work goes on in another
    stop_seconds: float = 20.0  # to stop, before its box is stopped; the runner's own limit is 15
    start_seconds: float = 60.0  # a longer start is begun anew, unless its worker says that it is still at it
    sync_seconds: float = 300.0  # a runner that cannot bring its repository in step for so long gives up
    connect_seconds: float = 420.0  # from the box's start to a ready agent, a first clone included
    park_seconds: float = 60.0  # a worker that has not put a box to sleep by then is given up
    publish_seconds: float = 60.0  # likewise for a pull request
    warm_seconds: float = 3600.0  # a warm box that nobody wanted for so long, or for half of its life, makes room
    close_seconds: float = 30 * 86400.0  # asleep for so long: closed and archived
    keep_seconds: float = 60 * 86400.0  # closed for so long: its box's files and the agent's memory of it are let go
    ask_seconds: float = 50.0  # that an agent's question waits in its call; most agents give up after 60
    max_failures: int = 4  # failed starts in a row, before a person is told that it cannot be done
    children_most: int = 12  # sessions that agents may start for one request of a person; 0: none
    children_parallel: int = 4  # of them at work at a time
    children_depth: int = 2  # how deep: 1 lets no session that was started start others
    child_seconds: float = 1800.0  # the most that one turn of such a session may take
