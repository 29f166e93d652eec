"""A git forge on loopback: repositories, pull requests, people, tokens, webhooks. The state and its rules, no HTTP.

`forge_git.py` serves its repositories, `forge_api.py` speaks GitHub's REST API for it, `forge_pages.py` shows it to
people; `forge_routes.py` mounts all three. Tests hold a `Forge` and use its methods. State lies in one folder (bare
repositories, one JSON file each) and outlives the process. Every `repository` below is `owner/name`; what the forge
refuses is a `Refusal`, with the status and the words that GitHub has for it.
"""

import asyncio
import re
import secrets
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.playground import forge_json, sample
from bot.playground.bare import BareRepo, Commit, Git
from bot.playground.forge_access import Access, AppIdentity, Credentials
from bot.playground.forge_hooks import Hooks
from bot.playground.forge_records import Person, PullRequest, Refusal, Repository, read_json, write_atomically
from bot.playground.sample import Written

PREFIX = "/forge"
API_PREFIX = PREFIX + "/api/v3"
SHIPMATE = Person("shipmate[bot]", "Shipmate", "shipmate@acme.example", "Bot")
PEOPLE = (Person("ada", "Ada Lovelace", "ada@acme.example"), Person("grace", "Grace Hopper", "grace@acme.example"))
NO_COMMIT = "0" * 40


@dataclass
class Faults:
    """What is wrong with the forge just now; set by tests, or through `POST /forge/_faults`."""

    down: bool = False  # 503 to everything but `_faults`
    slow: float = 0.0  # seconds before every answer
    fail_next: int = 0  # so many API answers are 500
    rate_limit_next: int = 0  # so many API answers are 403, rate limit exceeded
    reject_pushes: bool = False  # a pre-receive hook declines every push


