"""What comes of a session's pull request: brought up to date by workers; closed, reviewed and commented on by
people on the forge, checked by programs.

Pure; `jobs/decide.py` asks.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jobs import commands
from jobs import commands_checks as checks
from jobs import commands_reviews as reviews
from jobs import events as e
from jobs.checks import is_news
from jobs.commands import Refused
from jobs.events import Event
from jobs.reviews import DISMISSED, comment_of, is_full, review_of
from jobs.session import Rules, Session
from jobs.wants import publish_is_under_way


def _begin(s: Session, _c: commands.BeginPublish, now: float, rules: Rules) -> tuple[Event, ...]:
    if not s.publishable:
        raise Refused("there is nothing to publish")
    if publish_is_under_way(s, now, rules):
        raise Refused("another worker is at the pull request")
    return (e.PublishBegan(at=now, head=s.head),)


def _finish(s: Session, c: commands.FinishPublish, now: float, _: Rules) -> tuple[Event, ...]:
    shown = s.pull_request
    if shown is not None and (shown.number, shown.head, shown.described) == (c.number, c.head, c.described):
        return ()
    opened = c.opened or shown is None or shown.number != c.number
    published = e.PullRequestPublished(
        at=now, number=c.number, url=c.url, head=c.head, opened=opened, described=c.described, state=c.state
    )
    told = shown is not None and (shown.number, shown.state) == (c.number, c.state)
    if c.state == "open" or told or _is_heard(s, c.number, merged=c.state == "merged"):
        return (published,)
    return (published, e.PullRequestClosed(at=now, number=c.number, merged=c.state == "merged"))


def _is_heard(s: Session, number: int, *, merged: bool) -> bool:
    """Whether the forge told this while a worker was at the pull request."""
    heard = s.closed_meanwhile
    return heard is not None and heard.number == number and (heard.merged or not merged)


def _fail(s: Session, c: commands.FailPublish, now: float, _: Rules) -> tuple[Event, ...]:
    """A worker that took too long may fail where another one has not."""
    if not s.unpublished:
        return ()
    retry_at = None if c.delay is None else now + c.delay
    return (e.PublishFailed(at=now, head=c.head, reason=c.reason, retry_at=retry_at),)


def _close(s: Session, c: commands.ClosePullRequest, now: float, _: Rules) -> tuple[Event, ...]:
    pull, news = s.pull_request, (e.PullRequestClosed(at=now, number=c.number, merged=c.merged, by=c.by),)
    if pull is None or pull.number != c.number:  # it may be the one that a worker has just opened
        return news if s.publish_began is not None and not _is_heard(s, c.number, merged=c.merged) else ()
    if pull.state == "merged":
        return ()
    if pull.state == "closed" and not c.merged:  # it may have been opened again, of which nobody tells us, and merged
        return ()
    return news


def _review(s: Session, c: commands.ReviewPullRequest, now: float, _: Rules) -> tuple[Event, ...]:
    """New words of a review that a prompt took to the agent already are told once more."""
    known = review_of(s, c.review)
    if not _is_shown(s, c.number) or (c.edited and known is None and not c.words):
        return ()
    if known is not None and (not c.edited or known.words == c.words):
        return ()
    reviewed = e.PullRequestReviewed(
        at=now, number=c.number, verdict=c.verdict, by=c.by, words=c.words, review=c.review, edited=c.edited
    )
    return (reviewed,)


def _comment(s: Session, c: reviews.CommentOnLines, now: float, _: Rules) -> tuple[Event, ...]:
    """Of more comments than are kept, only the number is, whatever they say later."""
    known = comment_of(s, c.comment)
    if not _is_shown(s, c.number) or (known is not None and (not c.edited or known.words == c.words)):
        return ()
    if c.comment in s.comments_left_out and (not c.edited or is_full(s)):
        return ()
    words = c.words if known is not None or not is_full(s) else ""
    commented = e.LineCommented(
        at=now, number=c.number, comment=c.comment, by=c.by, where=c.where, words=words,
        review=c.review, reply=c.reply, edited=c.edited,
    )  # fmt: skip
    return (commented,)


def _delete(s: Session, c: reviews.DeleteLineComment, now: float, _: Rules) -> tuple[Event, ...]:
    return (e.LineCommentDeleted(at=now, number=c.number, comment=c.comment),) if _is_shown(s, c.number) else ()


def _dismiss(s: Session, c: reviews.DismissReview, now: float, _: Rules) -> tuple[Event, ...]:
    known = review_of(s, c.review)
    if not _is_shown(s, c.number) or (known is not None and known.verdict == DISMISSED):
        return ()
    return (e.ReviewDismissed(at=now, number=c.number, review=c.review, by=c.by),)


def _check(s: Session, c: checks.FinishCheck, now: float, _: Rules) -> tuple[Event, ...]:
    """What is said of an older commit, or of one that is not on record yet, is about no work that waits here."""
    pull = s.pull_request
    if c.head != s.head or (pull is not None and pull.state != "open"):
        return ()
    finished = e.CheckFinished(
        at=now, head=c.head, check=c.check, name=c.name, conclusion=c.conclusion, passed=c.passed, run=c.run,
        url=c.url, words="" if c.passed else c.words, number=pull.number if pull is not None else 0,
    )  # fmt: skip
    return (finished,) if is_news(s.checks, finished) else ()


def _is_shown(s: Session, number: int) -> bool:
    return s.pull_request is not None and s.pull_request.number == number


DECIDE_PULLS: Mapping[type[Any], Callable[[Session, Any, float, Rules], tuple[Event, ...]]] = {
    commands.BeginPublish: _begin,
    commands.FinishPublish: _finish,
    commands.FailPublish: _fail,
    commands.ClosePullRequest: _close,
    commands.ReviewPullRequest: _review,
    reviews.CommentOnLines: _comment,
    reviews.DeleteLineComment: _delete,
    reviews.DismissReview: _dismiss,
    checks.FinishCheck: _check,
}
