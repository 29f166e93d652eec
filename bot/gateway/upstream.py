"""The forge as the gateway's git sees it: where a repository is, the credential of the moment, what a failure means.

`mirrors.py` fetches with it and `receive.py` pushes. The credential is configuration of one git process, bound to the
forge's address; it is never in argv, in an environment or in a file.
"""

import base64
import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from bot.gateway.declined import Declined
from jobs.github import ForgeDown, ForgeRefused

_REPOSITORY = re.compile(r"(?!\.)[\w.-]{1,100}/(?!\.{1,2}$)[\w.-]{1,100}", re.ASCII)


class _Meaning(NamedTuple):
    """What git's words about the forge stand for."""

    said: re.Pattern[str]
    status: int
    sentence: str


_MEANINGS = (
    _Meaning(
        re.compile(r"could not read Username|could not read Password|Authentication failed|returned error: 401"),
        403,
        "The forge does not accept our credential for {repository}: set GITHUB_TOKEN (or the app's key) right.",
    ),
    _Meaning(
        re.compile(r"returned error: 403"),
        403,
        "The forge does not let our credential (GITHUB_TOKEN or the app's key) do this with {repository}: {said}",
    ),
    _Meaning(
        re.compile(r"repository '.*' not found|returned error: 404"),
        404,
        "The forge has no repository {repository}, or our credential (GITHUB_TOKEN or the app's key) may not see it.",
    ),
)
_PASSING = "The forge could not be reached for {repository}; try again in a moment: {said}"


class Upstream:
    """The forge at `url`. `token` mints a credential for a repository; an empty one stands for nobody."""

    def __init__(self, url: str, token: Callable[[str], Awaitable[str]]) -> None:
        self._url, self._token = url.rstrip("/"), token

    def address(self, repository: str) -> str:
        """Where git finds a repository. Raises Declined for a name that cannot be one."""
        if not _REPOSITORY.fullmatch(repository):
            raise Declined(404, "There can be no repository of this name.")
        return f"{self._url}/{repository}.git"

    async def credential(self, repository: str) -> str:
        """The `secret` that lets one git process in. Raises Declined when there is no credential to be had."""
        try:
            token = await self._token(repository)
        except ForgeDown as down:
            raise Declined(503, _PASSING.format(repository=repository, said=down)) from down
        except ForgeRefused as refused:
            raise Declined(403, f"The forge gives us no credential for {repository}: {refused}") from refused
        if not token:
            return ""
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        address = self._url.replace("\\", "\\\\").replace('"', '\\"')
        return f'[http "{address}/"]\n\textraHeader = Authorization: Basic {basic}\n'


def meaning(words: str, repository: str) -> Declined:
    """What a failed fetch or push means, from what git said."""
    for row in _MEANINGS:
        if row.said.search(words):
            return Declined(row.status, row.sentence.format(repository=repository, said=essence(words)))
    return Declined(503, _PASSING.format(repository=repository, said=essence(words)))


def told(words: str) -> list[str]:
    """The lines that the forge itself said."""
    lines = (line.removeprefix("remote:").strip() for line in words.splitlines() if line.startswith("remote:"))
    return [line for line in lines if line]


def essence(words: str) -> str:
    """What matters of it in one line: the forge's own words, else why git gave up."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    why = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return " ".join(told(words) or why or lines[-1:])[:500] or "git said nothing"
