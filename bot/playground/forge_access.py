"""Who a credential is on the forge: personal access tokens, and an app's tokens, which live for an hour.

`forge_git.py` and `forge_api.py` ask it. Minted tokens are kept in a file, so that they outlive a restart of the forge.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jwt

from bot.playground.forge_records import Refusal, read_json, write_atomically

MINTED_SECONDS = 3600.0
INSTALLATION_ID = 1


@dataclass(frozen=True)
class Access:
    """What a token may do. `repositories` None: all. `expires_at` None: never; else seconds since the epoch."""

    login: str
    may_push: bool = True
    repositories: tuple[str, ...] | None = None
    expires_at: float | None = None

    def covers(self, repository: str) -> bool:
        """Whether this token was made for the repository, too."""
        return self.repositories is None or repository in self.repositories


@dataclass(frozen=True)
class AppIdentity:
    """The GitHub App that the forge knows: its id, its name in addresses, and its public key (PEM)."""

    app_id: int
    slug: str
    public_key: str

    @property
    def login(self) -> str:
        """The account that its work is shown under."""
        return f"{self.slug}[bot]"


class Credentials:
    """All tokens that are good. `tokens`: personal access tokens, given; `app`: None if there is no app."""

    def __init__(self, file: Path, tokens: Mapping[str, Access], app: AppIdentity | None) -> None:
        self.app = app
        self._file = file
        self._given = {_digest(token): access for token, access in tokens.items()}
        self._minted = {digest: _access(row) for digest, row in read_json(file).items() if isinstance(row, dict)}

    def of(self, token: str) -> Access | None:
        """Who this token is; None if it is unknown or over."""
        digest = _digest(token)
        access = self._given.get(digest) or self._minted.get(digest)
        if access is None or (access.expires_at is not None and access.expires_at < time.time()):
            return None
        return access

    def app_of(self, signed: str) -> AppIdentity:
        """The app that signed this JWT. Raises Refusal 401, worded as GitHub does."""
        if self.app is None:
            raise Refusal(401, "A JSON web token could not be decoded")
        try:
            claims = jwt.decode(
                signed, self.app.public_key, algorithms=["RS256"], options={"require": ["iat", "exp", "iss"]}
            )
        except jwt.ExpiredSignatureError as late:
            raise Refusal(
                401, "'Expiration time' claim ('exp') must be a numeric value representing the future time"
            ) from late
        except jwt.PyJWTError as wrong:
            raise Refusal(401, "A JSON web token could not be decoded") from wrong
        if claims["exp"] - claims["iat"] > 660:
            raise Refusal(401, "'Expiration time' claim ('exp') is too far in the future")
        if str(claims["iss"]) != str(self.app.app_id):
            raise Refusal(401, "Integration not found")
        return self.app

    def mint(
        self, app: AppIdentity, repositories: Sequence[str] | None, permissions: Mapping[str, str]
    ) -> tuple[str, float]:
        """A token of the app's installation, and when it ends (seconds since the epoch)."""
        now = time.time()
        token, ends = "ghs_" + secrets.token_hex(18), float(int(now + MINTED_SECONDS))
        scope = tuple(repositories) if repositories is not None else None
        may_push = permissions.get("contents", "write") == "write"
        self._minted = {d: a for d, a in self._minted.items() if a.expires_at is None or a.expires_at > now}
        self._minted[_digest(token)] = Access(app.login, may_push, scope, ends)
        rows = {digest: vars(access) for digest, access in self._minted.items()}
        write_atomically(self._file, json.dumps(rows, indent=1))
        return token, ends


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _access(row: dict[str, object]) -> Access:
    scope, ends = row.get("repositories"), row.get("expires_at")
    return Access(
        str(row.get("login")),
        bool(row.get("may_push")),
        tuple(str(name) for name in scope) if isinstance(scope, list) else None,
        ends if isinstance(ends, float) else None,
    )
