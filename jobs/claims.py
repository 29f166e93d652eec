"""Which sessions may take a warm box, and what their log says when they do. Pure.

`jobs/inbox.py` asks at the end of every command, `jobs/decide.py` gives up a warm box that does not answer. The claim
itself is one step of the record (`jobs/store_warm.py`).
"""

from jobs import events as e
from jobs.events import Event
from jobs.records import Offer
from jobs.session import Session, Status

ANSWER_SECONDS = 2.0  # a warm box waits at the gateway, so it answers in a moment or never


def claimable(session: Session, now: float) -> bool:
    """Whether a box that nobody has used serves this session as well as one of its own.

    Not if there is something to restore, and not after a failure: then the usual way is taken.
    """
    left = session.snapshot or session.lost_box or session.conversation
    return (
        session.status is Status.WAITING
        and session.repository is not None
        and left is None
        and session.failures == 0
        and session.retry_at <= now
    )


def claimed(session: Session, offer: Offer, now: float) -> tuple[Event, ...]:
    """The start that a claim is."""
    generation = session.generation + 1
    return (
        e.StartBegan(at=now, generation=generation, box=offer.box),
        e.BoxStarted(
            at=now,
            generation=generation,
            box=offer.box,
            start="warm",
            base=offer.base,
            isolated=offer.isolated,
        ),
    )


def warm_box_is_late(session: Session, now: float) -> bool:
    """Whether the warm box that this session took has not answered: it never had a prompt, so it is replaced."""
    waits = session.status is Status.CONNECTING and session.start == "warm"
    return waits and now - session.since > ANSWER_SECONDS
