"""What a session is: a fold of its events. Pure; the heart of the project.

`TRANSITIONS` says which event may follow in which status and where it leads, `apply` folds one event, `wants` says
which operations are due. `jobs/commands.py` decides which events a command causes. Nothing here does I/O or reads
a clock. The diagram in ARCHITECTURE.md is generated from `TRANSITIONS`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from jobs import events as e
from jobs.events import Author, Commit, Event, Fact, Frozen, Place, Prompt, StartKind


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
    (e.TurnStarted, e.ModelRequested, e.TaskRestated, e.PlanUpdated, e.StepStarted)
)
_LINK: dict[type[Fact], None] = dict.fromkeys((e.LinkAttached, e.PhaseReached))
_FORGE: dict[type[Fact], None] = dict.fromkeys(
    (
        e.PublishBegan,
        e.PublishFailed,
        e.PullRequestPublished,
        e.PullRequestClosed,
        e.PullRequestReviewed,
        e.Noted,
    )
)


def _stays(status: Status, *groups: Iterable[type[Fact]]) -> dict[type[Fact], Status]:
    return {kind: status for group in groups for kind in group}


TRANSITIONS: Mapping[Status, Mapping[type[Fact], Status]] = {
    S.OPENED: {e.RepositoryAsked: S.ASKING, e.RepositoryChosen: S.ASLEEP},
    S.ASKING: _stays(S.ASKING, _QUEUE, [e.RepositoryAsked])
    | {e.RepositoryChosen: S.WAITING, e.SessionClosed: S.CLOSED},
    S.ASLEEP: {e.PromptReceived: S.WAITING, e.SessionClosed: S.CLOSED},
    S.WAITING: _stays(S.WAITING, _QUEUE) | {e.StartBegan: S.BOOTING, e.StartAbandoned: S.FAILED},
    S.BOOTING: _stays(S.BOOTING, _QUEUE, [e.StartBegan])
    | {e.BoxStarted: S.CONNECTING, e.StartFailed: S.WAITING, e.StartAbandoned: S.FAILED},
    S.CONNECTING: _stays(S.CONNECTING, _QUEUE, [e.PhaseReached])
    | {e.LinkAttached: S.PREPARING, e.ParkBegan: S.PARKING, e.BoxLost: S.ASLEEP},
    S.PREPARING: _stays(S.PREPARING, _QUEUE, _LINK)
    | {e.AgentReady: S.IDLE, e.AgentUnready: S.FAILED, e.ParkBegan: S.PARKING, e.BoxLost: S.ASLEEP},
    S.IDLE: _stays(S.IDLE, _QUEUE, _LINK, [e.AgentReady])
    | {e.PromptDelivered: S.WORKING, e.AgentUnready: S.FAILED, e.ParkBegan: S.PARKING, e.BoxLost: S.ASLEEP},
    S.WORKING: _stays(S.WORKING, _QUEUE, _LINK, _TURN, [e.AgentReady])
    | {e.StopRequested: S.STOPPING, e.TurnEnded: S.IDLE, e.ParkBegan: S.PARKING, e.BoxLost: S.ASLEEP},
    S.STOPPING: _stays(S.STOPPING, _QUEUE, _LINK, _TURN, [e.AgentReady])
    | {e.TurnEnded: S.IDLE, e.ParkBegan: S.PARKING},
    S.PARKING: _stays(S.PARKING, _QUEUE, _LINK, _TURN, [e.AgentReady, e.StopRequested, e.TurnEnded])
    | _stays(S.PARKING, [e.ParkBegan, e.ParkFailed])
    | {e.BoxParked: S.ASLEEP},
    S.FAILED: _stays(S.FAILED, _LINK, _QUEUE, [e.AgentReady])
    | {e.PromptReceived: S.WAITING, e.ParkBegan: S.PARKING, e.BoxLost: S.ASLEEP, e.SessionClosed: S.CLOSED},
    S.CLOSED: {e.PromptReceived: S.WAITING, e.RepositoryAsked: S.ASKING, e.RepositoryChosen: S.ASLEEP},
}
"""What may happen, and where it leads. One exception, in `_settled`: what is queued, and whether a failed box is still
there, decides between WAITING, ASLEEP and FAILED. The forge's events may come at any time and change no status."""


COMMITS_KEPT = 500


class IllegalEvent(Exception):
    """An event that `TRANSITIONS` does not allow: a fault in our own code, never in what a person did."""


