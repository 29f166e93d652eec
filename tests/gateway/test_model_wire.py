"""What passes between boxes and providers, as tables."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.gateway.model_wire import PROVIDERS, ToolsSeen, downward, upward

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
]


@pytest.mark.parametrize(("provider", "method", "path", "passes"), ASKED)
def test_only_what_an_agent_needs_is_passed_on(provider: str, method: str, path: str, passes: bool) -> None:
    assert PROVIDERS[provider].allows(method, path) is passes


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
@given(st.data())
def test_tools_on_offer_are_seen_wherever_the_body_is_cut(
    body: dict[str, object], offers: bool, indent: int | None, data: st.DataObject
) -> None:
    text = json.dumps(body, indent=indent).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    seen = ToolsSeen()
    told = [seen.look(text[start:end]) for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert sum(told) == offers
