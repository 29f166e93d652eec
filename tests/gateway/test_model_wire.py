"""What passes between boxes and providers, as tables."""

import json

import pytest

from bot.gateway.model_asked import offers_tools
from bot.gateway.model_wire import PROTOCOLS, downward, query_upward, upward

ASKED = [
    ("anthropic", "POST", "v1/messages", True),
    ("anthropic", "POST", "v1/messages/count_tokens", True),
    ("anthropic", "GET", "v1/models", True),
    ("anthropic", "GET", "v1/models/claude-sonnet-4-5", True),
    ("anthropic", "GET", "v1/messages", False),
    ("anthropic", "DELETE", "v1/models/claude-sonnet-4-5", False),
    ("anthropic", "POST", "v1/messages/batches", False),
    ("anthropic", "POST", "v1/files", False),
    ("anthropic", "GET", "v1/organizations/me", False),
    ("anthropic", "GET", "v1/models/../organizations/me", False),
    ("anthropic", "POST", "v1/messages\n", False),
    ("openai", "POST", "chat/completions", True),
    ("openai", "POST", "responses", True),
    ("openai", "GET", "models", True),
    ("openai", "GET", "models/gpt-5", True),
    ("openai", "GET", "models/..", False),
    ("openai", "POST", "files", False),
    ("openai", "GET", "responses/resp_1", False),
    ("openai", "POST", "organization/admin_api_keys", False),
    ("openai", "POST", "", False),
    ("gemini", "POST", "v1beta/models/gemini-3.1-pro:generateContent", True),
    ("gemini", "POST", "v1beta/models/gemini-3.1-pro:streamGenerateContent", True),
    ("gemini", "POST", "v1/models/gemini-3.1-pro:countTokens", True),
    ("gemini", "GET", "v1beta/models", True),
    ("gemini", "GET", "v1beta/models/gemini-3.1-pro", True),
    ("gemini", "GET", "v1beta/models/gemini-3.1-pro:generateContent", False),
    ("gemini", "POST", "v1beta/models/gemini-3.1-pro:predictLongRunning", False),
    ("gemini", "POST", "v1beta/models/../cachedContents", False),
    ("gemini", "POST", "v1beta/cachedContents", False),
    ("gemini", "POST", "upload/v1beta/files", False),
]


@pytest.mark.parametrize(("provider", "method", "path", "passes"), ASKED)
def test_only_what_an_agent_needs_is_passed_on(provider: str, method: str, path: str, passes: bool) -> None:
    assert PROTOCOLS[provider].allows(method, path) is passes


def test_nothing_that_authorizes_or_identifies_goes_up() -> None:
    kept = [("Content-Type", "application/json"), ("anthropic-beta", "a,b"), ("X-Stainless-Retry-Count", "0")]
    dropped = "Authorization x-api-key api-key Cookie Proxy-Authorization X-Forwarded-For Forwarded Via Host Expect"
    more = "OpenAI-Organization OpenAI-Project Connection Transfer-Encoding"
    assert upward([*kept, *((name, "x") for name in f"{dropped} {more}".split())]) == kept


def test_nothing_of_our_account_comes_down() -> None:
    kept = [
        ("content-type", "text/event-stream"),
        ("Retry-After", "1"),
        ("request-id", "r"),
        ("x-ratelimit-a", "1"),
    ]
    dropped = "Set-Cookie anthropic-organization-id openai-organization openai-project Location Server Connection"
    more = "Keep-Alive Transfer-Encoding Strict-Transport-Security"
    assert downward([*kept, *((name, "x") for name in f"{dropped} {more}".split())]) == kept


TOOL = {"name": "read", "input_schema": {"type": "object"}}
BODIES = [
    ({"model": "m", "tools": [TOOL]}, True),
    ({"tools": [TOOL], "messages": []}, True),
    ({"tools": [], "messages": []}, False),
    ({"model": "m", "messages": [{"role": "user", "content": "hi"}]}, False),
    ({"messages": [{"role": "user", "content": json.dumps({"tools": [TOOL]})}]}, False),
    ({"messages": [{"role": "user", "content": 'say "tools": [{"name": "x"}]'}]}, False),
    ({"tools": None}, False),
]


@pytest.mark.parametrize(("body", "offers"), BODIES)
@pytest.mark.parametrize("indent", [None, 2])
async def test_tools_on_offer_are_seen(body: dict[str, object], offers: bool, indent: int | None) -> None:
    assert await offers_tools(json.dumps(body, indent=indent).encode()) is offers


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("alt=sse&key=AIza-the-boxs", "alt=sse"),
        ("key=AIza-the-boxs", ""),
        ("alt=sse", "alt=sse"),
        ("beta=true&monkey=1", "beta=true"),
        ("%6Bey=x&limit=%26", ""),
        ("key=x&%6Bey=y&limit=20&after_id=msg_1", "limit=20&after_id=msg_1"),
        ("api-version=2026-01-01&client_version=0.166.0", "api-version=2026-01-01&client_version=0.166.0"),
        ("alt=sse&fields=candidates&%24fields=x&%24httpHeaders=a", "alt=sse"),  # answers would not say what they took
        ("alt=proto&beta=%FF&limit=\udcff", ""),
    ],
)
def test_of_a_query_goes_on_what_providers_are_asked_for(query: str, kept: str) -> None:
    assert query_upward(query) == kept
