"""Calls of Slack's Web API, within what Slack allows: one table of methods, shared budgets, errors by what to do next.

Everything in `bot/slack` that asks Slack goes through it, and so does `shipmate doctor`. Only methods in `METHODS` can
be called, and `manifest.yml` asks for exactly their scopes. Budgets and pauses after a 429 are in the record, so
that all processes keep them together.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.line import Line
from bot.slack.meanings import Me

log = logging.getLogger(__name__)


Counted = Callable[[str, str], None]  # a method, and what was answered: ok, 429, unsure, or Slack's own word


class Budgets(Protocol):
    """What the record does for us here."""

    async def spend(self, budget: str, capacity: int, per_seconds: float) -> float:
        """0.0: go; else seconds to wait."""

    async def remember(self, key: str, value: str, seconds: float) -> bool:
        """Keep a small fact for a while, unless it is kept already."""

    async def recall(self, key: str) -> str | None:
        """A fact that is kept."""

    async def recall_each(self, *keys: str) -> list[str | None]:
        """Some of them, in one round trip."""


@dataclass(frozen=True)
class Method:
    """How a method is called: its verb, the scopes it needs, and how many calls fit in how many seconds."""

    verb: Literal["GET", "POST"] = "POST"
    scopes: tuple[str, ...] = ()
    calls: int = 7
    seconds: float = 10.0
    by_channel: bool = False


_READ = ("channels:read", "groups:read", "im:read", "mpim:read")
_HISTORY = ("channels:history", "groups:history", "im:history", "mpim:history")
METHODS: Mapping[str, Method] = {
    # 50 a minute: a burst of 7 and 42 a minute stay below it
    "chat.update": Method(scopes=("chat:write",)),
    "chat.postMessage": Method(scopes=("chat:write",), calls=3, seconds=3.0, by_channel=True),
    "views.open": Method(calls=15),
    "views.publish": Method(calls=15),
    "chat.postEphemeral": Method(scopes=("chat:write",), calls=15),
    "agents.sessions.setStatus": Method(scopes=("chat:write",)),
    "assistant.threads.setStatus": Method(scopes=("chat:write",)),
    "files.getUploadURLExternal": Method("GET", ("files:write",), calls=15),
    "files.completeUploadExternal": Method(scopes=("files:write",), calls=15),
    "conversations.replies": Method("GET", _HISTORY),
    "conversations.info": Method("GET", _READ),
    "conversations.members": Method("GET", _READ, calls=15),
    "users.info": Method("GET", ("users:read", "users:read.email"), calls=15),
    "auth.test": Method(calls=20),
}
PAUSE_LOOK_SECONDS = 0.02
PROGRESS = Method(calls=4)  # what edits of running cards may take of chat.update's budget
TOO_FAST = ("ratelimited", "rate_limited")
MAYBE = ("internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org")


class SlackError(Exception):
    """Slack said no, for good; `error` is its own word for why."""

    def __init__(self, method: str, error: str) -> None:
        super().__init__(f"{method}: {error}")
        self.method, self.error = method, error


class Later(SlackError):
    """Not now: the budget is spent, or Slack asked us to wait. Nothing was done."""

    def __init__(self, method: str, seconds: float) -> None:
        super().__init__(method, f"again in {seconds:.1f} s")
        self.seconds = seconds


class Unsure(SlackError):
    """No answer, or a broken one: it may or may not have been done. `under_way`: Slack may be at it still."""

    def __init__(self, method: str, error: str, under_way: bool = False) -> None:
        super().__init__(method, error)
        self.under_way = under_way


class Calls:
    """The Web API of one workspace, as our bot."""

    def __init__(
        self, client: AsyncWebClient, budgets: Budgets, clock: Callable[[], float], app: str, counted: Counted
    ) -> None:
        self._client, self._budgets, self._clock, self._app, self._counted = client, budgets, clock, app, counted
        self._paused: dict[str, float] = {}
        self._line = Line()

    async def who_am_i(self) -> Me:
        """Ask Slack who we are. Raises `SlackError` for a token that Slack does not know."""
        found = await self.call("auth.test")
        return Me(
            team=str(found.get("team_id", "")),
            user=str(found.get("user_id", "")),
            bot=str(found.get("bot_id", "")),
            url=str(found.get("url", "")),
        )

    async def call(
        self, method: str, *, patience: float = 0.0, progress: bool = False, **args: Any
    ) -> Mapping[str, Any]:
        """Call a method, having waited at most `patience` seconds for its budget. `progress`: from the small budget.

        Raises `Later`, `Unsure` or `SlackError`.
        """
        await self.make_room(method, str(args.get("channel", "")), patience, progress)
        return await self.send(method, **args)

    async def send(self, method: str, **args: Any) -> Mapping[str, Any]:
        """As `call`, for somebody who has made room already."""
        try:
            answer = await self._sent(method, args)
        except SlackError as failed:
            self._counted(method, _answer(failed))
            raise
        self._counted(method, "ok")
        return answer

    async def _sent(self, method: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        kind = METHODS[method]
        sent = {name: value for name, value in args.items() if value is not None}
        try:
            asked = {"params": sent} if kind.verb == "GET" else {"json": sent}
            answer = await self._client.api_call(method, http_verb=kind.verb, **asked)
        except SlackApiError as refused:
            raise await self._reason(method, refused) from None
        except (TimeoutError, aiohttp.ClientError, SlackClientError, OSError) as broken:
            sent_at_all = not isinstance(broken, aiohttp.ClientConnectorError)
            raise Unsure(method, f"no answer ({type(broken).__name__})", under_way=sent_at_all) from broken
        return answer.data if isinstance(answer.data, dict) else {}

    async def make_room(self, method: str, channel: str, patience: float, progress: bool = False) -> None:
        """Take one call out of the method's budget, waiting at most `patience` seconds; raises `Later`."""
        kind = METHODS[method]
        until = self._clock() + patience
        budgets = [(f"slack:{self._app}:{method}", kind)]
        if kind.by_channel:
            budgets = [(f"slack:{self._app}:{method}:{channel}", kind)]
        if progress:
            budgets.insert(0, (f"slack:{self._app}:{method}:progress", PROGRESS))
        for key, size in budgets:
            while seconds := await self._seconds_to_wait(method, key, size):
                seconds = self._in_line(key, size, seconds)
                if self._clock() + seconds > until:
                    raise Later(method, seconds)
                await asyncio.sleep(seconds)
            self._line.had_its_turn(key, self._waiter())

    def _in_line(self, key: str, size: Method, seconds: float) -> float:
        """How long the one who asks waits, if it cannot be less than so long."""
        now, apart = self._clock(), size.seconds / size.calls
        return self._line.moment(key, self._waiter(), now=now, earliest=now + seconds, apart=apart) - now

    def _waiter(self) -> object:
        return asyncio.current_task() or self

    async def _seconds_to_wait(self, method: str, key: str, size: Method) -> float:
        paused = await self._budgets.recall(self._pause_key(method))
        until = max(float(paused or 0.0), self._paused.get(method, 0.0))
        left = until - self._clock()
        if paused is not None:  # it ends by the record's clock, and only then can there be another one
            return max(left, PAUSE_LOOK_SECONDS)
        if left > 0:
            return left
        return await self._budgets.spend(key, size.calls, size.seconds)

    async def _reason(self, method: str, refused: SlackApiError) -> SlackError:
        answer = refused.response
        status = int(getattr(answer, "status_code", 0) or 0)
        data = getattr(answer, "data", None)
        error = str(data.get("error", "")) if isinstance(data, dict) else ""
        if status == 429 or error in TOO_FAST:
            seconds = _retry_after(getattr(answer, "headers", {}))
            await self._pause(method, seconds)
            return Later(method, seconds)
        if status >= 500 or not error or error in MAYBE:
            return Unsure(method, error or f"status {status}")
        return SlackError(method, error)

    async def _pause(self, method: str, seconds: float) -> None:
        """Let no process call this method for so long. A pause that is kept already stays; a longer one is ours alone
        until then."""
        until = self._clock() + seconds
        self._paused[method] = max(until, self._paused.get(method, 0.0))
        await self._budgets.remember(self._pause_key(method), str(until), seconds)

    def _pause_key(self, method: str) -> str:
        return f"slack:{self._app}:pause:{method}"


def _answer(failed: SlackError) -> str:
    """What Slack's answer is counted as."""
    if isinstance(failed, Later):
        return "429"
    return "unsure" if isinstance(failed, Unsure) else failed.error[:40]


def _retry_after(headers: Mapping[str, str]) -> float:
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "1")
    try:
        return max(1.0, float(said))
    except ValueError:
        return 1.0
