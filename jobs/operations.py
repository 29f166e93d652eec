"""What workers do to boxes: start one (or restore it from what it left), and put one to sleep.

RQ workers of the queue `boxes` run `start` and `park` with a session's id and nothing else. Everything else is read
from the log, and every step is safe to repeat: `jobs/decide.py` decides what is done, and refuses a second worker.
"""

import contextlib
import json
import logging
import secrets
from dataclasses import dataclass
from typing import Any

from jobs import berths, park_reasons, wire
from jobs.at_work import at_work, somebody_is_at
from jobs.commands import BeginPark, BeginStart, FailPark, FailStart, FinishPark, FinishStart, Refused
from jobs.events import StartKind
from jobs.image_records import Image
from jobs.image_words import tell_of_image
from jobs.inbox import hash_token
from jobs.log import forgiven
from jobs.session import Session, Status
from jobs.store import Grant
from jobs.wiring import Workshop, workshop
from sandbox.provider import Barred, BoxError, BoxSpec, Gone, Missing, Permanent, Temporary, Unreachable
from sandbox.recipe import IN_A_BOX, Recipe, limits_of
from sandbox.side_by_side import place_of

log = logging.getLogger(__name__)
RETRY_SECONDS = 2.0
PARK_RETRY_MOST_SECONDS = 60.0  # somebody may wait for the box, and each try is in the log


@dataclass(frozen=True)
class Origin:
    """What a box grows from. `base` None: an empty tree, and the runner clones. `instead`: why not from better.
    `image`: the one that `base` is of."""

    kind: StartKind
    base: str | None
    instead: str = ""
    image: Image | None = None


async def start(sid: str) -> None:
    """Make the box that this session waits for."""
    async with workshop() as shop:
        await start_box(shop, sid)


async def park(sid: str) -> None:
    """Put this session's box to sleep, if that is due still."""
    async with workshop() as shop:
        await park_if_due(shop, sid)


async def start_box(shop: Workshop, sid: str) -> None:
    """As `start`, with everything it needs handed in."""
    before = await shop.store.load(sid)
    if before is None:
        return
    if before.status is Status.BOOTING and await somebody_is_at(shop.store, "start", before):
        log.info("start is not due: a worker is at it")
        return
    if not await berths.admitted(shop, before):
        return
    box = shop.box_name(before.repository or "", f"{sid}-{before.generation + 1}")
    try:
        session = await shop.inbox.handle(sid, BeginStart(before.generation, box))
    except Refused as refused:
        log.info("start is not due: %s", refused)
        await berths.given_back(shop, sid)
        return
    generation = session.generation
    try:
        async with at_work(shop.store, "start", session):
            origin = await _make(shop, session, box)
    except Exception as trouble:
        await shop.store.revoke(box)
        delay = delay_of(trouble, RETRY_SECONDS * 2**session.failures)
        await shop.inbox.handle(sid, FailStart(generation, sentence(trouble), delay))
        with forgiven(log, "whether a box was made all the same could not be seen; the upkeep looks again"):
            await shop.provider.discard(box)
        await berths.given_back(shop, sid)
        if not isinstance(trouble, BoxError):
            raise
        return
    isolated = shop.isolated(session.repository or "")
    finished = FinishStart(generation, box, origin.kind, origin.base, isolated, origin.instead)
    await _record(shop, session, finished)


async def _make(shop: Workshop, session: Session, box: str) -> Origin:
    """A new box, from the best that there is."""
    origin = await _origin(shop, session)
    while True:
        try:
            await shop.provider.create(await _spec(shop, session, box, origin))
        except Permanent as trouble:
            origin = await _next_best(shop, session, origin, trouble)
        else:
            return origin


async def _next_best(shop: Workshop, session: Session, origin: Origin, trouble: Permanent) -> Origin:
    """What a box grows from instead; raises the trouble if nothing else can help."""
    if origin.kind == "snapshot" and isinstance(trouble, Missing):
        if session.snapshot is not None and origin.base != session.snapshot:
            log.warning("%s, so the session goes on from the snapshot before", trouble)
            return Origin("snapshot", session.snapshot, str(trouble))
        log.warning("%s, so the session begins from its branch", trouble)
        return await _fresh(shop, session, str(trouble))
    if origin.image is None:
        raise trouble
    log.warning("an image of %s cannot be used: %s", session.repository, trouble)
    if not isinstance(trouble, Missing):
        return Origin("cold", None, origin.instead)
    await shop.store.images.drop(origin.image, shop.clock())
    await shop.store.images.ask(origin.image.repository, shop.clock())
    return await _fresh(shop, session, origin.instead)


async def _record(shop: Workshop, session: Session, finished: FinishStart) -> None:
    try:
        await shop.inbox.handle(session.id, finished)
    except Refused as refused:
        log.info("the box came too late: %s", refused)
        await shop.store.revoke(finished.box)
        await shop.provider.discard(finished.box)
        await berths.given_back(shop, session.id)
        return
    if finished.start != "snapshot":
        assert session.repository is not None
        with forgiven(log, "what there is to know of its image could not be told"):
            await tell_of_image(shop, session, session.repository)


def delay_of(trouble: Exception, usual: float) -> float | None:
    """Seconds until it is tried again; None: that cannot help."""
    if isinstance(trouble, Permanent):
        return None
    return max(trouble.delay, usual) if isinstance(trouble, Temporary) else usual


def sentence(trouble: Exception) -> str:
    """What went wrong, for people."""
    return str(trouble) if isinstance(trouble, BoxError) else f"something unexpected ({type(trouble).__name__})"


