"""What workers do to boxes: start one (or restore it from what it left), and put one to sleep.

RQ workers of the queue `boxes` run `start` and `park` with a session's id and nothing else. Everything else is read
from the log, and every step is safe to repeat: `jobs/commands.py` decides what is done, and refuses a second worker.
"""

import json
import logging
import secrets
from dataclasses import dataclass

from jobs.commands import BeginPark, BeginStart, FailPark, FailStart, FinishPark, FinishStart, Refused
from jobs.events import StartKind
from jobs.inbox import hash_token
from jobs.session import Session
from jobs.store import Grant
from jobs.wiring import Workshop, workshop
from sandbox.provider import BoxError, BoxSpec, Permanent, Temporary

log = logging.getLogger(__name__)
WIRE_VERSION = 1
SYNC_SECONDS = 300
RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class Origin:
    """What a box grows from. `base` None: an empty tree, and the runner clones."""

    kind: StartKind
    base: str | None


async def start(sid: str) -> None:
    """Make the box that this session waits for."""
    async with workshop() as shop:
        await start_box(shop, sid)


async def park(sid: str) -> None:
    """Put this session's box to sleep."""
    async with workshop() as shop:
        await park_box(shop, sid)


async def start_box(shop: Workshop, sid: str) -> None:
    """As `start`, with everything it needs handed in."""
    before = await shop.store.load(sid)
    if before is None:
        return
    try:
        session = await shop.inbox.handle(sid, BeginStart(before.generation))
    except Refused as refused:
        log.info("start is not due: %s", refused)
        return
    generation, box = session.generation, f"{sid}-{session.generation}"
    try:
        origin = await _origin(shop, session)
        await shop.provider.create(await _spec(shop, session, box, origin))
    except BoxError as error:
        await _give_up(shop, session, box, error)
        return
    await _record(shop, sid, FinishStart(generation, box, origin.kind, origin.base, shop.provider.isolated))


async def _record(shop: Workshop, sid: str, finished: FinishStart) -> None:
    try:
        await shop.inbox.handle(sid, finished)
        await shop.store.stamp(sid, "box", shop.clock())
    except Refused as refused:
        log.info("the box came too late: %s", refused)
        await shop.store.revoke(finished.box)
        await shop.provider.discard(finished.box)


async def _give_up(shop: Workshop, session: Session, box: str, error: BoxError) -> None:
    await shop.store.revoke(box)
    delay = error.delay if isinstance(error, Temporary) else RETRY_SECONDS * 2**session.failures
    final = isinstance(error, Permanent)
    await shop.inbox.handle(session.id, FailStart(session.generation, str(error), None if final else delay))


async def _origin(shop: Workshop, session: Session) -> Origin:
    """What was left by a lost box, else the snapshot, else the newest image, else nothing."""
    if session.lost_box is not None:
        left = await shop.provider.last_state(session.lost_box)
        if left is not None:
            return Origin("snapshot", left.id)
    if session.snapshot is not None:
        return Origin("snapshot", session.snapshot)
    assert session.repository is not None, "a session that waits for a box has a repository"
    image = await shop.store.image(session.repository)
    return Origin("image", image.snapshot) if image is not None else Origin("cold", None)


async def _spec(shop: Workshop, session: Session, box: str, origin: Origin) -> BoxSpec:
    token = secrets.token_urlsafe(32)
    assert session.repository is not None
    grant = Grant(session.id, box, session.generation, session.repository, "serve", session.branch)
    await shop.store.grant(hash_token(token), grant)
    return BoxSpec(
        name=box,
        base=origin.base,
        greeting=greeting(shop, grant, token, session.base_branch, session.agent, session.conversation),
        labels={"session": session.id, "generation": str(session.generation)},
        limits=shop.settings.limits,
    )


def greeting(
    shop: Workshop, grant: Grant, token: str, base_branch: str, agent: str = "", conversation: str | None = None
) -> bytes:
    """The line that a runner reads on its stdin (docs/wire.md). It is the only place that holds the box's token."""
    line = {
        "wire": WIRE_VERSION,
        "token": token,
        "box": grant.box,
        "generation": grant.generation,
        "gateway": shop.gateway_address,
        "repository": grant.repository,
        "base_branch": base_branch,
        "branch": grant.branch,
        "mode": grant.purpose,
        "agent": shop.agent(agent) if agent else None,
        "conversation": conversation,
        "limits": {"turn_seconds": shop.settings.rules.turn_seconds, "sync_seconds": SYNC_SECONDS},
    }
    return json.dumps(line).encode() + b"\n"


async def park_box(shop: Workshop, sid: str) -> None:
    """As `park`, with everything it needs handed in."""
    before = await shop.store.load(sid)
    if before is None or before.box is None:
        return
    box, generation = before.box, before.generation
    try:
        await shop.inbox.handle(sid, BeginPark(generation))
    except Refused as refused:
        log.info("park is not due: %s", refused)
        return
    try:
        await shop.provider.terminate(box)
        left = await shop.provider.last_state(box)
    except BoxError as error:
        await shop.inbox.handle(sid, FailPark(generation, str(error), RETRY_SECONDS))
        return
    await shop.store.revoke(box)
    await shop.inbox.handle(sid, FinishPark(generation, left.id if left else None))
    await shop.provider.discard(box)
