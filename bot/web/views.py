"""The views of sessions whose pages are open, folded on as their logs grow. `pages.py` has one `Views`.

A page is fetched again every other second: only what is new in the log is read and folded.
"""

from bot.cards import ThreadView
from bot.folding import Log, view_of

KEPT = 64


class Views:
    """Keeps those that were looked at last."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._kept: dict[str, ThreadView] = {}

    async def of(self, sid: str) -> ThreadView:
        """The view of a session that there is, up to date."""
        view = await view_of(self._log, sid, self._kept.get(sid))
        assert view is not None, "a session has a log"
        self._kept.pop(sid, None)
        self._kept[sid] = view
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return view
