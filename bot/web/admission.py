"""Who may look at a session, by the link that they have. `pages.py` and `files.py` ask before they show anything."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from bot.web.links import BadLink, ViewLinks
from jobs.commands import Unreadable
from jobs.events import Place
from jobs.session import Session

ASK_SECONDS = 30.0  # so often it is asked whether somebody may go on looking


class Record(Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def load(self, sid: str) -> Session | None:
        """The session, if there is one."""


class NotShown(Exception):
    """Nothing is shown: an HTTP status, a title, and words that say what to do."""

    def __init__(self, status: int, title: str, words: str) -> None:
        super().__init__(words)
        self.status, self.title, self.words = status, title, words


class Admission:
    """`may_view` says whether somebody may look at a private place now."""

    def __init__(self, record: Record, links: ViewLinks, may_view: Callable[[Place, str], Awaitable[bool]]) -> None:
        self.links, self._record, self._may_view = links, record, may_view
        self._let_in: dict[tuple[str, str], float] = {}

    async def to_session(self, sid: str, query: Mapping[str, str]) -> tuple[Session, str]:
        """The session whose View link this is, and whom the link is for ("": everybody). Raises `NotShown`."""
        try:
            viewer = self.links.viewer(sid, query)
        except BadLink as bad:
            raise NotShown(403, "This link does not work", str(bad)) from None
        session = await self._load(sid)
        if session is None:
            raise NotShown(404, "There is no such session", "Press View in its thread for a new link.")
        if session.place.private and not await self._may_look(session, viewer, query.get("fragment") == "1"):
            words = "This session belongs to a private place. Only its members may look; press View there."
            raise NotShown(403, "This session is private", words)
        return session, viewer

    async def to_file(self, sid: str, file_id: str, query: Mapping[str, str]) -> Session:
        """The session of a file, for whoever has a link to the file itself or to its session. Raises `NotShown`."""
        if "file" not in query:
            session, _ = await self.to_session(sid, query)
            return session
        found = await self._load(sid)
        if found is None or found.place.private or not self.links.opens_file(sid, file_id, query["file"]):
            raise NotShown(403, "This link does not work", "It is incomplete or was changed. Ask for it in the thread.")
        return found

    async def _may_look(self, session: Session, viewer: str, again: bool) -> bool:
        """`again`: the page is open, and is fetched every other second. Whether it still may be is not asked as often:
        that would use up what may be asked, for all who look."""
        now, who = time.monotonic(), (session.id, viewer)
        if again and now - self._let_in.get(who, -ASK_SECONDS) < ASK_SECONDS:
            return True
        self._let_in = {known: at for known, at in self._let_in.items() if now - at < ASK_SECONDS}
        may = bool(viewer) and await self._may_view(session.place, viewer)
        if may:
            self._let_in[who] = now
        else:
            self._let_in.pop(who, None)
        return may

    async def _load(self, sid: str) -> Session | None:
        try:
            return await self._record.load(sid)
        except Unreadable as broken:
            raise NotShown(503, "This session cannot be read", str(broken)) from None
