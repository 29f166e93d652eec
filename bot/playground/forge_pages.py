"""The forge's pages: the repositories with their pull requests, one pull request with its diff and buttons, webhooks.

Mounted by `forge_routes`. What stands on a page comes from strangers: Jinja escapes all of it, Markdown is rendered
without HTML, and a policy header forbids scripts. A form is only taken from a page of our own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import jinja2
from aiohttp import web
from markdown_it import MarkdownIt
from markupsafe import Markup

from bot.playground import forge_checks, forge_diff, forge_pulls, forge_reviews
from bot.playground.forge import PREFIX, Forge
from bot.playground.forge_records import Comment, PullRequest, Refusal, Review
from bot.playground.forge_reviews import OnLines

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
CHECKS = {"CHECK_FAILS": "failure", "CHECK_PASSES": "success"}
VERDICTS = {"APPROVED": "approved these changes", "CHANGES_REQUESTED": "requested changes", "COMMENTED": "reviewed"}
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ON_LINES = re.compile(r"(?P<path>[^\s:]+):(?:(?P<start>\d{1,7})-)?(?P<line>\d{1,7}):? +(?P<words>.+)")
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").enable("strikethrough")


@dataclass(frozen=True)
class Pressed:
    """A button of a pull request's page. `lines`: comments on lines, as they were typed; `comment`: the one that the
    button belongs to."""

    do: str
    who: str
    body: str
    lines: str
    comment: int

    @classmethod
    def of(cls, form: Mapping[str, object]) -> "Pressed":
        """What was sent; what was not sent is empty."""
        sent = {
            name: str(form.get(name, "")).replace("\r\n", "\n") for name in ("do", "who", "body", "lines", "comment")
        }
        comment = sent.pop("comment")
        return cls(**sent, comment=int(comment) if comment.isdecimal() else 0)


class Pages:
    """The pages of one forge."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge
        loader = jinja2.PackageLoader("bot.playground", "templates")
        self._templates = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
        self._templates.filters |= {"ago": _date, "markdown": render, "part": lambda text: quote(str(text), safe="")}

    async def home(self, request: web.Request) -> web.Response:
        """GET /forge/: what there is."""
        rows = []
        for repository in self._forge.repositories():
            commits = await self._forge.commits(repository.full_name, limit=1)
            rows.append((repository, commits[0], self._forge.pull_requests(repository.full_name)))
        failed = sum(delivery.failed for delivery in self._forge.hooks.deliveries)
        return self._page("forge_home.html", rows=rows, failed=failed)

    async def repository(self, request: web.Request) -> web.Response:
        """GET /forge/{owner}/{name}: files, README, branches, commits, pull requests."""
        known = self._forge.repository(_name(request))
        bare = self._forge.bare(known.full_name)
        tip = known.default_branch
        return self._page(
            "forge_repository.html",
            repository=known,
            pulls=self._forge.pull_requests(known.full_name),
            commits=await self._forge.commits(known.full_name, limit=12),
            branches=await bare.branches(),
            files=(await bare.files(tip))[:300],
            readme=await bare.read(tip, "README.md"),
            clone=f"{self._forge.url}/{known.full_name}.git",
        )

    async def commit(self, request: web.Request) -> web.Response:
        """GET /forge/{owner}/{name}/commit/{sha}: one commit with its diff."""
        known = self._forge.repository(_name(request))
        commit = (await self._forge.commits(known.full_name, request.match_info["sha"], limit=1))[0]
        bare = self._forge.bare(known.full_name)
        empty_tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
        files = forge_diff.parse(*await bare.diff(commit.parents[0] if commit.parents else empty_tree, commit.sha))
        return self._page("forge_commit.html", repository=known, commit=commit, files=files)

    async def pull(self, request: web.Request) -> web.Response:
        """GET /forge/{owner}/{name}/pull/{number}."""
        known = self._forge.repository(_name(request))
        return await self._pull_page(known.full_name, known.pull(int(request.match_info["number"])))

    async def act(self, request: web.Request) -> web.Response:
        """POST /forge/{owner}/{name}/pull/{number}: a button was pressed; the form's fields are those of `Pressed`."""
        _refuse_foreign(request)
        known = self._forge.repository(_name(request))
        number = int(request.match_info["number"])
        pressed = Pressed.of(await request.post())
        try:
            await self._act(known.full_name, number, pressed)
        except Refusal as refused:
            reason = "; ".join(error.get("message", "") for error in refused.errors) or refused.message
            pull = self._forge.repository(known.full_name).pull(number)
            return await self._pull_page(known.full_name, pull, said=reason, typed=pressed, status=refused.status)
        raise web.HTTPSeeOther(f"{PREFIX}/{known.full_name}/pull/{number}")

    async def _act(self, repository: str, number: int, pressed: Pressed) -> None:
        forge, who, do = self._forge, pressed.who, pressed.do
        person = forge.people.get(who)
        if person is None or person.kind != "User":
            raise Refusal(422, "Choose who you are, then press the button again")
        if do in forge_reviews.VERDICTS:
            on_lines = comments_of(pressed.lines)
            await forge_reviews.review(forge, repository, number, who, do, pressed.body, on_lines)
        elif do == "SAY":
            await self._say(repository, number, pressed)
        elif do in ("REPLY", "REWORD", "DELETE"):
            await self._answer(repository, number, pressed)
        elif do in CHECKS:
            await self._check(repository, number, pressed)
        elif do == "MERGE":
            await forge_pulls.merge(forge, repository, number, who)
        elif do in ("CLOSE", "REOPEN"):
            state = "closed" if do == "CLOSE" else "open"
            await forge_pulls.edit_pull(forge, repository, number, who, {"state": state})
        else:
            raise Refusal(422, "There is no such button")

    async def _check(self, repository: str, number: int, pressed: Pressed) -> None:
        """A program checks it: the first line of the words is what it is called, the others what it says."""
        name, _, said = pressed.body.strip().partition("\n")
        sha, ended = self._forge.repository(repository).pull(number).head_sha, CHECKS[pressed.do]
        await forge_checks.finish(
            self._forge, repository, sha, pressed.who, name or "tests", ended, title=ended, summary=said.strip()
        )

    async def _say(self, repository: str, number: int, pressed: Pressed) -> None:
        """Each comment by itself, part of no review."""
        on_lines = comments_of(pressed.lines)
        for said in on_lines:
            await forge_reviews.comment_on_lines(self._forge, repository, number, pressed.who, said)
        if pressed.body.strip() or not on_lines:
            await forge_pulls.comment(self._forge, repository, number, pressed.who, pressed.body)

    async def _answer(self, repository: str, number: int, pressed: Pressed) -> None:
        """Something is done about a comment on lines."""
        forge, comment, who, body = self._forge, pressed.comment, pressed.who, pressed.body
        if pressed.do == "REPLY":
            said = OnLines(body, reply_to=comment)
            await forge_reviews.comment_on_lines(forge, repository, number, who, said)
        elif pressed.do == "REWORD":
            await forge_reviews.edit_comment(forge, repository, comment, who, body)
        else:
            await forge_reviews.delete_comment(forge, repository, comment, who)

    async def webhooks(self, request: web.Request) -> web.Response:
        """GET /forge/webhooks: what was sent, and what became of it."""
        deliveries = list(self._forge.hooks.deliveries)[::-1]
        return self._page("forge_webhooks.html", url=self._forge.hooks.url, deliveries=deliveries)

    async def _pull_page(
        self, name: str, pull: PullRequest, said: str = "", typed: Pressed | None = None, status: int = 200
    ) -> web.Response:
        commits, files = await forge_pulls.contents(self._forge, name, pull)
        happened: list[Review | Comment] = sorted([*pull.reviews, *pull.comments], key=lambda said: said.at)
        return self._page(
            "forge_pull.html",
            status=status,
            repository=self._forge.repository(name),
            pull=pull,
            author=self._forge.person(pull.author),
            commits=commits,
            files=files,
            checks=self._forge.repository(name).checks_of(pull.head_sha),
            happened=happened,
            verdicts=VERDICTS,
            mergeable=await forge_pulls.mergeable(self._forge, name, pull),
            people=[person for person in self._forge.people.values() if person.kind == "User"],
            said=said,
            typed=typed,
        )

    def _page(self, template: str, status: int = 200, **values: object) -> web.Response:
        text = self._templates.get_template(template).render(prefix=PREFIX, person=self._forge.person, **values)
        return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)


