"""Webhooks of the forge: signed as GitHub signs them, sent in the background, and kept so that a failure can be seen.

`bot/playground/forge.py` sends them. Like GitHub, it tries once: a receiver that was down looks at the API afterwards.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

log = logging.getLogger(__name__)
ANSWER_SECONDS = 10.0
KEPT = 200


@dataclass(frozen=True)
class Delivery:
    """One webhook that was sent. `status` 0: nobody answered, `error` says why. `at`: seconds since the epoch."""

    id: str
    event: str
    action: str
    url: str
    at: float
    status: int
    error: str

    @property
    def failed(self) -> bool:
        """Whether the receiver did not take it."""
        return not 200 <= self.status < 300


class Hooks:
    """One receiver. `url` empty: webhooks are off."""

    def __init__(self, url: str, secret: str) -> None:
        self.url = url
        self._secret = secret
        self.deliveries: deque[Delivery] = deque(maxlen=KEPT)
        self._under_way: set[asyncio.Task[None]] = set()

    def send(self, event: str, payload: Mapping[str, Any]) -> None:
        """Deliver in the background."""
        if not self.url:
            return
        body = json.dumps(payload).encode()
        action = str(payload.get("action", ""))
        task = asyncio.get_running_loop().create_task(self._deliver(event, action, body))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def settled(self) -> None:
        """Until everything that was to be sent has been answered or has failed."""
        while self._under_way:
            await asyncio.gather(*self._under_way)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _deliver(self, event: str, action: str, body: bytes) -> None:
        delivery, at, url = str(uuid.uuid4()), time.time(), self.url
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/playground",
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery,
            "X-GitHub-Hook-ID": "1",
            "X-Hub-Signature-256": signature(self._secret, body),
        }
        status, error = 0, ""
        try:
            timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
                error = "" if status < 300 else (await answer.text(errors="replace"))[:300]
        except (aiohttp.ClientError, OSError, TimeoutError) as failed:
            error = f"{type(failed).__name__}: {failed}"
        done = Delivery(delivery, event, action, url, at, status, error)
        self.deliveries.append(done)
        if done.failed:
            log.warning("webhook %s %s to %s failed: %s %s", event, action, url, status, error)


def signature(secret: str, body: bytes) -> str:
    """The value of X-Hub-Signature-256."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
