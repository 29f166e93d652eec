"""What the record keeps besides events: small frozen records that `jobs/store.py` writes and reads. Pure."""

from typing import Any, NamedTuple

from jobs.session import Session


class Conflict(Exception):
    """Somebody else wrote first: load again and decide again."""


class StaleLink(Exception):
    """What was heard came over a link that is not the newest one any more: attach again."""


class Entry(NamedTuple):
    """One piece of a transcript. `id` is given when it is appended; `body` is the frame without its number."""

    id: str
    at: float
    turn: int
    kind: str
    body: dict[str, Any]


class Fence(NamedTuple):
    """What an append goes by: it counts only while this generation and this epoch are the newest, and while a token of
    this hash allows something, if one is named."""

    generation: int
    epoch: int
    token: str = ""


class Heard(NamedTuple):
    """Frames of a generation that an append stands for: those after number `after`, up to and with `upto`."""

    generation: int
    after: int
    upto: int


class Link(NamedTuple):
    """How far the link of a generation is: its newest epoch, and the last frame that is stored."""

    epoch: int
    acked: int


class Looked(NamedTuple):
    """What somebody who hears frames must know, read in one go."""

    session: Session | None
    link: Link


class Grant(NamedTuple):
    """What the token of a box allows. `purpose`: serve, or build or warm (then without session and branch)."""

    session: str
    box: str
    generation: int
    repository: str
    purpose: str
    branch: str


class Offer(NamedTuple):
    """A warm box that waits for somebody. `fit`: what its agent was started as; `base`: the image that it grew from.

    `token`: its token's hash; `told`: what its runner says of itself, as JSON.
    """

    box: str
    repository: str
    fit: str
    base: str | None
    isolated: bool
    token: str
    told: str


class Unnamed(NamedTuple):
    """A snapshot that is named no more by its owner: a session's id, or a repository for an image."""

    owner: str
    snapshot: str


class Spent(NamedTuple):
    """What requests to models took. Tokens: `input` without what the provider had `cached` or has `written` to its
    cache. `micros`: millionths of a dollar, None if no price is known."""

    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    micros: int | None = None


class Payer(NamedTuple):
    """On whose account a request to a model goes. `root`: the session whose budget it is; `person`: who asked for the
    turn, "" between turns."""

    session: str
    root: str
    turn: int
    person: str
    repository: str
