"""The facts of a session's pull request. Part of `jobs/events.py`."""

from typing import Literal

from jobs.event_parts import Fact


class PublishBegan(Fact):
    """A worker opens or updates the pull request so that it shows `head`."""

    kind: Literal["publish_began"] = "publish_began"
    head: str


class PublishFailed(Fact):
    """The forge did not take it. `retry_at` is when to try again; None: a person has to act first."""

    kind: Literal["publish_failed"] = "publish_failed"
    head: str
    reason: str
    retry_at: float | None


class PullRequestPublished(Fact):
    """The pull request of this session shows `head`, and was in this `state`. `opened`: it was not there before."""

    kind: Literal["pull_request_published"] = "pull_request_published"
    number: int
    url: str
    head: str
    opened: bool
    described: int = 0  # how often the agent had described it by then
    state: Literal["open", "merged", "closed"] = "open"


class PullRequestClosed(Fact):
    """Somebody closed or merged the pull request on the forge. It may be heard of before its number is on record."""

    kind: Literal["pull_request_closed"] = "pull_request_closed"
    number: int
    merged: bool
    by: str = ""


class PullRequestReviewed(Fact):
    """Somebody reviewed the pull request on the forge. `verdict`: approved, changes_requested or commented; `words`: of
    somebody who belongs to the repository."""

    kind: Literal["pull_request_reviewed"] = "pull_request_reviewed"
    number: int
    verdict: str
    by: str
    words: str = ""


class PullRequestDescribed(Fact):
    """The agent says what the pull request of this session is to be called and to say."""

    kind: Literal["pull_request_described"] = "pull_request_described"
    title: str
    body: str = ""
    draft: bool = False
