"""On whose account a request to a model goes, what it may ask for, and what it has cost.

`model.py` asks before it passes a request on, and gives the count when the answer has ended. What is spent is in the
record (`jobs/store_usage.py`); that a budget is reached is a fact of the session's log, and pauses it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from bot.gateway.model_under_way import Expected, UnderWay
from bot.gateway.model_usage import BYTES_OF_TOKEN
from bot.model_prices import PRICES, Price, cost, plain, price_of
from jobs.commands import Command, ReachBudget, Refused
from jobs.records import Grant, Payer, Spent
from jobs.session import Session
from jobs.store_usage import Usage

log = logging.getLogger(__name__)
OTHER = "other"
MICROS = 1_000_000
WORDS_GUESS = 2_000  # tokens of an answer
TOKENS_GUESS = 200_000  # at most: what the windows of most models hold
WAIT_SECONDS = 60.0  # for others that are under way: an agent does not wait for ever


class Record(Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    usage: Usage

    async def load(self, sid: str) -> Session | None:
        """The session, if there is one."""


class Inbox(Protocol):
    """The floor below: `jobs.inbox.Inbox` is one."""

    async def handle(self, sid: str, command: Command) -> Session:
        """Follow a command; raises `jobs.commands.Refused`."""


class NotAllowed(Exception):
    """A request that is not passed on; the message is a sentence for the agent. `status` is HTTP's."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """What a workspace allows. `models`: patterns, none: all; `budget`: dollars of a session, 0: none."""

    models: tuple[str, ...] = ()
    prices: Mapping[str, Price] | None = None
    budget: float = 0.0

    @property
    def must_know_model(self) -> bool:
        """Whether a request that does not show its model can be passed on."""
        return bool(self.models) or self.budget > 0

    def price(self, model: str) -> Price | None:
        """What it costs, if that is known."""
        return price_of(model, self.prices or {})

    def check(self, upstream: str, model: str) -> None:
        """Raise NotAllowed for a model that may not be asked."""
        if self.must_know_model and not model:
            raise NotAllowed(400, "Name the model in the request: this workspace allows some and no others.")
        if self.models and not any(
            fnmatchcase(name, p) for p in self.models for name in (model, f"{upstream}/{model}")
        ):
            allowed = ", ".join(self.models)
            raise NotAllowed(403, f"This workspace does not allow the model {model[:100]}. It allows: {allowed[:500]}.")
        if self.budget and self.price(model) is None:
            said = f"This workspace has a budget, and no price is known for the model {model[:100]}."
            raise NotAllowed(403, f"{said} Whoever runs Shipmate can give one in SHIPMATE_MODEL_PRICES.")


class Accounts:
    """Knows who pays, and counts."""

    def __init__(self, record: Record, inbox: Inbox, limits: Limits) -> None:
        self._record, self._inbox, self.limits = record, inbox, limits
        self._under_way = UnderWay()

    async def session(self, grant: Grant) -> Session | None:
        """The session for which this box works."""
        return await self._record.load(grant.session)

    async def expect(self, grant: Grant, session: Session | None, model: str, size: int) -> Expected:
        """A request of so many bytes that may be passed on now. There is a budget: what is under way counts in advance,
        and where both could cross it this one waits. Raises NotAllowed once it is used up; the session has been paused
        by then, and people are asked."""
        root, micros = _root(session, grant), self._guess(model, size)
        left = await self._left(root, grant, session)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                while self._under_way.of(root) and self._under_way.of(root) + micros > left:
                    await self._under_way.less()
                    left = await self._left(root, grant, session)
        return self._under_way.begin(root, micros)

    def _guess(self, model: str, size: int) -> int:
        """Millionths of a dollar that such a request may cost: nothing of it in the provider's cache, few words out. A
        large one has pictures in it, which are a few tokens for many bytes."""
        price, tokens = self.limits.price(model), min(size // BYTES_OF_TOKEN, TOKENS_GUESS)
        return cost(Spent(input=tokens, output=WORDS_GUESS), price) if price is not None else 0

    async def _left(self, root: str, grant: Grant, session: Session | None) -> float:
        """Millionths of a dollar of the budget. Raises NotAllowed if there is nothing left."""
        used = await self._record.usage.of_budget(root)
        if used < self.limits.budget:
            return (self.limits.budget - used) * MICROS
        family = session if root == grant.session else await self._record.load(root)
        limit = self.limits.budget + (family.raised if family is not None else 0.0)
        if used >= limit:
            asked = await self._pause(root, grant, used, limit)
            limit = self.limits.budget + (asked.raised if asked is not None else 0.0)
        if used >= limit:  # nobody has raised it meanwhile
            raise NotAllowed(402, "The budget of this session is used up. Its people are asked whether it may go on.")
        return (limit - used) * MICROS

    async def _pause(self, root: str, grant: Grant, used: float, limit: float) -> Session | None:
        """Pause the session whose budget it is, and then the child that has asked: never a child alone, for people are
        asked in the name of its root. The session whose budget it is, as it is then; None if there is none."""
        more, of_child = self.limits.budget, root != grant.session
        try:
            asked = await self._inbox.handle(
                root, ReachBudget(None if of_child else grant.generation, used, limit, more)
            )
            if of_child and asked.paused is not None:
                await self._inbox.handle(grant.session, ReachBudget(grant.generation, used, limit, more))
        except Refused as refused:
            log.info("%s is not paused: %s", root, refused)
            return None
        return asked

    async def count(self, payer: Payer, model: str, spent: Spent, told: float | None) -> None:
        """One request has ended. `told`: dollars, if the provider said so itself."""
        price = self.limits.price(model)
        micros = round(told * MICROS) if told is not None else None if price is None else cost(spent, price)
        await self._record.usage.count(payer, self._named(model), spent._replace(micros=micros))

    def _named(self, model: str) -> str:
        """The model as the totals name it. Boxes choose what they call a model, so only known names count."""
        name = plain(model)
        return name if name in PRICES or self.limits.price(model) is not None and len(name) < 60 else OTHER


def payer(grant: Grant, session: Session | None) -> Payer:
    """Who pays for what this box asks now."""
    turn = session.turns if session is not None else 0
    person = session.turn.prompt.author.id if session is not None and session.turn is not None else ""
    return Payer(grant.session, _root(session, grant), turn, person, grant.repository)


def _root(session: Session | None, grant: Grant) -> str:
    """The session whose budget a box spends: its own, or that of the session from which all of its kin come."""
    return grant.session if session is None else session.root
