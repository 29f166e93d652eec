"""Checks and statuses in the forge's REST API. Listed in `forge_api.py`.

The pages to compare with are https://docs.github.com/en/rest/checks/runs and `…/commits/statuses`. As there, only an
app may make a check; everybody who may push may set a status. Of checks that take a while this forge knows nothing.
"""

from typing import Any

from aiohttp import web

from bot.playground import forge_checks
from bot.playground.forge_json import Json
from bot.playground.forge_records import Annotation, CheckRun, Refusal
from bot.playground.forge_request import Asked, Handler

REPOSITORY = "/repos/{owner}/{name}"


async def create_run(asked: Asked) -> web.Response:
    """A check that has ended."""
    repository, wish = asked.writable, await asked.body()
    if asked.known.expires_at is None:
        raise Refusal(403, "You must authenticate via a GitHub App.")
    output: Json = wish["output"] if isinstance(wish.get("output"), dict) else {}
    run = await forge_checks.finish(
        asked.forge, repository.full_name, str(wish.get("head_sha")), asked.known.login,
        str(wish.get("name") or ""), str(wish.get("conclusion")),
        title=str(output.get("title") or ""), summary=str(output.get("summary") or ""),
        annotations=[_annotation(one) for one in output.get("annotations") or [] if isinstance(one, dict)],
    )  # fmt: skip
    return web.json_response(_shape(asked, run), status=201)


async def list_runs(asked: Asked) -> web.Response:
    """The checks of a commit."""
    sha = asked.request.match_info["ref"]
    rows = [_shape(asked, run) for run in asked.repository.check_runs if run.sha == sha]
    return web.json_response({"total_count": len(rows), "check_runs": rows})


async def list_annotations(asked: Asked) -> web.Response:
    """What a check says of lines."""
    number = int(asked.request.match_info["run"])
    run = next((one for one in asked.repository.check_runs if one.id == number), None)
    if run is None:
        raise Refusal(404, "Not Found")
    return asked.page_of([one.model_dump() | {"title": None, "raw_details": None} for one in run.annotations])


async def create_status(asked: Asked) -> web.Response:
    """A status of a commit."""
    repository, wish, sha = asked.writable, await asked.body(), asked.request.match_info["sha"]
    context, state = str(wish.get("context") or "default"), str(wish.get("state"))
    words, url = str(wish.get("description") or ""), str(wish.get("target_url") or "")
    by = asked.known.login
    status = await forge_checks.set_status(asked.forge, repository.full_name, sha, by, context, state, words, url)
    return web.json_response(forge_checks.status_shape(asked.forge, repository, status), status=201)


def _annotation(sent: dict[str, Any]) -> Annotation:
    first, last = int(sent.get("start_line") or 1), int(sent.get("end_line") or 1)
    level, words = str(sent.get("annotation_level") or "failure"), str(sent.get("message") or "")
    return Annotation(
        path=str(sent.get("path")), start_line=first, end_line=last, annotation_level=level, message=words
    )


def _shape(asked: Asked, run: CheckRun) -> Json:
    pulls = [pull for pull in asked.repository.pulls if pull.head_sha == run.sha]
    return forge_checks.check_run(asked.forge, asked.repository, run, pulls[-1].head if pulls else None, pulls)


CHECK_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", REPOSITORY + "/check-runs", create_run),
    ("GET", REPOSITORY + "/check-runs/{run:\\d+}/annotations", list_annotations),
    ("GET", REPOSITORY + "/commits/{ref}/check-runs", list_runs),
    ("POST", REPOSITORY + "/statuses/{sha:[0-9a-f]{40}}", create_status),
)