class Turn(Frozen):
    """The agent working on one prompt. `again`: for the second time, because the first box was lost. `noted`: what was
    said about its message already."""

    number: int
    prompt: Prompt
    began: float
    again: bool = False
    stop_asked: float | None = None
    model_asked: bool = False
    noted: tuple[str, ...] = ()


class PullRequest(Frozen):
    """The session's pull request as the forge last told us. `head` is what it shows."""

    number: int
    url: str
    head: str
    state: Literal["open", "merged", "closed"] = "open"


class Session(Frozen):
    """Everything that is true of a session now. `since`: when its status began; `seq`: the last event folded."""

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
    isolated: bool = True
    start: StartKind | None = None
    snapshot: str | None = None
    lost_box: str | None = None
    interrupted: str | None = None
    conversation: str | None = None
    failures: int = 0
    retry_at: float = 0.0
    # the work
    commits: tuple[Commit, ...] = ()
    head: str = ""
    pull_request: PullRequest | None = None
    publish_began: float | None = None
    publish_failures: int = 0
    publish_retry_at: float | None = 0.0

    @property
    def branch(self) -> str:
        """The one branch that this session may push to."""
        return f"shipmate/{self.id}"

    @property
    def unpublished(self) -> bool:
        """Whether the forge has work of this session that no pull request shows yet."""
        shown = self.pull_request.head if self.pull_request else ""
        return bool(self.head) and self.head != shown

    @property
    def publishable(self) -> bool:
        """Whether there is work that a worker can bring to the forge without a person's help."""
        return self.unpublished and self.publish_retry_at is not None

    @property
    def at_rest(self) -> bool:
        """Whether nothing happens any more until a person, or a very long time, makes it."""
        resting = self.status in (S.ASKING, S.ASLEEP, S.FAILED, S.CLOSED)
        return resting and self.box is None and not self.publishable

    def waiting(self, prompt_id: str) -> Prompt | None:
        """The prompt of this id, if it still waits."""
        return next((prompt for prompt in self.queue if prompt.id == prompt_id), None)


Change = dict[str, Any]


def apply(session: Session | None, event: Event) -> Session:
    """Fold one event. Raises `IllegalEvent` where `TRANSITIONS` has no place for it, and then changes nothing."""
    if isinstance(event, e.SessionOpened):
        if session is not None:
            raise IllegalEvent("a session is opened once")
        return _opened(event)
    if session is None:
        raise IllegalEvent(f"{event.kind} before session_opened")
    status = _next_status(session, event)
    change = _FOLD.get(type(event), _nothing)(session, event)
    change["seq"] = event.seq or session.seq + 1
    folded = session.model_copy(update=change)
    status = _settled(folded, status)
    moved = {"status": status, "since": event.at} if status is not session.status else {}
    return folded.model_copy(update=moved)


def fold(events: Iterable[Event], session: Session | None = None) -> Session | None:
    """Fold many events, onto `session` if given."""
    for event in events:
        session = apply(session, event)
    return session


def _next_status(session: Session, event: Event) -> Status:
    if type(event) in _FORGE:
        return session.status
    try:
        return TRANSITIONS[session.status][type(event)]
    except KeyError:
        raise IllegalEvent(f"{event.kind} while {session.status}") from None


def _settled(session: Session, status: Status) -> Status:
    """A failed box must be put to sleep before another one is made: it may hold work."""
    if status not in (S.WAITING, S.ASLEEP):
        return status
    if session.box is not None:
        return S.FAILED
    return S.WAITING if session.queue else S.ASLEEP


def _opened(event: e.SessionOpened) -> Session:
    return Session(
        id=event.session, place=event.place, opened_by=event.by, agent=event.agent, opened_at=event.at,
        since=event.at, seq=event.seq or 1,
    )  # fmt: skip


def _nothing(_session: Session, _event: Any) -> Change:
    return {}


def _prompt_received(s: Session, event: e.PromptReceived) -> Change:
    author = event.prompt.author
    others = tuple(p for p in s.participants if p.id != author.id)
    known = len(others) != len(s.participants)
    return {
        "queue": (*s.queue, event.prompt),
        "seen": (*s.seen, event.prompt.id),
        "participants": s.participants if known else (*s.participants, author),
        "failures": 0 if s.status in (S.ASLEEP, S.FAILED, S.CLOSED) else s.failures,
        "publish_retry_at": s.publish_retry_at or 0.0,  # a person has looked: it may be mended now
    }


