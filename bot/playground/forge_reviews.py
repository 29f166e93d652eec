"""Reviews of pull requests, and the comments on lines of the diff that they are made of.

Called by `forge_api_reviews.py` and `forge_pages.py`, and by tests. As on GitHub a comment that somebody makes alone,
or a reply, is a review of its own that says nothing itself; and a review is told by a webhook for it and one for each
of its comments. `by` is always a login.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from bot.playground import forge_diff
from bot.playground.forge import Forge
from bot.playground.forge_diff import FileDiff, Line
from bot.playground.forge_pulls import keep
from bot.playground.forge_records import LineComment, PullRequest, Refusal, Repository, Review

VERDICTS: Mapping[str, Literal["APPROVED", "CHANGES_REQUESTED", "COMMENTED"]] = {
    "APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED",
}  # fmt: skip


class OnLines(NamedTuple):
    """What somebody says on lines of the diff, from `start` to `line`; `reply_to`: on those of another comment."""

    body: str
    path: str = ""
    line: int = 0
    start: int | None = None
    side: Literal["LEFT", "RIGHT"] = "RIGHT"
    reply_to: int | None = None


async def review(
    forge: Forge, repository: str, number: int, by: str, event: str, body: str = "", on_lines: Sequence[OnLines] = ()
) -> Review:
    """A verdict: APPROVE, REQUEST_CHANGES or COMMENT, with comments on lines. Raises Refusal 404 or 422."""
    async with forge.lock(repository):
        pull = forge.repository(repository).pull(number)
        _refuse_review(pull, by, event, body, on_lines)
        files = forge_diff.parse(*await forge.bare(repository).diff(pull.base_sha, pull.head_sha)) if on_lines else []
        given, made = await _made(forge, repository, pull, by, event, body, [_found(pull, files, x) for x in on_lines])
    known = forge.repository(repository)
    _tell_review(forge, known, known.pull(number), given, "submitted", by)
    for comment in made:
        _tell_comment(forge, known, known.pull(number), comment, "created", by)
    return given


async def comment_on_lines(forge: Forge, repository: str, number: int, by: str, said: OnLines) -> LineComment:
    """One comment, or a reply. Raises Refusal 404 or 422."""
    given = await review(forge, repository, number, by, "COMMENT", on_lines=[said])
    return next(one for one in forge.repository(repository).pull(number).line_comments if one.review == given.id)


async def edit_comment(forge: Forge, repository: str, comment: int, by: str, body: str) -> LineComment:
    """Let a comment say something else. Raises Refusal 404 or 422."""
    if not body.strip():
        raise _invalid("body", "missing_field")
    async with forge.lock(repository):
        known = forge.repository(repository)
        pull, before = found_comment(known, comment)
        now = time.time()
        after = before.model_copy(update={"body": body, "edited_at": now})
        comments = tuple(after if one.id == comment else one for one in pull.line_comments)
        changed = pull.model_copy(update={"line_comments": comments, "updated_at": now})
        await keep(forge, known, changed)
    _tell_comment(forge, known, changed, after, "edited", by, changes={"body": {"from": before.body}})
    return after


async def delete_comment(forge: Forge, repository: str, comment: int, by: str) -> None:
    """Take a comment away. Raises Refusal 404."""
    async with forge.lock(repository):
        known = forge.repository(repository)
        pull, gone = found_comment(known, comment)
        left = tuple(one for one in pull.line_comments if one.id != comment)
        changed = pull.model_copy(update={"line_comments": left, "updated_at": time.time()})
        await keep(forge, known, changed)
    _tell_comment(forge, known, changed, gone, "deleted", by)


async def edit_review(forge: Forge, repository: str, number: int, review_id: int, by: str, body: str) -> Review:
    """Let a review say something else. Raises Refusal 404."""
    async with forge.lock(repository):
        known = forge.repository(repository)
        pull = known.pull(number)
        before = next((one for one in pull.reviews if one.id == review_id), None)
        if before is None:
            raise Refusal(404, "Not Found")
        after = before.model_copy(update={"body": body})
        reviews = tuple(after if one.id == review_id else one for one in pull.reviews)
        changed = pull.model_copy(update={"reviews": reviews, "updated_at": time.time()})
        await keep(forge, known, changed)
    _tell_review(forge, known, changed, after, "edited", by, changes={"body": {"from": before.body}})
    return after


def found_comment(repository: Repository, comment: int) -> tuple[PullRequest, LineComment]:
    """A comment on lines, and its pull request. Raises Refusal 404."""
    for pull in repository.pulls:
        for one in pull.line_comments:
            if one.id == comment:
                return pull, one
    raise Refusal(404, "Not Found")


def _refuse_review(pull: PullRequest, by: str, event: str, body: str, on_lines: Sequence[OnLines]) -> None:
    if event not in VERDICTS:
        raise Refusal(422, "Unprocessable Entity", ({"message": "Variable $event is invalid"},))
    if by == pull.author and event != "COMMENT":
        deed = "approve" if event == "APPROVE" else "request changes on"
        raise Refusal(422, "Unprocessable Entity", ({"message": f"Can not {deed} your own pull request"},))
    if event != "APPROVE" and not body.strip() and not on_lines:
        raise Refusal(422, "Unprocessable Entity", ({"message": "Body can not be blank"},))
    if any(not said.body.strip() for said in on_lines):
        raise _invalid("body", "missing_field")


async def _made(
    forge: Forge, repository: str, pull: PullRequest, by: str, event: str, body: str, found: Sequence[LineComment]
) -> tuple[Review, list[LineComment]]:
    """Kept, with numbers of their own; under the lock."""
    known, now = forge.repository(repository), time.time()
    given = Review(
        id=known.next_id, author=by, state=VERDICTS[event], body=body, at=now, commit=pull.head_sha,
    )  # fmt: skip
    own: dict[str, Any] = {"review": given.id, "author": by, "at": now, "edited_at": now}
    made = [one.model_copy(update={**own, "id": given.id + n}) for n, one in enumerate(found, start=1)]
    changed = pull.model_copy(
        update={
            "reviews": (*pull.reviews, given),
            "line_comments": (*pull.line_comments, *made),
            "updated_at": now,
        }
    )
    await keep(forge, known.model_copy(update={"next_id": given.id + len(made) + 1}), changed)
    return given, made


def _found(pull: PullRequest, files: Sequence[FileDiff], said: OnLines) -> LineComment:
    """The comment, where it stands in the diff. Raises Refusal 422 if that is nowhere."""
    fresh: dict[str, Any] = {"id": 0, "review": 0, "author": "", "at": 0.0, "edited_at": 0.0}
    if said.reply_to is not None:
        first = next((one for one in pull.line_comments if one.id == said.reply_to), None)
        if first is None:
            raise _invalid("in_reply_to", "invalid")
        return first.model_copy(update={**fresh, "body": said.body, "reply_to": first.reply_to or first.id})
    lines = next((file.lines for file in files if file.path == said.path), None)
    if lines is None:
        raise _invalid("pull_request_review_thread.path", "invalid")
    hunk = hunk_to(lines, said.line, said.side)
    if not hunk or (said.start is not None and not 0 < said.start < said.line):
        raise _invalid("pull_request_review_thread.line", "custom", "must be part of the diff")
    return LineComment(
        **fresh, body=said.body, path=said.path, line=said.line, start=said.start, side=said.side,
        hunk=hunk, commit=pull.head_sha,
    )  # fmt: skip


def hunk_to(lines: Sequence[Line], number: int, side: str) -> str:
    """The hunk of this line of the diff, up to it; "" if it is not in the diff."""
    begin = 0
    for n, line in enumerate(lines):
        if line.kind == "hunk":
            begin = n
        elif (line.old if side == "LEFT" else line.new) == number:
            return "\n".join(one.text for one in lines[begin : n + 1])
    return ""


def _tell_review(
    forge: Forge, known: Repository, pull: PullRequest, given: Review, action: str, by: str, **more: Any
) -> None:
    shown = {**forge.shapes.review(known, pull, given), "state": given.state.lower(), "body": given.body or None}
    payload = {"action": action, "review": shown, "pull_request": forge.shapes.pull(known, pull), **more}
    forge.tell(known.full_name, "pull_request_review", by, payload)


def _tell_comment(
    forge: Forge, known: Repository, pull: PullRequest, comment: LineComment, action: str, by: str, **more: Any
) -> None:
    shown = forge.shapes.line_comment(known, pull, comment)
    payload = {"action": action, "comment": shown, "pull_request": forge.shapes.pull(known, pull), **more}
    forge.tell(known.full_name, "pull_request_review_comment", by, payload)


def _invalid(field: str, code: str, message: str = "") -> Refusal:
    error = {"resource": "PullRequestReviewComment", "code": code, "field": field}
    return Refusal(422, "Validation Failed", ({**error, "message": f"{field} {message}"} if message else error,))
