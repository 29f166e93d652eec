"""What the forge remembers of a repository, as records that go to a JSON file and back.

`forge.py` and `forge_pulls.py` change them, `forge_json.py` and `forge_pages.py` show them. Times are seconds since
the epoch.
"""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class Person:
    """Somebody with an account on the forge."""

    login: str
    name: str
    email: str
    kind: Literal["User", "Bot"] = "User"


class Refusal(Exception):
    """The forge says no: an HTTP status, a sentence, and what is wrong in each field (as GitHub words it)."""

    def __init__(self, status: int, message: str, errors: tuple[dict[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors


class Record(BaseModel):
    """Frozen; changed by making another."""

    model_config = ConfigDict(frozen=True)


class Comment(Record):
    """Words under a pull request."""

    id: int
    author: str
    body: str
    at: float


class LineComment(Record):
    """Words on lines of the diff, from `start` to `line` of the file at `path`, part of a `review`. `hunk`: the diff up
    to there, as it was at `commit`; `side` LEFT: the lines of before; `reply_to`: the comment that it answers."""

    id: int
    review: int
    author: str
    body: str
    path: str
    line: int
    start: int | None = None
    side: Literal["LEFT", "RIGHT"] = "RIGHT"
    hunk: str
    commit: str
    reply_to: int | None = None
    at: float
    edited_at: float


class Review(Record):
    """A person's verdict on a pull request, on the commit that it had then."""

    id: int
    author: str
    state: Literal["APPROVED", "CHANGES_REQUESTED", "COMMENTED"]
    body: str
    at: float
    commit: str


class Annotation(Record):
    """What a check says of lines, in GitHub's own words for it."""

    path: str
    start_line: int
    end_line: int
    annotation_level: str
    message: str


class CheckRun(Record):
    """One run of a check on a commit, which has ended; the later of one name and `suite` counts."""

    id: int
    suite: int
    name: str
    sha: str
    conclusion: str
    title: str = ""
    summary: str = ""
    annotations: tuple[Annotation, ...] = ()
    at: float


class Status(Record):
    """What a program says of a commit in one word; the later of one `context` counts."""

    id: int
    sha: str
    context: str
    state: str
    description: str = ""
    target_url: str = ""
    author: str
    at: float


class PullRequest(Record):
    """`head` and `base` are branches; `head_sha` is the last tip that was seen, `base_sha` where it left `base`."""

    number: int
    title: str
    body: str
    author: str
    head: str
    base: str
    head_sha: str
    base_sha: str
    state: Literal["open", "closed"] = "open"
    draft: bool = False
    opened_at: float
    updated_at: float
    closed_at: float | None = None
    merged_by: str | None = None
    merge_sha: str | None = None
    labels: tuple[str, ...] = ()
    comments: tuple[Comment, ...] = ()
    reviews: tuple[Review, ...] = ()
    line_comments: tuple[LineComment, ...] = ()

    @property
    def merged(self) -> bool:
        """Whether its work is in the base branch."""
        return self.merged_by is not None

    @property
    def verdicts(self) -> dict[str, str]:
        """Person -> their last approval or request for changes."""
        return {review.author: review.state for review in self.reviews if review.state != "COMMENTED"}


class Repository(Record):
    """A repository and its pull requests, oldest first. `next_id` numbers comments, reviews, checks and statuses."""

    owner: str
    name: str
    id: int
    private: bool = False
    default_branch: str = "main"
    description: str = ""
    created_at: float
    pushed_at: float
    next_number: int = 1
    next_id: int = 1
    pulls: tuple[PullRequest, ...] = ()
    check_runs: tuple[CheckRun, ...] = ()
    statuses: tuple[Status, ...] = ()

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    def pull(self, number: int) -> PullRequest:
        """One pull request. Raises Refusal 404."""
        for pull in self.pulls:
            if pull.number == number:
                return pull
        raise Refusal(404, "Not Found")

    def checks_of(self, sha: str) -> dict[str, str]:
        """What the checks of a commit came to, each by its last run, by name."""
        return {run.name: run.conclusion for run in self.check_runs if run.sha == sha}

    def with_pull(self, changed: PullRequest) -> "Repository":
        """The same repository with this pull request in it, in the place of the one of its number."""
        known = any(pull.number == changed.number for pull in self.pulls)
        pulls = tuple(changed if pull.number == changed.number else pull for pull in self.pulls)
        return self.model_copy(update={"pulls": pulls if known else (*pulls, changed)})


def write_atomically(path: Path, text: str) -> None:
    """Put a file in place whole, readable by its owner alone; a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fresh.touch(mode=0o600)
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def read_json(path: Path) -> dict[str, object]:
    """A JSON object from a file; {} if it is not there."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found if isinstance(found, dict) else {}
