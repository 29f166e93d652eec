"""What is known of model providers: which of their addresses a box may use, how they take a key and tell an error.

Pure; `model.py` proxies by it. A new provider is a new row in `PROVIDERS`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PASSED_UP = re.compile(
    r"(accept|accept-encoding|content-type|content-encoding|anthropic-version|anthropic-beta|openai-beta"
    r"|idempotency-key|x-stainless-[a-z-]+)"
)
PASSED_DOWN = re.compile(
    r"(content-type|content-encoding|cache-control|retry-after|retry-after-ms|request-id|x-request-id"
    r"|anthropic-ratelimit-[a-z-]+|x-ratelimit-[a-z-]+|openai-processing-ms|openai-version|x-should-retry)"
)
Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Provider:
    """One protocol family. `setting` and `url_setting` are the variables that a person would have to set.

    `allowed`: (method, pattern of the path). `with_key`: the header of a key. `error`: the body of an error.
    """

    title: str
    setting: str
    url_setting: str
    allowed: tuple[tuple[str, str], ...]
    with_key: Callable[[str], tuple[str, str]]
    error: Callable[[int, str], dict[str, Any]]

    def allows(self, method: str, path: str) -> bool:
        """Whether a box may ask this."""
        return any(method == known and re.fullmatch(pattern, path) for known, pattern in self.allowed)


def _anthropic_error(status: int, said: str) -> dict[str, Any]:
    kinds = {401: "authentication_error", 404: "not_found_error", 413: "request_too_large"}
    return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": said}}


def _openai_error(status: int, said: str) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": said, "type": kind, "param": None, "code": None}}


NAME = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}"
PROVIDERS: Mapping[str, Provider] = {
    "anthropic": Provider(
        title="Anthropic",
        setting="ANTHROPIC_API_KEY",
        url_setting="ANTHROPIC_BASE_URL",
        allowed=(
            ("POST", r"v1/messages"),
            ("POST", r"v1/messages/count_tokens"),
            ("GET", r"v1/models"),
            ("GET", rf"v1/models/{NAME}"),
        ),
        with_key=lambda key: ("x-api-key", key),
        error=_anthropic_error,
    ),
    "openai": Provider(
        title="OpenAI",
        setting="OPENAI_API_KEY",
        url_setting="OPENAI_BASE_URL",
        allowed=(
            ("POST", r"chat/completions"),
            ("POST", r"responses"),
            ("POST", r"embeddings"),
            ("GET", r"models"),
            ("GET", rf"models/{NAME}"),
        ),
        with_key=lambda key: ("Authorization", f"Bearer {key}"),
        error=_openai_error,
    ),
}


def upward(headers: Iterable[tuple[str, str]]) -> Headers:
    """The headers of a box's request that go on to a provider; nothing that identifies or authorizes is among them."""
    return [(name, value) for name, value in headers if PASSED_UP.fullmatch(name.lower())]


def downward(headers: Iterable[tuple[str, str]]) -> Headers:
    """The headers of a provider's answer that go back to a box; nothing of our account is among them."""
    return [(name, value) for name, value in headers if PASSED_DOWN.fullmatch(name.lower())]


class ToolsSeen:
    """Looks for a `tools` list that is not empty in a JSON body that streams by, without keeping the body.

    A quotation mark inside a JSON string is escaped, so `"tools":` is a key wherever it stands. (One of a deeper object
    does as well: no more than a time is noted by it.)
    """

    _OFFER = re.compile(rb'"tools"\s{0,20}:\s{0,20}\[\s{0,20}[{"]')
    _TAIL = 80  # longer than any match

    def __init__(self) -> None:
        self._tail = b""
        self.found = False

    def look(self, piece: bytes) -> bool:
        """Look at the next piece; True the first time that tools are seen."""
        if self.found:
            return False
        window = self._tail + piece
        self.found = self._OFFER.search(window) is not None
        self._tail = window[-self._TAIL :]
        return self.found
