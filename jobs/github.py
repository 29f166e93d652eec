"""The forge, through PyGithub: tokens minted for a moment, and pull requests. The only file that imports `github`.

`jobs/publish.py` opens and updates pull requests with it, `bot/gateway/git.py` asks it for the token of a push, and
`shipmate doctor` asks it whether the settings are right. PyGithub blocks, so every call runs in a thread.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import github
from github import Auth, GithubException, GithubIntegration
from requests.exceptions import RequestException

T = TypeVar("T")
CALL_SECONDS = 20
TOKEN_MARGIN_SECONDS = 300.0


class ForgeRefused(Exception):
    """The forge said no, and will say no again until a person changes something."""


class ForgeDown(Exception):
    """The forge could not be reached or is throttling; try again in `delay` seconds."""

    def __init__(self, reason: str, delay: float = 10.0) -> None:
        super().__init__(reason)
        self.delay = delay


@dataclass(frozen=True)
class AppKey:
    """A GitHub App: its id and its private key (PEM)."""

    app_id: int
    private_key: str


@dataclass(frozen=True)
class Published:
    """A pull request as it is now; `opened`: it was not there before."""

    number: int
    url: str
    opened: bool


class Forge:
    """GitHub, or what speaks its REST API. `credential` is a personal access token or an app's key."""

    def __init__(self, api_url: str, credential: str | AppKey) -> None:
        self._api_url = api_url
        self._credential = credential
        self._minted: dict[str, tuple[str, float]] = {}
        self._minting = asyncio.Lock()

    async def token(self, repository: str) -> str:
        """A token that may read and push `repository` for at least five more minutes."""
        if isinstance(self._credential, str):
            return self._credential
        async with self._minting:
            token, expires = self._minted.get(repository, ("", 0.0))
            if time.time() > expires - TOKEN_MARGIN_SECONDS:
                token, expires = await _call(lambda: self._mint(repository))
                self._minted[repository] = (token, expires)
            return token

    async def publish(self, repository: str, *, branch: str, base: str, title: str, body: str) -> Published:
        """Open the pull request of `branch` or, if one is open already, bring its words up to date."""
        token = await self.token(repository)
        return await _call(lambda: self._publish(token, repository, branch, base, title, body))

    async def whoami(self, repository: str | None = None) -> str:
        """Who we are to the forge and, of `repository`, that we may push to it. Raises if not."""
        token = await self.token(repository or "")
        return await _call(lambda: self._whoami(token, repository))

    def _client(self, token: str) -> github.Github:
        return github.Github(auth=Auth.Token(token), base_url=self._api_url, timeout=CALL_SECONDS, retry=None)

    def _mint(self, repository: str) -> tuple[str, float]:
        assert isinstance(self._credential, AppKey)
        app = Auth.AppAuth(self._credential.app_id, self._credential.private_key)
        owner, _, name = repository.partition("/")
        with GithubIntegration(auth=app, base_url=self._api_url, timeout=CALL_SECONDS, retry=None) as integration:
            installation = integration.get_repo_installation(owner, name)
            granted = integration.get_access_token(
                installation.id, permissions={"contents": "write", "pull_requests": "write"}
            )
        return granted.token, granted.expires_at.timestamp()

    def _publish(self, token: str, repository: str, branch: str, base: str, title: str, body: str) -> Published:
        with self._client(token) as client:
            repo = client.get_repo(repository, lazy=True)
            head = f"{repository.partition('/')[0]}:{branch}"
            for pull in repo.get_pulls(state="open", head=head):
                pull.edit(title=title, body=body)
                return Published(pull.number, pull.html_url, opened=False)
            pull = repo.create_pull(base=base, head=branch, title=title, body=body)
            return Published(pull.number, pull.html_url, opened=True)

    def _whoami(self, token: str, repository: str | None) -> str:
        with self._client(token) as client:
            if repository is None:
                return client.get_user().login
            found = client.get_repo(repository)
            if found.permissions is not None and not found.permissions.push:
                raise ForgeRefused(f"the credential may read {repository} but not push to it")
            return found.full_name


async def _call(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except RequestException as error:
        raise ForgeDown(f"the forge could not be reached ({type(error).__name__})") from error
    except GithubException as error:
        raise _judged(error) from error


def _judged(error: GithubException) -> ForgeRefused | ForgeDown:
    """5xx and throttling pass; everything else needs a person."""
    said = error.data.get("message", "") if isinstance(error.data, dict) else str(error.data)
    details = error.data.get("errors", []) if isinstance(error.data, dict) else []
    because = "; ".join(str(d.get("message", "")) for d in details if isinstance(d, dict) and d.get("message"))
    sentence = f"the forge answered {error.status}: {said}{' (' + because + ')' if because else ''}"[:500]
    throttled = isinstance(error, github.RateLimitExceededException) or error.status == 429
    if throttled:
        wait = (error.headers or {}).get("retry-after", "60")
        return ForgeDown(sentence, delay=float(wait) if wait.isdigit() else 60.0)
    if error.status >= 500:
        return ForgeDown(sentence)
    return ForgeRefused(sentence)
