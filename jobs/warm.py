"""Warm boxes: how they are made, kept and ended, and how somebody says that one will be wanted soon.

The upkeep calls `WarmPool.keep` in every sweep; a worker of the queue `boxes` runs `fill`; the faces call `warm_up`. A
session takes a box in the record alone (`jobs/inbox.py`), so nothing here is on its way.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from jobs import berths, wire
from jobs.beside import Beside
from jobs.claims import ANSWER_SECONDS
from jobs.commands import LoseBox, Tick
from jobs.image_records import Image
from jobs.inbox import hash_token
from jobs.log import about, forgiven
from jobs.operations import greeting
from jobs.recipe_choices import suited, warm_boxes
from jobs.records import Grant, Offer
from jobs.session import Session, Status
from jobs.warm_rules import WISH_SECONDS, Plan, PoolCount, Wanted, WarmBox, counted, plan, wanted, within
from jobs.wiring import Workshop, workshop
from sandbox.provider import BoxError, BoxInfo, BoxSpec, BoxState
from sandbox.recipe import Recipe, limits_of

log = logging.getLogger(__name__)
LABEL = "warm"  # on a box: the repository that it is warm for
SLOT_SECONDS = 60.0  # so long a job that nobody takes up, or that was lost with its worker, is not asked for again
FILL_SECONDS = 60.0
AGAIN_SECONDS = 60.0  # after a box that did not get ready, for they cost much
GONE_SECONDS = 60.0  # a list of boxes may be older than a box, but never by so much
LOOK_SECONDS = 0.25


async def warm_up(shop: Workshop, repository: str, reason: str) -> bool:
    """Somebody seems about to ask for work on this repository: have one more box ready for some minutes.

    Cheap, and safe to call at every keystroke. Whether it was news.
    """
    now, most = shop.clock(), shop.settings.warm_predicted
    if not most or repository not in {one.name for one in shop.settings.repositories}:
        return False
    if not await shop.store.warm.wish(repository, now + WISH_SECONDS, now, most):
        return False
    log.info("a box of %s is warmed up: %s", repository, reason)
    await shop.store.warm.count("wishes", 1)
    await _ask_for_one(shop, repository)
    return True


async def _ask_for_one(shop: Workshop, repository: str) -> None:
    await shop.queue.enqueue_fill(repository, int(shop.clock() // SLOT_SECONDS), shop.place(repository))


async def watch(shop: Workshop, session: Session) -> None:
    """See that the warm box that this session has just taken answers; one that does not is replaced in a moment."""
    assert session.box is not None, "it took a box"
    end = asyncio.get_running_loop().time() + ANSWER_SECONDS + LOOK_SECONDS
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = await shop.store.load(session.id)
        if now is None or now.generation != session.generation or now.status is not Status.CONNECTING:
            return
        if (await shop.provider.status(session.box)).state is not BoxState.RUNNING:
            await shop.inbox.handle(session.id, LoseBox(session.generation, "its processes ended"))
        elif asyncio.get_running_loop().time() > end:
            await shop.inbox.handle(session.id, Tick())
            return


async def fill(repository: str) -> None:
    """Make one warm box of this repository, if one is wanted."""
    async with workshop() as shop:
        await fill_pool(shop, repository)


async def fill_pool(shop: Workshop, repository: str) -> None:
    """As `fill`, with everything it needs handed in."""
    owner, lease = secrets.token_hex(8), f"warm:{repository}"
    if not await shop.store.lease(lease, owner, FILL_SECONDS):
        return
    try:
        boxes = {box.name: box for box in await shop.provider.list()}
        due = await WarmPool(shop).plan(boxes)
        image = await shop.newest_image(repository)
        if repository in due.fill and image is not None:
            await _make(shop, image)
    except BoxError as error:
        log.warning("no warm box of %s could be made: %s", repository, error)
        await _wait_with(shop, repository, str(error))
    finally:
        await shop.store.release(lease, owner)


async def _make(shop: Workshop, image: Image) -> None:
    """A box that gets warm by itself from here on."""
    repository, recipe = image.repository, image.made_by
    agent, model = _as(shop, repository, recipe)
    box, token = shop.box_name(repository, f"warm-{secrets.token_hex(8)}"), secrets.token_urlsafe(32)
    grant, fit = Grant("", box, 0, repository, "warm", ""), shop.fit(repository, agent, model)
    offer = Offer(box, repository, fit, image.snapshot, shop.isolated(repository), hash_token(token), "")
    if not await berths.make_warm(shop, offer):
        return
    await shop.store.grant(hash_token(token), grant)
    started, base_branch = shop.agent(agent, model), shop.settings.base_branch(repository)
    line = greeting(shop, grant, token, base_branch, agent=started, recipe=recipe)
    limits = limits_of(recipe, shop.settings.limits)
    labels = {LABEL: repository, wire.LABEL: str(wire.NEWEST)}
    try:
        hosts = recipe.egress if recipe is not None else ()
        await shop.provider.create(BoxSpec(box, line, image.snapshot, labels, limits, hosts))
    except BaseException:
        await shop.store.revoke(box)
        with forgiven(log, f"whether box {box} was made all the same could not be seen; the upkeep looks again"):
            await shop.provider.discard(box)
            await shop.store.warm.forget(box)
        raise
    log.info("box %s of %s is being warmed", box, repository)


def _as(shop: Workshop, repository: str, recipe: Recipe | None) -> tuple[str, str]:
    """The agent, and the model, that a session of a repository with this recipe begins with."""
    chosen = suited(shop.settings, repository, recipe)
    return chosen.agent or shop.settings.agent, chosen.model


async def _wait_with(shop: Workshop, repository: str, why: str) -> None:
    await shop.store.remember(f"warm-trouble:{repository}", why, AGAIN_SECONDS)


class WarmPool:
    """The warm boxes of all repositories. It remembers only since when a box has been quiet, or missing."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._quiet: dict[str, float] = {}
        self._gone: dict[str, float] = {}
        self._strangers: set[str] = set()

    async def keep(self, boxes: Mapping[str, BoxInfo], beside: Beside) -> None:
        """Begin to end what has outlived its use, and ask for what is missing."""
        due = await self.plan(boxes)
        beside.begin("warm boxes", due.end, lambda end: end[0].name, lambda end: self._end(*end))
        for repository in due.fill:
            await _ask_for_one(self._shop, repository)
        await self._forget_gone(boxes)

    async def plan(self, boxes: Mapping[str, BoxInfo]) -> Plan:
        """What is due."""
        ours, due = await self._unclaimed(boxes), await self._wanted()
        found = plan(ours, due, self._shop.clock(), self._shop.settings.rules.warm_seconds)
        held = [name for name in found.fill if await self._shop.store.recall(f"warm-trouble:{name}") is not None]
        return replace(found, fill=tuple(name for name in found.fill if name not in held))

    async def count(self, boxes: Iterable[BoxInfo]) -> tuple[PoolCount, ...]:
        """How the pools are."""
        return counted(await self._unclaimed({box.name: box for box in boxes}), await self._wanted())

    async def end_all(self) -> None:
        """End every warm box that nobody took."""
        for box in await self._unclaimed({box.name: box for box in await self._shop.provider.list()}):
            await self._end(box, "all are")

    async def _wanted(self) -> tuple[Wanted, ...]:
        shop, settings = self._shop, self._shop.settings
        enabled = [one.name for one in settings.repositories]
        newest = {name: image for name in enabled if (image := await shop.newest_image(name)) is not None}
        images = {name: image.snapshot for name, image in newest.items()}
        recipes = {name: newest[name].made_by if name in newest else None for name in enabled}
        wishes = await shop.store.warm.wishes(shop.clock())
        fits = {name: shop.fit(name, *_as(shop, name, recipe)) for name, recipe in recipes.items()}
        numbers = {name: warm_boxes(settings, name, recipe) for name, recipe in recipes.items()}
        due = wanted(numbers, wishes, fits, images)
        room = await berths.room_for_warm(shop)
        if room is None:
            return due
        near = [one for one in due if berths.is_counted(shop, one.repository)]
        return (*within(near, await self._there(), room), *(one for one in due if one not in near))

    async def _there(self) -> Counter[str]:
        """How many warm boxes of each repository nobody has taken, those that are being made with them."""
        claims, made = await self._shop.store.warm.claims(), await self._shop.store.warm.all_made()
        return Counter(offer.repository for box, offer in made.items() if box not in claims)

    async def _unclaimed(self, boxes: Mapping[str, BoxInfo]) -> list[WarmBox]:
        """The warm boxes that nobody took, but for those that this record knows nothing of."""
        warm = self._shop.store.warm
        labelled = [box for box in boxes.values() if LABEL in box.labels]
        if not labelled:
            return []
        offers, claims, made = await warm.offers(), await warm.claims(), await warm.all_made()
        now, found = self._shop.clock(), []
        for box in labelled:
            if box.name in claims:
                continue
            if box.name not in made:
                self._wonder_at(box.name)
                continue
            offered = box.name in offers
            if offered or box.name not in self._quiet:
                self._quiet[box.name] = now
            self._quiet[box.name] = min(self._quiet[box.name], now)  # the clock may have been put back
            found.append(_warm_box(box, made[box.name], offered, self._quiet[box.name]))
        return found

    async def _end(self, box: WarmBox, why: str) -> None:
        """End it for good."""
        shop, lived = self._shop, self._shop.clock() - box.born
        if not await shop.store.warm.retire(box.name):
            return  # somebody took it in this very moment
        with about(box=box.name):
            log.info("warm box %s of %s is ended: %s", box.name, box.repository, why)
        image = await shop.newest_image(box.repository)
        recipe = image.made_by if image is not None else None
        if not box.offered and box.fit == shop.fit(box.repository, *_as(shop, box.repository, recipe)):
            await _wait_with(shop, box.repository, "the last one did not get ready")
        await shop.provider.discard(box.name)
        await shop.store.warm.forget(box.name)  # last, so that a box is known as long as it is there
        await shop.store.warm.count("unused", 1)
        await shop.store.warm.count("unused_seconds", max(0.0, lived))

    async def _forget_gone(self, boxes: Mapping[str, BoxInfo]) -> None:
        """Forget boxes that are not here any more, or that a worker wrote down and died before it made them. Of one
        that was taken and has ended only its last state is here: it takes no berth."""
        warm, now = self._shop.store.warm, self._shop.clock()
        claims, made = await warm.claims(), await warm.all_made()
        for box in claims.keys() & made.keys() & boxes.keys():
            if boxes[box].state is not BoxState.RUNNING:
                await warm.ended(box)
        gone = {*claims, *made} - boxes.keys()
        self._gone = {box: min(self._gone.get(box, now), now) for box in gone}
        for box, since in self._gone.items():
            if since < now - GONE_SECONDS and (box in claims or await warm.retire(box)):
                await warm.forget(box)
        self._quiet = {name: since for name, since in self._quiet.items() if name in boxes}

    def _wonder_at(self, box: str) -> None:
        """Say once that nobody knows this box."""
        if box not in self._strangers:
            self._strangers.add(box)
            log.error(
                "warm box %s is not in this record. It is left alone, for a session that this record has lost may have"
                " taken it: then restore the record (docs/running.md)",
                box,
            )


def _warm_box(box: BoxInfo, made: Offer, offered: bool, since: float) -> WarmBox:
    return WarmBox(
        name=box.name,
        repository=made.repository,
        fit=made.fit,
        base=made.base or "",
        born=box.born,
        runs=box.state is BoxState.RUNNING,
        offered=offered,
        quiet_since=since,
    )
