"""What goes wrong with Modal, in the provider protocol's words: a table. Pure.

Every call that `sandbox/modal*.py` makes runs inside `told(...)`. What an error means depends on what was being done:
a thing that is not found is a snapshot when a box is made, and the box itself when something is done with one.
"""

import contextlib
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

import modal.exception as m
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from sandbox.provider import BoxError, Gone, Missing, Permanent, Temporary, Unreachable

SOON, THROTTLED, QUOTA = 2.0, 10.0, 240.0  # seconds; four tries must outlast ten minutes without quota


class Doing(Enum):
    """What was being done when it went wrong."""

    MAKE = "a box could not be made"
    USE = "the box cannot be used"
    KEEP = "the box could not be copied"
    READ = "Modal could not be asked"


class Row(NamedTuple):
    """What an error becomes, and what is said. `delay`: seconds, for what passes."""

    error: type[BaseException]
    kind: type[BoxError]
    says: str
    doing: tuple[Doing, ...] = tuple(Doing)
    delay: float = SOON


TOKEN = (
    "Modal does not accept the token: make one with `modal token new`, and set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"
)
MAKING, USING = (Doing.MAKE, Doing.READ), (Doing.USE, Doing.KEEP)
# The first row that fits counts: what is special comes before what it is a kind of.
ROWS = (
    Row(m.AuthError, Permanent, TOKEN),
    Row(m.PermissionDeniedError, Permanent, "this token may not do that in this workspace or environment of Modal"),
    Row(m.VersionError, Permanent, "Modal does not speak with this version of its client: upgrade the package modal"),
    Row(m.UnimplementedError, Permanent, "Modal does not know this call: the package modal is older or newer than it"),
    Row(m.ImageBuildError, Permanent, "the base image could not be built; Modal's dashboard has the log of its build"),
    Row(m.NotFoundError, Missing, "Modal has that snapshot no more", (Doing.MAKE,)),
    Row(m.NotFoundError, Permanent, "Modal does not know that", (Doing.READ,)),
    Row(m.NotFoundError, Gone, "Modal has ended that box", USING),
    Row(m.ConflictError, Gone, "that box has ended", USING),
    Row(m.ConflictError, Temporary, "Modal is at it already", MAKING),
    Row(m.SandboxTimeoutError, Gone, "the box reached its age"),
    Row(m.SandboxTerminatedError, Gone, "the box was ended"),
    Row(m.SnapshotCreationError, Gone, "Modal kept nothing of that box"),
    Row(m.ResourceExhaustedError, Temporary, "Modal's limit of this workspace is reached", MAKING, QUOTA),
    Row(m.ResourceExhaustedError, Temporary, "Modal asks for fewer calls", USING, THROTTLED),
    Row(m.RequestSizeError, Permanent, "that is more than Modal takes"),
    Row(m.AlreadyExistsError, Temporary, "a box of that name is just ending"),
    Row(m.InvalidError, Permanent, "Modal refuses this request"),
    Row(m.DataLossError, Permanent, "Modal has lost data"),
    Row(m.TimeoutError, Temporary, "Modal takes too long", (*MAKING, Doing.KEEP)),
    Row(m.TimeoutError, Unreachable, "the box does not answer", (Doing.USE,)),
    Row(TimeoutError, Temporary, "Modal takes too long", (*MAKING, Doing.KEEP)),
    Row(TimeoutError, Unreachable, "the box does not answer", (Doing.USE,)),
    Row(m.Error, Temporary, "Modal cannot do it just now", MAKING),
    Row(m.Error, Unreachable, "the box cannot be reached just now", USING),
    Row(GRPCError, Temporary, "Modal cannot do it just now", MAKING),
    Row(GRPCError, Unreachable, "the box cannot be reached just now", USING),
    Row(StreamTerminatedError, Temporary, "the connection to Modal broke", MAKING),
    Row(StreamTerminatedError, Unreachable, "the connection to the box broke", USING),
    Row(ProtocolError, Temporary, "the connection to Modal broke", MAKING),
    Row(ProtocolError, Unreachable, "the connection to the box broke", USING),
    Row(OSError, Temporary, "Modal cannot be reached", MAKING),
    Row(OSError, Unreachable, "the box cannot be reached", USING),
)


def meaning(error: BaseException, doing: Doing) -> BoxError | None:
    """The error in the protocol's words; None for what is no trouble of Modal's but a fault of ours."""
    for row in ROWS:
        if isinstance(error, row.error) and doing in row.doing:
            said = " ".join(str(error).split())[:300]
            text = f"{doing.value}: {row.says}" + (f" ({said})" if said else "")
            return Temporary(text, row.delay) if row.kind is Temporary else row.kind(text)
    return None


@contextlib.contextmanager
def told(doing: Doing) -> Iterator[None]:
    """Raise what goes wrong inside as the `BoxError` that it means."""
    try:
        yield
    except BoxError:
        raise
    except Exception as error:
        meant = meaning(error, doing)
        if meant is None:
            raise
        raise meant from error
