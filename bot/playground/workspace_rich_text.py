"""What a person typed, as the rich_text block that Slack's own client makes of it. Pure; `workspace.py` uses it."""

import re
from collections.abc import Iterator

from bot.playground.workspace_records import Json

_FENCE = re.compile(r"```\n?(.*?)\n?```", re.DOTALL)
_PART = re.compile(
    r"<@(?P<user>[UW][A-Z0-9]+)(?:\|[^>]*)?>"
    r"|<#(?P<channel>[CG][A-Z0-9]+)(?:\|[^>]*)?>"
    r"|<!(?P<range>here|channel|everyone)(?:\|[^>]*)?>"
    r"|<(?P<url>[a-z][a-z0-9+.-]*:[^>|\s]+)(?:\|(?P<label>[^>]*))?>"
    r"|:(?P<emoji>[a-z0-9_+-]+):"
    r"|`(?P<code>[^`\n]+)`"
    r"|(?<![\w*])\*(?P<bold>[^*\n]+)\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>[^_\n]+)_(?![\w_])"
)


def rich_text(text: str, block_id: str) -> Json:
    """One rich_text block for the whole message."""
    elements: list[Json] = []
    place = 0
    for fence in _FENCE.finditer(text):
        elements += _section(text[place : fence.start()].removesuffix("\n"))
        if fence[1]:
            elements.append({"type": "rich_text_preformatted", "elements": [_words(fence[1])], "border": 0})
        place = fence.end()
    elements += _section(text[place:].removeprefix("\n") if place else text)
    return {"type": "rich_text", "block_id": block_id, "elements": elements}


def _section(text: str) -> list[Json]:
    parts = list(_parts(text))
    return [{"type": "rich_text_section", "elements": parts}] if parts else []


def _parts(text: str) -> Iterator[Json]:
    place = 0
    for found in _PART.finditer(text):
        if found.start() > place:
            yield _words(text[place : found.start()])
        yield _part(found)
        place = found.end()
    if place < len(text):
        yield _words(text[place:])


def _part(found: "re.Match[str]") -> Json:
    kind = found.lastgroup if found.lastgroup != "label" else "url"
    match kind:
        case "user":
            return {"type": "user", "user_id": found["user"]}
        case "channel":
            return {"type": "channel", "channel_id": found["channel"]}
        case "range":
            return {"type": "broadcast", "range": found["range"]}
        case "url":
            label = {"text": _plain(found["label"])} if found["label"] else {}
            return {"type": "link", "url": _plain(found["url"]), **label}
        case "emoji":
            return {"type": "emoji", "name": found["emoji"]}
    assert kind is not None, "every alternative has a name"
    return _words(found[kind]) | {"style": {kind: True}}


def _words(text: str) -> Json:
    return {"type": "text", "text": _plain(text)}


def _plain(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