def _prompt_edited(s: Session, event: e.PromptEdited) -> Change:
    edited = (p.model_copy(update={"text": event.text}) if p.id == event.prompt_id else p for p in s.queue)
    return {"queue": tuple(edited)}


def _prompt_withdrawn(s: Session, event: e.PromptWithdrawn) -> Change:
    return {"queue": tuple(p for p in s.queue if p.id != event.prompt_id)}


def _start_began(s: Session, event: e.StartBegan) -> Change:
    given_up = s.status is S.BOOTING
    return {
        "generation": event.generation, "retry_at": 0.0, "since": event.at, "failures": s.failures + given_up,
    }  # fmt: skip


def _park_began(s: Session, event: e.ParkBegan) -> Change:
    never_ready = s.status in (S.CONNECTING, S.PREPARING)
    return {"failures": s.failures + never_ready, "retry_at": 0.0, "since": event.at}


def _box_started(s: Session, event: e.BoxStarted) -> Change:
    restored = event.base if event.start == "snapshot" else s.snapshot
    return {
        "box": event.box, "start": event.start, "isolated": event.isolated, "snapshot": restored, "lost_box": None,
    }  # fmt: skip


def _prompt_delivered(s: Session, event: e.PromptDelivered) -> Change:
    prompt = s.waiting(event.prompt_id)
    if prompt is None:
        raise IllegalEvent(f"{event.prompt_id} is delivered but does not wait")
    turn = Turn(number=event.turn, prompt=prompt, began=event.at, again=event.again)
    rest = tuple(p for p in s.queue if p.id != prompt.id)
    return {"queue": rest, "turn": turn, "turns": event.turn, "interrupted": None}


def _turn_ended(s: Session, event: e.TurnEnded) -> Change:
    pushed = {"head": event.head} if event.pushed and event.head else {}
    fresh = {"publish_failures": 0, "publish_retry_at": 0.0} if pushed and event.head != s.head else {}
    return {"turn": None, "commits": (s.commits + event.commits)[-COMMITS_KEPT:]} | pushed | fresh


def _box_gone(s: Session) -> Change:
    """The queue with the interrupted prompt in front: it is delivered again by the next box."""
    back: Change = {"box": None, "turn": None}
    if s.turn is not None:
        back |= {"queue": (s.turn.prompt, *s.queue), "interrupted": s.turn.prompt.id}
    return back


def _publish_failed(s: Session, event: e.PublishFailed) -> Change:
    """A failure of older work says nothing about the newer one, which is tried next."""
    if event.head != s.head:
        return {"publish_began": None}
    return {
        "publish_began": None, "publish_failures": s.publish_failures + 1, "publish_retry_at": event.retry_at,
    }  # fmt: skip


def _published(s: Session, event: e.PullRequestPublished) -> Change:
    shown = PullRequest(number=event.number, url=event.url, head=event.head)
    return {"pull_request": shown, "publish_began": None, "publish_failures": 0}


def _closed(s: Session, event: e.PullRequestClosed) -> Change:
    if s.pull_request is None or s.pull_request.number != event.number:
        return {}
    state = "merged" if event.merged else "closed"
    return {"pull_request": s.pull_request.model_copy(update={"state": state})}


def _turn_set(s: Session, **change: object) -> Change:
    return {"turn": s.turn.model_copy(update=change) if s.turn else None}


def _noted(s: Session, event: e.Noted) -> Change:
    about_it = s.turn is not None and s.turn.prompt.id == event.prompt_id
    return _turn_set(s, noted=(*s.turn.noted, event.text)) if about_it and s.turn else {}


