"""Where the two lower floors are joined: what a worker, the upkeep and the web process share.

The only place below `bot/app.py` that knows which provider, which forge and which agents the settings mean. A worker
calls `configure` once, before it forks; every job then opens its own `workshop`. Where one process does many jobs at a
time, they have one between them (`shared`).
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
from jobs.hints import Hints
from jobs.image_records import Image
from jobs.inbox import Inbox
from jobs.queue import Queue
from jobs.recipe_choices import Suited, suited
from jobs.session import Rules, Session
from jobs.settings import JobSettings
from jobs.settings_modal import reachable_from_afar
from jobs.store import Store
from jobs.wants import Operation
from sandbox import agents
from sandbox.ledger import Ledger
from sandbox.local import LocalProvider
from sandbox.modal import ModalProvider
from sandbox.modal_place import ModalPlace
from sandbox.provider import Provider
from sandbox.side_by_side import HERE, SideBySide, named, place_of
from sandbox.unisolated import UnisolatedProvider


@dataclass(frozen=True)
class Workshop:
    """Everything that an operation needs."""

    settings: JobSettings
    store: Store
    inbox: Inbox
    queue: Queue
    provider: SideBySide
    forge: Forge
    clock: Callable[[], float] = time.time

    def place(self, repository: str | None) -> str:
        """Where boxes of this repository run."""
        return self.settings.place(repository)

    def box_name(self, repository: str, name: str) -> str:
        """A name for a box of this repository, which says where it is."""
        return named(self.place(repository), name)

    def isolated(self, repository: str) -> bool:
        """Whether there is a wall around boxes of this repository."""
        return self.place(repository) != HERE or not self.settings.unisolated

    def gateway_address(self, repository: str) -> str:
        """Where the runner of a box of this repository finds the gateway, as docs/wire.md writes it."""
        if self.place(repository) != HERE:
            return self.settings.public_url
        return "unix:/run/gateway" if self.isolated(repository) else f"unix:{self.settings.gateway_dir}"

    async def newest_image(self, repository: str) -> Image | None:
        """The newest image of this repository that is where its boxes run."""
        return await newest_of(self.store, self.settings, repository)

    async def ask_for(self, session: Session, operation: Operation) -> None:
        """Ask a worker of the right queue for an operation on this session."""
        await ask_for(self.queue, self.settings, session, operation)

    def agent(self, name: str, model: str = "") -> dict[str, Any]:
        """The greeting's `agent` object of the row with this name. `model`: another one than the settings name."""
        return _agent(self.settings, name, model)

    def fit(self, repository: str, name: str, model: str = "") -> str:
        """As what an agent of this name is started now; a warm box that was started otherwise serves nobody."""
        return fit_of(self.settings, repository, name, model)


async def ask_for(queue: Queue, settings: JobSettings, session: Session, operation: Operation) -> None:
    """Put an operation where its box is, or will be."""
    starts = operation.kind == "start" or session.box is None
    place = settings.place(session.repository) if starts else place_of(session.box or "")
    await queue.enqueue(session.id, operation, place)


def fit_of(settings: JobSettings, repository: str, name: str, model: str) -> str:
    """A short name of everything that an agent is started with; empty if it cannot be started."""
    place = settings.place(repository)
    try:
        started = (wire.NEWEST, settings.unisolated if place == HERE else place, _agent(settings, name, model))
    except ValueError:
        return ""
    return hashlib.sha256(json.dumps(started, sort_keys=True).encode()).hexdigest()[:16]


def fit_for(settings: JobSettings, session: Session) -> str:
    """As what a warm box must have been started for this session; empty: none will do, for it begins elsewhere."""
    repository = session.repository or ""
    usual = session.base_branch == settings.base_branch(repository)
    return fit_of(settings, repository, session.agent, session.model) if usual else ""


def _agent(settings: JobSettings, name: str, model: str) -> dict[str, Any]:
    return agents.greeting_agent(agents.row(name), model or settings.model, settings.agent_command, settings.speaking)


async def suit_for(store: Store, settings: JobSettings, repository: str) -> Suited:
    """What the recipe of this repository chooses."""
    image = await newest_of(store, settings, repository)
    return suited(settings, repository, image.made_by if image is not None else None)


async def newest_of(store: Store, settings: JobSettings, repository: str) -> Image | None:
    """The newest image of this repository that is where its boxes run."""
    good = await store.images.good(repository)
    return next((image for image in good if place_of(image.snapshot) == settings.place(repository)), None)


_configured: JobSettings | None = None
_shared: Workshop | None = None


def configure(settings: JobSettings) -> None:
    """Say once, before any job runs, which settings the jobs of this process go by."""
    global _configured
    _configured = settings


@asynccontextmanager
async def shared() -> AsyncIterator[Workshop]:
    """One workshop for all jobs of this process, which run on one loop: what it has open is opened once."""
    global _shared
    async with workshop() as shop:
        _shared = shop
        try:
            yield shop
        finally:
            _shared = None


@asynccontextmanager
async def workshop(settings: JobSettings | None = None) -> AsyncIterator[Workshop]:
    """Open everything that operations need, and close it again; a job gets the shared one, if there is one."""
    if settings is None and _shared is not None:
        yield _shared
        return
    chosen = settings or _configured
    if chosen is None:
        raise RuntimeError("jobs.wiring.configure() was not called in this process")
    store = await Store.open(chosen.redis_url, archive=chosen.data_dir / "archive")
    boxes = places(chosen, store.ledger)
    chosen = chosen.model_copy(update={"rules": _bounded(chosen, boxes)})
    queue = Queue(chosen.redis_url)
    hints = Hints(partial(ask_for, queue, chosen))
    try:
        yield Workshop(
            settings=chosen,
            store=store,
            inbox=Inbox(
                store, hints.give, chosen.rules, fit=partial(fit_for, chosen), suit=partial(suit_for, store, chosen)
            ),
            queue=queue,
            provider=boxes,
            forge=forge(chosen),
        )
    finally:
        await hints.given()
        await boxes.close()
        await store.close()
        await queue.close()


def _bounded(settings: JobSettings, boxes: Provider) -> Rules:
    """The rules, with boxes that do not get older than any of their places lets them, and of which whoever takes one
    that has waited has half its life at least."""
    rules = settings.rules
    longest = min(rules.box_seconds, boxes.longest_seconds or rules.box_seconds)
    return rules.model_copy(update={"box_seconds": longest, "warm_seconds": min(rules.warm_seconds, longest / 2)})


def places(settings: JobSettings, ledger: Ledger) -> SideBySide:
    """Every place where boxes may be."""
    found: dict[str, Provider] = {HERE: provider(settings)}
    modal = modal_place(settings)
    if modal is not None:
        found["modal"] = ModalProvider(modal, ledger)
    return SideBySide(found)


def modal_place(settings: JobSettings) -> ModalPlace | None:
    """Modal as the settings have it; None: it is not set up."""
    told = settings.modal
    if told.token_id is None or told.token_secret is None or not reachable_from_afar(settings.public_url):
        return None
    return ModalPlace(
        told.token_id.get_secret_value(),
        told.token_secret.get_secret_value(),
        settings.public_url,
        app=told.app,
        environment=told.environment or None,
        region=told.region or None,
        more_hosts=told.hosts,
        ca=settings.ca_file.read_bytes() if settings.ca_file is not None else b"",
        agents=(settings.agent, *told.agents),
        cores=told.cores,
        box_seconds=told.box_seconds,
        creates=told.creates,
        server_url=told.server_url or None,
    )


def provider(settings: JobSettings) -> Provider:
    """This machine as a place for boxes."""
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
