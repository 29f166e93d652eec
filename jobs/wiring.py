"""Where the two lower floors are joined: what a worker, the upkeep and the web process share.

The only place below `bot/app.py` that knows which provider, which forge and which agents the settings mean. A worker
calls `configure` once, before it forks; every job then opens its own `workshop`.
"""

import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from jobs import wire
from jobs.github import AppKey, Forge
from jobs.inbox import Inbox
from jobs.queue import Queue
from jobs.session import Rules, Session
from jobs.settings import JobSettings
from jobs.store import Store
from sandbox import agents
from sandbox.local import LocalProvider
from sandbox.provider import Provider
from sandbox.unisolated import UnisolatedProvider


@dataclass(frozen=True)
class Workshop:
    """Everything that an operation needs."""

    settings: JobSettings
    store: Store
    inbox: Inbox
    queue: Queue
    provider: Provider
    forge: Forge
    clock: Callable[[], float] = time.time

    @property
    def gateway_address(self) -> str:
        """Where a runner finds the gateway, as docs/wire.md writes it."""
        return f"unix:{self.settings.gateway_dir}" if not self.provider.isolated else "unix:/run/gateway"

    def agent(self, name: str, model: str = "") -> dict[str, Any]:
        """The greeting's `agent` object of the row with this name. `model`: another one than the settings name."""
        return _agent(self.settings, name, model)

    def fit(self, name: str, model: str = "") -> str:
        """As what an agent of this name is started now; a warm box that was started otherwise serves nobody."""
        return fit_of(self.settings, name, model)


def fit_of(settings: JobSettings, name: str, model: str) -> str:
    """A short name of everything that an agent is started with; empty if it cannot be started."""
    try:
        started = (wire.NEWEST, settings.unisolated, _agent(settings, name, model))
    except ValueError:
        return ""
    return hashlib.sha256(json.dumps(started, sort_keys=True).encode()).hexdigest()[:16]


def fit_for(settings: JobSettings, session: Session) -> str:
    """As what a warm box must have been started for this session; empty: none will do, for it begins elsewhere."""
    usual = settings.base_branch(session.repository or "")
    return fit_of(settings, session.agent, session.model) if session.base_branch == usual else ""


def _agent(settings: JobSettings, name: str, model: str) -> dict[str, Any]:
    return agents.greeting_agent(agents.row(name), model or settings.model, settings.agent_command, settings.speaking)


_configured: JobSettings | None = None


def configure(settings: JobSettings) -> None:
    """Say once, before any job runs, which settings the jobs of this process go by."""
    global _configured
    _configured = settings


@asynccontextmanager
async def workshop(settings: JobSettings | None = None) -> AsyncIterator[Workshop]:
    """Open everything that operations need, and close it again."""
    chosen = settings or _configured
    if chosen is None:
        raise RuntimeError("jobs.wiring.configure() was not called in this process")
    place = provider(chosen)
    chosen = chosen.model_copy(update={"rules": _bounded(chosen.rules, place)})
    store = await Store.open(chosen.redis_url, archive=chosen.data_dir / "archive")
    queue = Queue(chosen.redis_url)
    try:
        yield Workshop(
            settings=chosen,
            store=store,
            inbox=Inbox(store, queue.enqueue, chosen.rules, fit=partial(fit_for, chosen)),
            queue=queue,
            provider=place,
            forge=forge(chosen),
        )
    finally:
        await store.close()
        await queue.close()


def _bounded(rules: Rules, place: Provider) -> Rules:
    """The rules, with boxes that do not get older than their place lets them."""
    longest = min(rules.box_seconds, place.longest_seconds or rules.box_seconds)
    return rules.model_copy(update={"box_seconds": longest})


def provider(settings: JobSettings) -> Provider:
    """The provider that the settings choose."""
    if settings.unisolated:
        return UnisolatedProvider(settings.boxes_dir, gateway=settings.gateway_dir, agents=settings.agents_dir)
    places = {"gateway": settings.gateway_dir, "agents": settings.agents_dir}
    return LocalProvider(settings.boxes_dir, **places, ca_file=settings.ca_file)


def forge(settings: JobSettings) -> Forge:
    """The forge that the settings name."""
    if settings.github_app_id is not None and settings.github_app_private_key is not None:
        key = AppKey(settings.github_app_id, settings.github_app_private_key.get_secret_value())
        return Forge(settings.github_api_url, key)
    token = settings.github_token.get_secret_value() if settings.github_token else ""
    return Forge(settings.github_api_url, token)
