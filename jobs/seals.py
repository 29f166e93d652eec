"""Whose words a pull request has: ours as we wrote them, or a person's since; and of which session it is said to be.
Pure; `jobs/github.py` and `bot/github.py` go by it.

Under our words stands a comment that nobody sees on the forge, with the digests of the title and of the words above it.
What does not agree with it any more was changed by somebody, and is not touched again.
"""

import hashlib
import re
from typing import NamedTuple

_SEAL = re.compile(r"\s*<!-- shipmate ([0-9a-f]{12}) ([0-9a-f]{12}) -->\s*\Z")


_SESSION = re.compile(r"session `([A-Za-z0-9_-]{1,64})`")
TAIL = 4_000  # characters at the end, where it stands


class Ours(NamedTuple):
    """Whether the title, and whether the body, is as we wrote it."""

    title: bool
    body: bool


def sealed(title: str, body: str) -> str:
    """The body with its seal."""
    return f"{body.rstrip()}\n\n<!-- shipmate {_digest(title)} {_digest(body)} -->"


def ours(title: str, body: str) -> Ours:
    """What of these words, as the forge has them now, nobody has changed since we wrote them."""
    found = _SEAL.search(body)
    if found is None:
        return Ours(False, False)
    return Ours(found[1] == _digest(title), found[2] == _digest(body[: found.start()]))


def session_line(session: str) -> str:
    """How the words name their session."""
    return f"session `{session}`"


def session_in(body: str) -> str | None:
    """The session that the words name, the last one: above it stands what people and models say."""
    named = _SESSION.findall(body[-TAIL:])
    return named[-1] if named else None


def _digest(text: str) -> str:
    """Of the words, however a forge or a browser ends their lines."""
    return hashlib.sha256("\n".join(text.strip().splitlines()).encode("utf-8", "replace")).hexdigest()[:12]
