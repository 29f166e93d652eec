"""What the forge's webhooks say of reviews of a pull request and of comments on it. Pure; `bot/github.py` asks.

https://docs.github.com/webhooks/webhook-events-and-payloads#pull_request_review, `#pull_request_review_comment` and
`#issue_comment`, which is what comments under a pull request are: they name neither branch nor commit. The
forge tells a review and each of its comments by itself, in any order; a comment that somebody makes alone is a review
too, which says nothing itself. The words of people who belong to the repository count; those of programs, our own app
among them, never do, so that none of them answers another for ever.
"""

from collections.abc import Mapping
from typing import Any

from jobs.commands import Command, ReviewPullRequest
from jobs.commands_reviews import CommentOnLines, DeleteLineComment, DismissReview
from jobs.events import DiffLines
from sandbox.runner.visible import visible

UNDER = "issue_comment"  # the forge's event for comments under a pull request
TOLD = (
    "review",
    "comment",
    "pull_request",
    "check_run",
    "check_suite",
)  # the parts of a webhook that say when something happened
LOGIN_CHARS, VERDICT_CHARS, WORDS_CHARS, PATH_CHARS, CODE_CHARS = 100, 40, 2_000, 300, 200
ASSOCIATES = ("OWNER", "MEMBER", "COLLABORATOR")  # whose words count: anybody may review what is public
LINES_MOST = 1 << 31
NUMBERS_MOST = 1 << 63


def said_of(event: str, payload: Mapping[str, Any], number: int) -> Command | None:
    """What somebody said of pull request `number`; None if it is nothing to us."""
    match event, payload.get("action"):
        case "pull_request_review", "submitted":
            return _review(payload, number, edited=False)
        case "pull_request_review", "edited":
            return _review(payload, number, edited=True) if _has_new_words(payload) else None
        case "pull_request_review", "dismissed":
            review = number_in(part(payload, "review"), "id")
            return DismissReview(number, review, login(part(payload, "sender"))) if review else None
        case (("pull_request_review_comment" | "issue_comment"), "created"):
            return _comment(event, payload, number, edited=False)
        case (("pull_request_review_comment" | "issue_comment"), "edited"):
            return _comment(event, payload, number, edited=True) if _has_new_words(payload) else None
        case (("pull_request_review_comment" | "issue_comment"), "deleted"):
            gone = part(payload, "comment")
            return (
                DeleteLineComment(number, number_in(gone, "id")) if _belongs(gone) and number_in(gone, "id") else None
            )
    return None


def login(account: Mapping[str, Any]) -> str:
    """What somebody is called on the forge."""
    return visible(text(account, "login"))[:LOGIN_CHARS]


def part(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object of this name; {} if it is none."""
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def text(found: Mapping[str, Any], name: str) -> str:
    """The text of this name; "" if it is none."""
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _review(payload: Mapping[str, Any], number: int, *, edited: bool) -> Command | None:
    """A program's verdict is one; what it says beside that is not."""
    review = part(payload, "review")
    verdict = visible(text(review, "state")).lower()[:VERDICT_CHARS]
    program = _is_program(review) or _is_program_at_work(payload)
    if program and (edited or verdict == "commented"):
        return None
    words = _words(review) if _belongs(review) and not program else ""
    by = login(part(review, "user")) or login(part(payload, "sender"))
    return ReviewPullRequest(number, verdict, by, words, number_in(review, "id"), edited)


def _comment(event: str, payload: Mapping[str, Any], number: int, *, edited: bool) -> Command | None:
    comment, under = part(payload, "comment"), event == UNDER
    id_, words, where = number_in(comment, "id"), _words(comment), DiffLines(path="") if under else _lines(comment)
    if not (id_ and words and (under or where.path) and _belongs(comment)) or _is_program_at_work(payload):
        return None
    review, reply = number_in(comment, "pull_request_review_id"), bool(number_in(comment, "in_reply_to_id"))
    return CommentOnLines(number, id_, login(part(comment, "user")), where, words, review, reply, edited)


def _belongs(said: Mapping[str, Any]) -> bool:
    """Whether somebody said it whose words count."""
    return text(said, "author_association") in ASSOCIATES and not _is_program(said)


def _is_program(said: Mapping[str, Any]) -> bool:
    return text(part(said, "user"), "type") == "Bot"


def _is_program_at_work(payload: Mapping[str, Any]) -> bool:
    """Whether a program did it, if only to what a person had said."""
    return text(part(payload, "sender"), "type") == "Bot"


def _has_new_words(payload: Mapping[str, Any]) -> bool:
    return "body" in part(payload, "changes")


def _lines(comment: Mapping[str, Any]) -> DiffLines:
    """Where it stands. Of one whose lines are not in the diff any more, where it stood."""
    path = one_line(text(comment, "path"))[:PATH_CHARS]
    last = number_in(comment, "line", LINES_MOST) or number_in(comment, "original_line", LINES_MOST)
    if not last or text(comment, "subject_type") == "file":
        return DiffLines(path=path)
    first = number_in(comment, "start_line", LINES_MOST) or number_in(comment, "original_start_line", LINES_MOST)
    hunk = text(comment, "diff_hunk").rstrip("\n").rpartition("\n")[2]
    code = "" if hunk.startswith("@@") else one_line(hunk[1:])[:CODE_CHARS]
    return DiffLines(path=path, first=first, last=last, old=text(comment, "side") == "LEFT", code=code)


def _words(said: Mapping[str, Any]) -> str:
    words = visible(text(said, "body")).strip()
    return words if len(words) <= WORDS_CHARS else words[: WORDS_CHARS - 1] + "…"


def one_line(words: str) -> str:
    """Somebody's words on one line."""
    return " ".join(visible(words).split("\n")).strip()


def number_in(found: Mapping[str, Any], name: str, most: int = NUMBERS_MOST) -> int:
    """The positive number of this name; 0 if it is none."""
    value = found.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < most else 0