_FOLD: Mapping[type[Fact], Callable[[Session, Any], Change]] = {
    e.RepositoryAsked: lambda s, v: {"options": v.options},
    e.RepositoryChosen: lambda s, v: {"repository": v.repository, "base_branch": v.base_branch, "options": ()},
    e.PromptReceived: _prompt_received,
    e.PromptEdited: _prompt_edited,
    e.PromptWithdrawn: _prompt_withdrawn,
    e.StartBegan: _start_began,
    e.StartFailed: lambda s, v: {"failures": s.failures + 1, "retry_at": v.retry_at},
    e.StartAbandoned: lambda s, v: {"failures": 0},
    e.BoxStarted: _box_started,
    e.AgentReady: lambda s, v: {"conversation": v.conversation, "failures": 0},
    e.PromptDelivered: _prompt_delivered,
    e.ModelRequested: lambda s, v: _turn_set(s, model_asked=True),
    e.TaskRestated: lambda s, v: {"title": s.title or v.text},
    e.StopRequested: lambda s, v: _turn_set(s, stop_asked=v.at),
    e.TurnEnded: _turn_ended,
    e.BoxLost: lambda s, v: _box_gone(s) | {"lost_box": s.box, "failures": s.failures + (s.status != S.IDLE)},
    e.ParkBegan: _park_began,
    e.ParkFailed: lambda s, v: {"retry_at": v.retry_at},
    e.BoxParked: lambda s, v: _box_gone(s)
    | {"snapshot": v.snapshot or s.snapshot, "lost_box": None, "retry_at": 0.0},
    e.PublishBegan: lambda s, v: {"publish_began": v.at},
    e.PublishFailed: _publish_failed,
    e.PullRequestPublished: _published,
    e.PullRequestClosed: _closed,
    e.Noted: _noted,
}  # fmt: skip


class Rules(Frozen):
    """The numbers that `wants` and `decide` go by. Seconds, but for `max_failures`."""

    idle_seconds: float = 900.0  # a box that waits so long for a prompt is put to sleep
    turn_seconds: float = 1800.0  # the most that one turn may take
    stop_seconds: float = 20.0  # to stop, before its box is stopped; the runner's own limit is 15
    start_seconds: float = 120.0  # a worker that has not said how a start went by then is given up
    sync_seconds: float = 300.0  # a runner that cannot bring its repository in step for so long gives up
    connect_seconds: float = 420.0  # from the box's start to a ready agent, a first clone included
    park_seconds: float = 120.0  # likewise for putting a box to sleep
    publish_seconds: float = 120.0  # likewise for a pull request
    close_seconds: float = 30 * 86400.0  # asleep for so long: closed and archived
    max_failures: int = 4  # starts in a row, before a person is told that it cannot be done


class Operation(NamedTuple):
    """Work for a worker. `attempt` makes a second try another job; the pair of both is the job's identity."""

    kind: Literal["start", "park", "publish"]
    generation: int
    attempt: int


def wants(session: Session, now: float, rules: Rules) -> tuple[Operation, ...]:
    """The operations that are due at `now`: none, one on the box, one on the forge, or both."""
    due = (_wants_box(session, now, rules), _wants_publish(session, now, rules))
    return tuple(operation for operation in due if operation is not None)


def _wants_box(s: Session, now: float, rules: Rules) -> Operation | None:
    if s.status is S.WAITING and now >= s.retry_at and s.failures < rules.max_failures:
        return Operation("start", s.generation, s.failures)
    if s.status is S.BOOTING and start_is_lost(s, now, rules) and s.failures + 1 < rules.max_failures:
        return Operation("start", s.generation, s.failures)
    if s.box is not None and now - s.since >= _patience(s, rules) and now >= s.retry_at:
        return Operation("park", s.generation, int(s.retry_at or s.since))
    return None


def start_is_lost(s: Session, now: float, rules: Rules) -> bool:
    """Whether the worker that began this start has been silent for too long."""
    return s.status is S.BOOTING and now - s.since > rules.start_seconds


def _patience(s: Session, rules: Rules) -> float:
    """How long a box may stay in this status before it is put to sleep. A turn has a limit of its own, in `decide`."""
    if s.status is S.PARKING:
        return 0.0 if s.retry_at else rules.park_seconds
    return {
        S.IDLE: rules.idle_seconds,
        S.CONNECTING: rules.connect_seconds,
        S.PREPARING: rules.connect_seconds,
        S.STOPPING: rules.stop_seconds,
        S.FAILED: 0.0,
    }.get(s.status, math.inf)


def _wants_publish(s: Session, now: float, rules: Rules) -> Operation | None:
    if not s.publishable or now < (s.publish_retry_at or 0.0) or publish_is_under_way(s, now, rules):
        return None
    return Operation("publish", s.turns, s.publish_failures)


def publish_is_under_way(s: Session, now: float, rules: Rules) -> bool:
    """Whether a worker is at the pull request, and has not been silent for too long."""
    return s.publish_began is not None and now - s.publish_began < rules.publish_seconds
