"""The forge, through PyGithub: tokens minted for a moment, pull requests, what checks say. Only this imports `github`.

`jobs/publish.py` opens and updates pull requests with it, the gateway's git (`bot/gateway/upstream.py`) is given its
tokens, and `shipmate doctor` asks it whether the settings are right. PyGithub blocks, so every call runs in a thread.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeVar

import github
import jwt
from github import Auth, GithubException, GithubIntegration
from github.PullRequest import PullRequest
from github.Repository import Repository
from requests.exceptions import RequestException

from jobs.seals import ours, sealed

T = TypeVar("T")
CALL_SECONDS = 20
TOKEN_MARGIN_SECONDS = 300.0
THROTTLED_SECONDS, THROTTLED_SECONDS_MOST = 60.0, 3_600.0
LOOKED_AT = 20  # of the branch's pull requests, the newest first
NOTES = 10  # of a check, those that say that something is wrong first
_WORK = {"contents": "write", "pull_requests": "write"}
_CHECKS = {"checks": "read"}  # asked for by itself: an app may lack it, and is to publish none the less
# PyGithub's own retries and pauses are off: the log has the attempts, and a session makes one write at a time.
_PLAIN: dict[str, Any] = {"retry": None, "seconds_between_requests": None, "seconds_between_writes": None}


class ForgeRefused(Exception):
    """The forge said no, and will say no again until a person changes something."""


class ForgeDown(Exception):
    """The forge could not be reached or is throttling; try again in `delay` seconds."""

    def __init__(self, reason: str, delay: float = 1.0) -> None:
        super().__init__(reason)
        self.delay = delay


@dataclass(frozen=True)
class AppKey:
    """A GitHub App: its id and its private key (PEM)."""

    app_id: int
    private_key: str


@dataclass(frozen=True)
class Published:
    """The pull request that shows the work, and its state; `opened`: it was not there before."""

    number: int
    url: str
    opened: bool
    state: Literal["open", "merged", "closed"] = "open"


class Words(NamedTuple):
    """What a pull request is to say."""

    title: str
    body: str
    draft: bool = False


class Forge:
    """GitHub, or what speaks its REST API. `credential` is a personal access token or an app's key."""

    def __init__(self, api_url: str, credential: str | AppKey) -> None:
        self._api_url = api_url
        self._credential = credential
        self._minted: dict[tuple[str, ...], tuple[str, float]] = {}
        self._minting: dict[tuple[str, ...], asyncio.Lock] = {}

    async def token(self, repository: str) -> str:
        """A token that may read and push `repository` for at least five more minutes."""
        return await self._token(repository, _WORK)

    async def notes(self, repository: str, check_run: int) -> tuple[str, ...]:
        """What a check says of lines, such as `a.py, line 3: E501`, as it says it; not all, if it is much."""
        token = await self._token(repository, _CHECKS)

        def work() -> tuple[str, ...]:
            with self._client(token, lazy=True) as client:
                page = client.get_repo(repository).get_check_run(check_run).get_annotations().get_page(0)
                worst_first = sorted(page, key=lambda one: one.annotation_level != "failure")
                return tuple(f"{one.path}, line {one.start_line}: {one.message}" for one in worst_first[:NOTES])

        return await _call(work)

    async def _token(self, repository: str, rights: dict[str, str]) -> str:
        if isinstance(self._credential, str):
            return self._credential
        key = (repository, *rights)
        async with self._minting.setdefault(key, asyncio.Lock()):
            token, expires = self._minted.get(key, ("", 0.0))
            if time.time() > expires - TOKEN_MARGIN_SECONDS:
                token, expires = await _call(lambda: self._mint(repository, rights))
                self._minted[key] = (token, expires)
            return token

    async def publish(
        self, repository: str, *, branch: str, head: str, base: str, title: str, body: str, draft: bool = False
    ) -> Published:
        """See to it that a pull request shows commit `head` of `branch`.

        One that is open shows whatever is pushed; its words are brought up to date, but for those that people have
        changed. One that was closed or merged with this very commit stays as it is. Else one is opened, as a draft if
        that is wanted and the forge has drafts there.
        """
        words = Words(title, body, draft)
        token, owner = await self.token(repository), repository.partition("/")[0]

        def work() -> Published:
            with self._client(token, lazy=True) as client:
                return _publish(client.get_repo(repository), f"{owner}:{branch}", head, base, words)

        return await _call(work)

    async def whoami(self, repository: str | None = None) -> str:
        """Who we are to the forge and, of `repository`, that we may push to it. Raises if not."""
        token = await self.token(repository or "")
        return await _call(lambda: self._whoami(token, repository))

    async def app_events(self) -> tuple[str, ...]:
        """The webhooks that our app asks for; none without an app, where the repository's settings say it."""
        key = self._credential
        if isinstance(key, str):
            return ()

        def work() -> tuple[str, ...]:
            auth = Auth.AppAuth(key.app_id, key.private_key)
            with GithubIntegration(auth=auth, base_url=self._api_url, timeout=CALL_SECONDS, **_PLAIN) as integration:
                return tuple(integration.get_app().events)

        return await _call(work)

    def _client(self, token: str, lazy: bool = False) -> github.Github:
        return github.Github(auth=Auth.Token(token), base_url=self._api_url, timeout=CALL_SECONDS, lazy=lazy, **_PLAIN)

    def _mint(self, repository: str, rights: dict[str, str]) -> tuple[str, float]:
        assert isinstance(self._credential, AppKey)
        app = Auth.AppAuth(self._credential.app_id, self._credential.private_key)
        owner, _, name = repository.partition("/")
        with GithubIntegration(auth=app, base_url=self._api_url, timeout=CALL_SECONDS, **_PLAIN) as integration:
            installation = integration.get_repo_installation(owner, name)
            granted = integration.get_access_token(installation.id, permissions=rights)
        return granted.token, granted.expires_at.timestamp()

    def _whoami(self, token: str, repository: str | None) -> str:
        with self._client(token) as client:
            if repository is None:
                return client.get_user().login
            found = client.get_repo(repository)
            if found.permissions is not None and not found.permissions.push:
                raise ForgeRefused(f"the credential may read {repository} but not push to it")
            return found.full_name


