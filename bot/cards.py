"""What a thread shows, as frozen records: cards, endings, notices, questions, files. Pure.

`bot/view.py` folds a session's events into them; every client shows them in its own form. Nothing here is escaped or
shortened: all words of people, models and repositories are as they were said, and the client must not trust them. Times
are epoch seconds; how long something takes is for the caller, who has a clock.
"""

from dataclasses import dataclass
from typing import Literal

from jobs.events import Author, Commit, DiffLines, Outcome, PlanEntry, StartKind
from jobs.family import Child, at_work
from jobs.session import Session

CardState = Literal["waiting", "running", "ended", "withdrawn"]
Publishing = Literal["nothing", "unpushed", "pending", "shown", "failed"]


@dataclass(frozen=True)
class Card:
    """One prompt and the turn that works on it. `id` is the prompt's; `turn` its number, None before it began.

    `phase` is a human word for how far it is; `start`: how the box was started that it waited for, if it waited for
    one. `isolated` False must be told wherever the card is shown. `cost`: dollars that its model took, None while that
    is not known. `children`: sessions that were started for it. `report_of`: it is what the session of this number has
    come to; `by_agent`: the agent that started this session asks, for `author`. `before`: how many messages of the
    thread were given to the agent with it.
    """

    id: str
    author: Author
    text: str
    attachments: tuple[str, ...]
    asked: float
    state: CardState = "waiting"
    phase: str = ""
    turn: int | None = None
    task: str = ""
    plan: tuple[PlanEntry, ...] = ()
    steps: tuple[str, ...] = ()
    steps_taken: int = 0
    commits: tuple[Commit, ...] = ()
    began: float | None = None
    ended: float | None = None
    outcome: Outcome | None = None
    error: str = ""
    isolated: bool = True
    start: StartKind | None = None
    edited: bool = False
    stop_by: str | None = None
    cost: float | None = None
    children: tuple[Child, ...] = ()
    report_of: int = 0
    by_agent: bool = False
    before: int = 0

    @property
    def live(self) -> bool:
        """Whether there is still something to stop."""
        return self.state in ("waiting", "running")


@dataclass(frozen=True)
class Ending:
    """The end of one turn, for the person who asked. `settled` is when its last word was known, None while the pull
    request is on its way; `publishing` says what became of the commits, `trouble` why not. `session`: the number of
    one that an agent started, of which it is; `by_agent`: that agent asked, not a person. `waits_for`: the numbers of
    those that this one had started and goes on with when they report; `made`: those of them with a pull request;
    `stopped_by`: who said so, if it was."""

    id: str
    to: Author
    task: str
    turn: int
    outcome: Outcome
    summary: str
    error: str
    commits: tuple[Commit, ...]
    ended: float
    publishing: Publishing
    settled: float | None
    head: str = ""
    session: int = 0
    by_agent: bool = False
    waits_for: tuple[int, ...] = ()
    made: tuple[Child, ...] = ()
    branch: str = ""
    pull_request: int | None = None
    url: str = ""
    trouble: str = ""
    cost: float | None = None
    stopped_by: str = ""


@dataclass(frozen=True)
class LineComment:
    """What a reviewer said (Markdown) of lines of the pull request, or under it. `reply`: to another comment;
    `edited`: it said something else before."""

    id: int
    where: DiffLines
    words: str
    reply: bool = False
    edited: bool = False

    @property
    def marks(self) -> list[str]:
        """What it is besides, in words."""
        return [mark for mark, is_so in (("a reply", self.reply), ("edited", self.edited)) if is_so]


@dataclass(frozen=True)
class Review:
    """A review on the forge, by somebody with this login, its comments in the order of their lines. `number`: the
    forge's of it, 0 if it is none but a comment; `left_out`: how many comments there are beyond those;
    `deleted`: how many are not there any more; `dismissed_by`: who dismissed it, whose verdict is that then."""

    number: int
    by: str
    verdict: str
    comments: tuple[LineComment, ...] = ()
    left_out: int = 0
    deleted: int = 0
    dismissed_by: str = ""


@dataclass(frozen=True)
class CheckLine:
    """A check that failed, and whether it has `passed` since. `told`: the agent knows, or there are newer commits."""

    check: str
    name: str
    url: str
    passed: bool
    told: bool = False


@dataclass(frozen=True)
class CommitChecks:
    """What the checks of a commit that ever failed came to, each as it was last, the one heard of last at the end."""

    head: str
    lines: tuple[CheckLine, ...]

    @property
    def open(self) -> bool:
        """Whether the agent may be asked to see to any."""
        return any(not line.passed and not line.told for line in self.lines)


@dataclass(frozen=True)
class Notice:
    """Something that happened beside the turns. `to`: a person whom it concerns; `url` belongs to `label`; `quote`:
    somebody's Markdown that it is about; `review`, `checks`: what it tells."""

    id: str
    at: float
    text: str
    to: Author | None = None
    label: str = ""
    url: str = ""
    quote: str = ""
    review: Review | None = None
    checks: CommitChecks | None = None


@dataclass(frozen=True)
class Question:
    """Which repository is meant? `answer` is the one that was chosen, `by` whom if anybody pressed a button."""

    id: str
    at: float
    options: tuple[str, ...]
    reason: str
    answer: str | None = None
    by: str = ""


@dataclass(frozen=True)
class Asked:
    """A question of the agent's, for everybody. `to`: the person whose turn asks; `about`: that turn's prompt. `answer`
    and `by` once there is one; `withdrawn`: the turn was stopped before."""

    id: str
    at: float
    to: Author | None
    about: str
    question: str
    options: tuple[str, ...]
    answer: str | None = None
    by: str = ""
    withdrawn: bool = False

    @property
    def open(self) -> bool:
        """Whether somebody may still answer."""
        return self.answer is None and not self.withdrawn


@dataclass(frozen=True)
class SharedFile:
    """A file that the agent attached. `url`: for everybody who has it, "" in a private place."""

    id: str
    at: float
    name: str
    title: str
    mimetype: str
    bytes: int
    url: str = ""


@dataclass(frozen=True)
class BudgetQuestion:
    """The budget is used up: go on with `more`? Dollars. `asked` is what an answer must name; `answer` "" while nobody
    has answered, `by` who did; `to`: the person whose turn paused."""

    id: str
    at: float
    asked: int
    used: float
    limit: float
    more: float
    to: Author | None
    answer: Literal["", "raised", "declined", "closed"] = ""
    by: str = ""


@dataclass(frozen=True)
class StopOffer:
    """`to` stopped a session; so many that it had started went on: stop them too? `by`: who said so, "" while nobody
    has; `ended`: they all have by themselves."""

    id: str
    at: float
    to: Author
    children: int
    by: str = ""
    ended: bool = False

    @property
    def over(self) -> bool:
        """Whether there is nothing left to decide."""
        return bool(self.by) or self.ended


@dataclass(frozen=True)
class ThreadView:
    """The whole thread. `session` is the fold that the rules go by; the other fields are in the order of the log."""

    session: Session
    cards: tuple[Card, ...] = ()
    endings: tuple[Ending, ...] = ()
    notices: tuple[Notice, ...] = ()
    question: Question | None = None
    asked: tuple[Asked, ...] = ()
    files: tuple[SharedFile, ...] = ()
    budgets: tuple[BudgetQuestion, ...] = ()
    offers: tuple[StopOffer, ...] = ()
    runner_phase: str = ""
    trouble: str = ""

    @property
    def busy(self) -> bool:
        """Whether something is being done or waited for."""
        return self.session.turn is not None or bool(self.session.queue) or bool(at_work(self.session.children))
