"""What is done with pull requests: open, edit, comment, label, merge; and what a push does to them. Reviews, and
comments on lines, are in `forge_reviews.py`.

Called by `forge_api.py`, `forge_git.py` and `forge_pages.py`, and by tests. Every function takes the repository's lock,
keeps what changed, and sends the webhook that GitHub sends. `by` is always a login.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from bot.playground import forge_diff
from bot.playground.bare import Commit, GitFailed
from bot.playground.forge import NO_COMMIT, Forge
from bot.playground.forge_diff import FileDiff
from bot.playground.forge_json import Weight
from bot.playground.forge_records import Comment, PullRequest, Refusal, Repository


async def open_pull(
    forge: Forge, repository: str, by: str, *, title: str, head: str, base: str, body: str = "", draft: bool = False
) -> PullRequest:
    """A new pull request of branch `head` (or `owner:head`) into `base`. Raises Refusal 422."""
    async with forge.lock(repository):
        known = forge.repository(repository)
        branch = head.removeprefix(known.owner + ":")
        head_sha, base_sha = await _ends(forge, known, branch, base)
        if not title.strip():
            raise _invalid({"code": "missing_field", "field": "title"})
        if forge.pull_requests(repository, "open", branch, base):
            raise _invalid({"code": "custom", "message": f"A pull request already exists for {known.owner}:{branch}."})
        now = time.time()
        pull = PullRequest(
            number=known.next_number, title=title, body=body, author=by, head=branch, base=base,
            head_sha=head_sha, base_sha=base_sha, draft=draft, opened_at=now, updated_at=now,
        )  # fmt: skip
        await keep(forge, known.model_copy(update={"next_number": known.next_number + 1}), pull)
    await _tell(forge, repository, pull, "opened", by)
    return pull


async def _ends(forge: Forge, known: Repository, head: str, base: str) -> tuple[str, str]:
    """(tip of the head, where it left the base). Raises Refusal 422 when there is nothing to ask for."""
    bare = forge.bare(known.full_name)
    branches = await bare.branches()
    for field, branch in (("base", base), ("head", head)):
        if branch not in branches:
            raise _invalid({"code": "invalid", "field": field})
    left = await bare.merge_base(branches[base], branches[head])
    if left is None:
        raise _invalid({"code": "custom", "message": f"The {head} branch has no history in common with {base}"})
    if left == branches[head]:
        raise _invalid({"code": "custom", "message": f"No commits between {base} and {head}"})
    return branches[head], left


async def edit_pull(forge: Forge, repository: str, number: int, by: str, changes: Mapping[str, Any]) -> PullRequest:
    """Change `title`, `body`, `state` or `base`; other keys mean nothing. Raises Refusal 404 or 422."""
    async with forge.lock(repository):
        known = forge.repository(repository)
        pull = known.pull(number)
        update = {name: str(changes[name] or "") for name in ("title", "body", "base") if name in changes}
        state = changes.get("state", pull.state)
        if state not in ("open", "closed") or (state == "open" and pull.merged):
            raise _invalid({"code": "invalid", "field": "state"})
        if "base" in update and update["base"] not in await forge.bare(repository).branches():
            raise _invalid({"code": "invalid", "field": "base"})
        now = time.time()
        closed_at = pull.closed_at if state == pull.state else (now if state == "closed" else None)
        changed = pull.model_copy(update={**update, "state": state, "updated_at": now, "closed_at": closed_at})
        await keep(forge, known, changed)
    if state != pull.state:
        await _tell(forge, repository, changed, "closed" if state == "closed" else "reopened", by)
    elif update:
        await _tell(forge, repository, changed, "edited", by)
    return changed


async def comment(forge: Forge, repository: str, number: int, by: str, body: str) -> Comment:
    """Words under a pull request. Raises Refusal 404 or 422."""
    async with forge.lock(repository):
        known = forge.repository(repository)
        pull = known.pull(number)
        if not body.strip():
            raise Refusal(
                422, "Validation Failed", ({"resource": "IssueComment", "code": "missing_field", "field": "body"},)
            )
        said = Comment(id=known.next_id, author=by, body=body, at=time.time())
        changed = pull.model_copy(update={"comments": (*pull.comments, said), "updated_at": said.at})
        await keep(forge, known.model_copy(update={"next_id": known.next_id + 1}), changed)
    shape = forge.shapes.comment(known, changed, said)
    payload = {"action": "created", "issue": forge.shapes.issue(known, changed), "comment": shape}
    forge.tell(repository, "issue_comment", by, payload)
    return said


async def label(forge: Forge, repository: str, number: int, labels: Sequence[str]) -> PullRequest:
    """Let the pull request have exactly these labels."""
    async with forge.lock(repository):
        known = forge.repository(repository)
        changed = known.pull(number).model_copy(
            update={"labels": tuple(dict.fromkeys(labels)), "updated_at": time.time()}
        )
        await keep(forge, known, changed)
    return changed


async def merge(
    forge: Forge,
    repository: str,
    number: int,
    by: str,
    *,
    method: str = "merge",
    message: str = "",
    sha: str | None = None,
) -> PullRequest:
    """Bring it into its base; `method` merge or squash. Raises Refusal 404, 405 or 409."""
    async with forge.lock(repository):
        known = forge.repository(repository)
        pull = known.pull(number)
        _refuse_merge(pull, method, sha)
        message = message or f"Merge pull request #{number} from {known.owner}/{pull.head}\n\n{pull.title}"
        base, made = await _put_together(forge, repository, pull, by, method, message)
        left = await forge.bare(repository).merge_base(base, pull.head_sha) or pull.base_sha
        now = time.time()
        end = {
            "state": "closed",
            "merged_by": by,
            "merge_sha": made,
            "closed_at": now,
            "updated_at": now,
            "base_sha": left,
        }
        changed = pull.model_copy(update=end)
        await keep(forge, known.model_copy(update={"pushed_at": now}), changed)
    await _tell(forge, repository, changed, "closed", by)
    _tell_push(forge, repository, pull.base, base, made, by)
    return changed


def _refuse_merge(pull: PullRequest, method: str, sha: str | None) -> None:
    if pull.state != "open":
        raise Refusal(405, "Pull Request is not mergeable")
    if pull.draft:
        raise Refusal(405, "Pull Request is still a draft")
    if method not in ("merge", "squash"):
        raise Refusal(405, f"{method.capitalize()} merges are not allowed on this repository.")
    if sha and sha != pull.head_sha:
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")


async def _put_together(
    forge: Forge, repository: str, pull: PullRequest, by: str, method: str, message: str
) -> tuple[str, str]:
    """(tip of the base before, tip of it now: a new commit of `by`). Raises Refusal 405 if the two are in conflict."""
    bare, person = forge.bare(repository), forge.person(by)
    base = (await bare.branches())[pull.base]
    parents = [base, pull.head_sha] if method == "merge" else [base]
    email = person.email or f"{by}@users.noreply.acme.example"
    try:
        tree = await bare.merged_tree(base, pull.head_sha)
        made = await bare.commit_tree(tree, parents, message, person.name, email)
        await bare.point(f"refs/heads/{pull.base}", made, base)
    except GitFailed as conflict:
        raise Refusal(405, "Pull Request is not mergeable") from conflict
    return base, made


async def pushed(forge: Forge, repository: str, before: Mapping[str, str], by: str) -> None:
    """What a push changes, given the branches before it; called by `forge_git.py` under the lock."""
    bare = forge.bare(repository)
    after = await bare.branches()
    for branch in sorted({*before, *after}):
        old, new = before.get(branch, NO_COMMIT), after.get(branch, NO_COMMIT)
        if old == new:
            continue
        known = forge.repository(repository).model_copy(update={"pushed_at": time.time()})
        forge.keep(known)
        _tell_push(forge, repository, branch, old, new, by)
        for pull in forge.pull_requests(repository, "open"):
            if pull.head == branch:
                await _follow(forge, known, pull, new, after.get(pull.base), by)
            elif (
                pull.base == branch and new != NO_COMMIT and await bare.merge_base(new, pull.head_sha) == pull.head_sha
            ):
                end = {"state": "closed", "merged_by": by, "merge_sha": new, "closed_at": time.time()}
                await _moved(forge, pull.model_copy(update=end), repository, "closed", by)


async def _follow(forge: Forge, known: Repository, pull: PullRequest, new: str, base: str | None, by: str) -> None:
    """An open pull request's branch moved, or went away."""
    now = time.time()
    if new == NO_COMMIT:
        gone = pull.model_copy(update={"state": "closed", "closed_at": now, "updated_at": now})
        await _moved(forge, gone, known.full_name, "closed", by)
        return
    left = await forge.bare(known.full_name).merge_base(base, new) if base else None
    moved = pull.model_copy(update={"head_sha": new, "base_sha": left or pull.base_sha, "updated_at": now})
    await _moved(forge, moved, known.full_name, "synchronize", by, before=pull.head_sha, after=new)


