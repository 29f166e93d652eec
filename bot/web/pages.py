"""The read-only page of a session, behind a signed link.

`bot/app.py` adds its routes. The page shows the same view as the thread, with the whole transcript. What people, models
and repositories said is escaped; the agent's words are Markdown without HTML, and its links are only web addresses.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import jinja2
from aiohttp import web
from markupsafe import Markup

from bot.cards import BudgetQuestion, Card, Question, ThreadView
from bot.folding import Log
from bot.heading import to_words
from bot.phases import MOMENTS, OUTCOMES, STARTS, dollars, session_phase
from bot.web.admission import Admission, NotShown
from bot.web.below import below
from bot.web.markdown import to_html, web_address
from bot.web.sparing import Sparing
from bot.web.steps import Details
from bot.web.transcripts import Record as TranscriptRecord
from bot.web.transcripts import Transcripts
from bot.web.views import Views
from jobs.session import Session
from jobs.store import Entry
from sandbox.runner.visible import visible

log = logging.getLogger(__name__)
TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
TURN_CHARS = 200_000
LINK = ("expires", "viewer", "signature")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}


class Record(Log, TranscriptRecord, Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def load(self, sid: str) -> Session | None:
        """The session, if there is one."""

    async def stamps(self, sid: str) -> dict[str, float]:
        """When it reached which of `jobs.moments`."""


class ViewPages:
    """GET /view/{sid}, for whom `admission` lets in."""

    def __init__(self, record: Record, admission: Admission) -> None:
        self._record, self._admission = record, admission
        self._views, self._transcripts, self._sparing = Views(record), Transcripts(record), Sparing()
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"person_of": person_of, "instant": instant, "clock": clock}

    @property
    def routes(self) -> list[web.RouteDef]:
        """The page, and the style and script that it asks for."""
        return [web.get("/view/static/{name:session\\.(?:css|js)}", _static), web.get("/view/{sid}", self.view)]

    async def view(self, request: web.Request) -> web.Response:
        """The page of one session, or, with `fragment=1`, only what changes in it; or a page that says why not."""
        sid = request.match_info["sid"]
        try:
            _, viewer = await self._admission.to_session(sid, request.query)
        except NotShown as no:
            return _answer(no.status, self._rendered("error.html", title=no.title, message=no.words, status=no.status))
        link = urlencode({name: request.query[name] for name in LINK if name in request.query})
        fragment = request.query.get("fragment") == "1"
        make = partial(self._made, sid, link, viewer, fragment)
        return _answer(200, await self._sparing.page((sid, link, fragment), make))

    async def _made(self, sid: str, link: str, viewer: str, fragment: bool) -> str:
        """In a thread: agents may say very much, and others get on meanwhile."""
        view, transcript = await self._views.of(sid), await self._transcripts.of(sid)
        stamps, beside = await self._record.stamps(sid), self._admission.links.beside

        def rendered() -> str:
            shown = describe(view, transcript, stamps, link) | family(view.session, lambda one: beside(one, viewer))
            return self._rendered("session.html", session=shown, fragment=fragment)

        return await asyncio.to_thread(rendered)

    def _rendered(self, template: str, **variables: object) -> str:
        return self._templates.get_template(template).render(**variables)


def _answer(status: int, text: str) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)


def describe(
    view: ThreadView, transcript: Iterable[Entry], stamps: Mapping[str, float], link: str = ""
) -> dict[str, Any]:
    """The template's `session`, made of a view, its transcript, its stamps, and the query of the link to it. Pure."""
    session = view.session
    return {
        "id": session.id,
        "title": to_words(session.title) or (view.cards[0].text if view.cards else session.id),
        "status": "paused" if session.paused is not None and session.turn is None else str(session.status),
        "status_text": session_phase(view),
        "live": view.busy,
        "repository": session.repository or "",
        "branch": session.branch,
        "thread": web_address(session.place.link),
        "pull_request": _pull_request(view),
        "cost": _dollars(sum(card.cost or 0.0 for card in view.cards)),
        "budgets": [_budget(asked) for asked in view.budgets if not asked.answer],
        "participants": [person.name for person in session.participants],
        "isolated": session.isolated,
        "question": _question(view.question),
        "moments": _moments(stamps),
        "start": STARTS[session.start] if session.start else "",
        "turns": _turns(view, transcript, link),
    }


