"""What the forge's events add to a thread: a pull request published, refused, reviewed, closed. Pure; part of
`bot/view.py`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.cards import ThreadView
from bot.endings import shown_by
from bot.view_notices import how_to_reply, notice, sentence
from jobs import events as e
from jobs.events import Author

Change = dict[str, Any]
RARELY_SECONDS = 1_800.0


def _published(view: ThreadView, event: e.PullRequestPublished) -> Change:
    """The endings whose commits it shows: those up to the last one with its head, which a later turn may push."""
    last = max((n for n, ending in enumerate(view.endings) if ending.head == event.head), default=len(view.endings) - 1)
    met = [x for x in view.endings[: last + 1] if x.publishing in ("pending", "failed")]
    endings = tuple(shown_by(ending, event) if ending in met else ending for ending in view.endings)
    change: Change = {"endings": endings}
    late = [ending for ending in met if ending.publishing == "failed"]
    if late:
        text = "is there now." if event.opened else "is up to date now."
        change |= _pull_notice(view, event.number, event.url, event.at, text, to=late[-1].to)
    return change


def _publish_failed(view: ThreadView, event: e.PublishFailed) -> Change:
    """Said once, in the ending of the turn; later failures of the same work change its words only."""
    reply = how_to_reply(view.session)
    what_next = f"Put that right, then {reply[0].lower()}{reply[1:]} and I will try again."
    if event.retry_at is not None:
        rarely = event.retry_at - event.at >= RARELY_SECONDS
        what_next = f"I will keep trying, but rarely. {reply} and I try at once." if rarely else "I will keep trying."
    trouble = f"{sentence(event.reason)} {what_next}"
    hit = ("pending", "failed")
    endings = tuple(
        replace(x, publishing="failed", trouble=trouble, settled=x.settled or event.at) if x.publishing in hit else x
        for x in view.endings
    )
    return {"endings": endings}


def _pull_closed(view: ThreadView, event: e.PullRequestClosed) -> Change:
    verb = "was merged" if event.merged else "was closed without merging"
    return _forge_notice(view, event, f"{verb} by {event.by}." if event.by else f"{verb}.")


def _pull_reviewed(view: ThreadView, event: e.PullRequestReviewed) -> Change:
    by, reply = event.by or "somebody", how_to_reply(view.session)
    how = "and I will take it up" if event.words else "with what I should change"
    verdicts = {
        "approved": f"was approved by {by}.",
        "changes_requested": f"needs changes, says {by}. {reply} {how}.",
        "commented": f"was commented on by {by}.",
    }
    return _forge_notice(view, event, verdicts.get(event.verdict, f"was reviewed by {by}."), event.words)


def _forge_notice(
    view: ThreadView, event: e.PullRequestClosed | e.PullRequestReviewed, text: str, quote: str = ""
) -> Change:
    shown = view.session.pull_request
    url = shown.url if shown is not None and shown.number == event.number else ""
    return _pull_notice(view, event.number, url, event.at, text, quote=quote)


def _pull_notice(
    view: ThreadView, number: int, url: str, at: float, text: str, to: Author | None = None, quote: str = ""
) -> Change:
    whose = f"#{view.session.lineage.number}'s pull request" if view.session.lineage is not None else "Pull request"
    return notice(view, at, text, to=to, label=f"{whose} #{number}", url=url, quote=quote)


PULL_CHANGES: Mapping[type[e.Fact], Callable[[ThreadView, Any], Change]] = {
    e.PublishFailed: _publish_failed,
    e.PullRequestPublished: _published,
    e.PullRequestClosed: _pull_closed,
    e.PullRequestReviewed: _pull_reviewed,
}
