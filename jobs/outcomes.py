"""What became of sessions, counted from their logs: which ended in a merged pull request, how soon the model answered,
what reviewers said, how often the work was revised, what it cost. Pure.

`jobs/hindsight.py` reads the logs; `shipmate outcomes`, the metrics and the Home tab show the rows. What each figure
means is in docs/decisions/026-what-counts-is-counted-from-the-logs.md. Times are seconds, money is in dollars.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from jobs import events as e
from jobs.box_costs import of_share
from jobs.decide_spending import CUT_OFF
from jobs.events import Event, Frozen
from jobs.moments import FIRST_BYTE, RECEIVED

Period = Literal["all", "day", "week", "month"]
APPROVED, CHANGES_REQUESTED = "approved", "changes_requested"
VERDICTS = (APPROVED, CHANGES_REQUESTED)  # a comment judges nothing
_LABELS: Mapping[Period, str] = {"all": "", "day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}


class Pull(NamedTuple):
    """What became of one pull request. `first`, `last`: verdicts of its reviews, "" if it has none; `revisions`: how
    often it got new commits after it was opened; `changes_requested`: how often a reviewer asked for some."""

    number: int
    head: str
    merged: bool = False
    first: str = ""
    last: str = ""
    changes_requested: int = 0
    revisions: int = 0


class Outcome(NamedTuple):
    """What became of one session so far. `answered_in`: None if no model has answered; `cost`: of its turns' models,
    None if no price is known."""

    opened_at: float
    repository: str
    agent: str
    pulls: tuple[Pull, ...]
    answered_in: float | None
    cost: float | None

    @property
    def merged(self) -> bool:
        """One of its pull requests was merged, whatever was asked for after that."""
        return any(pull.merged for pull in self.pulls)


class Row(Frozen):
    """Sessions of one period, repository and agent ("": of all). `merged` counts sessions; `reviewed` pull requests
    with a verdict, the first and the last of which may approve; `answered` sessions whose model has answered."""

    period: str = ""
    repository: str = ""
    agent: str = ""
    sessions: int
    with_pull_request: int
    merged: int
    pull_requests: int
    merged_pull_requests: int
    reviewed: int
    approved_first: int
    approved_last: int
    changes_requested: int
    revisions: int
    answered: int
    answered_p50: float | None
    answered_p95: float | None
    cost: float | None

    @property
    def merged_share(self) -> float | None:
        """Of all sessions; None of none."""
        return _share(self.merged, self.sessions)

    @property
    def approved_first_share(self) -> float | None:
        """Of the pull requests that have a verdict, those that were approved at once."""
        return _share(self.approved_first, self.reviewed)

    @property
    def approved_last_share(self) -> float | None:
        """Of the pull requests that have a verdict, those whose last one approves."""
        return _share(self.approved_last, self.reviewed)

    @property
    def revisions_each(self) -> float | None:
        """Of a pull request, on average."""
        return _share(self.revisions, self.pull_requests)

    @property
    def cost_per_merged(self) -> float | None:
        """What all these sessions took, for each pull request that was merged."""
        return None if self.cost is None else _share(self.cost, self.merged_pull_requests)


class Summary(Frozen):
    """The last days, as they stood `at` some time: whole, and by repository and agent."""

    at: float
    days: int
    whole: Row
    rows: tuple[Row, ...]


def outcome_of(events: Sequence[Event], stamps: Mapping[str, float]) -> Outcome | None:
    """What became of the session with this log and these stamps; None if it is no session's log."""
    if not events or not isinstance(opened := events[0], e.SessionOpened):
        return None
    repository, agent = "", opened.agent
    pulls: dict[int, Pull] = {}
    costs: list[float] = []
    for event in events:
        if isinstance(event, e.RepositoryChosen):
            repository, agent = event.repository, event.agent or agent
        elif isinstance(event, e.PullRequestPublished | e.PullRequestClosed | e.PullRequestReviewed):
            _follow(pulls, event)
        elif isinstance(event, CUT_OFF) and event.cost is not None:
            costs.append(event.cost)
    return Outcome(
        opened_at=opened.at,
        repository=repository,
        agent=agent,
        pulls=tuple(pull for pull in pulls.values() if pull.head),
        answered_in=_answered_in(events, stamps, opened.at),
        cost=sum(costs) if costs else None,
    )


