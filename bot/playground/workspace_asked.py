"""One call of the Web API: who calls, with what, and what the caller may do. Methods are written against `Asked`.

`workspace_api.py` makes them; the tables in `workspace_api_*.py` say for each method how often and with which scopes it
may be called.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from bot.playground import workspace_people as people
from bot.playground.workspace import Workspace
from bot.playground.workspace_arguments import Arguments
from bot.playground.workspace_limits import TIER_3
from bot.playground.workspace_records import Account, Channel, Json, Message, Refusal

SCOPES = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}
READ = tuple(f"{kind}:read" for kind in SCOPES.values())
HISTORY = tuple(f"{kind}:history" for kind in SCOPES.values())
T = TypeVar("T")


@dataclass(frozen=True)
class Caller:
    """Who a token speaks for. `scopes` None: a person's own client, which may do everything that the person may."""

    kind: Literal["bot", "person", "app"]
    account: Account
    scopes: tuple[str, ...] | None

    @property
    def is_app(self) -> bool:
        """Whether it is a program, and so limited."""
        return self.scopes is not None


@dataclass(frozen=True)
class Asked:
    """A call that is allowed so far."""

    workspace: Workspace
    caller: Caller
    arguments: Arguments

    @property
    def me(self) -> str:
        """The account that calls."""
        return self.caller.account.id

    def require(self, *scopes: str) -> None:
        """Refuse unless the caller has one of these scopes."""
        held = self.caller.scopes
        if held is not None and not set(scopes) & set(held):
            raise Refusal("missing_scope", {"needed": ",".join(scopes), "provided": ",".join(held)})

    def may(self, scope: str) -> bool:
        """Whether the caller has this scope."""
        return self.caller.scopes is None or scope in self.caller.scopes

    def channel(self, name: str = "channel") -> Channel:
        """The channel that is asked about, if the caller may know of it."""
        return self.workspace.state.channel_for(self.me, self.arguments.needed(name))

    def open_channel(self, name: str = "channel") -> Channel:
        """The channel that is to be written in, if the caller may."""
        return self.workspace.state.open_for(self.me, self.arguments.needed(name))

    def readable_channel(self) -> Channel:
        """The channel whose messages are asked for: a bot must be in it."""
        found = self.channel()
        self.require(f"{SCOPES[found.kind]}:history")
        if self.caller.is_app and self.me not in found.members:
            raise Refusal("not_in_channel")
        return found

    def message(self, channel: Channel, name: str = "timestamp") -> Message:
        """The message that is asked about."""
        return self.workspace.state.message(channel.id, self.arguments.needed(name))

    def page_of(self, rows: Sequence[T], default: int = 100, most: int = 1000) -> tuple[list[T], Json]:
        """The asked page of a list, and the `response_metadata` that leads to the next one."""
        size = self.arguments.number("limit", default, most)
        cursor = self.arguments.text("cursor")
        if cursor and not cursor.removeprefix("next:").isdigit():
            raise Refusal("invalid_cursor")
        start = int(cursor.removeprefix("next:")) if cursor else 0
        end = start + size
        return list(rows[start:end]), {"next_cursor": f"next:{end}" if end < len(rows) else ""}


Handler = Callable[[Asked], Json]


@dataclass(frozen=True)
class Method:
    """How a method is answered. `scopes`: one of these is needed; `tier`: calls in a minute."""

    handler: Handler
    scopes: tuple[str, ...] = ()
    tier: int = TIER_3
    callers: tuple[str, ...] = ("bot", "person")


def caller_of(workspace: Workspace, token: str) -> Caller:
    """Who this token speaks for. Refuses: not_authed, invalid_auth."""
    if not token:
        raise Refusal("not_authed")
    tokens = workspace.tokens
    if token == tokens.app:
        return Caller("app", people.BOT, ("connections:write",))
    account = tokens.accounts.get(token)
    if account is None:
        raise Refusal("invalid_auth")
    who = workspace.state.account(account)
    return Caller("bot", who, workspace.manifest.scopes) if who.is_bot else Caller("person", who, None)
