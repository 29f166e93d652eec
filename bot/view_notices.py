"""Words of our own that are told beside the turns. Pure; `bot/view.py` and its parts use it."""

from typing import Any

from bot.cards import Notice, ThreadView
from jobs.events import Author
from jobs.session import Session

Change = dict[str, Any]


def notice(
    view: ThreadView, at: float, text: str, *, to: Author | None = None, label: str = "", url: str = "", quote: str = ""
) -> Change:
    """One more notice; its id is its number, which the log decides."""
    notice = Notice(id=f"notice:{len(view.notices) + 1}", at=at, text=text, to=to, label=label, url=url, quote=quote)
    return {"notices": (*view.notices, notice)}


def sentence(text: str) -> str:
    """With a full stop at its end, if nothing else ends it."""
    words = text.strip()
    return words if words.endswith((".", "!", "?", "…")) else words + "."


def how_to_reply(session: Session) -> str:
    """How a reply reaches this session: those of its thread go to the one that a person opened."""
    return "Reply here" if session.lineage is None else f"Reply here, #{session.lineage.number} in front,"
