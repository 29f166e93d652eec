"""What is known of model providers: which of their addresses a box may use, how they take a key and tell an error.

Pure; `model.py` proxies by it. A protocol is a row in `PROTOCOLS`; an upstream is a place that speaks one.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

PASSED_UP = re.compile(
    r"(accept|content-type|content-encoding|anthropic-version|anthropic-beta|openai-beta"
    r"|idempotency-key|x-stainless-[a-z-]+)"
)
PASSED_DOWN = re.compile(
    r"(content-type|content-encoding|cache-control|retry-after|retry-after-ms|request-id|x-request-id"
    r"|anthropic-ratelimit-[a-z-]+|x-ratelimit-[a-z-]+|openai-processing-ms|openai-version|x-should-retry)"
)
Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Protocol:
    """How one family of providers is spoken with.

    `allowed`: (method, pattern of the path, whether it costs). `with_key`: the header of a key. `error`: the body of an
    error. `model`: the pattern of a path that names the model; None: the body does. `listing`: where its models are.
    """

    name: str
    allowed: tuple[tuple[str, str, bool], ...]
    with_key: Callable[[str], tuple[str, str]]
    error: Callable[[int, str], dict[str, Any]]
    listing: str
    model: re.Pattern[str] | None = None

    def allows(self, method: str, path: str) -> bool:
        """Whether a box may ask this."""
        return any(method == known and re.fullmatch(pattern, path) for known, pattern, _ in self.allowed)

    def costs(self, method: str, path: str) -> bool:
        """Whether it asks a model for work."""
        return any(method == known and re.fullmatch(pattern, path) and pays for known, pattern, pays in self.allowed)


def _anthropic_error(status: int, said: str) -> dict[str, Any]:
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
    return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": said}}


def _openai_error(status: int, said: str) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    codes = {401: "invalid_api_key", 402: "insufficient_quota", 403: "model_not_allowed", 429: "rate_limit_exceeded"}
    return {"error": {"message": said, "type": kind, "param": None, "code": codes.get(status)}}


def _gemini_error(status: int, said: str) -> dict[str, Any]:
    kinds = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        402: "FAILED_PRECONDITION",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        413: "INVALID_ARGUMENT",
        429: "RESOURCE_EXHAUSTED",
        504: "DEADLINE_EXCEEDED",
    }
    return {"error": {"code": status, "message": said, "status": kinds.get(status, "UNAVAILABLE")}}


# What of a query goes on. Anything else may leave out of an answer what it took (Gemini: `fields`), or set headers.
ASKED_IN_QUERY: Mapping[str, re.Pattern[str]] = {
    "alt": re.compile(r"sse|json"),
    "beta": re.compile(r"true|false"),
} | dict.fromkeys(
    ("after", "after_id", "before_id", "limit", "order", "pageSize", "pageToken", "api-version", "client_version"),
    re.compile(r"[A-Za-z0-9._:=+/-]{0,300}"),
)
NAME = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}"
SHORT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}"  # Gemini puts a colon and a verb behind a model's name
PROTOCOLS: Mapping[str, Protocol] = {
    "anthropic": Protocol(
        name="anthropic",
        allowed=(
            ("POST", r"v1/messages", True),
            ("POST", r"v1/messages/count_tokens", False),
            ("GET", r"v1/models", False),
            ("GET", rf"v1/models/{NAME}", False),
        ),
        with_key=lambda key: ("x-api-key", key),
        error=_anthropic_error,
        listing="v1/models",
    ),
    "openai": Protocol(
        name="openai",
        allowed=(
            ("POST", r"chat/completions", True),
            ("POST", r"responses", True),
            ("POST", r"embeddings", True),
            ("GET", r"models", False),
            ("GET", rf"models/{NAME}", False),
        ),
        with_key=lambda key: ("Authorization", f"Bearer {key}"),
        error=_openai_error,
        listing="models",
    ),
    "gemini": Protocol(
        name="gemini",
        allowed=(
            ("POST", rf"v1(?:beta|alpha)?/models/{SHORT}:(?:generateContent|streamGenerateContent)", True),
            ("POST", rf"v1(?:beta|alpha)?/models/{SHORT}:(?:embedContent|batchEmbedContents)", True),
            ("POST", rf"v1(?:beta|alpha)?/models/{SHORT}:countTokens", False),
            ("GET", r"v1(?:beta|alpha)?/models", False),
            ("GET", rf"v1(?:beta|alpha)?/models/{SHORT}", False),
        ),
        with_key=lambda key: ("x-goog-api-key", key),
        error=_gemini_error,
        listing="v1beta/models",
        model=re.compile(rf"v1(?:beta|alpha)?/models/({SHORT}):\w+"),
    ),
}


def upward(headers: Iterable[tuple[str, str]]) -> Headers:
    """The headers of a box's request that go on to a provider; nothing that identifies or authorizes is among them."""
    return [(name, value) for name, value in headers if PASSED_UP.fullmatch(name.lower())]


def downward(headers: Iterable[tuple[str, str]]) -> Headers:
    """The headers of a provider's answer that go back to a box; nothing of our account is among them."""
    return [(name, value) for name, value in headers if PASSED_DOWN.fullmatch(name.lower())]


def query_upward(query: str) -> str:
    """What of a request's query goes on: what providers are asked for in there, and no key of the client's."""
    told = parse_qsl(query, keep_blank_values=True, errors="replace")
    return urlencode([(name, value) for name, value in told if _may_be_asked(name, value)], safe=":/")


def _may_be_asked(name: str, value: str) -> bool:
    pattern = ASKED_IN_QUERY.get(name)
    return pattern is not None and pattern.fullmatch(value) is not None
