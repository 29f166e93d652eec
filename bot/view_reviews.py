"""What reviewers say on the forge, as a thread shows it: one notice for a review with all its comments. Pure; part of
`bot/view.py`.

The forge tells a review and each of its comments by itself, in any order, so the notice grows; what is edited or
deleted there is so in the notice.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.cards import LineComment, Notice, Review, ThreadView
from bot.view_notices import how_to_reply, notice, pull_label, pull_url
from jobs import events as e
from jobs.reviews import DISMISSED
from jobs.session import Session

Change = dict[str, Any]
COMMENTED = "commented"


def _reviewed(view: ThreadView, event: e.PullRequestReviewed) -> Change:
    known = _notice_of(view, event.review)
    if known is None or known.review is None:
        return _new_notice(view, event, Review(event.review, event.by, event.verdict), event.words)
    verdict = known.review.verdict if event.edited else event.verdict  # an edit may say "dismissed"
    return _changed(view, known, replace(known.review, verdict=verdict), event.words)


def _commented(view: ThreadView, event: e.LineCommented) -> Change:
    known = _notice_with(view, event.comment) or _notice_of(view, event.review)
    if known is None or known.review is None:
        return _new_notice(view, event, _with_comment(Review(event.review, event.by, COMMENTED), event))
    return _changed(view, known, _with_comment(known.review, event), known.quote)


def _dismissed(view: ThreadView, event: e.ReviewDismissed) -> Change:
    known = _notice_of(view, event.review)
    if known is None or known.review is None:
        return {}
    return _changed(view, known, replace(known.review, verdict=DISMISSED, dismissed_by=event.by), known.quote)


def _deleted(view: ThreadView, event: e.LineCommentDeleted) -> Change:
    known = _notice_with(view, event.comment)
    if known is None or known.review is None:
        return {}
    left = tuple(comment for comment in known.review.comments if comment.id != event.comment)
    return _changed(view, known, replace(known.review, comments=left, deleted=known.review.deleted + 1), known.quote)


def _with_comment(review: Review, event: e.LineCommented) -> Review:
    if not event.words:
        return replace(review, left_out=review.left_out + 1)
    comment = LineComment(event.comment, event.where, event.words, event.reply, event.edited)
    others = [one for one in review.comments if one.id != event.comment]
    in_order = sorted([*others, comment], key=lambda one: (one.where.path, one.where.last, one.id))
    return replace(review, comments=tuple(in_order))


def _notice_of(view: ThreadView, review: int) -> Notice | None:
    """The notice of the review of this number."""
    shown = (one for one in view.notices if one.review is not None and one.review.number == review > 0)
    return next(shown, None)


def _notice_with(view: ThreadView, comment: int) -> Notice | None:
    """The notice that shows the comment of this number."""
    shown = (one for one in view.notices if one.review and any(said.id == comment for said in one.review.comments))
    return next(shown, None)


def _new_notice(
    view: ThreadView, event: e.PullRequestReviewed | e.LineCommented, review: Review, words: str = ""
) -> Change:
    text = _text(view.session, review, words)
    label, url = pull_label(view, event.number), pull_url(view, event.number)
    return notice(view, event.at, text, label=label, url=url, quote=words, review=review)


def _changed(view: ThreadView, known: Notice, review: Review, words: str) -> Change:
    now = replace(known, text=_text(view.session, review, words), quote=words, review=review)
    return {"notices": tuple(now if one is known else one for one in view.notices)}


def _text(session: Session, review: Review, words: str) -> str:
    by, reply = review.by or "somebody", how_to_reply(session)
    things = bool(words) + len(review.comments) + review.left_out
    took_back = review.deleted > 0 and not things
    how = {0: "with what I should change", 1: "and I will take it up"}.get(things, "and I will take it all up")
    verdicts = {
        "approved": f"was approved by {by}.",
        "changes_requested": f"needs changes, says {by}. {reply} {how}.",
        DISMISSED: f"was reviewed by {by}; {review.dismissed_by or 'somebody'} dismissed that.",
        COMMENTED: f"was commented on by {by}, who deleted that." if took_back else f"was commented on by {by}.",
    }
    text = verdicts.get(review.verdict, f"was reviewed by {by}.")
    told_how = review.verdict == "changes_requested" or not (review.comments or review.left_out)
    return text if told_how else f"{text} {reply} {how}."


REVIEW_CHANGES: Mapping[type[e.Fact], Callable[[ThreadView, Any], Change]] = {
    e.PullRequestReviewed: _reviewed,
    e.LineCommented: _commented,
    e.LineCommentDeleted: _deleted,
    e.ReviewDismissed: _dismissed,
}
