"""What a session's page shows below its turns: questions, files and notices, each below the turn that it came in. Pure.

`pages.py` gives them to its template, so that the page is read from its top to its end, as the thread is.
"""

from collections.abc import Sequence
from typing import Any

from bot.cards import Asked, Card, Notice, SharedFile, ThreadView
from bot.web.files import PICTURES
from bot.web.markdown import to_html, web_address

Part = dict[str, Any]


def below(view: ThreadView, link: str) -> list[list[Part]]:
    """For each card, what came once its turn had begun and before the next one did. `link`: the page's own query."""
    asked = [(one.at, _asked(one)) for one in view.asked]
    files = [(one.at, _file(one, view.session.id, link)) for one in view.files]
    notices = [(one.at, _notice(one)) for one in view.notices]
    parts: list[list[Part]] = [[] for _ in view.cards]
    for at, part in sorted([*asked, *files, *notices], key=lambda timed: timed[0]):
        parts[_turn_at(view.cards, at)].append(part)
    return parts


def _turn_at(cards: Sequence[Card], at: float) -> int:
    """The one that had begun last by then; the first, if none had."""
    begun = [(card.began, n) for n, card in enumerate(cards) if card.began is not None and card.began <= at]
    return max(begun, default=(at, 0))[1]


def _asked(one: Asked) -> Part:
    state = "answered" if one.answer is not None else "withdrawn" if one.withdrawn else "open"
    words = {"question": one.question, "options": one.options, "answer": one.answer, "by": one.by}
    return {"kind": "asked", "id": one.id, "state": state, **words}


def _file(file: SharedFile, sid: str, link: str) -> Part:
    shown = {"address": f"/view/{sid}/file/{file.id}?{link}", "picture": file.mimetype in PICTURES}
    return {"kind": "file", "id": file.id, "name": file.name, "title": file.title, **shown}


def _notice(notice: Notice) -> Part:
    words = {"text": notice.text, "label": notice.label, "url": web_address(notice.url), "quote": to_html(notice.quote)}
    review = notice.review
    comments = [
        {
            "where": one.where.label,
            "code": one.where.code,
            "marks": one.marks,
            "words": to_html(one.words),
        }
        for one in (review.comments if review is not None else ())
    ]
    checks = [
        {"name": line.name, "url": web_address(line.url), "ended": "passed" if line.passed else "failed"}
        for line in (notice.checks.lines if notice.checks is not None else ())
    ]
    said = {"checks": checks, "comments": comments, "left_out": review.left_out if review is not None else 0}
    return {"kind": "notice", "id": notice.id, "at": notice.at, **words, **said}
