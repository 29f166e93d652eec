"""The manifest asks for exactly what the code uses, and is one that Slack takes."""

import re
from pathlib import Path
from typing import Any

from bot.slack.calls import METHODS

ROOT = Path(__file__).parents[2]
EVENTS = {
    "app_home_opened": set(),
    "app_mention": {"app_mentions:read"},
    "agent_session_stopped": {"chat:write"},
    "message.channels": {"channels:history"},
    "message.groups": {"groups:history"},
    "message.im": {"im:history"},
    "message.mpim": {"mpim:history"},
}
BESIDE = {
    "commands",  # /shipmate
    "assistant:write",  # agent_view stands on it
    "files:read",  # `files` in messages, and fetching them
}


def manifest() -> dict[str, Any]:
    """The YAML of the manifest, which uses only maps, lists of words or maps, and comments."""
    lines = [re.sub(r"\s+#.*$", "", line).rstrip() for line in (ROOT / "manifest.yml").read_text().splitlines()]
    value, rest = block([line for line in lines if line and not line.startswith("#")], 0)
    assert not rest
    assert isinstance(value, dict)
    return value


def block(lines: list[str], indent: int) -> tuple[Any, list[str]]:
    if lines[0].lstrip().startswith("- "):
        items: list[Any] = []
        while lines and indent_of(lines[0]) == indent and lines[0].lstrip().startswith("- "):
            body = lines[0].lstrip()[2:]
            if not re.match(r"[a-z_]+: ", body):
                items.append(scalar(body))
                lines = lines[1:]
                continue
            item, lines = block([" " * (indent + 2) + body, *lines[1:]], indent + 2)
            items.append(item)
        return items, lines
    found: dict[str, Any] = {}
    while lines and indent_of(lines[0]) == indent:
        name, _, value = lines[0].strip().partition(":")
        lines = lines[1:]
        if value.strip():
            found[name] = scalar(value.strip())
        else:
            found[name], lines = block(lines, indent_of(lines[0]))
    return found, lines


def indent_of(line: str) -> int:
    return len(line) - len(line.lstrip())


def scalar(word: str) -> Any:
    known = {"true": True, "false": False}
    return known.get(word, int(word) if word.isdigit() else word.strip('"'))


def test_the_scopes_are_exactly_those_of_what_is_called_and_heard() -> None:
    needed = {scope for method in METHODS.values() for scope in method.scopes}
    needed |= {scope for scopes in EVENTS.values() for scope in scopes} | BESIDE
    assert set(manifest()["oauth_config"]["scopes"]["bot"]) == needed


def test_the_events_are_those_that_we_understand() -> None:
    assert set(manifest()["settings"]["event_subscriptions"]["bot_events"]) == set(EVENTS)


def test_every_call_in_the_code_is_in_the_table_of_methods_and_every_method_is_called() -> None:
    called: set[str] = set()
    for path in (ROOT / "bot" / "slack").glob("*.py"):
        called |= set(re.findall(r'(?:call|send|_send|make_room)\(\s*"([a-zA-Z.]+)"', path.read_text()))
    assert called == set(METHODS)


def test_the_app_is_an_agent_in_socket_mode_with_its_buttons_on() -> None:
    app = manifest()
    assert app["_metadata"] == {"major_version": 2, "minor_version": 1}
    assert app["settings"]["socket_mode_enabled"] is True
    assert app["settings"]["interactivity"] == {"is_enabled": True}
    assert "assistant_view" not in app["features"]
    assert len(app["features"]["agent_view"]["agent_description"]) <= 300
    assert 0 < len(app["features"]["agent_view"]["suggested_prompts"]) <= 4
    assert len(app["display_information"]["name"]) <= 35
    assert len(app["display_information"]["description"]) <= 140
    assert app["features"]["bot_user"]["display_name"] == "shipmate"
