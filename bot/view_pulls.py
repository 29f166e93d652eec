"""What the forge's events add to a thread: a pull request published, refused, closed; `view_reviews.py` has what
people say of it, `view_checks.py` what programs do. Pure; part of `bot/view.py`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.cards import ThreadView
from bot.endings import shown_by
from bot.view_checks import CHECK_CHANGES, checks_told
from bot.view_notices import how_to_reply, notice, pull_label, pull_url, sentence
from bot.view_reviews import REVIEW_CHANGES
from jobs import events as e

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
        label = pull_label(view, event.number)
        change |= notice(view, event.at, text, to=late[-1].to, label=label, url=event.url)
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
    text = f"{verb} by {event.by}." if event.by else f"{verb}."
    view = replace(view, **checks_told(view))
    return notice(view, event.at, text, label=pull_label(view, event.number), url=pull_url(view, event.number))


PULL_CHANGES: Mapping[type[e.Fact], Callable[[ThreadView, Any], Change]] = {
    **REVIEW_CHANGES,
    **CHECK_CHANGES,
    e.PublishFailed: _publish_failed,
    e.PullRequestPublished: _published,
    e.PullRequestClosed: _pull_closed,
}
