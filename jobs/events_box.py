"""The facts of a session's boxes: made, reached, ready, lost, put to sleep, kept. Part of `jobs/events.py`."""

from typing import Literal

from jobs.event_parts import Fact, StartKind


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


class BoxLost(Fact):
    """The box died on its own. What it left is restored by the next start. `cost`: dollars that the model of the turn
    in its middle took, which is begun once more."""

    kind: Literal["box_lost"] = "box_lost"
    generation: int
    reason: str
    cost: float | None = None


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
    """The box was put to sleep; `snapshot` (None if it left nothing) brings it back. `cost`: as of one that is lost."""

    kind: Literal["box_parked"] = "box_parked"
    generation: int
    snapshot: str | None
    cost: float | None = None


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