async def _origin(shop: Workshop, session: Session) -> Origin:
    """What was left by a lost box, else the newest snapshot, else the newest image, else nothing."""
    place = shop.place(session.repository)
    lost, kept = (name if name and place_of(name) == place else None for name in (session.lost_box, session.snapshot))
    instead = ""
    if (session.lost_box or session.snapshot) and lost is None and kept is None:
        instead = f"its last box was not at {place}, where boxes of {session.repository} run now"
    if lost is not None:
        try:
            left = await shop.provider.last_state(lost)
        except Barred:
            raise
        except Permanent as damaged:
            left, instead = None, str(damaged)
        if left is not None:
            return Origin("snapshot", left.id)
    if kept is not None:
        return Origin("snapshot", kept, instead)
    return await _fresh(shop, session, instead)


async def _fresh(shop: Workshop, session: Session, instead: str = "") -> Origin:
    """The newest image, else nothing."""
    assert session.repository is not None, "a session that waits for a box has a repository"
    image = await shop.newest_image(session.repository)
    return Origin("image", image.snapshot, instead, image) if image is not None else Origin("cold", None, instead)


async def _spec(shop: Workshop, session: Session, box: str, origin: Origin) -> BoxSpec:
    token = secrets.token_urlsafe(32)
    assert session.repository is not None
    image = origin.image or await shop.newest_image(session.repository)
    recipe = image.made_by if image is not None else None
    grant = Grant(session.id, box, session.generation, session.repository, "serve", session.branch)
    await shop.store.grant(hash_token(token), grant)
    return BoxSpec(
        name=box,
        base=origin.base,
        greeting=greeting(shop, grant, token, session.base_branch, session, recipe=recipe),
        labels={"session": session.id, "generation": str(session.generation), wire.LABEL: str(wire.NEWEST)},
        limits=limits_of(recipe, shop.settings.limits),
        hosts=recipe.egress if recipe is not None else (),
    )


def greeting(
    shop: Workshop,
    grant: Grant,
    token: str,
    base_branch: str,
    session: Session | None = None,
    agent: dict[str, Any] | None = None,
    recipe: Recipe | None = None,
) -> bytes:
    """The line that a runner reads on its stdin (docs/wire.md). It is the only place that holds the box's token.

    `agent`: for a box that is no session's yet.
    """
    rules = shop.settings.rules
    line = {
        "wire": wire.NEWEST,
        "token": token,
        "box": grant.box,
        "generation": grant.generation,
        "gateway": shop.gateway_address(grant.repository),
        "repository": grant.repository,
        "base_branch": base_branch,
        "branch": grant.branch,
        "mode": grant.purpose,
        "agent": _agent(shop, session) if session is not None else agent,
        "conversation": session.conversation if session is not None else None,
        "limits": {"turn_seconds": rules.turn_seconds, "sync_seconds": rules.sync_seconds},
    }
    if recipe is not None:
        line |= {"env": recipe.environment(IN_A_BOX), "start": [command.argv for command in recipe.post_start]}
    return json.dumps(line).encode() + b"\n"


def _agent(shop: Workshop, session: Session) -> dict[str, Any]:
    try:
        return shop.agent(session.agent, session.model)
    except ValueError as unknown:
        raise Permanent(str(unknown)) from unknown


async def park_if_due(shop: Workshop, sid: str) -> None:
    """As `park`, with everything it needs handed in. A job may have waited for its worker for a while."""
    session = await shop.store.load(sid)
    if session is None or not await park_reasons.is_due(shop, session):
        log.info("park is not due: the reason for it is gone")
        return
    await _park(shop, session)


async def park_box(shop: Workshop, sid: str) -> None:
    """Put this session's box to sleep, whatever it does."""
    session = await shop.store.load(sid)
    if session is not None:
        await _park(shop, session)


async def _park(shop: Workshop, before: Session) -> None:
    """The same for a session as it was seen: refused if another turn has begun since."""
    if before.box is None:
        return
    if before.status is Status.PARKING and await somebody_is_at(shop.store, "park", before):
        log.info("park is not due: a worker is at it")
        return
    sid, box, generation = before.id, before.box, before.generation
    try:
        turn = before.turn.number if before.turn is not None else 0
        session = await shop.inbox.handle(sid, BeginPark(generation, turn))
    except Refused as refused:
        log.info("park is not due: %s", refused)
        return
    try:
        async with at_work(shop.store, "park", session):
            left = await _put_to_sleep(shop, box)
    except Exception as trouble:
        usual = min(RETRY_SECONDS * 2 ** min(before.park_failures, 10), PARK_RETRY_MOST_SECONDS)
        await shop.inbox.handle(sid, FailPark(generation, sentence(trouble), delay_of(trouble, usual)))
        if not isinstance(trouble, BoxError):
            raise
        return
    await shop.store.revoke(box)
    await shop.inbox.handle(sid, FinishPark(generation, left))
    await shop.provider.discard(box)
    if before.start == "warm":
        await shop.store.warm.forget(box)
    await berths.given_back(shop, sid)


async def _put_to_sleep(shop: Workshop, box: str) -> str | None:
    """The snapshot of what the box left; None if that is nothing."""
    try:
        with contextlib.suppress(Gone):  # one that ended by itself just now has left something all the same
            await _end(shop, box)
        left = await shop.provider.last_state(box)
    except Gone:
        return None
    except Barred as barred:
        raise Unreachable(str(barred)) from barred
    return left.id if left is not None else None


async def _end(shop: Workshop, box: str) -> None:
    """End it. As long as that cannot be done nothing is lost, so it is tried again, whatever stands in the way."""
    try:
        await shop.provider.terminate(box)
    except Permanent as refused:
        raise Unreachable(str(refused)) from refused