def family(session: Session, link: Callable[[str], str]) -> dict[str, Any]:
    """What the template shows of the sessions that this one comes from and that were started for it. Pure."""
    return {
        "number": session.lineage.number if session.lineage is not None else 0,
        "root": link(session.root) if session.lineage is not None else "",
        "children": [
            {
                "number": child.number,
                "repository": child.repository,
                "task": child.task,
                "state": OUTCOMES[child.outcome] if child.outcome is not None else "Working",
                "view": link(child.id),
                "pull_request": child.pull_request,
                "url": web_address(child.url),
            }
            for child in session.children
        ],
    }


def _question(asked: Question | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    return {"reason": asked.reason, "options": asked.options, "answer": asked.answer, "by": asked.by}


def _moments(stamps: Mapping[str, float]) -> list[dict[str, Any]]:
    """What there is to tell of the session's beginning, in the order in which it happened."""
    received = stamps.get("received")
    told = sorted((at, name) for name, at in stamps.items() if name in MOMENTS)
    return [
        {"words": MOMENTS[name], "at": at, "after": "" if received is None else f"{max(0.0, at - received):.2f} s"}
        for at, name in told
    ]


def _budget(asked: BudgetQuestion) -> str:
    """The question for money; it is answered in the thread."""
    return f"Used {dollars(asked.used)} for the model. Go on with {dollars(asked.more)} more? Answer in the thread."


def _dollars(amount: float) -> str:
    return dollars(amount) if amount > 0 else ""


def _pull_request(view: ThreadView) -> dict[str, Any] | None:
    shown = view.session.pull_request
    return None if shown is None else {"number": shown.number, "url": web_address(shown.url), "state": shown.state}


def _turns(view: ThreadView, entries: Iterable[Entry], link: str) -> list[dict[str, Any]]:
    """In the order of the log, each with what came below it. The newest has its details first: a page has an end."""
    by_turn: dict[int | None, list[Entry]] = {}
    for entry in entries:
        by_turn.setdefault(entry.turn, []).append(entry)
    details, numbered = Details(), list(enumerate(view.cards, 1))
    turns = [_turn(n, card, view, by_turn.get(card.turn, []), details) for n, card in reversed(numbered)][::-1]
    return [turn | {"below": parts} for turn, parts in zip(turns, below(view, link), strict=True)]


def _turn(number: int, card: Card, view: ThreadView, mine: list[Entry], details: Details) -> dict[str, Any]:
    summary = next((ending.summary for ending in view.endings if ending.turn == card.turn), "")
    said = _said(mine)
    return {
        "number": number,
        "author": card.author.name,
        "report_of": card.report_of,
        "by_agent": card.by_agent,
        "prompt": card.text,
        "attachments": list(card.attachments),
        "asked": card.asked,
        "edited": card.edited,
        "state": card.state,
        "phase": card.phase,
        "began": card.began,
        "cost": _dollars(card.cost or 0.0),
        "ended": card.ended,
        "plan": [{"text": entry.text, "status": entry.status} for entry in card.plan],
        "steps": details.steps(mine)
        or [{"title": step, "exit": 0, "output": "", "changes": []} for step in card.steps],
        "html": to_html(said[:TURN_CHARS] or summary),
        "commits": [
            {"sha": c.sha, "subject": c.subject, "author": c.author, "co_authors": list(c.co_authors)}
            for c in card.commits
        ],
        "outcome": card.outcome or ("withdrawn" if card.state == "withdrawn" else ""),
        "error": card.error,
    }


def _said(entries: Iterable[Entry]) -> str:
    """The agent's words; what it said after doing something else is a paragraph of its own."""
    words, doing = "", False
    for entry in entries:
        if entry.kind != "text":
            doing = True
            continue
        words += ("\n\n" if doing and words else "") + _word(entry)
        doing = False
    return words


def _word(entry: Entry) -> str:
    said = entry.body.get("text")
    return said if isinstance(said, str) else ""


def shown(value: object) -> object:
    """What a template puts on the page: words only with the characters that people see."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def person_of(signature: str) -> str:
    """The name in `Name <email>`."""
    return signature.partition(" <")[0].strip() or signature


def instant(seconds: float) -> str:
    """As the page's script and `<time>` want it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def clock(seconds: float) -> str:
    """For a page without its script, which would say it in the reader's own zone."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M UTC")


async def _static(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(STATIC / request.match_info["name"], headers={"X-Content-Type-Options": "nosniff"})
