"""What events are made of: people, places, prompts, commits, as frozen records; and what every event has. Pure.

`jobs/events.py` has all events, and these names too; everybody else reads them there.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Outcome = Literal["done", "stopped", "failed", "timed_out", "interrupted", "paused"]
StartKind = Literal["cold", "image", "snapshot", "warm"]
ModelTrouble = Literal["", "overloaded", "unreachable"]


class Frozen(BaseModel):
    """A record that cannot be changed and that ignores fields of newer versions.

    A text with half a character in it is refused (only where texts have a limit are they looked at): it could be
    neither kept nor sent, and whoever brought it would bring it again and again.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", str_max_length=1 << 24)


class Author(Frozen):
    """A person. `id` is the client's own id (a Slack user id); `email` is the one that commits carry."""

    id: str
    name: str
    email: str

    @property
    def signature(self) -> str:
        """`Name <email>`, as git writes it."""
        return f"{self.name} <{self.email}>"


class Place(Frozen):
    """Where a session was asked for. `thread` is its first message's id; `private`: members only; `link`: to it."""

    client: str
    team: str
    channel: str
    thread: str
    private: bool = False
    link: str = ""


class Attachment(Frozen):
    """A file that came with a prompt: its name, and where the client keeps it."""

    name: str
    mimetype: str = ""
    url: str = ""
    bytes: int = 0


class Lineage(Frozen):
    """Where a session comes from that an agent started: its parent, and the session that a person opened, its root.

    `depth`: 1 for a session that the root started. `number`: how people name it in the root's thread.
    """

    parent: str
    root: str
    depth: int
    number: int


class Prompt(Frozen):
    """What a person asked. `id` is its message's identity, so one message is one prompt however often it comes.

    `report_of`: not a person's words but what the child of this number has come to; `author` is whom it works for.
    `before`: what people had said to each other in its thread when it opened the session, `name: words`, or in reviews
    of the pull request since the prompt before, and what was asked before and given up.
    """

    id: str
    author: Author
    text: str
    attachments: tuple[Attachment, ...] = ()
    received_at: float = 0.0
    report_of: int = 0
    before: tuple[str, ...] = ()


class Commit(Frozen):
    """One commit of a turn; `author` and `co_authors` are `Name <email>`."""

    sha: str
    subject: str
    author: str
    co_authors: tuple[str, ...] = ()


class PlanEntry(Frozen):
    """One line of the agent's plan."""

    text: str
    status: Literal["pending", "in_progress", "completed"] = "pending"


class Fact(Frozen):
    """What every event has."""

    seq: int = 0
    at: float
