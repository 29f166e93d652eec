"""The part of GitHub's REST API that Shipmate uses through PyGithub, at `/forge/api/v3`.

Mounted by `forge_routes`. `ROUTES` is the whole list; each handler reads the request, calls the forge, and answers with
what `forge_json.py` makes of it.
"""

from aiohttp import web

from bot.playground import forge_pulls
from bot.playground.forge import API_PREFIX, Forge
from bot.playground.forge_api_checks import CHECK_ROUTES
from bot.playground.forge_api_reviews import REVIEW_ROUTES
from bot.playground.forge_app import APP_ROUTES
from bot.playground.forge_json import Json
from bot.playground.forge_records import PullRequest, Refusal
from bot.playground.forge_request import RATE_LIMIT, Asked, Handler, answering

PULL = "/repos/{owner}/{name}/pulls/{number:\\d+}"
ISSUE = "/repos/{owner}/{name}/issues/{number:\\d+}"
REPOSITORY = "/repos/{owner}/{name}"


async def get_user(asked: Asked) -> web.Response:
    """Who the token is. An app's token is nobody's."""
    login = asked.known.login
    if asked.known.expires_at is not None:
        raise Refusal(403, "Resource not accessible by integration")
    return web.json_response(asked.shapes.private_user(login), headers={"X-OAuth-Scopes": "repo"})


async def get_some_user(asked: Asked) -> web.Response:
    """A person's account."""
    login = asked.request.match_info["login"]
    if login not in asked.forge.people:
        raise Refusal(404, "Not Found")
    return web.json_response(asked.shapes.private_user(login))


async def get_rate_limit(asked: Asked) -> web.Response:
    """Never near the limit."""
    rate = {"limit": RATE_LIMIT, "remaining": RATE_LIMIT - 1, "used": 1, "reset": 0}
    return web.json_response({"resources": {"core": rate}, "rate": rate})


async def list_installation_repositories(asked: Asked) -> web.Response:
    """What the token may see."""
    access = asked.known
    seen = [r for r in asked.forge.repositories() if access.covers(r.full_name)]
    rows = [asked.shapes.repository(repository, access.may_push) for repository in seen]
    return web.json_response({"total_count": len(rows), "repositories": rows})


async def get_repository(asked: Asked) -> web.Response:
    """A repository, and what the asker may do in it."""
    repository, access = asked.repository, asked.access
    may_push = None if access is None else access.may_push and access.covers(repository.full_name)
    return web.json_response(asked.shapes.repository(repository, may_push))


async def list_branches(asked: Asked) -> web.Response:
    """All branches."""
    repository = asked.repository
    branches = await asked.forge.bare(repository.full_name).branches()
    return asked.page_of([asked.shapes.branch(repository, name, sha) for name, sha in branches.items()])


async def get_branch(asked: Asked) -> web.Response:
    """One branch with its newest commit."""
    repository, name = asked.repository, asked.request.match_info["branch"]
    if name not in await asked.forge.bare(repository.full_name).branches():
        raise Refusal(404, "Branch not found")
    tip = (await asked.forge.commits(repository.full_name, name, limit=1))[0]
    shape = asked.shapes.branch(repository, name, tip.sha)
    return web.json_response({**shape, "commit": asked.shapes.commit(repository, tip)})


async def get_ref(asked: Asked) -> web.Response:
    """A branch as git sees it."""
    repository, name = asked.repository, asked.request.match_info["branch"]
    sha = (await asked.forge.bare(repository.full_name).branches()).get(name)
    if sha is None:
        raise Refusal(404, "Not Found")
    api = f"{asked.forge.api_url}/repos/{repository.full_name}/git"
    shape = {"ref": f"refs/heads/{name}", "url": f"{api}/refs/heads/{name}", "object": {"type": "commit", "sha": sha}}
    return web.json_response(shape)


