"""What may be asked of a session because of its model: trouble with it, and the budget. Records; pure.

Part of `jobs/commands.py`, where everybody reads them; `jobs/decide_spending.py` says what comes of each. The model
gateway gives them, people who answer for the budget, and `jobs/children.py`, which passes that answer on.
"""

from dataclasses import dataclass

from jobs.events import Author, ModelTrouble


@dataclass(frozen=True)
class SeeModelRequest:
    """The model gateway saw a request with tools from this generation's box."""

    generation: int


@dataclass(frozen=True)
class TellModelTrouble:
    """The model of this generation's box gives trouble, or "": it does not any more."""

    generation: int
    trouble: ModelTrouble


@dataclass(frozen=True)
class TellModelRefusal:
    """The model's provider refuses our key or account: a person has to act, as `note` says."""

    generation: int
    note: str


@dataclass(frozen=True)
class ReachBudget:
    """The session has used up its budget: pause, and ask people for `more`. Dollars.

    `generation`: of the box that asked; None: it was a child's, and the session itself may be at rest.
    """

    generation: int | None
    used: float
    limit: float
    more: float


@dataclass(frozen=True)
class RaiseBudget:
    """Somebody pressed "go on" under the question that event number `asked` is."""

    by: Author
    asked: int


@dataclass(frozen=True)
class DeclineBudget:
    """Somebody pressed "no" there."""

    by: Author
    asked: int


@dataclass(frozen=True)
class FollowBudget:
    """To a child: its root's question for money was answered so."""

    by: Author
    raised: bool


SpendingCommand = (
    SeeModelRequest | TellModelTrouble | TellModelRefusal | ReachBudget | RaiseBudget | DeclineBudget | FollowBudget
)
