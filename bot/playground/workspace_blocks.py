"""Which blocks Slack takes in a message, as far as clients of ours go. Pure; `workspace_api_chat.py` asks.

A refusal says where the trouble is, as Slack does: `invalid_blocks` with a message and a JSON pointer.
"""

import json
from collections.abc import Sequence

from bot.playground.workspace_records import Json, Refusal

BLOCKS, CHARACTERS = 50, 13_200
SECTION, HEADER, MARKDOWN, FIELD = 3_000, 150, 12_000, 2_000
BUTTON, VALUE, NAME, URL = 75, 2_000, 255, 3_000
SURFACE = (
    "section", "header", "context", "actions", "divider", "image", "input", "file", "video", "rich_text", "markdown",
    "table", "task_card", "plan", "alert", "card", "carousel", "container", "context_actions",
)  # fmt: skip
ELEMENTS = {"actions": 25, "context": 10}
INTERACTIVE = (
    "button", "overflow", "datepicker", "timepicker", "datetimepicker", "checkboxes", "radio_buttons", "static_select",
    "users_select", "conversations_select", "channels_select", "external_select", "multi_static_select",
    "multi_users_select", "multi_conversations_select", "multi_channels_select", "workflow_button",
)  # fmt: skip


def checked(found: object) -> tuple[Json, ...] | None:
    """The blocks of a message; None if none were given. Refuses: invalid_blocks, invalid_blocks_format, ..."""
    if found is None:
        return None
    if not isinstance(found, list):
        raise Refusal("invalid_blocks_format")
    if len(found) > BLOCKS:
        raise _wrong(f"no more than {BLOCKS} items allowed", "/blocks")
    for place, block in enumerate(found):
        _block(block, f"/blocks/{place}")
    names = [block["block_id"] for block in found if block.get("block_id")]
    if len(set(names)) < len(names):
        raise _wrong("block_id must be unique", "/blocks")
    if sum(_length(block) for block in found) > CHARACTERS:
        raise Refusal("msg_blocks_too_long")
    return tuple(found)


def _length(value: object) -> int:
    """The characters that people read in a block."""
    if isinstance(value, dict):
        own = sum(len(v) for k, v in value.items() if k in ("text", "alt_text") and isinstance(v, str))
        return own + sum(_length(v) for v in value.values() if not isinstance(v, str))
    return sum(_length(each) for each in value) if isinstance(value, list) else 0


def _block(block: object, where: str) -> None:
    if not isinstance(block, dict) or block.get("type") not in SURFACE:
        kind = block.get("type") if isinstance(block, dict) else block
        raise _wrong(f"unsupported type: {json.dumps(kind)[:80]}", f"{where}/type")
    _short(block.get("block_id"), NAME, f"{where}/block_id")
    match block["type"]:
        case "section":
            _section(block, where)
        case "header":
            _text(block.get("text"), HEADER, f"{where}/text", plain=True)
        case "markdown":
            _needed(block.get("text"), MARKDOWN, f"{where}/text")
        case "actions" | "context":
            _elements(block, where)
        case "image":
            _needed(block.get("alt_text"), VALUE, f"{where}/alt_text")


def _section(block: Json, where: str) -> None:
    fields = block.get("fields")
    if block.get("text") is None and not fields:
        raise _wrong("missing required field: text", where)
    if block.get("text") is not None:
        _text(block["text"], SECTION, f"{where}/text")
    if fields is not None:
        if not isinstance(fields, list) or len(fields) > 10:
            raise _wrong("no more than 10 items allowed", f"{where}/fields")
        for place, field in enumerate(fields):
            _text(field, FIELD, f"{where}/fields/{place}")
    if block.get("accessory") is not None:
        _element(block["accessory"], f"{where}/accessory", (*INTERACTIVE, "image"))


def _elements(block: Json, where: str) -> None:
    elements, most = block.get("elements"), ELEMENTS[block["type"]]
    if not isinstance(elements, list) or not elements:
        raise _wrong("missing required field: elements", where)
    if len(elements) > most:
        raise _wrong(f"no more than {most} items allowed", f"{where}/elements")
    for place, element in enumerate(elements):
        here = f"{where}/elements/{place}"
        if block["type"] == "actions":
            _element(element, here, INTERACTIVE)
        elif isinstance(element, dict) and element.get("type") in ("mrkdwn", "plain_text"):
            _text(element, SECTION, here)
        else:
            _element(element, here, ("image",))
    names = [each["action_id"] for each in elements if each.get("action_id")]
    if len(set(names)) < len(names):
        raise _wrong("action_id must be unique", f"{where}/elements")


def _element(element: object, where: str, kinds: Sequence[str]) -> None:
    if not isinstance(element, dict) or element.get("type") not in kinds:
        raise _wrong("unsupported type of element", f"{where}/type")
    _short(element.get("action_id"), NAME, f"{where}/action_id")
    if element["type"] != "button":
        return
    _text(element.get("text"), BUTTON, f"{where}/text", plain=True)
    _short(element.get("value"), VALUE, f"{where}/value")
    _short(element.get("url"), URL, f"{where}/url")
    if element.get("style") not in (None, "primary", "danger"):
        raise _wrong("must be primary or danger", f"{where}/style")


def _text(text: object, most: int, where: str, *, plain: bool = False) -> None:
    """A text object."""
    kinds = ("plain_text",) if plain else ("plain_text", "mrkdwn")
    if not isinstance(text, dict) or text.get("type") not in kinds:
        raise _wrong(f"must be a text object of {' or '.join(kinds)}", where)
    _needed(text.get("text"), most, f"{where}/text")


def _needed(words: object, most: int, where: str) -> None:
    if not isinstance(words, str) or not words:
        raise _wrong("must be more than 0 characters", where)
    _short(words, most, where)


def _short(words: object, most: int, where: str) -> None:
    if words is not None and (not isinstance(words, str) or len(words) > most):
        raise _wrong(f"must be less than {most + 1} characters", where)


def _wrong(words: str, where: str) -> Refusal:
    said = f"{words} [json-pointer:{where}]"
    return Refusal("invalid_blocks", {"errors": [said], "response_metadata": {"messages": [f"[ERROR] {said}"]}})