async def list_commits(asked: Asked) -> web.Response:
    """The commits of a branch, newest first."""
    repository = asked.repository
    commits = await asked.forge.commits(repository.full_name, asked.request.query.get("sha"))
    return asked.page_of([asked.shapes.commit(repository, commit) for commit in commits])


async def get_commit(asked: Asked) -> web.Response:
    """The commit that a branch or a hash names."""
    repository = asked.repository
    commits = await asked.forge.commits(repository.full_name, asked.request.match_info["ref"], limit=1)
    return web.json_response(asked.shapes.commit(repository, commits[0]))


async def list_pulls(asked: Asked) -> web.Response:
    """Pull requests, newest first; `head` is `owner:branch`."""
    repository, query = asked.repository, asked.request.query
    pulls = asked.forge.pull_requests(
        repository.full_name, query.get("state", "open"), query.get("head"), query.get("base")
    )
    if query.get("direction") == "asc":
        pulls.reverse()
    return asked.page_of([asked.shapes.pull(repository, pull) for pull in pulls])


async def create_pull(asked: Asked) -> web.Response:
    """Open a pull request."""
    repository, wish = asked.writable, await asked.body()
    missing = [field for field in ("head", "base") if not isinstance(wish.get(field), str)]
    if missing:
        errors = tuple({"resource": "PullRequest", "code": "missing_field", "field": field} for field in missing)
        raise Refusal(422, "Validation Failed", errors)
    pull = await forge_pulls.open_pull(
        asked.forge, repository.full_name, asked.known.login,
        title=str(wish.get("title") or ""), head=wish["head"], base=wish["base"],
        body=str(wish.get("body") or ""), draft=bool(wish.get("draft")),
    )  # fmt: skip
    return web.json_response(await _whole(asked, pull), status=201)


async def get_pull(asked: Asked) -> web.Response:
    """One pull request, with everything that is counted."""
    return web.json_response(await _whole(asked, asked.pull))


async def edit_pull(asked: Asked) -> web.Response:
    """Change its words, its base, or close it."""
    repository, wish, pull = asked.writable, await asked.body(), asked.pull
    changed = await forge_pulls.edit_pull(asked.forge, repository.full_name, pull.number, asked.known.login, wish)
    return web.json_response(await _whole(asked, changed))


async def list_pull_commits(asked: Asked) -> web.Response:
    """Its commits, oldest first."""
    repository, pull = asked.repository, asked.pull
    commits, _ = await forge_pulls.contents(asked.forge, repository.full_name, pull)
    return asked.page_of([asked.shapes.commit(repository, commit) for commit in commits])


async def list_pull_files(asked: Asked) -> web.Response:
    """Its changed files."""
    repository, pull = asked.repository, asked.pull
    _, files = await forge_pulls.contents(asked.forge, repository.full_name, pull)
    return asked.page_of([asked.shapes.file(repository, pull, file) for file in files])


async def is_merged(asked: Asked) -> web.Response:
    """204 if it is."""
    if not asked.pull.merged:
        raise Refusal(404, "Not Found")
    return web.Response(status=204)


async def merge_pull(asked: Asked) -> web.Response:
    """Merge it."""
    repository, wish, pull = asked.writable, await asked.body(), asked.pull
    words = [str(wish[name]) for name in ("commit_title", "commit_message") if wish.get(name)]
    merged = await forge_pulls.merge(
        asked.forge, repository.full_name, pull.number, asked.known.login,
        method=str(wish.get("merge_method") or "merge"), message="\n\n".join(words), sha=wish.get("sha"),
    )  # fmt: skip
    return web.json_response({"sha": merged.merge_sha, "merged": True, "message": "Pull Request successfully merged"})


async def get_issue(asked: Asked) -> web.Response:
    """The pull request as an issue."""
    return web.json_response(asked.shapes.issue(asked.repository, asked.pull))


