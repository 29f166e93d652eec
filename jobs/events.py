"""The facts of a session: one `Event` union, frozen, to and from JSON.

`jobs/fold.py` folds them, `jobs/store.py` keeps them, and every client (`bot/view.py`) reads them. An event never
fails and is never changed; a new fact is a new class here, its places in `session.TRANSITIONS` and its fold.
Times (`at`) are seconds since the epoch. `seq` is the event's number in its session's log, given when it is appended.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Frozen(BaseModel):
    """A record that cannot be changed and that ignores fields of newer versions."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Author(Frozen):
    """A person. `id` is the client's own id (a Slack user id); `email` is the one that commits carry."""

    id: str
    name: str
    email: str

    @property
    def signature(self) -> str:
        """`Name <email>`, as git writes it."""
        return f"{self.name} <{self.email}>"


class Place(Frozen):
    """Where a session was asked for. `thread` is its first message's id; `private`: members only; `link`: to it."""

    client: str
    team: str
    channel: str
    thread: str
    private: bool = False
    link: str = ""


class Attachment(Frozen):
    """A file that came with a prompt: its name, and where the client keeps it."""

    name: str
    mimetype: str = ""
    url: str = ""
    bytes: int = 0


class Lineage(Frozen):
    """Where a session comes from that an agent started: its parent, and the session that a person opened, its root.

    `depth`: 1 for a session that the root started. `number`: how people name it in the root's thread.
    """

    parent: str
    root: str
    depth: int
    number: int


class Prompt(Frozen):
    """What a person asked. `id` is its message's identity, so one message is one prompt however often it comes.

    `report_of`: not a person's words but what the child of this number has come to; `author` is whom it works for.
    """

    id: str
    author: Author
    text: str
    attachments: tuple[Attachment, ...] = ()
    received_at: float = 0.0
    report_of: int = 0


class Commit(Frozen):
    """One commit of a turn; `author` and `co_authors` are `Name <email>`."""

    sha: str
    subject: str
    author: str
    co_authors: tuple[str, ...] = ()


class PlanEntry(Frozen):
    """One line of the agent's plan."""

    text: str
    status: Literal["pending", "in_progress", "completed"] = "pending"


Outcome = Literal["done", "stopped", "failed", "timed_out", "interrupted", "paused"]
StartKind = Literal["cold", "image", "snapshot", "warm"]
ModelTrouble = Literal["", "overloaded", "unreachable"]


class Fact(Frozen):
    """What every event has."""

    seq: int = 0
    at: float


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
    """Which repository is meant is not clear: the thread is asked."""

    kind: Literal["repository_asked"] = "repository_asked"
    options: tuple[str, ...]
    reason: str


class RepositoryChosen(Fact):
    """The repository is known. `by` is None when nobody had to be asked."""

    kind: Literal["repository_chosen"] = "repository_chosen"
    repository: str
    base_branch: str
    by: Author | None = None


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


class StartBegan(Fact):
    """A worker makes a box, under a new generation. Whatever an older generation still does is refused from here on."""

    kind: Literal["start_began"] = "start_began"
    generation: int
    box: str


class BoxAwaited(Fact):
    """There are as many boxes as there may be: the session waits for one, as number `position`; 0: no longer."""

    kind: Literal["box_awaited"] = "box_awaited"
    position: int


class StartFailed(Fact):
    """The box could not be made; it is tried again at `retry_at`."""

    kind: Literal["start_failed"] = "start_failed"
    generation: int
    reason: str
    retry_at: float


class StartAbandoned(Fact):
    """No box could be made, and trying again cannot help. The prompts that waited for it were withdrawn, saying so."""

    kind: Literal["start_abandoned"] = "start_abandoned"
    reason: str


class BoxStarted(Fact):
    """A box is there. `base` is what it grew from: an image, a snapshot or None. Not isolated is said on every card."""

    kind: Literal["box_started"] = "box_started"
    generation: int
    box: str
    start: StartKind
    base: str | None = None
    isolated: bool = True


class LinkAttached(Fact):
    """The box's runner reached a gateway, under a new epoch."""

    kind: Literal["link_attached"] = "link_attached"
    generation: int
    epoch: int


class PhaseReached(Fact):
    """How far the runner is, before it is ready or when it had to start its agent again."""

    kind: Literal["phase_reached"] = "phase_reached"
    generation: int
    phase: str


class AgentReady(Fact):
    """Prompts can be delivered. `synced` False: the agent may read already, but the repository is not in step yet, and
    what it would write waits until then."""

    kind: Literal["agent_ready"] = "agent_ready"
    generation: int
    conversation: str
    resumed: bool
    head: str
    agent: str = ""
    synced: bool = True


class AgentUnready(Fact):
    """The box came up but cannot work: the repository or the agent failed for good."""

    kind: Literal["agent_unready"] = "agent_unready"
    generation: int
    reason: str


class PromptDelivered(Fact):
    """A turn begins: this prompt goes down to the runner. `again`: for the second time, for its box was lost."""

    kind: Literal["prompt_delivered"] = "prompt_delivered"
    generation: int
    turn: int
    prompt_id: str
    again: bool = False


class TurnStarted(Fact):
    """The runner has handed the prompt to the agent."""

    kind: Literal["turn_started"] = "turn_started"
    turn: int


class ModelRequested(Fact):
    """The agent has asked its model, with tools on offer, for the first time in this turn."""

    kind: Literal["model_requested"] = "model_requested"
    turn: int


