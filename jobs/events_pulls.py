"""The facts of a session's pull request. Part of `jobs/events.py`."""

from typing import Literal

from jobs.event_parts import Fact, Frozen


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


class DiffLines(Frozen):
    """Lines of a file that a pull request changes, from `first` to `last`; 0: the whole file; without a `path`: all of
    the pull request, under which it is said. `old`: as they were before the change; `code`: what the last one says."""

    path: str
    first: int = 0
    last: int = 0
    old: bool = False
    code: str = ""

    @property
    def several(self) -> bool:
        """Whether they are more than one."""
        return 0 < self.first < self.last

    @property
    def label(self) -> str:
        """Such as `rocket/fuel.py, lines 3-5`."""
        if not self.last:
            return self.path
        lines = f"lines {self.first}-{self.last}" if self.several else f"line {self.last}"
        return f"{self.path}, {lines}{' before the change' if self.old else ''}"


class PullRequestReviewed(Fact):
    """Somebody reviewed the pull request on the forge. `verdict`: approved, changes_requested or commented; `words`: of
    somebody who belongs to the repository. `review`: the forge's number of it, 0 if that is not known; `edited`: it was
    there before, and says this now."""

    kind: Literal["pull_request_reviewed"] = "pull_request_reviewed"
    number: int
    verdict: str
    by: str
    words: str = ""
    review: int = 0
    edited: bool = False


class LineCommented(Fact):
    """Somebody who belongs to the repository commented on lines of the pull request, or under it. `comment`, `review`:
    the forge's numbers of it, and of the review that it is part of, 0 if there is none; `reply`: to another comment;
    `edited`: it was there before, and says this now; without `words`: it is one of more than are kept."""

    kind: Literal["line_commented"] = "line_commented"
    number: int
    comment: int
    by: str
    where: DiffLines
    words: str = ""
    review: int = 0
    reply: bool = False
    edited: bool = False


class ReviewDismissed(Fact):
    """Somebody, or a rule of the repository, made a review count for nothing. `review`: the forge's number of it."""

    kind: Literal["review_dismissed"] = "review_dismissed"
    number: int
    review: int
    by: str = ""


class LineCommentDeleted(Fact):
    """The comment of this number is not there any more."""

    kind: Literal["line_comment_deleted"] = "line_comment_deleted"
    number: int
    comment: int


class CheckFinished(Fact):
    """A check of `head`, the newest commit of the session, failed as `conclusion` (the forge's word) says, or `passed`
    after it had failed. `check` tells it from all others of that commit, `run` an earlier run of it from a later one;
    `words`: what it says, a program's; `number`: of the pull request, 0 if that is not known yet."""

    kind: Literal["check_finished"] = "check_finished"
    head: str
    check: str
    name: str
    conclusion: str
    passed: bool
    run: int = 0
    url: str = ""
    words: str = ""
    number: int = 0


class PullRequestDescribed(Fact):
    """The agent says what the pull request of this session is to be called and to say."""

    kind: Literal["pull_request_described"] = "pull_request_described"
    title: str
    body: str = ""
    draft: bool = False
