"""What a tool of the agent is: a row with a name, words for the agent, a form for its arguments, and a handler.

`tools_….py` are tables of such rows; `tools.py` serves them. A handler is given a `Call` and its checked arguments and
returns what the agent reads; it raises `ToolRefused` with a sentence that the agent can act on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from bot.gateway.bells import Bells
from bot.settings import BotSettings
from jobs.inbox import Inbox
from jobs.records import Grant
from jobs.session import Session
from jobs.store import Store

Answer = str | dict[str, Any]
Diff = Callable[[str, str, str], Awaitable[str]]  # of a repository, from a branch, to a branch


class ToolRefused(Exception):
    """What was asked for cannot be done; the message says why, and what to do instead."""


class Arguments(BaseModel):
    """Base of every tool's arguments: what it does not know is refused, so that a slip of the agent is seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Call(NamedTuple):
    """Whose call it is (`grant`, and `session` as it was a moment ago) and what a handler may use. Whoever waits does
    so for a bell, and no more once `leaving` is set: the gateway closes. `diff`: what a branch of a repository changes
    against another one."""

    grant: Grant
    session: Session
    store: Store
    inbox: Inbox
    settings: BotSettings
    clock: Callable[[], float]
    bells: Bells
    leaving: asyncio.Event
    diff: Diff


class Tool(NamedTuple):
    """One tool. `description` teaches the agent when to use it; `only_looks`: it changes nothing."""

    name: str
    description: str
    arguments: type[Arguments]
    handler: Callable[[Call, Any], Awaitable[Answer]]
    only_looks: bool = False
