"""Words of our own that are told beside the turns. Pure; `bot/view.py` and its parts use it."""

from typing import Any

from bot.cards import CommitChecks, Notice, Review, ThreadView
from jobs.events import Author
from jobs.session import Session

Change = dict[str, Any]


def notice(
    view: ThreadView,
    at: float,
    text: str,
    *,
    to: Author | None = None,
    label: str = "",
    url: str = "",
    quote: str = "",
    review: Review | None = None,
    checks: CommitChecks | None = None,
) -> Change:
    """One more notice; its id is its number, which the log decides."""
    key = f"notice:{len(view.notices) + 1}"
    one = Notice(id=key, at=at, text=text, to=to, label=label, url=url, quote=quote, review=review, checks=checks)
    return {"notices": (*view.notices, one)}


def pull_label(view: ThreadView, number: int) -> str:
    """How the thread calls a pull request of this session."""
    whose = f"#{view.session.lineage.number}'s pull request" if view.session.lineage is not None else "Pull request"
    return f"{whose} #{number}"


def pull_url(view: ThreadView, number: int) -> str:
    """Where it is, if it is the one that is known."""
    shown = view.session.pull_request
    return shown.url if shown is not None and shown.number == number else ""


def sentence(text: str) -> str:
    """With a full stop at its end, if nothing else ends it."""
    words = text.strip()
    return words if words.endswith((".", "!", "?", "…")) else words + "."


def how_to_reply(session: Session) -> str:
    """How a reply reaches this session: those of its thread go to the one that a person opened."""
    return "Reply here" if session.lineage is None else f"Reply here, #{session.lineage.number} in front,"
