"""How the forge's records look in GitHub's REST API and webhooks: pure, records in, JSON objects out.

`forge_api.py` answers with them, `forge.py` and `forge_pulls.py` send them as webhooks. Only fields that GitHub has;
https://docs.github.com/en/rest/pulls/pulls is the page to compare with.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.playground.bare import Commit
from bot.playground.forge_diff import FileDiff
from bot.playground.forge_records import Comment, LineComment, Person, PullRequest, Repository, Review

Json = dict[str, Any]
DOCUMENTATION = "https://docs.github.com/rest"


def dumps(value: object) -> str:
    """JSON for a file."""
    return json.dumps(value, indent=1)


def when(seconds: float | None) -> str | None:
    """A time as GitHub writes it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Weight:
    """What GitHub counts about one pull request, and whether it could be merged (None: not known)."""

    commits: int
    files: Sequence[FileDiff]
    mergeable: bool | None


@dataclass(frozen=True)
class Shapes:
    """The addresses that the objects carry, and who stands behind a login."""

    url: str
    api: str
    person: Callable[[str], Person]

    def user(self, login: str) -> Json:
        """A simple user."""
        return {
            "login": login,
            "id": zlib.crc32(login.encode()),
            "node_id": f"U_{login}",
            "type": self.person(login).kind,
            "site_admin": False,
            "avatar_url": "",
            "url": f"{self.api}/users/{login}",
            "html_url": f"{self.url}/",
        }

    def private_user(self, login: str) -> Json:
        """The user that asks about itself."""
        person = self.person(login)
        return {**self.user(login), "name": person.name, "email": person.email or None}

    def repository(self, repository: Repository, may_push: bool | None = None) -> Json:
        """A repository; with `permissions` when it is known who asks."""
        api = f"{self.api}/repos/{repository.full_name}"
        page = f"{self.url}/{repository.full_name}"
        shape: Json = {
            "id": repository.id,
            "node_id": f"R_{repository.id}",
            "name": repository.name,
            "full_name": repository.full_name,
            "owner": {**self.user(repository.owner), "type": "Organization"},
            "private": repository.private,
            "visibility": "private" if repository.private else "public",
            "description": repository.description or None,
            "fork": False,
            "archived": False,
            "disabled": False,
            "default_branch": repository.default_branch,
            "html_url": page,
            "clone_url": f"{page}.git",
            "url": api,
            "pulls_url": f"{api}/pulls{{/number}}",
            "commits_url": f"{api}/commits{{/sha}}",
            "branches_url": f"{api}/branches{{/branch}}",
            "created_at": when(repository.created_at),
            "updated_at": when(repository.pushed_at),
            "pushed_at": when(repository.pushed_at),
            "open_issues_count": sum(pull.state == "open" for pull in repository.pulls),
        }
        if may_push is not None:
            roles = {"admin": False, "maintain": False, "push": may_push, "triage": may_push, "pull": True}
            shape["permissions"] = roles
        return shape

    def branch(self, repository: Repository, name: str, sha: str) -> Json:
        """A branch in short."""
        url = f"{self.api}/repos/{repository.full_name}/commits/{sha}"
        return {"name": name, "commit": {"sha": sha, "url": url}, "protected": False}

    def commit(self, repository: Repository, commit: Commit) -> Json:
        """A commit; `author` and `committer` are null, because e-mail addresses are not matched with accounts."""
        api = f"{self.api}/repos/{repository.full_name}"
        author = {"name": commit.author, "email": commit.author_email, "date": when(commit.authored_at)}
        committer = {"name": commit.committer, "email": commit.committer_email, "date": when(commit.committed_at)}
        return {
            "sha": commit.sha,
            "node_id": f"C_{commit.sha}",
            "url": f"{api}/commits/{commit.sha}",
            "html_url": f"{self.url}/{repository.full_name}/commit/{commit.sha}",
            "commit": {"message": commit.message, "author": author, "committer": committer, "comment_count": 0},
            "author": None,
            "committer": None,
            "parents": [{"sha": sha, "url": f"{api}/commits/{sha}"} for sha in commit.parents],
        }

    def pull(self, repository: Repository, pull: PullRequest, weight: Weight | None = None) -> Json:
        """A pull request; a list has none of what `weight` brings, as GitHub's has not."""
        api = f"{self.api}/repos/{repository.full_name}"
        page = f"{self.url}/{repository.full_name}/pull/{pull.number}"
        shape = {
            "url": f"{api}/pulls/{pull.number}",
            "id": repository.id * 1000 + pull.number,
            "node_id": f"PR_{repository.id}_{pull.number}",
            "number": pull.number,
            "state": pull.state,
            "locked": False,
            "draft": pull.draft,
            "title": pull.title,
            "body": pull.body or None,
            "user": self.user(pull.author),
            "html_url": page,
            "diff_url": f"{page}.diff",
            "issue_url": f"{api}/issues/{pull.number}",
            "commits_url": f"{api}/pulls/{pull.number}/commits",
            "comments_url": f"{api}/issues/{pull.number}/comments",
            "review_comments_url": f"{api}/pulls/{pull.number}/comments",
            "statuses_url": f"{api}/statuses/{pull.head_sha}",
            "head": self._side(repository, pull.head, pull.head_sha),
            "base": self._side(repository, pull.base, pull.base_sha),
            "labels": [self.label(repository, label) for label in pull.labels],
            "assignees": [],
            "requested_reviewers": [],
            "requested_teams": [],
            "created_at": when(pull.opened_at),
            "updated_at": when(pull.updated_at),
            "closed_at": when(pull.closed_at),
            "merged_at": when(pull.closed_at) if pull.merged else None,
            "merge_commit_sha": pull.merge_sha,
            "author_association": "COLLABORATOR",
        }
        return shape if weight is None else shape | self._weighed(pull, weight)

    def _side(self, repository: Repository, branch: str, sha: str) -> Json:
        whole = self.repository(repository)
        return {
            "label": f"{repository.owner}:{branch}",
            "ref": branch,
            "sha": sha,
            "user": whole["owner"],
            "repo": whole,
        }

    def _weighed(self, pull: PullRequest, weight: Weight) -> Json:
        state = {True: "clean", False: "dirty", None: "unknown"}[weight.mergeable]
        return {
            "merged": pull.merged,
            "mergeable": weight.mergeable,
            "mergeable_state": "draft" if pull.draft and weight.mergeable else state,
            "merged_by": self.user(pull.merged_by) if pull.merged_by else None,
            "comments": len(pull.comments),
            "review_comments": len(pull.line_comments),
            "commits": weight.commits,
            "additions": sum(file.added for file in weight.files),
            "deletions": sum(file.removed for file in weight.files),
            "changed_files": len(weight.files),
        }

    def issue(self, repository: Repository, pull: PullRequest) -> Json:
        """The issue that every pull request is, too."""
        whole = self.pull(repository, pull)
        same = ("number", "title", "body", "user", "state", "locked", "labels", "assignees", "html_url", "comments_url")
        times = ("created_at", "updated_at", "closed_at")
        links = {"url": whole["url"], "html_url": whole["html_url"]}
        return {
            **{name: whole[name] for name in same + times},
            "id": whole["id"],
            "url": whole["issue_url"],
            "comments": len(pull.comments),
            "pull_request": links,
        }

    def file(self, repository: Repository, pull: PullRequest, file: FileDiff) -> Json:
        """A changed file of a pull request."""
        shape: Json = {
            "sha": None,
            "filename": file.path,
            "status": file.status,
            "additions": file.added,
            "deletions": file.removed,
            "changes": file.added + file.removed,
            "blob_url": f"{self.url}/{repository.full_name}/pull/{pull.number}",
        }
        if not file.binary:
            shape["patch"] = "\n".join(line.text for line in file.lines)
        return shape | ({"previous_filename": file.was} if file.was else {})

    def review(self, repository: Repository, pull: PullRequest, review: Review) -> Json:
        """A verdict."""
        page = f"{self.url}/{repository.full_name}/pull/{pull.number}"
        return {
            "id": review.id,
            "node_id": f"PRR_{review.id}",
            "user": self.user(review.author),
            "body": review.body,
            "state": review.state,
            "commit_id": review.commit,
            "submitted_at": when(review.at),
            "html_url": f"{page}#review-{review.id}",
            "pull_request_url": f"{self.api}/repos/{repository.full_name}/pulls/{pull.number}",
            "author_association": self._association(review.author),
        }

    def line_comment(self, repository: Repository, pull: PullRequest, comment: LineComment) -> Json:
        """Words on lines of the diff; `line` is null once they are not what the pull request shows any more."""
        api = f"{self.api}/repos/{repository.full_name}/pulls"
        page = f"{self.url}/{repository.full_name}/pull/{pull.number}"
        outdated = comment.commit != pull.head_sha
        return {
            "id": comment.id,
            "node_id": f"PRRC_{comment.id}",
            "pull_request_review_id": comment.review,
            "user": self.user(comment.author),
            "body": comment.body,
            "path": comment.path,
            "diff_hunk": comment.hunk,
            "line": None if outdated else comment.line,
            "original_line": comment.line,
            "start_line": None if outdated else comment.start,
            "original_start_line": comment.start,
            "side": comment.side,
            "start_side": comment.side if comment.start else None,
            "subject_type": "line",
            "commit_id": pull.head_sha,
            "original_commit_id": comment.commit,
            **({"in_reply_to_id": comment.reply_to} if comment.reply_to else {}),
            "created_at": when(comment.at),
            "updated_at": when(comment.edited_at),
            "url": f"{api}/comments/{comment.id}",
            "html_url": f"{page}#line-comment-{comment.id}",
            "pull_request_url": f"{api}/{pull.number}",
            "author_association": self._association(comment.author),
        }

    def _association(self, login: str) -> str:
        """What somebody is to every repository here: the people of the house work on all of them."""
        return "COLLABORATOR" if self.person(login).kind == "User" and self.person(login).email else "NONE"

    def comment(self, repository: Repository, pull: PullRequest, comment: Comment) -> Json:
        """Words under a pull request."""
        return {
            "id": comment.id,
            "node_id": f"IC_{comment.id}",
            "user": self.user(comment.author),
            "body": comment.body,
            "created_at": when(comment.at),
            "updated_at": when(comment.at),
            "url": f"{self.api}/repos/{repository.full_name}/issues/comments/{comment.id}",
            "html_url": f"{self.url}/{repository.full_name}/pull/{pull.number}#comment-{comment.id}",
            "author_association": self._association(comment.author),
            "issue_url": f"{self.api}/repos/{repository.full_name}/issues/{pull.number}",
        }

    def label(self, repository: Repository, name: str) -> Json:
        """A label; its colour follows from its name."""
        return {
            "id": zlib.crc32(name.encode()),
            "name": name,
            "color": f"{zlib.crc32(name.encode()) & 0xFFFFFF:06x}",
            "default": False,
            "description": None,
            "url": f"{self.api}/repos/{repository.full_name}/labels/{name}",
        }
