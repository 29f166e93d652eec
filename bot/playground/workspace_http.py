"""Signed HTTP: the app's own addresses, to which the workspace posts what happened.

`workspace_delivery.py` sends through it once `POST /playground/request-url` (or a test) has told the addresses.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from urllib.parse import urlencode

import aiohttp

from bot.playground.workspace_delivery import Attempt, Outcome, Result
from bot.playground.workspace_records import Json

Headers = dict[str, str]


class SignedHttp:
    """`events` and `actions` are the app's addresses; `secret` signs."""

    def __init__(self, events: str, actions: str, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._events, self._actions, self._secret, self._clock = events, actions, secret, clock

    async def verify(self, verification: str) -> None:
        """Ask the address of the events whether it is the app's. Raises ValueError, in words, if it does not say so."""
        challenge = secrets.token_urlsafe(16)
        body = json.dumps({"token": verification, "challenge": challenge, "type": "url_verification"}).encode()
        try:
            status, _, text = await self._post(self._events, body, {"Content-Type": "application/json"}, 3.0)
        except (aiohttp.ClientError, OSError, TimeoutError) as failed:
            raise ValueError(f"{self._events} does not answer: {type(failed).__name__}") from failed
        if status != 200 or challenge not in text:
            raise ValueError(f"{self._events} did not answer with the challenge, but with {status}.")

    async def try_(self, attempt: Attempt) -> Result:
        """Post once."""
        address, body, headers = self._request(attempt)
        if attempt.number:
            headers |= {"X-Slack-Retry-Num": str(attempt.number), "X-Slack-Retry-Reason": attempt.reason}
        try:
            status, answered, text = await self._post(address, body, headers, attempt.seconds)
        except TimeoutError:
            return Result(Outcome.REFUSED, "http_timeout")
        except (aiohttp.ClientError, OSError):
            return Result(Outcome.REFUSED, "connection_failed")
        if 200 <= status < 300:
            if not attempt.answer.done():
                attempt.answer.set_result(_json(text))
            return Result(Outcome.TAKEN)
        unwanted = answered.get("X-Slack-No-Retry") == "1"
        return Result(Outcome.UNWANTED if unwanted else Outcome.REFUSED, "http_error")

    def _request(self, attempt: Attempt) -> tuple[str, bytes, Headers]:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        if attempt.delivery.type == "slash_commands":
            return self._actions, urlencode(attempt.delivery.payload).encode(), form
        payload = json.dumps(attempt.delivery.payload)
        if attempt.delivery.type == "interactive":
            return self._actions, urlencode({"payload": payload}).encode(), form
        return self._events, payload.encode(), {"Content-Type": "application/json"}

    async def _post(self, address: str, body: bytes, headers: Headers, seconds: float) -> tuple[int, Headers, str]:
        at = str(int(self._clock()))
        signed = headers | {
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": signature(self._secret, at, body),
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        }
        limit = aiohttp.ClientTimeout(total=seconds)
        async with (
            aiohttp.ClientSession(timeout=limit) as http,
            http.post(address, data=body, headers=signed, allow_redirects=False) as answer,
        ):
            given = {name.title(): value for name, value in answer.headers.items()}
            return answer.status, given, await answer.text(errors="replace")


def signature(secret: str, at: str, body: bytes) -> str:
    """The value of X-Slack-Signature for a body sent `at` (seconds since the epoch)."""
    return "v0=" + hmac.new(secret.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()


def _json(text: str) -> Json:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {"text": text}
    return found if isinstance(found, dict) else {}
