"""What people are told of images, in the thread of a session: why it has none, an old one, or one without something.

`jobs/images.py` calls it when a build failed, `jobs/operations.py` when a session's first box has started. The same
thing is told once in each channel.
"""

import hashlib
import logging

from jobs.commands import Note
from jobs.events import Place
from jobs.image_records import Build
from jobs.log import about, forgiven
from jobs.session import Session
from jobs.wiring import Workshop

log = logging.getLogger(__name__)
TOLD_SECONDS = 86_400.0
MOST_CHARS = 600


async def tell_those_who_wait(shop: Workshop, repository: str, reason: str) -> None:
    """No image came of a build: say so to the sessions that began without one, once in each channel."""
    for sid in await shop.store.images.waiting(repository):
        with about(session=sid), forgiven(log, "it could not be told that there is no image"):
            session = await shop.store.load(sid)
            if session is not None:
                await _tell(shop, session, f"No image of {repository} could be built: {reason}", _what_now(repository))


async def tell_of_image(shop: Workshop, session: Session, repository: str) -> None:
    """A session's first box has started: what its people should know of what it started from."""
    images = shop.store.images
    newest, latest = await shop.newest_image(repository), (await images.standing(repository)).latest
    if newest is None:
        await images.wait_for(repository, session.id)
    if latest is not None and latest.state == "failed":
        await _tell(shop, session, _failed(repository, latest, newest is not None), _what_now(repository))
    for note in newest.notes if newest is not None else ():
        await _tell(shop, session, note, "")


def _failed(repository: str, latest: Build, older: bool) -> str:
    if older:
        return f"The newest image of {repository} could not be built, so I begin from an older one: {latest.reason}"
    return f"No image of {repository} could be built: {latest.reason}"


def _what_now(repository: str) -> str:
    return f" (`shipmate images log {repository}` has all of it; it is tried again by itself.)"


async def _tell(shop: Workshop, session: Session, text: str, more: str) -> None:
    if len(text) > MOST_CHARS:
        text = text[: MOST_CHARS - 1] + "…"
    known_as = hashlib.sha256("\0".join((*_channel(session.place), text)).encode()).hexdigest()[:24]
    if await shop.store.remember(f"image-told:{known_as}", session.id, TOLD_SECONDS):
        await shop.inbox.handle(session.id, Note(text + more))


def _channel(place: Place) -> tuple[str, str, str]:
    return place.client, place.team, place.channel