class ModelTroubled(Fact):
    """The agent's model has given trouble for so long that people should know: which, or "" when it is over."""

    kind: Literal["model_troubled"] = "model_troubled"
    turn: int
    trouble: ModelTrouble


class TaskRestated(Fact):
    """The agent said in its own words what it is about to do."""

    kind: Literal["task_restated"] = "task_restated"
    turn: int
    text: str


class PlanUpdated(Fact):
    """The agent's plan, whole."""

    kind: Literal["plan_updated"] = "plan_updated"
    turn: int
    entries: tuple[PlanEntry, ...]


class StepStarted(Fact):
    """The agent uses a tool."""

    kind: Literal["step_started"] = "step_started"
    turn: int
    title: str
    tool: str


class StopRequested(Fact):
    """The running turn is to stop. `by` is None when its time limit did it."""

    kind: Literal["stop_requested"] = "stop_requested"
    generation: int
    turn: int
    by: Author | None = None


class TurnEnded(Fact):
    """A turn is over, however it went. `head` is the branch's tip in the box; `pushed`: the forge has it; `cost`: what
    its model took, in dollars, as far as that is known."""

    kind: Literal["turn_ended"] = "turn_ended"
    turn: int
    outcome: Outcome
    summary: str = ""
    error: str | None = None
    head: str = ""
    commits: tuple[Commit, ...] = ()
    pushed: bool = False
    cost: float | None = None


class BudgetReached(Fact):
    """What this session may spend on models is spent: its turn pauses, and people are asked for `more`. In dollars."""

    kind: Literal["budget_reached"] = "budget_reached"
    used: float
    limit: float
    more: float


class BudgetRaised(Fact):
    """Somebody let the session spend `more` dollars: what was paused goes on."""

    kind: Literal["budget_raised"] = "budget_raised"
    by: Author
    more: float


class BudgetDeclined(Fact):
    """Somebody did not: what was paused is given up. The next prompt asks again."""

    kind: Literal["budget_declined"] = "budget_declined"
    by: Author


class BoxLost(Fact):
    """The box died on its own. What it left is restored by the next start."""

    kind: Literal["box_lost"] = "box_lost"
    generation: int
    reason: str


class ParkBegan(Fact):
    """A worker puts the box to sleep."""

    kind: Literal["park_began"] = "park_began"
    generation: int


class ParkFailed(Fact):
    """The box could not be put to sleep; it is tried again at `retry_at`."""

    kind: Literal["park_failed"] = "park_failed"
    generation: int
    reason: str
    retry_at: float


class BoxParked(Fact):
    """The box was put to sleep; `snapshot` (None if it left nothing) brings it back."""

    kind: Literal["box_parked"] = "box_parked"
    generation: int
    snapshot: str | None


class SnapshotTaken(Fact):
    """A live box was copied after a turn: `snapshot` brings it back as it was then, should the box be lost."""

    kind: Literal["snapshot_taken"] = "snapshot_taken"
    generation: int
    turn: int
    snapshot: str


class SnapshotFailed(Fact):
    """A live box could not be copied; again at `retry_at`, None: not before the next turn. `told`: with a note."""

    kind: Literal["snapshot_failed"] = "snapshot_failed"
    generation: int
    turn: int
    reason: str
    retry_at: float | None
    told: bool = False


class PublishBegan(Fact):
    """A worker opens or updates the pull request so that it shows `head`."""

    kind: Literal["publish_began"] = "publish_began"
    head: str


class PublishFailed(Fact):
    """The forge did not take it. `retry_at` is when to try again; None: a person has to act first."""

    kind: Literal["publish_failed"] = "publish_failed"
    head: str
    reason: str
    retry_at: float | None


class PullRequestPublished(Fact):
    """The pull request of this session shows `head`. `opened`: it was not there before."""

    kind: Literal["pull_request_published"] = "pull_request_published"
    number: int
    url: str
    head: str
    opened: bool
    described: int = 0  # how often the agent had described it by then


class PullRequestClosed(Fact):
    """Somebody closed or merged the pull request on the forge."""

    kind: Literal["pull_request_closed"] = "pull_request_closed"
    number: int
    merged: bool
    by: str = ""


class PullRequestReviewed(Fact):
    """Somebody reviewed the pull request on the forge. `verdict`: approved, changes_requested or commented."""

    kind: Literal["pull_request_reviewed"] = "pull_request_reviewed"
    number: int
    verdict: str
    by: str


class Noted(Fact):
    """Something that people should know and that changes nothing: a refused command, a dropped frame."""

    kind: Literal["noted"] = "noted"
    text: str
    prompt_id: str = ""


class QuestionAsked(Fact):
    """The agent asks the people of the thread. `options` may be none: then only their own words can answer."""

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


class PullRequestDescribed(Fact):
    """The agent says what the pull request of this session is to be called and to say."""

    kind: Literal["pull_request_described"] = "pull_request_described"
    title: str
    body: str = ""
    draft: bool = False


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


class SessionClosed(Fact):
    """The session is over: nothing more is accepted, and its log may be archived."""

    kind: Literal["session_closed"] = "session_closed"
    reason: str


class SnapshotForgotten(Fact):
    """The session has been closed for so long that what its box left is let go: a new prompt begins from the branch."""

    kind: Literal["snapshot_forgotten"] = "snapshot_forgotten"


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
