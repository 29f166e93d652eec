"""Webhooks of the forge: verified, understood, and put on record. https://docs.github.com/webhooks

`bot/app.py` adds the route. What comes is untrusted until its signature was checked, and even then only says something
about a session whose own pull request or branch it names. A delivery that could not be recorded is answered with 500 or
503, and the forge shows it as failed. One that comes twice says nothing new: it is known by its signed body, for
anybody can write a header. What happened longer ago than bodies are remembered is not believed, so that none can be
kept for later.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from aiohttp import web

from bot.github_checks import EVENTS, check_of, has_notes, with_notes
from bot.github_reviews import TOLD, UNDER, login, number_in, part, said_of, text
from jobs.commands import ClosePullRequest, Command, Refused, Unreadable
from jobs.commands_checks import FinishCheck
from jobs.github import ForgeDown, ForgeRefused
from jobs.seals import session_in
from jobs.session import Session

log = logging.getLogger(__name__)
BODY_BYTES = 5 << 20
NOTES_SECONDS = 5.0  # the forge waits ten for our answer
SEEN_SECONDS = 3 * 86_400.0
HEARD = (
    "pull_request", "pull_request_review", "pull_request_review_comment", "issue_comment",
    "check_run", "check_suite", "status",
)  # fmt: skip
TIMES = ("submitted_at", "updated_at", "completed_at")
_OURS = re.compile(r"shipmate/([A-Za-z0-9_-]{1,64})")


class Door(Protocol):
    """The floor below: `jobs.inbox.Inbox` is one."""

    async def handle(self, sid: str, command: Command) -> Session:
        """Follow a command; raises `jobs.commands.Refused`."""


class Record(Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def load(self, sid: str) -> Session | None:
        """The session, if there is one."""

    async def remember(self, key: str, value: str, seconds: float) -> bool:
        """Keep a small fact for a while, unless it is kept already."""

    async def recall(self, key: str) -> str | None:
        """A fact that is kept."""


Notes = Callable[[str, int], Awaitable[Sequence[str]]]  # what a run of a check of this repository says of lines


class GitHubEvents:
    """POST /github/events."""

    def __init__(
        self, secret: str, door: Door, record: Record, notes: Notes, clock: Callable[[], float] = time.time
    ) -> None:
        self._secret, self._door, self._record, self._clock = secret.encode(), door, record, clock
        self._notes = notes

    @property
    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.post("/github/events", self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """Verify, understand, record, answer."""
        body = await _body(request)
        if body is None:
            return web.Response(status=413, text="The payload is too large.\n")
        if not is_signed(self._secret, body, request.headers.get("X-Hub-Signature-256", "")):
            return web.Response(
                status=401, text="The signature is wrong: GITHUB_WEBHOOK_SECRET must be the webhook's.\n"
            )
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):
            return web.Response(status=400, text="The payload is not JSON.\n")
        event, seen = request.headers.get("X-GitHub-Event", ""), f"github:delivery:{hashlib.sha256(body).hexdigest()}"
        found = understand(event, payload) if isinstance(payload, dict) else None
        if found is not None and await self._record.recall(seen) is None:  # of most there is nothing to remember
            try:
                await self._record_it(event, payload, *found)
            except Unreadable:  # the record has logged which file, and what to do
                return web.Response(status=202, text="Taken, but its session cannot be read: the log says why.\n")
            await self._record.remember(seen, "1", SEEN_SECONDS)
        return web.Response(status=202, text="Taken.\n")

    async def _record_it(
        self, event: str, payload: Mapping[str, Any], sid: str, repository: str, command: Command
    ) -> None:
        if self._clock() - when(payload) > SEEN_SECONDS:
            log.warning("refused a webhook about something that happened days ago")
            return
        session = await self._record.load(sid)
        if session is None or (session.repository or "").lower() != repository.lower():
            return
        if isinstance(command, FinishCheck) and command.head == session.head and has_notes(event, payload):
            command = command if command.passed else await self._with_notes(repository, command)
        try:
            await self._door.handle(sid, command)
        except Refused as refused:
            log.info("session %s: %s", sid, refused)

    async def _with_notes(self, repository: str, check: FinishCheck) -> FinishCheck:
        """With what it says of lines, which only the forge can tell; if it does not, that it failed is still told."""
        try:
            async with asyncio.timeout(NOTES_SECONDS):
                return with_notes(check, await self._notes(repository, check.run))
        except (ForgeDown, ForgeRefused, TimeoutError) as trouble:
            log.warning("what a check of %s says of lines is not known: %s", repository, str(trouble) or "no answer")
            return check


async def _body(request: web.Request) -> bytes | None:
    raw = bytearray()
    async for piece in request.content.iter_chunked(1 << 16):
        raw += piece
        if len(raw) > BODY_BYTES:
            return None
    return bytes(raw)


def is_signed(secret: bytes, body: bytes, signature: str) -> bool:
    """Whether the forge signed this body with our secret."""
    right = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(right.encode(), signature.encode("utf-8", "surrogatepass"))


def when(payload: Mapping[str, Any]) -> float:
    """When that happened which a webhook tells: the last time it names; now and for ever, if none. Pure."""
    told = [part(payload, name).get(field) for name in TOLD for field in TIMES]
    told.append(payload.get("updated_at"))  # of a status
    return max((at for at in map(_moment, told) if at is not None), default=float("inf"))


def _moment(told: object) -> float | None:
    try:
        return datetime.fromisoformat(str(told)).timestamp()
    except (ValueError, OverflowError):
        return None


def understand(event: str, payload: Mapping[str, Any]) -> tuple[str, str, Command] | None:
    """Whose session a webhook is about, in which repository, and what it says; None if it is not for us. Pure."""
    repository = part(payload, "repository").get("full_name")
    if not isinstance(repository, str):
        return None
    if event == UNDER:
        found = _under_pull(payload)
    else:
        found = check_of(event, payload) if event in EVENTS else _of_pull(event, payload, repository)
    branches, command = found if found is not None else ((), None)
    ours = next((branch for name in branches if (branch := _OURS.fullmatch(name))), None)
    return None if ours is None or command is None else (ours[1], repository, command)


def _under_pull(payload: Mapping[str, Any]) -> tuple[Sequence[str], Command] | None:
    """What is said under a pull request. Whose it is stands at the end of its words: a hint only, for anybody may have
    changed them, and the session that it leads to knows the number of its own."""
    issue = part(payload, "issue")
    number, named = number_in(issue, "number"), session_in(text(issue, "body"))
    if not part(issue, "pull_request") or not number or named is None:
        return None
    command = said_of(UNDER, payload, number)
    return None if command is None else ([f"shipmate/{named}"], command)


def _of_pull(event: str, payload: Mapping[str, Any], repository: str) -> tuple[Sequence[str], Command] | None:
    pull = part(payload, "pull_request")
    head, number = part(pull, "head"), pull.get("number")
    if part(head, "repo").get("full_name") != repository or not isinstance(number, int) or isinstance(number, bool):
        return None
    command = _command(event, payload, pull, number)
    return None if command is None else ([text(head, "ref")], command)


def _command(event: str, payload: Mapping[str, Any], pull: Mapping[str, Any], number: int) -> Command | None:
    if event == "pull_request" and payload.get("action") == "closed":
        return ClosePullRequest(number, bool(pull.get("merged")), login(part(payload, "sender")))
    return said_of(event, payload, number)