def _publish(repo: Repository, branch: str, head: str, base: str, words: Words) -> Published:
    there = _that_shows(repo, branch, head)
    if there is None:
        try:
            made = _create(repo, branch, base, words)
            return Published(made.number, made.html_url, opened=True)
        except GithubException as error:
            there = _that_shows(repo, branch, head) if error.status == 422 else None  # another worker was quicker
            if there is None:
                raise
    if there.state == "open":
        _reword(there, words)
        return Published(there.number, there.html_url, opened=False)
    state: Literal["merged", "closed"] = "merged" if there.merged_at is not None else "closed"
    return Published(there.number, there.html_url, opened=False, state=state)


def _create(repo: Repository, branch: str, base: str, words: Words) -> PullRequest:
    body = sealed(words.title, words.body)
    try:
        return repo.create_pull(base=base, head=branch, title=words.title, body=body, draft=words.draft)
    except GithubException as error:
        if not words.draft or error.status != 422 or "draft" not in str(error.data).lower():
            raise
    return repo.create_pull(base=base, head=branch, title=words.title, body=body)  # not every plan has drafts


def _reword(pull: PullRequest, words: Words) -> None:
    """Bring the words up to date, but for those that somebody has changed."""
    still = ours(pull.title, pull.body or "")
    title = words.title if still.title else pull.title
    if still.body:
        pull.edit(title=title, body=sealed(title if still.title else words.title, words.body))
    elif title != pull.title:
        pull.edit(title=title)


def _that_shows(repo: Repository, branch: str, head: str) -> PullRequest | None:
    pulls = repo.get_pulls(state="all", head=branch, sort="created", direction="desc")
    newest = islice(pulls, LOOKED_AT)
    return next((pull for pull in newest if pull.state == "open" or pull.head.sha == head), None)


async def _call(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except RequestException as error:
        raise ForgeDown(f"the forge could not be reached ({type(error).__name__})") from error
    except GithubException as error:
        raise _judged(error, time.time()) from error
    except jwt.PyJWTError as error:
        raise ForgeRefused(f"the app's private key cannot be used ({error})") from error


def _judged(error: GithubException, now: float) -> ForgeRefused | ForgeDown:
    """5xx and throttling pass; everything else needs a person."""
    said = error.data.get("message", "") if isinstance(error.data, dict) else str(error.data)
    details = error.data.get("errors", []) if isinstance(error.data, dict) else []
    because = "; ".join(str(d.get("message", "")) for d in details if isinstance(d, dict) and d.get("message"))
    sentence = f"the forge answered {error.status}: {said}{' (' + because + ')' if because else ''}"[:500]
    if isinstance(error, github.RateLimitExceededException) or error.status == 429:
        return ForgeDown(sentence, delay=_throttled_for(error.headers or {}, now))
    if error.status >= 500:
        return ForgeDown(sentence)
    return ForgeRefused(sentence)


def _throttled_for(headers: dict[str, str], now: float) -> float:
    """Seconds until the forge takes calls again, as its headers say. https://docs.github.com/rest/rate-limit"""
    given = {name.lower(): value for name, value in headers.items()}
    after, reset = given.get("retry-after", ""), given.get("x-ratelimit-reset", "")
    wait = THROTTLED_SECONDS
    if after.isdecimal():
        wait = float(after)
    elif given.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        wait = float(reset) - now
    return min(max(wait, 1.0), THROTTLED_SECONDS_MOST)
