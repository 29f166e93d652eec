"""Folds logs into views where that holds up nobody else. For all who show one: threads, pages, the Home tab, tools."""

import asyncio
from collections.abc import Sequence

from bot.cards import ThreadView
from bot.view import fold_view
from jobs.events import Event

FEW = 200  # events


async def folded(events: Sequence[Event], view: ThreadView | None = None) -> ThreadView | None:
    """As `fold_view`; a long log, as one is that nobody here has followed, in a thread."""
    return fold_view(events, view) if len(events) <= FEW else await asyncio.to_thread(fold_view, events, view)
