"""What the stand-in workspace remembers, as records that go to its journal and back.

`workspace_state.py` holds them, `workspace.py` changes them, `workspace_shapes.py` shows them as Slack does. Times are
seconds since the epoch; a `ts` is Slack's own form of them and names a message within its channel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Json = dict[str, Any]
Kind = Literal["channel", "group", "im", "mpim"]


class Refusal(Exception):
    """The workspace says no, in Slack's own word; `more` goes into the answer beside it."""

    def __init__(self, error: str, more: Mapping[str, Any] | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.more = dict(more or {})


@dataclass(frozen=True)
class Account:
    """Somebody of a workspace, or a bot. `stranger`: at home in another workspace."""

    id: str
    name: str
    real_name: str
    email: str = ""
    team: str = ""
    bot_id: str = ""
    app_id: str = ""
    stranger: bool = False

    @property
    def is_bot(self) -> bool:
        """Whether no person is behind it."""
        return bool(self.bot_id)


class Record(BaseModel):
    """Frozen; changed by making another."""

    model_config = ConfigDict(frozen=True)


class Channel(Record):
    """A place where people talk. `shared`: with people of another workspace."""

    id: str
    name: str
    kind: Kind = "channel"
    creator: str = ""
    created: float = 0.0
    members: tuple[str, ...] = ()
    topic: str = ""
    archived: bool = False
    shared: bool = False

    @property
    def private(self) -> bool:
        """Whether only its members may know it."""
        return self.kind != "channel"


class Reaction(Record):
    """An emoji under a message, and who put it there."""

    name: str
    users: tuple[str, ...]


class Edit(Record):
    """Who changed a message last, and when."""

    user: str
    ts: str


class Message(Record):
    """Words in a channel. `thread_ts`: the root of the thread that it is in; a root alone has none of its own."""

    channel: str
    ts: str
    user: str
    text: str = ""
    blocks: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()
    thread_ts: str = ""
    broadcast: bool = False
    subtype: str = ""
    bot_id: str = ""
    client_msg_id: str = ""
    files: tuple[str, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    edited: Edit | None = None
    metadata: Json | None = None

    @property
    def root(self) -> str:
        """The ts of the message that its thread begins with."""
        return self.thread_ts or self.ts

    @property
    def is_reply(self) -> bool:
        """Whether it answers another message."""
        return self.root != self.ts


class File(Record):
    """A file. `complete`: it was uploaded and shared."""

    id: str
    name: str
    title: str
    mimetype: str
    size: int
    user: str
    created: float
    complete: bool = False
    channels: tuple[str, ...] = ()


class AgentSession(Record):
    """What an agent says of its work in a thread."""

    channel: str
    thread_ts: str
    status: str
    title: str = ""
    initiator: str = ""


class Delivery(Record):
    """Something that the app must be told. `id` is the event's own; only events are kept."""

    id: str
    type: Literal["events_api", "interactive", "slash_commands"]
    payload: Json
