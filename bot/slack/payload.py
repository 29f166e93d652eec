"""Reads parts of a payload of Slack's, of which nothing is trusted to have the right shape. Pure; for the intakes."""

from collections.abc import Mapping
from typing import Any


def text(found: Mapping[str, Any], name: str) -> str:
    """The string of this name; empty if there is none. JSON may have halves of characters, which nothing can keep."""
    value = found.get(name)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def part(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object of this name; empty if there is none."""
    value = found.get(name)
    return value if isinstance(value, dict) else {}
