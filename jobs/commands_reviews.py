"""What the forge says of comments on lines of a session's pull request, as records. Pure.

Part of `jobs/commands.py`; `jobs/decide_pulls.py` says what comes of each.
"""

from dataclasses import dataclass

from jobs.events import DiffLines


@dataclass(frozen=True)
class CommentOnLines:
    """Somebody who belongs to the repository commented on lines. `comment` and `review`: the forge's numbers of it, and
    of the review that it is part of, 0 if there is none; `edited`: it was there before."""

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


ReviewCommand = CommentOnLines | DeleteLineComment