def comments_of(typed: str) -> list[OnLines]:
    """What was typed: `path:12 words`, or `path:10-12 words`, each on a line; others go on with what stands above them.
    Raises Refusal 422."""
    found: list[OnLines] = []
    for text in typed.strip().split("\n") if typed.strip() else ():
        begins = _ON_LINES.fullmatch(text)
        if begins:
            start = int(begins["start"]) if begins["start"] else None
            found.append(OnLines(begins["words"], begins["path"], int(begins["line"]), start))
        elif found:
            found[-1] = found[-1]._replace(body=f"{found[-1].body}\n{text}")
        else:
            raise Refusal(422, "Begin a comment on a line with its place, such as rocket/fuel.py:12 and a space")
    return found


def render(text: str) -> Markup:
    """Markdown of a stranger as safe HTML: no tags of its own, no `javascript:` links. Comments are not shown."""
    return Markup(_MARKDOWN.render(_COMMENT.sub("", text)))  # the renderer escapes what it did not make itself


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %Y, %H:%M")


def _name(request: web.Request) -> str:
    return f"{request.match_info['owner']}/{request.match_info['name']}"


def _refuse_foreign(request: web.Request) -> None:
    """Browsers say where a form was; another site's form must not press our buttons."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise web.HTTPForbidden(text="This form did not come from a page of the forge.\n")
