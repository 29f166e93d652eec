"""Brings the view of a session up to date with its log, in pieces: what else this process serves waits for one only.

A log may have thousands of events, and one box may cause many at a time. The thread, the page, the home tab and agents'
tools read logs with `view_of`.
"""

from typing import Protocol

from bot.cards import ThreadView
from bot.view import fold_view
from jobs.events import Event

PIECE = 25  # events, which take about a millisecond to read and fold


class Log(Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def events(self, sid: str, after: int = 0, most: int | None = None) -> list[Event]:
        """The events of a session after a number, `most` of them if that is given."""


async def view_of(log: Log, sid: str, view: ThreadView | None = None) -> ThreadView | None:
    """The session as its whole log shows it, from `view` on if given; None if there is no such session."""
    while True:
        events = await log.events(sid, view.session.seq if view is not None else 0, PIECE)
        view = fold_view(events, view)
        if len(events) < PIECE:
            return view
