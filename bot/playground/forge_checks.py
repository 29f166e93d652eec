"""Checks and statuses of commits, and the webhooks that tell of them.

Called by `forge_api_checks.py` and `forge_pages.py`, and by tests. As on GitHub all runs of one app on a commit are a
suite, whose end is told after that of its last run; a run that is begun anew is another run of the same suite; a status
names branches, and no pull request. `by` is always a login.
"""

import time
from collections.abc import Sequence
from typing import Any

from bot.playground.forge import Forge
from bot.playground.forge_json import Json, when
from bot.playground.forge_records import Annotation, CheckRun, PullRequest, Refusal, Repository, Status

CONCLUSIONS = ("success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required", "stale")
STATES = ("error", "failure", "pending", "success")
BAD = ("failure", "timed_out", "action_required")
APP = {"id": 2, "slug": "playground-ci", "name": "Playground CI"}


async def finish(
    forge: Forge,
    repository: str,
    sha: str,
    by: str,
    name: str,
    conclusion: str,
    *,
    title: str = "",
    summary: str = "",
    annotations: Sequence[Annotation] = (),
) -> CheckRun:
    """A run of the check `name` begins on a commit, and ends so. Raises Refusal 422."""
    if conclusion not in CONCLUSIONS or not name.strip():
        raise Refusal(422, "Invalid request.")
    async with forge.lock(repository):
        known = forge.repository(repository)
        await _refuse_unknown(forge, known, sha)
        suite = next((run.suite for run in known.check_runs if run.sha == sha), known.next_id)
        number = max(known.next_id, suite + 1)
        run = CheckRun(
            id=number, suite=suite, name=name, sha=sha, conclusion=conclusion, title=title, summary=summary,
            annotations=tuple(annotations), at=time.time(),
        )  # fmt: skip
        forge.keep(known.model_copy(update={"next_id": number + 1, "check_runs": (*known.check_runs, run)}))
    known = forge.repository(repository)
    branch, pulls = await _branches(forge, known, sha), [pull for pull in known.pulls if pull.head_sha == sha]
    began = check_run(forge, known, run, branch, pulls) | {"status": "in_progress", "conclusion": None}
    ended = check_run(forge, known, run, branch, pulls)
    forge.tell(repository, "check_run", by, {"action": "created", "check_run": began | {"completed_at": None}})
    forge.tell(repository, "check_run", by, {"action": "completed", "check_run": ended})
    suite_shape = _suite(forge, known, run, branch, pulls)
    forge.tell(repository, "check_suite", by, {"action": "completed", "check_suite": suite_shape})
    return run


async def set_status(
    forge: Forge, repository: str, sha: str, by: str, context: str, state: str, description: str = "", url: str = ""
) -> Status:
    """A status of a commit. Raises Refusal 422."""
    if state not in STATES:
        raise Refusal(422, "Validation Failed", ({"resource": "Status", "code": "custom", "field": "state"},))
    async with forge.lock(repository):
        known = forge.repository(repository)
        await _refuse_unknown(forge, known, sha)
        status = Status(
            id=known.next_id, sha=sha, context=context, state=state, description=description, target_url=url,
            author=by, at=time.time(),
        )  # fmt: skip
        forge.keep(known.model_copy(update={"next_id": status.id + 1, "statuses": (*known.statuses, status)}))
    known = forge.repository(repository)
    api = f"{forge.api_url}/repos/{known.full_name}/commits/{sha}"
    branches = await forge.bare(repository).branches()
    at_it = [forge.shapes.branch(known, name, tip) for name, tip in branches.items() if tip == sha]
    commit = {"sha": sha, "url": api, "html_url": f"{forge.url}/{known.full_name}/commit/{sha}"}
    shape = {name: told for name, told in status_shape(forge, known, status).items() if name not in ("url", "creator")}
    about = {"sha": sha, "name": known.full_name, "commit": commit, "branches": at_it[:10]}
    forge.tell(repository, "status", by, {**shape, **about})
    return status


def status_shape(forge: Forge, known: Repository, status: Status) -> Json:
    """A status, as the API shows it."""
    return {
        "id": status.id,
        "url": f"{forge.api_url}/repos/{known.full_name}/statuses/{status.sha}",
        "context": status.context,
        "state": status.state,
        "description": status.description or None,
        "target_url": status.target_url or None,
        "created_at": when(status.at),
        "updated_at": when(status.at),
        "creator": forge.shapes.user(status.author),
    }


def check_run(forge: Forge, known: Repository, run: CheckRun, branch: str | None, pulls: Sequence[PullRequest]) -> Json:
    """A run. Its suite is told in short, as in a webhook."""
    api = f"{forge.api_url}/repos/{known.full_name}/check-runs/{run.id}"
    output = {"title": run.title or None, "summary": run.summary or None, "text": None}
    notes = {"annotations_count": len(run.annotations), "annotations_url": f"{api}/annotations"}
    suite = {"id": run.suite, "head_branch": branch, "head_sha": run.sha, "pull_requests": _pulls(forge, known, pulls)}
    page = f"{forge.url}/{known.full_name}/commit/{run.sha}#check-{run.id}"
    return {
        "id": run.id,
        "node_id": f"CR_{run.id}",
        "external_id": "",
        "name": run.name,
        "head_sha": run.sha,
        "status": "completed",
        "conclusion": run.conclusion,
        "started_at": when(run.at),
        "completed_at": when(run.at),
        "url": api,
        "html_url": page,
        "details_url": page,
        "output": output | notes,
        "check_suite": suite,
        "pull_requests": suite["pull_requests"],
        "app": APP,
    }


def _suite(
    forge: Forge, known: Repository, run: CheckRun, branch: str | None, pulls: Sequence[PullRequest]
) -> dict[str, Any]:
    latest = {one.name: one.conclusion for one in known.check_runs if one.suite == run.suite}
    return {
        "id": run.suite,
        "node_id": f"CS_{run.suite}",
        "head_branch": branch,
        "head_sha": run.sha,
        "status": "completed",
        "conclusion": "failure" if any(ended in BAD for ended in latest.values()) else "success",
        "latest_check_runs_count": len(latest),
        "url": f"{forge.api_url}/repos/{known.full_name}/check-suites/{run.suite}",
        "pull_requests": _pulls(forge, known, pulls),
        "app": APP,
        "created_at": when(run.at),
        "updated_at": when(run.at),
    }


def _pulls(forge: Forge, known: Repository, pulls: Sequence[PullRequest]) -> list[Json]:
    """Open pull requests, in the few words that checks have for them."""
    shapes = [forge.shapes.pull(known, pull) for pull in pulls if pull.state == "open"]
    few = [{name: shape[name] for name in ("url", "id", "number")} for shape in shapes]
    ends = [{end: {name: shape[end][name] for name in ("ref", "sha")} for end in ("head", "base")} for shape in shapes]
    return [one | two for one, two in zip(few, ends, strict=True)]


async def _branches(forge: Forge, known: Repository, sha: str) -> str | None:
    """The branch that a suite is told to be of."""
    named = [pull.head for pull in known.pulls if pull.head_sha == sha]
    tips = await forge.bare(known.full_name).branches()
    return next((name for name in [*named, *(n for n, tip in tips.items() if tip == sha)]), None)


async def _refuse_unknown(forge: Forge, known: Repository, sha: str) -> None:
    if await forge.bare(known.full_name).resolve(sha) != sha:
        raise Refusal(422, f"No commit found for SHA: {sha}")
