"""Images: repositories made ready beforehand, which sessions' boxes grow from. What is built, when, and from what.

An RQ worker of the queue `images` runs `build`; `jobs/upkeep.py` asks for it when one is due (`due`), and a person may
(`shipmate images build`). Whoever holds the repository's lease is alone at it. Nothing is built if neither the branch
nor the recipe nor Shipmate's own part of it moved; a build that fails leaves the images before it as they are.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from functools import partial

from jobs import berths, image_log
from jobs.image_build import Anew, Builder, BuildFailed, Built, NotNow
from jobs.image_check import Check
from jobs.image_log import BuildLog
from jobs.image_records import (
    EXPIRES_SECONDS,
    FORGE_PAUSE,
    Build,
    BuildState,
    Image,
    Standing,
    Step,
    may_grow,
    why_build,
)
from jobs.image_words import tell_those_who_wait
from jobs.log import forgiven
from jobs.wiring import Workshop, workshop
from sandbox.provider import BoxError, Missing, Temporary, Unreachable
from sandbox.runtime_version import runtime_version
from sandbox.side_by_side import place_of

log = logging.getLogger(__name__)
LEASE_SECONDS, RENEW_SECONDS = 60.0, 10.0


async def build(repository: str) -> None:
    """Build the image of this repository if one is due, unless another worker is at it."""
    async with workshop() as shop:
        await build_image(shop, repository)


async def build_image(shop: Workshop, repository: str) -> Image | None:
    """As `build`, with everything it needs handed in; the image, if one was made."""
    name = f"build-{secrets.token_hex(8)}"
    if not await shop.store.lease(_lease(repository), name, LEASE_SECONDS):
        return None
    async with _held(shop, repository, name):
        standing = await _settled(shop, repository)
        asked = await shop.store.images.asked(repository)
        if shop.clock() < min(standing.next_at, asked if asked is not None else standing.next_at):
            return None
        await shop.store.images.answered(repository)
        return await _Attempt(shop, repository, name, standing, asked is not None).go()


def _lease(repository: str) -> str:
    return f"image:{repository}"


@contextlib.asynccontextmanager
async def _held(shop: Workshop, repository: str, name: str) -> AsyncIterator[None]:
    """Keep the lease until this is over. If it gets lost, the build is given up: another worker may be at it."""
    building, over = asyncio.current_task(), asyncio.Event()
    assert building is not None

    async def renew() -> None:
        while not over.is_set():
            with forgiven(log, f"the lease of the image of {repository} could not be renewed; it is tried again soon"):
                if not await shop.store.lease(_lease(repository), name, LEASE_SECONDS):
                    log.error("the lease of the image of %s was lost, so its build is given up", repository)
                    building.cancel()
                    return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_SECONDS):
                    await over.wait()

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        over.set()  # told, not cancelled: a client of the record that is just dialling may swallow that, and go on
        await renewing
        await shop.store.release(_lease(repository), name)


async def _settled(shop: Workshop, repository: str) -> Standing:
    """How it stands. A build that is still called under way, while we hold the lease, was killed with its worker; if
    somebody had asked for it, it is still asked for."""
    standing = await shop.store.images.standing(repository)
    latest = standing.latest
    if latest is None or latest.state != "building":
        return standing
    killed = latest.model_copy(update={"state": "failed", "reason": "its worker was killed", "ended": shop.clock()})
    standing = standing.ended(killed, shop.clock())
    await shop.store.images.save_standing(repository, standing)
    if killed.asked and await shop.store.images.asked(repository) is None:
        await shop.store.images.ask(repository, standing.next_at)
    return standing


class _Over(Exception):
    """The attempt has no image to show: `state` and `reason` say why."""

    def __init__(self, state: BuildState, reason: str = "") -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


class _Attempt:
    """One attempt, from the question whether anything moved to the words for those who wait."""

    def __init__(self, shop: Workshop, repository: str, name: str, standing: Standing, asked: bool) -> None:
        self._shop, self._repository, self._standing = shop, repository, standing
        self._build = Build(id=name, state="building", began=shop.clock(), asked=asked)
        self._steps: list[Step] = []

    async def go(self) -> Image | None:
        """The image, if one was made."""
        try:
            with BuildLog(self._shop.settings.data_dir, self._build.id, self._shop.clock) as told:
                image = await self._image(told)
        except _Over as over:
            await self._end(over.state, over.reason)
            if self._build.asked and over.state == "waiting":
                await self._shop.store.images.ask(self._repository, self._shop.clock() + FORGE_PAUSE)
            return None
        except Exception as fault:
            await self._end("failed", f"something unexpected ({type(fault).__name__}); the log of its worker has more")
            raise
        await self._end("good")
        return image

    async def _image(self, told: BuildLog) -> Image:
        newest = await self._shop.newest_image(self._repository)
        if why := why_build(newest, runtime_version(), self._shop.clock(), self._build.asked):
            await self._begin(told, why)
        try:
            async with berths.spare(self._shop, self._repository, self._build.id):
                image = await self._made(told, newest)
        except (BuildFailed, BoxError, NotNow) as failed:
            passes = isinstance(failed, Temporary | Unreachable | NotNow)
            told.say(f"not now: {failed}" if passes else f"FAILED: {failed}")
            raise _Over("waiting" if passes else "failed", str(failed)) from failed
        told.say(f"done in {image.seconds:.1f} s: {image.snapshot}, {image.bytes or 'unknown'} bytes")
        return image

    async def _begin(self, told: BuildLog, why: str) -> None:
        """There is something to do, so the record says that it is under way."""
        told.say(f"image of {self._repository}: {why}")
        self._build = self._build.model_copy(update={"why": why})
        await self._shop.store.images.save_standing(self._repository, self._standing.began(self._build))

    async def _judge(self, told: BuildLog, newest: Image | None, head: str) -> None:
        """The box has this commit. Unless there is another reason, one that is made already is not made again."""
        if self._build.why:
            return
        assert newest is not None, "that there is none is a reason"
        if head == newest.commit:
            raise _Over("unchanged")
        await self._begin(told, f"the branch moved to {head[:10]}")

    async def _made(self, told: BuildLog, newest: Image | None) -> Image:
        """Made, looked at, and promoted."""
        judge = partial(self._judge, told, newest)
        builder = Builder(self._shop, self._repository, self._build.id, told, judge)
        self._steps = builder.steps
        try:
            return await self._promoted(told, newest, builder)
        finally:
            await builder.clear()

    async def _promoted(self, told: BuildLog, newest: Image | None, builder: Builder) -> Image:
        built, base = await self._built(told, newest, builder)
        try:
            await Check(self._shop, self._repository, self._build.id, told, self._steps).passes(built)
        except BaseException:
            await self._shop.provider.forget_snapshot(built.snapshot.id)
            raise
        now = self._shop.clock()
        image = Image(
            repository=self._repository, snapshot=built.snapshot.id, built_at=now, bytes=built.snapshot.bytes,
            id=self._build.id, commit=built.head, recipe=built.recipe.to_json(), recipe_digest=built.recipe.digest,
            runtime=runtime_version(), age=0 if base is None else base.age + 1, seconds=now - self._build.began,
            steps=tuple(self._steps), notes=built.notes,
            expires_at=base.expires_at if base is not None else now + EXPIRES_SECONDS,
        )  # fmt: skip
        await self._shop.store.images.add(image)
        log.info(
            "image of %s at %s: %s, %s bytes",
            self._repository,
            image.commit[:10],
            image.snapshot,
            image.bytes or "unknown",
        )
        return image

    async def _built(self, told: BuildLog, newest: Image | None, builder: Builder) -> tuple[Built, Image | None]:
        """A box's tree, and what it grew from. If the image before is of no use, from scratch."""
        if newest is not None and may_grow(newest, runtime_version(), self._shop.clock()):
            told.say(f"it grows from {newest.id}, number {newest.age + 1} since the last one from scratch")
            try:
                return await builder.make(newest), newest
            except Anew:
                told.say("the recipe has changed: from scratch")
            except Missing as damaged:
                told.say(f"the image before cannot be used ({damaged}): from scratch")
                await self._shop.store.images.drop(newest, self._shop.clock())
        builder.steps.clear()
        return await builder.make(None), None

    async def _end(self, state: BuildState, reason: str = "") -> None:
        """Note how it went, and tell those who wait if it failed."""
        now = self._shop.clock()
        more = {"state": state, "reason": reason, "ended": now, "steps": tuple(self._steps)}
        standing = self._standing.ended(self._build.model_copy(update=more), now)
        await self._shop.store.images.save_standing(self._repository, standing)
        if state == "failed":
            log.warning("the image of %s could not be built: %s", self._repository, reason)
            await tell_those_who_wait(self._shop, self._repository, reason)
        elif state == "good":
            await self._shop.store.images.waiting(self._repository)
        if state == "unchanged":
            image_log.path(self._shop.settings.data_dir, self._build.id).unlink(missing_ok=True)
        named = (build.id for each in (await self._shop.store.images.standings()).values() for build in each.builds)
        image_log.clear(self._shop.settings.data_dir, named, now)


async def due(shop: Workshop) -> dict[str, float]:
    """The repositories that have no builder and want a look, and since when."""
    standings, asked = await shop.store.images.standings(), await _asked(shop)
    now, found = shop.clock(), {}
    for repository in shop.settings.repositories:
        name = repository.name
        since = min(standings.get(name, Standing()).next_at, asked.get(name, now + 1.0))
        if since <= now and await shop.store.images.builder(name) is None:
            found[name] = since
    return found


async def _asked(shop: Workshop) -> dict[str, float]:
    """When somebody asked for an image of each repository. One whose boxes run elsewhere by now is asked for here."""
    images, good = shop.store.images, await shop.store.images.all_good()
    asked, standings = await images.all_asked(), await images.standings()
    for name, kept in good.items():
        moved = all(place_of(image.snapshot) != shop.place(name) for image in kept)
        if moved and name not in asked and not standings.get(name, Standing()).failures:
            await images.ask(name, shop.clock())
            asked[name] = shop.clock()
    return asked
