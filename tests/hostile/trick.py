"""What a trick of a hostile agent is. The tables are in `tricks.py` and `tricks_of_greed.py`; `play.py` plays them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Trick:
    """One trick. `alone`: it gets a box of its own. `bears`: it may get what it asks for if nobody else is hurt.

    `short`: it is also played by the tests. `person`: a word of what people must be told. `restored`: somebody else
    speaks afterwards, and the box is put to sleep and waked. `mute`: it may not live to tell what came of it.
    """

    name: str
    tried: str
    by: str
    given: dict[str, Any] = field(default_factory=dict)
    log: str | None = None
    alone: bool = False
    bears: bool = False
    short: bool = False
    person: str = ""
    restored: bool = False
    mute: bool = False
