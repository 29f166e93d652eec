"""What goes wrong with Modal, in the provider protocol's words: a table. Pure.

Every call that `sandbox/modal*.py` makes runs inside `told(...)`. What an error means depends on what was being done:
a thing that is not found is a snapshot when its image was asked for by itself, our app when a box is made (somebody may
have stopped it: it is looked up again), the environment when our app is, and the box itself when something is done with
one.
Errors are told by the names of their classes and of what those are kinds of, for loading Modal's library takes half a
second, which nobody should pay who has no box there.
"""

import contextlib
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from sandbox.provider import Barred, BoxError, Gone, Missing, Permanent, Temporary, Unreachable

NOT_FOUND, EXISTS, CONFLICT = "modal.NotFoundError", "modal.AlreadyExistsError", "modal.ConflictError"
SOON, THROTTLED, QUOTA = 2.0, 10.0, 240.0  # seconds; four tries must outlast ten minutes without quota


class Doing(Enum):
    """What was being done when it went wrong."""

    GROW = "a box could not grow from it"
    MAKE = "a box could not be made"
    USE = "the box cannot be used"
    KEEP = "the box could not be copied"
    READ = "Modal could not be asked"
    OPEN = "our app on Modal could not be opened"


class Row(NamedTuple):
    """What an error becomes, and what is said. `error`: its class, or one above that. `delay`: seconds, for what
    passes."""

    error: str
    kind: type[BoxError]
    says: str
    doing: tuple[Doing, ...] = tuple(Doing)
    delay: float = SOON


TOKEN = (
    "Modal does not accept the token: make one with `modal token new`, and set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"
)
ENVIRONMENT = "this workspace of Modal has no such environment: set MODAL_ENVIRONMENT to one that it has"
MAKING, USING = (Doing.GROW, Doing.MAKE, Doing.READ, Doing.OPEN), (Doing.USE, Doing.KEEP)
# The first row that fits counts: what is special comes before what it is a kind of.
ROWS = (
    Row("modal.AuthError", Barred, TOKEN),
    Row("modal.PermissionDeniedError", Barred, "this token may not do that in this workspace or environment of Modal"),
    Row(
        "modal.VersionError",
        Barred,
        "Modal does not speak with this version of its client: upgrade the package modal",
    ),
    Row(
        "modal.UnimplementedError",
        Barred,
        "Modal does not know this call: the package modal is older or newer than it",
    ),
    Row(
        "modal.ImageBuildError",
        Permanent,
        "the base image could not be built; Modal's dashboard has the log of its build",
    ),
    Row("modal.NotFoundError", Missing, "Modal has that snapshot no more", (Doing.GROW,)),
    Row("modal.NotFoundError", Temporary, "Modal does not know its app, or what it grows from", (Doing.MAKE,)),
    Row("modal.NotFoundError", Permanent, "Modal does not know that", (Doing.READ,)),
    Row("modal.NotFoundError", Barred, ENVIRONMENT, (Doing.OPEN,)),
    Row("modal.NotFoundError", Gone, "Modal has ended that box", USING),
    Row("modal.ConflictError", Gone, "that box has ended", USING),
    Row("modal.ConflictError", Temporary, "Modal is at it already", MAKING),
    Row("modal.SandboxTimeoutError", Gone, "the box reached its age"),
    Row("modal.SandboxTerminatedError", Gone, "the box was ended"),
    Row("modal.SnapshotCreationError", Gone, "Modal kept nothing of that box"),
    Row("modal.ResourceExhaustedError", Temporary, "Modal's limit of this workspace is reached", MAKING, QUOTA),
    Row("modal.ResourceExhaustedError", Temporary, "Modal asks for fewer calls", USING, THROTTLED),
    Row("modal.RequestSizeError", Permanent, "that is more than Modal takes"),
    Row("modal.AlreadyExistsError", Temporary, "a box of that name is just ending"),
    Row("modal.InvalidError", Permanent, "Modal refuses this request", (*USING, Doing.GROW, Doing.MAKE, Doing.READ)),
    Row("modal.InvalidError", Barred, ENVIRONMENT, (Doing.OPEN,)),
    Row("modal.DataLossError", Permanent, "Modal has lost data"),
    Row("modal.TimeoutError", Temporary, "Modal takes too long", (*MAKING, Doing.KEEP)),
    Row("modal.TimeoutError", Unreachable, "the box does not answer", (Doing.USE,)),
    Row("TimeoutError", Temporary, "Modal takes too long", (*MAKING, Doing.KEEP)),
    Row("TimeoutError", Unreachable, "the box does not answer", (Doing.USE,)),
    Row("modal.Error", Temporary, "Modal cannot do it just now", MAKING),
    Row("modal.Error", Unreachable, "the box cannot be reached just now", USING),
    Row("grpclib.GRPCError", Temporary, "Modal cannot do it just now", MAKING),
    Row("grpclib.GRPCError", Unreachable, "the box cannot be reached just now", USING),
    Row("grpclib.StreamTerminatedError", Temporary, "the connection to Modal broke", MAKING),
    Row("grpclib.StreamTerminatedError", Unreachable, "the connection to the box broke", USING),
    Row("grpclib.ProtocolError", Temporary, "the connection to Modal broke", MAKING),
    Row("grpclib.ProtocolError", Unreachable, "the connection to the box broke", USING),
    Row("OSError", Temporary, "Modal cannot be reached", MAKING),
    Row("OSError", Unreachable, "the box cannot be reached", USING),
)


def meaning(error: BaseException, doing: Doing) -> BoxError | None:
    """The error in the protocol's words; None for what is no trouble of Modal's but a fault of ours."""
    for row in ROWS:
        if is_a(error, row.error) and doing in row.doing:
            said = " ".join(str(error).split())[:300]
            text = f"{doing.value}: {row.says}" + (f" ({said})" if said else "")
            return Temporary(text, row.delay) if row.kind is Temporary else row.kind(text)
    return None


def judged(error: Exception, doing: Doing) -> Exception:
    """What to raise for an error: what it means, or itself."""
    return meaning(error, doing) or error


def is_a(error: BaseException, name: str) -> bool:
    """Whether an error is of this class: `modal.…`, or Python's own."""
    return name in {_name(kind) for kind in type(error).__mro__}


def _name(kind: type) -> str:
    """`modal.TimeoutError` is not Python's own."""
    library = kind.__module__.partition(".")[0]
    return kind.__name__ if library == "builtins" else f"{library}.{kind.__name__}"


@contextlib.contextmanager
def told(doing: Doing) -> Iterator[None]:
    """Raise what goes wrong inside as the `BoxError` that it means."""
    try:
        yield
    except BoxError:
        raise
    except Exception as error:
        if (meant := meaning(error, doing)) is None:
            raise
        raise meant from error
