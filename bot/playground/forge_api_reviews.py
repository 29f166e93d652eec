"""Reviews and comments on lines in the forge's REST API. Listed in `forge_api.py`.

The pages to compare with are https://docs.github.com/en/rest/pulls/reviews and `…/comments`.
Of reviews that are begun and submitted later this forge knows nothing.
"""

from typing import Any

from aiohttp import web

from bot.playground import forge_reviews
from bot.playground.forge_json import Json
from bot.playground.forge_records import LineComment, Refusal, Review
from bot.playground.forge_request import Asked, Handler
from bot.playground.forge_reviews import OnLines

PULLS = "/repos/{owner}/{name}/pulls"
PULL = PULLS + "/{number:\\d+}"
COMMENT = PULLS + "/comments/{comment:\\d+}"


async def list_reviews(asked: Asked) -> web.Response:
    """The verdicts, oldest first."""
    repository, pull = asked.repository, asked.pull
    return asked.page_of([asked.shapes.review(repository, pull, review) for review in pull.reviews])


async def create_review(asked: Asked) -> web.Response:
    """A verdict, with comments on lines."""
    repository, wish, number = asked.writable, await asked.body(), asked.pull.number
    event, body, comments = str(wish.get("event") or "COMMENT"), str(wish.get("body") or ""), wish.get("comments") or []
    if not isinstance(comments, list) or not all(isinstance(one, dict) for one in comments):
        raise Refusal(422, "Invalid request.")
    on_lines = [_on_lines(one) for one in comments]
    by = asked.known.login
    review = await forge_reviews.review(asked.forge, repository.full_name, number, by, event, body, on_lines)
    return _review(asked, review)


async def update_review(asked: Asked) -> web.Response:
    """Let it say something else."""
    repository, wish, number = asked.writable, await asked.body(), asked.pull.number
    review, body = int(asked.request.match_info["review"]), str(wish.get("body") or "")
    changed = await forge_reviews.edit_review(
        asked.forge, repository.full_name, number, review, asked.known.login, body
    )
    return _review(asked, changed)


async def list_comments(asked: Asked) -> web.Response:
    """The comments on lines, of all reviews or of one; oldest first."""
    repository, pull, review = asked.repository, asked.pull, asked.request.match_info.get("review")
    some = [one for one in pull.line_comments if review is None or one.review == int(review)]
    return asked.page_of([asked.shapes.line_comment(repository, pull, one) for one in some])


async def create_comment(asked: Asked) -> web.Response:
    """One comment, or a reply."""
    wish = await asked.body()
    replied = asked.request.match_info.get("comment")
    return await _say(asked, {**wish, "in_reply_to": int(replied)} if replied else wish)


async def get_comment(asked: Asked) -> web.Response:
    """One comment."""
    repository = asked.repository
    pull, comment = forge_reviews.found_comment(repository, int(asked.request.match_info["comment"]))
    return web.json_response(asked.shapes.line_comment(repository, pull, comment))


async def edit_comment(asked: Asked) -> web.Response:
    """Let it say something else."""
    repository, wish, comment = asked.writable, await asked.body(), int(asked.request.match_info["comment"])
    body = str(wish.get("body") or "")
    await forge_reviews.edit_comment(asked.forge, repository.full_name, comment, asked.known.login, body)
    return await get_comment(asked)


async def delete_comment(asked: Asked) -> web.Response:
    """Take it away."""
    repository, comment = asked.writable, int(asked.request.match_info["comment"])
    await forge_reviews.delete_comment(asked.forge, repository.full_name, comment, asked.known.login)
    return web.Response(status=204)


async def _say(asked: Asked, wish: Json) -> web.Response:
    repository, number = asked.writable, asked.pull.number
    comment: LineComment = await forge_reviews.comment_on_lines(
        asked.forge, repository.full_name, number, asked.known.login, _on_lines(wish)
    )
    return web.json_response(asked.shapes.line_comment(asked.repository, asked.pull, comment), status=201)


def _review(asked: Asked, review: Review) -> web.Response:
    return web.json_response(asked.shapes.review(asked.repository, asked.pull, review))


def _on_lines(wish: Json) -> OnLines:
    """What was sent, with GitHub's defaults. Raises Refusal 422."""
    reply, start, side = wish.get("in_reply_to"), wish.get("start_line"), wish.get("side") or "RIGHT"
    path, line = wish.get("path"), wish.get("line")
    fields: dict[str, tuple[Any, bool]] = {
        "in_reply_to": (reply, reply is None or isinstance(reply, int)),
        "path": (path, reply is not None or isinstance(path, str)),
        "line": (line, reply is not None or isinstance(line, int)),
        "start_line": (start, start is None or isinstance(start, int)),
        "side": (side, side in ("LEFT", "RIGHT")),
    }
    errors = tuple(
        {"resource": "PullRequestReviewComment", "code": "missing_field" if value is None else "invalid", "field": name}
        for name, (value, is_right) in fields.items()
        if not is_right
    )
    if errors:
        raise Refusal(422, "Validation Failed", errors)
    old = side == "LEFT"
    return OnLines(
        str(wish.get("body") or ""), str(path or ""), int(line or 0), start, "LEFT" if old else "RIGHT", reply
    )


REVIEW_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", PULL + "/reviews", list_reviews),
    ("POST", PULL + "/reviews", create_review),
    ("PUT", PULL + "/reviews/{review:\\d+}", update_review),
    ("GET", PULL + "/reviews/{review:\\d+}/comments", list_comments),
    ("GET", PULL + "/comments", list_comments),
    ("POST", PULL + "/comments", create_comment),
    ("POST", PULL + "/comments/{comment:\\d+}/replies", create_comment),
    ("GET", COMMENT, get_comment),
    ("PATCH", COMMENT, edit_comment),
    ("DELETE", COMMENT, delete_comment),
)
