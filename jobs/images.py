"""Images: a repository, cloned once through the gateway, that every session's box grows from.

An RQ worker of the queue `images` runs `build`, one at a time for each repository. `jobs/upkeep.py` asks for it when an
enabled repository has no image. A box in mode `build` clones and exits; what it leaves is the image.
"""

import asyncio
import logging
import secrets

from jobs.inbox import hash_token
from jobs.operations import greeting
from jobs.store import Grant, Image
from jobs.wiring import Workshop, workshop
from sandbox.provider import BoxError, BoxSpec, BoxState, SnapshotKind

log = logging.getLogger(__name__)
BUILD_SECONDS = 600.0
LOOK_SECONDS = 0.2


async def build(repository: str) -> None:
    """Build the image of this repository, unless another worker is at it."""
    async with workshop() as shop:
        await build_image(shop, repository)


async def build_image(shop: Workshop, repository: str) -> Image | None:
    """As `build`, with everything it needs handed in; None if it failed or is under way elsewhere."""
    owner = secrets.token_hex(8)
    lease = f"image:{repository}"
    if not await shop.store.lease(lease, owner, BUILD_SECONDS + 60):
        return None
    box = f"image-{secrets.token_hex(8)}"
    try:
        return await _build(shop, repository, box)
    except BoxError as error:
        log.warning("the image of %s could not be built: %s", repository, error)
        return None
    finally:
        await shop.store.revoke(box)
        await shop.provider.discard(box)
        await shop.store.release(lease, owner)


async def _build(shop: Workshop, repository: str, box: str) -> Image | None:
    token = secrets.token_urlsafe(32)
    grant = Grant("", box, 0, repository, "build", "")
    await shop.store.grant(hash_token(token), grant)
    line = greeting(shop, grant, token, shop.settings.base_branch(repository))
    await shop.provider.create(
        BoxSpec(name=box, greeting=line, labels={"image": repository}, limits=shop.settings.limits)
    )
    code = await _exit_code(shop, box)
    if code != 0:
        log.warning("the image of %s could not be built: its box ended with %s", repository, code)
        return None
    snapshot = await shop.provider.last_state(box, SnapshotKind.BASE)
    if snapshot is None:
        return None
    image = Image(repository=repository, snapshot=snapshot.id, built_at=shop.clock(), bytes=snapshot.bytes)
    await shop.store.save_image(image)
    log.info("image of %s: %s, %d bytes", repository, snapshot.id, snapshot.bytes)
    return image


async def _exit_code(shop: Workshop, box: str) -> int | None:
    """How the box ended; None if it had to be ended after the time limit."""
    for _ in range(int(BUILD_SECONDS / LOOK_SECONDS)):
        info = await shop.provider.status(box)
        if info.state is not BoxState.RUNNING:
            return info.exit_code
        await asyncio.sleep(LOOK_SECONDS)
    await shop.provider.terminate(box)
    return None