async def list_comments(asked: Asked) -> web.Response:
    """What was said under it."""
    repository, pull = asked.repository, asked.pull
    return asked.page_of([asked.shapes.comment(repository, pull, comment) for comment in pull.comments])


async def create_comment(asked: Asked) -> web.Response:
    """Say something under it."""
    repository, wish, pull = asked.writable, await asked.body(), asked.pull
    said = await forge_pulls.comment(
        asked.forge, repository.full_name, pull.number, asked.known.login, str(wish.get("body") or "")
    )
    return web.json_response(asked.shapes.comment(repository, asked.pull, said), status=201)


async def list_labels(asked: Asked) -> web.Response:
    """Its labels."""
    return asked.page_of([asked.shapes.label(asked.repository, label) for label in asked.pull.labels])


async def change_labels(asked: Asked) -> web.Response:
    """POST adds labels, PUT puts others in their place, DELETE takes one or all away."""
    repository, pull, method = asked.writable, asked.pull, asked.request.method
    wish = await asked.sent()
    named = wish.get("labels", []) if isinstance(wish, dict) else wish
    if not isinstance(named, list) or not all(isinstance(label, str) for label in named):
        raise Refusal(422, "Validation Failed", ({"resource": "Label", "code": "invalid", "field": "name"},))
    gone = asked.request.match_info.get("label")
    if gone is not None and gone not in pull.labels:
        raise Refusal(404, "Label does not exist")
    kept = [label for label in pull.labels if method == "POST" or (gone is not None and label != gone)]
    changed = await forge_pulls.label(asked.forge, repository.full_name, pull.number, [*kept, *named])
    return web.json_response([asked.shapes.label(repository, label) for label in changed.labels])


async def not_found(asked: Asked) -> web.Response:
    """Everything else."""
    _ = asked.access
    raise Refusal(404, "Not Found")


async def _whole(asked: Asked, pull: PullRequest) -> Json:
    repository = asked.repository
    return asked.shapes.pull(repository, pull, await forge_pulls.weigh(asked.forge, repository.full_name, pull))


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/user", get_user),
    ("GET", "/users/{login}", get_some_user),
    ("GET", "/rate_limit", get_rate_limit),
    ("GET", "/installation/repositories", list_installation_repositories),
    *APP_ROUTES,
    ("GET", REPOSITORY, get_repository),
    ("GET", REPOSITORY + "/branches", list_branches),
    ("GET", REPOSITORY + "/branches/{branch:.+}", get_branch),
    ("GET", REPOSITORY + "/git/ref/heads/{branch:.+}", get_ref),
    ("GET", REPOSITORY + "/commits", list_commits),
    *CHECK_ROUTES,
    ("GET", REPOSITORY + "/commits/{ref:.+}", get_commit),
    ("GET", REPOSITORY + "/pulls", list_pulls),
    ("POST", REPOSITORY + "/pulls", create_pull),
    ("GET", PULL, get_pull),
    ("PATCH", PULL, edit_pull),
    ("GET", PULL + "/commits", list_pull_commits),
    ("GET", PULL + "/files", list_pull_files),
    *REVIEW_ROUTES,
    ("GET", PULL + "/merge", is_merged),
    ("PUT", PULL + "/merge", merge_pull),
    ("GET", ISSUE, get_issue),
    ("GET", ISSUE + "/comments", list_comments),
    ("POST", ISSUE + "/comments", create_comment),
    ("GET", ISSUE + "/labels", list_labels),
    ("POST", ISSUE + "/labels", change_labels),
    ("PUT", ISSUE + "/labels", change_labels),
    ("DELETE", ISSUE + "/labels", change_labels),
    ("DELETE", ISSUE + "/labels/{label}", change_labels),
    ("*", "/{rest:.*}", not_found),
)


def api_routes(forge: Forge) -> list[web.RouteDef]:
    """Everything of this file, for an aiohttp application."""
    return [web.route(method, API_PREFIX + path, answering(forge, handler)) for method, path, handler in ROUTES]
