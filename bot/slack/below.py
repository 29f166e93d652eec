"""What of the floor below the desk needs, as it names it: the record, the door, the repositories.

`desk.py`, `answers.py` and `app.py` are given these; `bot/app.py` says what they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bot.folding import Log
from bot.slack.calls import Budgets
from jobs.commands import Choice, Command
from jobs.session import Session
from jobs.store_histories import Histories
from jobs.store_recent import RecentSessions


class DeskRecord(Budgets, Log, Protocol):
    """What of the record is needed here: `jobs.store.Store` has it."""

    async def load(self, sid: str) -> Session | None:
        """The session, if there is one."""

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        """Take or keep a name for so long; False if somebody else has it."""

    async def release(self, name: str, owner: str) -> None:
        """Give it back."""

    @property
    def histories(self) -> Histories:
        """What became of all sessions, as the upkeep has last counted it."""

    @property
    def recent(self) -> RecentSessions:
        """Which sessions people have asked for last."""

    async def stamp(self, sid: str, name: str, at: float) -> None:
        """Note when something happened for the first time."""


class Door(Protocol):
    """The floor below: `jobs.inbox.Inbox` is one."""

    async def handle(self, sid: str, command: Command) -> Session:
        """Follow a command; raises `jobs.commands.Refused`."""


@dataclass(frozen=True)
class Repositories:
    """Which repository a text means, the base branch of one by its name (None: not enabled), and all that there are."""

    choose: Callable[[str], Choice]
    base_branch: Callable[[str], str | None]
    enabled: tuple[str, ...] = ()
