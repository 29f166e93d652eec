"""Why a box is put to sleep: the upkeep asks a worker for it by these, and the worker looks again before it begins.

A job may wait in its queue through a whole turn; whoever was given work since then, or has just done some, keeps a box.
"""

from jobs import berths, wire
from jobs.session import Session, Status
from jobs.wants import wants
from jobs.wiring import Workshop
from sandbox.side_by_side import place_of


async def is_due(shop: Workshop, session: Session) -> bool:
    """Whether there is a reason now: its time is over, it is elsewhere than it should be, others wait for its berth, or
    no gateway speaks with its runner."""
    if session.box is None:
        return False
    operations = wants(session, shop.clock(), shop.settings.rules)
    if any(operation.kind == "park" for operation in operations) or is_moved(shop, session):
        return True
    if await berths.makes_room(shop, session):
        return True
    return not wire.spoken_with((await shop.provider.status(session.box)).labels)


def is_moved(shop: Workshop, session: Session) -> bool:
    """Whether it has nothing to do, and new boxes of its repository run at another place by now."""
    if session.box is None or session.status is not Status.IDLE or session.queue:
        return False
    return place_of(session.box) != shop.place(session.repository)
