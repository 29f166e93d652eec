"""What may be asked of a session, as records. Pure; `jobs/decide.py` says what comes of each.

The faces, the workers and the upkeep give commands to `jobs/inbox.py`. One that cannot be followed raises `Refused`,
with a sentence for whoever gave it. The other `commands_….py` are parts of it.
"""

from dataclasses import dataclass
from typing import Literal

from jobs import frames as f
from jobs.commands_checks import FinishCheck
from jobs.commands_family import FamilyCommand
from jobs.commands_reviews import ReviewCommand
from jobs.commands_snapshots import SnapshotCommand
from jobs.commands_spending import DeclineBudget as DeclineBudget
from jobs.commands_spending import FollowBudget as FollowBudget
from jobs.commands_spending import RaiseBudget as RaiseBudget
from jobs.commands_spending import ReachBudget as ReachBudget
from jobs.commands_spending import SeeModelRequest as SeeModelRequest
from jobs.commands_spending import SpendingCommand
from jobs.commands_spending import TellModelRefusal as TellModelRefusal
from jobs.commands_spending import TellModelTrouble as TellModelTrouble
from jobs.commands_tools import ToolCommand
from jobs.events import Author, Place, Prompt, StartKind


class Refused(Exception):
    """The command cannot be followed; the message says why and what to do instead."""


class NotYet(Refused):
    """The command comes a moment too early: the same one is right a little later."""


class Unreadable(Refused):
    """What is on record of this session cannot be read, so nothing can be done with it until an operator has acted."""

    def __init__(self, file: str) -> None:
        super().__init__(
            f"I cannot read what I know of this thread: its file in the archive (`{file}`) is broken. Mention me in a"
            " new thread to go on now, and ask whoever runs Shipmate to put the file back from a backup."
        )


@dataclass(frozen=True)
class Choice:
    """Which repository a prompt means: `repository` on `base_branch`, or the `options` to ask for, with the reason.
    `only`: it names one, or tries to, and says nothing else."""

    repository: str | None = None
    base_branch: str = ""
    options: tuple[str, ...] = ()
    reason: str = ""
    only: bool = False


@dataclass(frozen=True)
class Submit:
    """A person asks. Opens the session if it is new, else the prompt joins its queue."""

    session: str
    place: Place
    prompt: Prompt
    choice: Choice
    agent: str


@dataclass(frozen=True)
class EditPrompt:
    """The message of a prompt was edited."""

    prompt_id: str
    text: str


@dataclass(frozen=True)
class WithdrawPrompt:
    """The message of a prompt was deleted."""

    prompt_id: str
    reason: str


@dataclass(frozen=True)
class ChooseRepository:
    """Somebody pressed the button of a repository."""

    repository: str
    base_branch: str
    by: Author


@dataclass(frozen=True)
class Stop:
    """Stop this prompt, waiting or running; without a prompt: whatever runs, and everything that waits."""

    by: Author
    prompt_id: str | None = None


@dataclass(frozen=True)
class BeginStart:
    """A worker takes up the start of a box; `generation` is the one that it saw. `box`: its name, if not the usual."""

    generation: int
    box: str = ""


@dataclass(frozen=True)
class AwaitBox:
    """There are as many boxes as there may be: this session is number `position` of those that wait. 0: no longer."""

    position: int


@dataclass(frozen=True)
class FinishStart:
    """The box is there."""

    generation: int
    box: str
    start: StartKind
    base: str | None
    isolated: bool
    instead: str = ""


@dataclass(frozen=True)
class FailStart:
    """The box could not be made. `delay` in seconds; None: trying again cannot help."""

    generation: int
    reason: str
    delay: float | None


@dataclass(frozen=True)
class BeginPark:
    """A worker takes up the parking of this generation's box. `turn`: which one it saw to run there, 0: none; None: it
    does not matter."""

    generation: int
    turn: int | None = None


@dataclass(frozen=True)
class FinishPark:
    """The box sleeps; `snapshot` is what brings it back."""

    generation: int
    snapshot: str | None


@dataclass(frozen=True)
class FailPark:
    """The box could not be parked; again in `delay` seconds. None: that cannot help, and what the box had is lost."""

    generation: int
    reason: str
    delay: float | None


@dataclass(frozen=True)
class BeginPublish:
    """A worker takes up the pull request."""


@dataclass(frozen=True)
class FinishPublish:
    """The pull request shows `head`; `state`: as the forge had it."""

    number: int
    url: str
    head: str
    opened: bool
    described: int = 0
    state: Literal["open", "merged", "closed"] = "open"


@dataclass(frozen=True)
class FailPublish:
    """The forge refused or could not be reached; `delay` None: a person has to act."""

    head: str
    reason: str
    delay: float | None


@dataclass(frozen=True)
class LoseBox:
    """The box of this generation does not live any more."""

    generation: int
    reason: str


@dataclass(frozen=True)
class Attach:
    """The runner of this generation reached a gateway and was given this epoch."""

    generation: int
    epoch: int


@dataclass(frozen=True)
class Hear:
    """Frames of the runner of this generation, in order, each for the first time."""

    generation: int
    frames: tuple[f.AnyFrame, ...]


@dataclass(frozen=True)
class ClosePullRequest:
    """The forge says: closed or merged."""

    number: int
    merged: bool
    by: str


@dataclass(frozen=True)
class ReviewPullRequest:
    """The forge says: reviewed. `words`: of somebody who belongs to the repository; `review`: the forge's number of it;
    `edited`: only its words are new."""

    number: int
    verdict: str
    by: str
    words: str = ""
    review: int = 0
    edited: bool = False


@dataclass(frozen=True)
class Note:
    """People should know this, and it changes nothing."""

    text: str


@dataclass(frozen=True)
class Tick:
    """Time went by. `starting`: a worker is seen to be making its box, however long that takes."""

    starting: bool = False


Command = (
    Submit
    | EditPrompt
    | WithdrawPrompt
    | ChooseRepository
    | Stop
    | AwaitBox
    | BeginStart
    | FinishStart
    | FailStart
    | BeginPark
    | FinishPark
    | FailPark
    | BeginPublish
    | FinishPublish
    | FailPublish
    | LoseBox
    | Attach
    | Hear
    | ClosePullRequest
    | ReviewPullRequest
    | ReviewCommand
    | FinishCheck
    | ToolCommand
    | Note
    | Tick
    | FamilyCommand
    | SpendingCommand
    | SnapshotCommand
)
