"""Which blocks are taken, and what becomes of typed words. Pure."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.playground.workspace_blocks import checked
from bot.playground.workspace_manifest import Manifest
from bot.playground.workspace_records import Refusal
from bot.playground.workspace_rich_text import rich_text


def mrkdwn(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text}


def plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def button(**more: Any) -> dict[str, Any]:
    return {"type": "button", "text": plain("Go"), "action_id": "go", **more}


def actions(*elements: Any) -> list[dict[str, Any]]:
    return [{"type": "actions", "elements": list(elements)}]


TAKEN: dict[str, Any] = {
    "nothing": [],
    "a section": [{"type": "section", "text": mrkdwn("a" * 3_000)}],
    "fields": [{"type": "section", "fields": [plain("a"), mrkdwn("b")]}],
    "an accessory": [{"type": "section", "text": plain("a"), "accessory": button()}],
    "a header": [{"type": "header", "text": plain("a" * 150)}],
    "a context": [{"type": "context", "elements": [mrkdwn("a"), {"type": "image", "image_url": "x", "alt_text": "y"}]}],
    "buttons": actions(
        button(), button(action_id="other", style="danger", url="https://acme.example", value="a" * 2_000)
    ),
    "markdown": [{"type": "markdown", "text": "a" * 12_000}],
    "a line": [{"type": "divider"}],
    "fifty": [{"type": "divider"}] * 50,
    "new kinds": [{"type": "task_card", "task_id": "1", "title": "a", "status": "pending"}],
}
REFUSED: dict[str, tuple[Any, str]] = {
    "fifty-one": ([{"type": "divider"}] * 51, "/blocks"),
    "an unknown kind": ([{"type": "poem"}], "/blocks/0/type"),
    "no object": (["divider"], "/blocks/0/type"),
    "a list for a kind": ([{"type": ["divider"]}], "/blocks/0/type"),
    "a long section": ([{"type": "section", "text": mrkdwn("a" * 3_001)}], "/blocks/0/text/text"),
    "an empty section": ([{"type": "section", "text": mrkdwn("")}], "/blocks/0/text/text"),
    "a bare section": ([{"type": "section"}], "/blocks/0"),
    "a string for text": ([{"type": "section", "text": "a"}], "/blocks/0/text"),
    "eleven fields": ([{"type": "section", "fields": [plain("a")] * 11}], "/blocks/0/fields"),
    "a long field": ([{"type": "section", "fields": [plain("a" * 2_001)]}], "/blocks/0/fields/0/text"),
    "a long header": ([{"type": "header", "text": plain("a" * 151)}], "/blocks/0/text/text"),
    "mrkdwn in a header": ([{"type": "header", "text": mrkdwn("a")}], "/blocks/0/text"),
    "no elements": (actions(), "/blocks/0"),
    "many elements": (actions(*[button(action_id=str(n)) for n in range(26)]), "/blocks/0/elements"),
    "many words of context": ([{"type": "context", "elements": [mrkdwn("a")] * 11}], "/blocks/0/elements"),
    "text among buttons": (actions(mrkdwn("a")), "/blocks/0/elements/0/type"),
    "a button in a context": ([{"type": "context", "elements": [button()]}], "/blocks/0/elements/0/type"),
    "the same action twice": (actions(button(), button()), "/blocks/0/elements"),
    "a long button": (actions(button(text=plain("a" * 76))), "/blocks/0/elements/0/text/text"),
    "a long value": (actions(button(value="a" * 2_001)), "/blocks/0/elements/0/value"),
    "a number for a value": (actions(button(value=1)), "/blocks/0/elements/0/value"),
    "a long action": (actions(button(action_id="a" * 256)), "/blocks/0/elements/0/action_id"),
    "a style": (actions(button(style="shiny")), "/blocks/0/elements/0/style"),
    "a long id": ([{"type": "divider", "block_id": "a" * 256}], "/blocks/0/block_id"),
    "the same id twice": ([{"type": "divider", "block_id": "a"}] * 2, "/blocks"),
    "an image without words": ([{"type": "image", "image_url": "x"}], "/blocks/0/alt_text"),
    "long markdown": ([{"type": "markdown", "text": "a" * 12_001}], "/blocks/0/text"),
}


@pytest.mark.parametrize("case", TAKEN)
def test_blocks_that_slack_takes_are_taken(case: str) -> None:
    assert list(checked(TAKEN[case]) or ()) == TAKEN[case]


@pytest.mark.parametrize("case", REFUSED)
def test_blocks_that_slack_refuses_are_refused_with_their_place(case: str) -> None:
    blocks, place = REFUSED[case]
    with pytest.raises(Refusal, match="invalid_blocks") as caught:
        checked(blocks)
    assert caught.value.more["errors"][0].endswith(f"[json-pointer:{place}]")


def test_blocks_that_are_too_long_together_are_refused() -> None:
    with pytest.raises(Refusal, match="msg_blocks_too_long"):
        checked([{"type": "section", "text": mrkdwn("a" * 2_900)}] * 5)
    with pytest.raises(Refusal, match="invalid_blocks_format"):
        checked({"type": "divider"})
    assert checked(None) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4)
    | st.sampled_from(["section", "actions", "context", "header", "button", "image", "mrkdwn", "plain_text"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "text", "elements", "fields", "accessory", "action_id", "block_id", "alt_text"]), inner
    ),
    max_leaves=12,
)  # fmt: skip


@given(blocks=_JSON)
@settings(max_examples=300, deadline=None)
def test_whatever_is_sent_as_blocks_is_taken_or_refused(blocks: Any) -> None:
    try:
        found = checked(blocks)
    except Refusal:
        return
    assert found is None or list(found) == blocks


def elements(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rich_text(text, "b")["elements"]
    return found


TYPED: dict[str, list[dict[str, Any]]] = {
    "hi": [{"type": "text", "text": "hi"}],
    "<@U0ADA> hi": [{"type": "user", "user_id": "U0ADA"}, {"type": "text", "text": " hi"}],
    "in <#C0DEV|dev>": [{"type": "text", "text": "in "}, {"type": "channel", "channel_id": "C0DEV"}],
    "<!here>": [{"type": "broadcast", "range": "here"}],
    "<https://a.example|b &amp; c>": [{"type": "link", "url": "https://a.example", "text": "b & c"}],
    ":eyes:": [{"type": "emoji", "name": "eyes"}],
    "*a* `b`": [
        {"type": "text", "text": "a", "style": {"bold": True}},
        {"type": "text", "text": " "},
        {"type": "text", "text": "b", "style": {"code": True}},
    ],
    "_a_": [{"type": "text", "text": "a", "style": {"italic": True}}],
    "a &lt;b&gt;": [{"type": "text", "text": "a <b>"}],
    "2*3*4": [{"type": "text", "text": "2*3*4"}],
}


@pytest.mark.parametrize("text", TYPED)
def test_typed_words_become_what_slacks_client_makes_of_them(text: str) -> None:
    assert elements(text) == [{"type": "rich_text_section", "elements": TYPED[text]}]


def test_a_code_block_stands_by_itself() -> None:
    kinds = [each["type"] for each in elements("before\n```\ncode *here*\n```\nafter")]
    assert kinds == ["rich_text_section", "rich_text_preformatted", "rich_text_section"]
    assert elements("```a```")[0]["elements"] == [{"type": "text", "text": "a"}]


@given(text=st.text(alphabet="ab *_`<>@U0:|!\n&;#Chtps/", max_size=60))
@settings(max_examples=300, deadline=None)
def test_whatever_is_typed_has_a_form(text: str) -> None:
    assert all(each["elements"] for each in elements(text))


def test_the_apps_rights_are_read_from_its_manifest() -> None:
    manifest = Manifest.read()
    assert {"chat:write", "app_mentions:read", "users:read.email"} <= set(manifest.scopes)
    assert {"app_mention", "message.channels", "agent_session_stopped"} <= manifest.events
    assert not any("#" in word or " " in word for word in (*manifest.scopes, *manifest.events))
