"""What every place that runs boxes must offer, in this project's own words.

`jobs/` calls a `Provider` and nothing else of this floor; `sandbox/local.py` and `sandbox/unisolated.py` are two, and
`sandbox/conformance.py` holds the checks that each of them passes. A provider knows boxes, layers and bytes. It does
not know what a box is for: the first line that goes down the runner's stdin (`BoxSpec.greeting`) is opaque here.

Two failures are kept apart everywhere: *the command failed* is an `ExecResult`; *the box failed* is one of the four
`BoxError`s, and those four steer every retry above.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event
from typing import Protocol


class BoxError(Exception):
    """The box (or the place that runs it) failed. The message is a sentence that a person can act on."""


class Permanent(BoxError):
    """Trying again cannot help: isolation refused, a layer is missing, the request is wrong."""


class Missing(Permanent):
    """The snapshot, or a layer of it, is not here any more."""


class Barred(Permanent):
    """The place does not let us in, or does not understand us, until a person has mended that. Nothing is lost."""


class Temporary(BoxError):
    """Try again after `delay` seconds: the place is busy, throttled or restarting."""

    def __init__(self, reason: str, delay: float = 1.0) -> None:
        super().__init__(reason)
        self.delay = delay


class Hurried(Temporary):
    """Given up because somebody needs the box now: it goes on, and nothing was kept."""


class Unreachable(BoxError):
    """The box may well live, but does not answer. It is waited for, not replaced: it may hold the only copy of work."""


class Gone(BoxError):
    """The box is no more. Its last state may still be had with `Provider.last_state`."""


class BoxState(StrEnum):
    """What a provider can truly say about a box."""

    RUNNING = "running"
    DEAD = "dead"  # its processes are gone; its last state is still here
    GONE = "gone"  # nothing is left of it


class SnapshotKind(StrEnum):
    """Why a snapshot was taken; it says how long it is kept."""

    BASE = "base"  # an image: a repository, prebuilt
    TURN = "turn"  # a live box after a turn
    FOLLOW_UP = "follow-up"  # the last state of a box that was stopped


@dataclass(frozen=True)
class Limits:
    """What one box may use. `None` means: as much as the host allows. `cores` are promised, not a limit, where a place
    gives each box its own; None: as many as is usual there, and never more."""

    processes: int = 512
    open_files: int = 4096
    file_bytes: int = 4 << 30
    disk_bytes: int | None = 16 << 30
    memory_bytes: int | None = 4 << 30
    cores: float | None = None


@dataclass(frozen=True)
class BoxSpec:
    """Everything needed to make one box.

    `name` is unique for ever (`[a-z0-9-]{1,48}`): creating the same name twice adopts the box that is alive.
    `base` is the id of the snapshot to grow from, or None for an empty tree.
    `greeting` is one line of bytes, ending in a newline, that only the runner reads, on its stdin: the token is in it.
    `hosts`: what it may reach beside the gateway, in a place that gives boxes a network of their own.
    """

    name: str
    greeting: bytes
    base: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoxInfo:
    """One line of `Provider.list`. `born`: seconds since the epoch; `exit_code`: None while it runs or if unknown."""

    name: str
    state: BoxState
    labels: Mapping[str, str]
    born: float
    exit_code: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """A box's file system at a moment. `id` is all that needs to be remembered; `bytes` is what this layer adds, 0 if
    its place does not tell."""

    id: str
    kind: SnapshotKind
    bytes: int
    taken: float


@dataclass(frozen=True)
class ExecResult:
    """How a command ended inside a box. `code` is negative for a signal; output is cut at the call's `limit`."""

    code: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False
    timed_out: bool = False


class Provider(Protocol):
    """A place that runs boxes. Any process may call any method for any box: what is true of a box is read from the
    place itself, never from the memory of whoever made it. Every method is bounded in time and may raise a `BoxError`.
    """

    name: str
    longest_seconds: float | None  # after so long the place ends a box by itself; None: never
    isolated: bool  # False only for the explicit way without isolation, which every card must then say

    async def create(self, spec: BoxSpec) -> BoxInfo:
        """Start a box and return as soon as its runner's process exists."""
        ...

    async def status(self, name: str) -> BoxInfo:
        """Say whether the box runs; of an unknown name: `BoxState.GONE`, never an error."""
        ...

    async def exec(
        self,
        name: str,
        argv: tuple[str, ...],
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
        limit: int = 4 << 20,
        heard: Callable[[bytes], None] | None = None,
    ) -> ExecResult:
        """Run a command in the repository's folder of a live box; raise `Gone` or `Unreachable` if the box cannot.

        `heard` is given both outputs while they come, as far as `limit` goes; the result has none then.
        """
        ...

    async def snapshot(self, name: str, kind: SnapshotKind, moment: str = "", hurry: Event | None = None) -> Snapshot:
        """Freeze a live box, keep its file system as a new layer, thaw it. The box goes on.

        The cost is what changed since the last one of this box. `moment` names it: asked again for the same, it is the
        same snapshot, however often the one who asks is killed. Set `hurry`, and a box that still stands still goes on
        at once: `Hurried` is raised.
        """
        ...

    async def last_state(self, name: str, kind: SnapshotKind = SnapshotKind.FOLLOW_UP) -> Snapshot | None:
        """Turn what a dead box left into a snapshot; the same answer each time; None if nothing was left."""
        ...

    async def terminate(self, name: str, grace: float = 3.0) -> None:
        """End every process of the box: kindly for `grace` seconds, then at once. Its last state stays. Repeatable."""
        ...

    async def overgrown(self) -> dict[str, str]:
        """Live boxes that have more of something than their limits allow: name → what, to follow "is ended:". Asked
        again and again; each call costs little, because a box far below its limits is rarely looked at."""
        ...

    async def discard(self, name: str) -> None:
        """Forget a dead box and what it left. Safe to repeat; terminates a live one first."""
        ...

    async def forget_snapshot(self, snapshot: str) -> None:
        """Let go of a snapshot that nobody names any more. Layers that others grew from stay until they go too."""
        ...

    async def list(self) -> list[BoxInfo]:
        """Every box that is running or dead with its state still here."""
        ...


class ProviderFixture(Protocol):
    """What `sandbox/conformance.py` needs of a provider under test besides the provider itself."""

    provider: Provider

    def greeting(self) -> bytes:
        """A greeting that makes the runner idle: no gateway is dialled, only `exec` is served."""
        ...

    def maker(self, name: str) -> tuple[str, ...]:
        """A command that makes a box of this name, with the same greeting, and then dies without warning."""
        ...
