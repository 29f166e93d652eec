"""What the forge says of comments on a session's pull request, and of reviews that count no more, as records. Pure.

Part of `jobs/commands.py`; `jobs/decide_pulls.py` says what comes of each.
"""

from dataclasses import dataclass

from jobs.events import DiffLines


@dataclass(frozen=True)
class CommentOnLines:
    """Somebody who belongs to the repository commented on lines, or under the pull request. `comment` and `review`: the
    forge's numbers of it, and of the review that it is part of, 0 if there is none; `edited`: it was there before."""

    number: int
    comment: int
    by: str
    where: DiffLines
    words: str
    review: int = 0
    reply: bool = False
    edited: bool = False


@dataclass(frozen=True)
class DeleteLineComment:
    """The comment of this number is not there any more."""

    number: int
    comment: int


@dataclass(frozen=True)
class DismissReview:
    """The review of this number counts for nothing any more."""

    number: int
    review: int
    by: str


ReviewCommand = CommentOnLines | DeleteLineComment | DismissReview