class Forge:
    """Everything that the forge knows. Made by `Forge.open`."""

    def __init__(
        self,
        state: Path,
        base_url: str,
        secrets_: Mapping[str, str],
        people: Sequence[Person],
        credentials: Credentials,
        hooks: Hooks,
    ) -> None:
        self.state = state
        self.base_url = base_url
        self.faults = Faults()
        self.people = {person.login: person for person in people}
        self.credentials = credentials
        self.hooks = hooks
        self.git = Git(state)
        self.token = secrets_["token"]
        self._webhook_secret = secrets_["webhook_secret"]
        self._repositories: dict[str, Repository] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @classmethod
    async def open(
        cls,
        state: Path,
        base_url: str = "",
        *,
        token: str | None = None,
        webhook_url: str = "",
        webhook_secret: str | None = None,
        people: Sequence[Person] = PEOPLE,
        tokens: Mapping[str, Access] | None = None,
        app: AppIdentity | None = None,
        samples: Sequence[str] = ("rocket",),
    ) -> "Forge":
        """The forge whose state lies in `state`; at first start with the sample repositories `acme/<sample>`.

        `base_url` is the address of the playground (no `/forge`); it may be set later, before the first answer.
        `token` and `webhook_secret` are made once and kept with the state unless given. `tokens`: further ones.
        """
        state.mkdir(parents=True, exist_ok=True)
        kept = _secrets(state / "secrets.json", token, webhook_secret)
        accounts = (*people, SHIPMATE, *((Person(app.login, app.slug, "", "Bot"),) if app else ()))
        given = {kept["token"]: Access(SHIPMATE.login), **(tokens or {})}
        credentials = Credentials(state / "tokens.json", given, app)
        forge = cls(state, base_url, kept, accounts, credentials, Hooks(webhook_url, kept["webhook_secret"]))
        for path in sorted(state.glob("data/*/*.json")):
            repository = Repository.model_validate_json(path.read_text(encoding="utf-8"))
            forge._repositories[repository.full_name.lower()] = repository
        for name in samples:
            if f"acme/{name}" not in forge._repositories:
                await forge.create_repository(f"acme/{name}", history=sample.history(name))
        return forge

    async def close(self) -> None:
        """End what runs in the background."""
        await self.hooks.close()

    @property
    def url(self) -> str:
        """Where people and git find the forge."""
        return self.base_url.rstrip("/") + PREFIX

    @property
    def api_url(self) -> str:
        """Where GitHub's REST API is."""
        return self.base_url.rstrip("/") + API_PREFIX

    def describe(self, base_url: str | None = None) -> dict[str, str]:
        """The settings that lead a client here. `base_url` (of the playground) is remembered when given."""
        self.base_url = base_url if base_url is not None else self.base_url
        return {
            "GITHUB_API_URL": self.api_url,
            "GITHUB_URL": self.url,
            "GITHUB_TOKEN": self.token,
            "GITHUB_WEBHOOK_SECRET": self._webhook_secret,
        }

    # -- repositories ------------------------------------------------------------------------------------------------

    def repositories(self) -> list[Repository]:
        """All repositories, by name."""
        return sorted(self._repositories.values(), key=lambda repository: repository.full_name)

    def repository(self, name: str) -> Repository:
        """One repository. Raises Refusal 404."""
        found = self._repositories.get(name.lower())
        if found is None:
            raise Refusal(404, "Not Found")
        return found

    def bare(self, repository: str) -> BareRepo:
        """The git side of a repository."""
        known = self.repository(repository)
        return BareRepo(self.git, self.state / "repos" / known.owner / f"{known.name}.git")

    def lock(self, repository: str) -> asyncio.Lock:
        """Held by whoever changes this repository."""
        return self._locks.setdefault(repository.lower(), asyncio.Lock())

    def keep(self, repository: Repository) -> None:
        """Remember a repository as it is now, on disk too. For `forge_pulls.py`, under the lock."""
        self._repositories[repository.full_name.lower()] = repository
        file = self.state / "data" / repository.owner / f"{repository.name}.json"
        write_atomically(file, repository.model_dump_json(indent=1))

    async def create_repository(
        self,
        name: str,
        files: Mapping[str, str] | None = None,
        *,
        private: bool = False,
        history: Sequence[Written] | None = None,
    ) -> Repository:
        """A new repository: one commit of `files`, or a whole `history`. Raises Refusal 422 if the name is taken."""
        if not re.fullmatch(r"(?!\.)[\w.-]{1,100}/(?!\.)[\w.-]{1,100}(?<!\.git)", name, re.ASCII):
            raise Refusal(
                422, "Repository creation failed.", ({"resource": "Repository", "code": "custom", "field": "name"},)
            )
        owner, _, short = name.partition("/")
        if name.lower() in self._repositories:
            raise Refusal(
                422,
                "Repository creation failed.",
                ({"resource": "Repository", "code": "already_exists", "field": "name"},),
            )
        now = time.time()
        first = Written(
            f"{PEOPLE[0].name} <{PEOPLE[0].email}>", "Begin", dict(files or {"README.md": f"# {short}\n"}), now
        )
        repository = Repository(
            owner=owner,
            name=short,
            id=zlib.crc32(name.lower().encode()),
            private=private,
            created_at=now,
            pushed_at=now,
        )
        bare = BareRepo(self.git, self.state / "repos" / owner / f"{short}.git")
        if not (bare.path / "HEAD").exists() or not await bare.branches():
            await bare.create(history or [first], repository.default_branch)
        self.keep(repository)
        return repository

    async def commits(self, repository: str, ref: str | None = None, limit: int = 100) -> list[Commit]:
        """The commits of a branch (None: the default one), newest first. Raises Refusal 404."""
        bare = self.bare(repository)
        tip = await bare.resolve(ref or self.repository(repository).default_branch)
        if tip is None:
            raise Refusal(404, "Not Found")
        return await bare.commits(tip, limit=limit)

    def pull_requests(
        self, repository: str, state: str = "all", head: str | None = None, base: str | None = None
    ) -> list[PullRequest]:
        """Pull requests, newest first. `head`: a branch, or `owner:branch`; `state`: open, closed or all."""
        known = self.repository(repository)
        if head is not None and ":" in head:
            owner, _, head = head.partition(":")
            if owner.lower() != known.owner.lower():
                return []
        return [
            pull
            for pull in reversed(known.pulls)
            if state in ("all", pull.state) and head in (None, "", pull.head) and base in (None, "", pull.base)
        ]

    # -- who and what is told ----------------------------------------------------------------------------------------

    def person(self, login: str) -> Person:
        """Somebody's account; an unknown login gets a bare one, as a deleted account does."""
        return self.people.get(login) or Person(login, login, "")

    @property
    def shapes(self) -> forge_json.Shapes:
        """How records look to an API client at our present address."""
        return forge_json.Shapes(self.url, self.api_url, self.person)

    def tell(self, repository: str, event: str, by: str, payload: Mapping[str, Any]) -> None:
        """Send a webhook about a repository, in the background."""
        about = {"repository": self.shapes.repository(self.repository(repository)), "sender": self.shapes.user(by)}
        self.hooks.send(event, {**payload, **about})


def _secrets(file: Path, token: str | None, webhook_secret: str | None) -> dict[str, str]:
    """The forge's own secrets: given, else those of last time, else new ones; kept for next time."""
    kept = read_json(file)
    values = {
        "token": token or str(kept.get("token") or "ghp_" + secrets.token_hex(18)),
        "webhook_secret": webhook_secret or str(kept.get("webhook_secret") or secrets.token_hex(20)),
    }
    if values != kept:
        write_atomically(file, forge_json.dumps(values))
    return values
