"""What reviewers said on the forge that no prompt has taken to the agent yet: reviews, and comments. Pure.
What checks found (`jobs/checks.py`) goes the same way.

`jobs/fold_pulls.py` keeps it in the session, `jobs/decide_pulls.py` asks what is known already, and `jobs/decide.py`
gives it to the next prompt. A review and its comments come one by one, in any order.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from jobs import checks
from jobs import events as e
from jobs.session import Session

Said = e.PullRequestReviewed | e.LineCommented
DISMISSED = "dismissed"  # the verdict of a review that counts for nothing
COMMENTS, ROOM = 100, 20_000  # so many comments, and characters in all, wait for a prompt
LEFT_OUT = 1_000  # so many of those beyond are known by their number, so that none is counted twice
SILENT = 20  # so many reviews that say nothing themselves: anybody may make them, and they take no room


def review_of(s: Session, review: int) -> e.PullRequestReviewed | None:
    """The review of this number, if it waits for a prompt."""
    of_it = (said for said in s.reviews if isinstance(said, e.PullRequestReviewed) and said.review == review > 0)
    return next(of_it, None)


def comment_of(s: Session, comment: int) -> e.LineCommented | None:
    """The comment of this number, if it waits for a prompt."""
    return next((said for said in s.reviews if isinstance(said, e.LineCommented) and said.comment == comment), None)


def is_full(s: Session) -> bool:
    """Whether as many comments wait as are kept."""
    return sum(isinstance(said, e.LineCommented) for said in s.reviews) >= COMMENTS


def with_said(s: Session, said: Said) -> dict[str, Any]:
    """What waits, this among it: in the place of what it said before, and as many of the newest as have room."""
    if isinstance(said, e.LineCommented) and not said.words:
        return _with_left_out(s, s.reviews, [said])
    before = review_of(s, said.review) if isinstance(said, e.PullRequestReviewed) else comment_of(s, said.comment)
    if before is not None:  # the agent knows nothing of the earlier words: these are not new ones to it
        said = said.model_copy(update={"edited": before.edited})
    all_of_it = [said if one is before else one for one in s.reviews] if before is not None else [*s.reviews, said]
    kept = _newest(all_of_it)
    return _with_left_out(s, kept, [one for one in all_of_it if one.words and one not in kept])


def with_dismissed(s: Session, review: int) -> dict[str, Any]:
    """What waits once this review is dismissed: what it says is still said. One that was taken is worked on by now."""
    known = review_of(s, review)
    if known is None:
        return {}
    now = known.model_copy(update={"verdict": DISMISSED})
    return {"reviews": tuple(now if one is known else one for one in s.reviews)}


def _with_left_out(s: Session, kept: tuple[Said, ...], more: list[Said]) -> dict[str, Any]:
    """`kept` waits, and `more` is left out: each comment is counted once, and none that waits by now."""
    waiting = {one.comment for one in kept if isinstance(one, e.LineCommented)}
    before = [number for number in s.comments_left_out if number not in waiting]
    more = [one for one in more if isinstance(one, e.PullRequestReviewed) or one.comment not in before]
    numbers = (*before, *(one.comment for one in more if isinstance(one, e.LineCommented)))
    count = s.reviews_left_out - (len(s.comments_left_out) - len(before)) + len(more)
    return {"reviews": kept, "reviews_left_out": count, "comments_left_out": numbers[-LEFT_OUT:]}


def _newest(all_of_it: list[Said]) -> tuple[Said, ...]:
    room, silent, kept = ROOM, SILENT, list[Said]()
    for one in reversed(all_of_it):
        room -= len(_telling(one)) if one.words else 0
        silent -= not one.words
        if room < 0:
            break
        if one.words or silent >= 0:
            kept.append(one)
    return tuple(reversed(kept))


def without_comment(s: Session, comment: int) -> dict[str, Any]:
    """What waits once this comment is deleted."""
    numbers = tuple(number for number in s.comments_left_out if number != comment)
    return {
        "reviews": tuple(one for one in s.reviews if one is not comment_of(s, comment)),
        "reviews_left_out": s.reviews_left_out - (len(s.comments_left_out) - len(numbers)),
        "comments_left_out": numbers,
    }


def after_prompt(s: Session, before: Sequence[str]) -> dict[str, Any]:
    """What waits once a prompt came: one that took anything `before` it took all of it."""
    if tellings(s) and not before:
        return {}
    return {"reviews": (), "reviews_left_out": 0, "comments_left_out": ()} | checks.all_told(s.checks)


def tellings(s: Session) -> tuple[str, ...]:
    """What waits, as the agent is told it: each review, its comments after it in the order of their lines; checks."""
    reviews: dict[tuple[int, int], list[Said]] = defaultdict(list)
    for n, said in enumerate(s.reviews):
        reviews[(said.review, 0) if said.review else (0, n)].append(said)
    told = [_telling(said) for review in reviews.values() for said in _in_order(review)]
    if s.reviews_left_out:
        told.append(f"reviewers made {s.reviews_left_out} more comments, for which there was no room here")
    return (*told, *checks.tellings(s.checks, s.head))


def _in_order(review: list[Said]) -> list[Said]:
    """A review that says nothing itself is told only if it judges what its comments are about."""
    comments = sorted(
        (said for said in review if isinstance(said, e.LineCommented)),
        key=lambda one: (one.where.path, one.where.last, one.comment),
    )
    whole = [said for said in review if isinstance(said, e.PullRequestReviewed)]
    return [*(one for one in whole if one.words or (comments and one.verdict != "commented")), *comments]


def _telling(said: Said) -> str:
    pull = f"pull request #{said.number}"
    if isinstance(said, e.PullRequestReviewed):
        did = "changed a review of" if said.edited else "reviewed"
        what = f"{said.by} {did} {pull} ({said.verdict.replace('_', ' ')})"
    else:
        did = "changed" if said.edited else "replied to" if said.reply else ""
        says = "which end with" if said.where.several else "which says"
        code = f", {says} `{said.where.code}`" if said.where.code else ""
        where = f"{said.where.label} of {pull}" if said.where.path else pull
        what = f"{said.by} {did + ' a comment' if did else 'commented'} on {where}{code}"
    return f"{what}{' to' if said.edited else ''}: {said.words}" if said.words else what
