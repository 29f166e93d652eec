"""What the events of a session's pull request make of it. Pure; `jobs/fold.py` has these folds in its table."""

from collections.abc import Callable, Mapping
from typing import Any

from jobs import events as e
from jobs.checks import with_check
from jobs.events import Fact
from jobs.reviews import with_dismissed, with_said, without_comment
from jobs.session import PullRequest, Session

Change = dict[str, Any]


def tried_anew() -> Change:
    """The pull request is tried at once, whatever failed before: somebody has looked, and it may be mended now."""
    return {"publish_failures": 0, "publish_retry_at": 0.0}


def _publish_failed(s: Session, event: e.PublishFailed) -> Change:
    """A failure of older work says nothing about the newer one, which is tried next."""
    if event.head != s.head:
        return {"publish_began": None}
    return {
        "publish_began": None, "publish_failures": s.publish_failures + 1, "publish_retry_at": event.retry_at,
    }  # fmt: skip


def _published(s: Session, event: e.PullRequestPublished) -> Change:
    shown = PullRequest(
        number=event.number, url=event.url, head=event.head, state=event.state, described=event.described
    )
    if (heard := s.closed_meanwhile) is not None and heard.number == event.number:
        shown = _ended(shown, heard)
    return {"pull_request": shown, "publish_began": None, "publish_failures": 0, "closed_meanwhile": None}


def _closed(s: Session, event: e.PullRequestClosed) -> Change:
    change: Change = {"closed_meanwhile": event} if s.publish_began is not None else {}
    if s.pull_request is None or s.pull_request.number != event.number:
        return change
    return change | {"pull_request": _ended(s.pull_request, event)}


def _ended(pull: PullRequest, event: e.PullRequestClosed) -> PullRequest:
    return pull.model_copy(update={"state": "merged" if event.merged else "closed"})


FOLD_PULLS: Mapping[type[Fact], Callable[[Session, Any], Change]] = {
    e.PublishBegan: lambda s, v: {"publish_began": v.at, "closed_meanwhile": None},
    e.PublishFailed: _publish_failed,
    e.PullRequestPublished: _published,
    e.PullRequestClosed: _closed,
    e.PullRequestReviewed: with_said,
    e.LineCommented: with_said,
    e.LineCommentDeleted: lambda s, v: without_comment(s, v.comment),
    e.ReviewDismissed: lambda s, v: with_dismissed(s, v.review),
    e.CheckFinished: lambda s, v: with_check(s.checks, v),
}