async def _moved(forge: Forge, pull: PullRequest, repository: str, action: str, by: str, **more: str) -> None:
    await keep(forge, forge.repository(repository), pull)
    await _tell(forge, repository, pull, action, by, **more)


async def contents(forge: Forge, repository: str, pull: PullRequest) -> tuple[list[Commit], list[FileDiff]]:
    """(its commits, oldest first; its changed files)."""
    bare = forge.bare(repository)
    commits = await bare.commits(pull.head_sha, without=pull.base_sha)
    return commits[::-1], forge_diff.parse(*await bare.diff(pull.base_sha, pull.head_sha))


async def weigh(forge: Forge, repository: str, pull: PullRequest) -> Weight:
    """What GitHub counts about it, and whether it could be merged now."""
    commits, files = await contents(forge, repository, pull)
    return Weight(len(commits), files, await mergeable(forge, repository, pull))


async def mergeable(forge: Forge, repository: str, pull: PullRequest) -> bool | None:
    """Whether it could be merged now; None when it is closed."""
    bare = forge.bare(repository)
    base = (await bare.branches()).get(pull.base)
    if pull.state != "open" or base is None:
        return None
    try:
        await bare.merged_tree(base, pull.head_sha)
    except GitFailed:
        return False
    return True


async def keep(forge: Forge, known: Repository, pull: PullRequest) -> None:
    """Remember it; a ref keeps its commits when its branch goes, as GitHub's `refs/pull/N/head` does."""
    await forge.bare(known.full_name).point(f"refs/pull/{pull.number}/head", pull.head_sha)
    forge.keep(known.with_pull(pull))


async def _tell(forge: Forge, repository: str, pull: PullRequest, action: str, by: str, **more: str) -> None:
    shape = forge.shapes.pull(forge.repository(repository), pull, await weigh(forge, repository, pull))
    forge.tell(repository, "pull_request", by, {"action": action, "number": pull.number, "pull_request": shape, **more})


def _tell_push(forge: Forge, repository: str, branch: str, old: str, new: str, by: str) -> None:
    person = forge.person(by)
    payload = {
        "ref": f"refs/heads/{branch}",
        "before": old,
        "after": new,
        "created": old == NO_COMMIT,
        "deleted": new == NO_COMMIT,
        "pusher": {"name": by, "email": person.email or None},
    }
    forge.tell(repository, "push", by, payload)


def _invalid(error: dict[str, str]) -> Refusal:
    return Refusal(422, "Validation Failed", ({"resource": "PullRequest", **error},))