def _follow(
    pulls: dict[int, Pull], event: e.PullRequestPublished | e.PullRequestClosed | e.PullRequestReviewed
) -> None:
    """The forge may tell that one was closed before its worker tells that it is there: until then it has no head."""
    pull = pulls.get(event.number, Pull(event.number, head=""))
    if isinstance(event, e.PullRequestPublished):
        revised = pull.head not in ("", event.head)  # else only its words are new
        pulls[event.number] = pull._replace(head=event.head, revisions=pull.revisions + revised)
    elif isinstance(event, e.PullRequestClosed):
        pulls[event.number] = pull._replace(merged=pull.merged or event.merged)
    elif event.verdict in VERDICTS and not event.edited:
        asked = pull.changes_requested + (event.verdict == CHANGES_REQUESTED)
        pulls[event.number] = pull._replace(
            first=pull.first or event.verdict, last=event.verdict, changes_requested=asked
        )


def _answered_in(events: Iterable[Event], stamps: Mapping[str, float], opened_at: float) -> float | None:
    """From the first prompt, or from when a person had said which repository is meant, for that time is theirs."""
    answered = stamps.get(FIRST_BYTE)
    if answered is None:
        return None
    chosen = (event.at for event in events if isinstance(event, e.RepositoryChosen) and event.by is not None)
    began = max([stamps.get(RECEIVED, opened_at), *(at for at in chosen if at <= answered)])
    return max(0.0, answered - began)


def rows(outcomes: Iterable[Outcome], period: Period = "all") -> list[Row]:
    """One for each period, repository and agent, in that order. A session belongs to the period it was opened in, as
    UTC has it."""
    found: defaultdict[tuple[str, str, str], list[Outcome]] = defaultdict(list)
    for one in outcomes:
        label = datetime.fromtimestamp(one.opened_at, UTC).strftime(_LABELS[period])
        found[label, one.repository, one.agent].append(one)
    return [
        row_of(some, period=label, repository=repository, agent=agent)
        for (label, repository, agent), some in sorted(found.items(), key=lambda group: group[0])
    ]


def row_of(some: Sequence[Outcome], *, period: str = "", repository: str = "", agent: str = "") -> Row:
    """All of these as one row."""
    pulls = [pull for one in some for pull in one.pulls]
    answered = sorted(one.answered_in for one in some if one.answered_in is not None)
    costs = [one.cost for one in some if one.cost is not None]
    return Row(
        period=period,
        repository=repository,
        agent=agent,
        sessions=len(some),
        with_pull_request=sum(bool(one.pulls) for one in some),
        merged=sum(one.merged for one in some),
        pull_requests=len(pulls),
        merged_pull_requests=sum(pull.merged for pull in pulls),
        reviewed=sum(bool(pull.first) for pull in pulls),
        approved_first=sum(pull.first == APPROVED for pull in pulls),
        approved_last=sum(pull.last == APPROVED for pull in pulls),
        changes_requested=sum(pull.changes_requested for pull in pulls),
        revisions=sum(pull.revisions for pull in pulls),
        answered=len(answered),
        answered_p50=of_share(answered, 0.5) if answered else None,
        answered_p95=of_share(answered, 0.95) if answered else None,
        cost=sum(costs) if costs else None,
    )


def summary(outcomes: Sequence[Outcome], at: float, days: int) -> Summary:
    """Of sessions that were opened in the last so many days."""
    return Summary(at=at, days=days, whole=row_of(outcomes), rows=tuple(rows(outcomes)))


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
