"""The few parts of Block Kit that our messages are made of, and what a message is. Pure; `blocks.py` is made of it."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Block = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """One message. `text` is what notifications and screen readers say."""

    text: str
    blocks: tuple[Block, ...]

    @cached_property
    def digest(self) -> str:
        """The same for two messages that look the same."""
        whole = json.dumps([self.text, self.blocks], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


def section(words: str) -> Block:
    """A paragraph of mrkdwn."""
    return {"type": "section", "text": mrkdwn(words)}


def context(words: str) -> Block:
    """Small print."""
    return {"type": "context", "elements": [mrkdwn(words)]}


def mrkdwn(words: str) -> Block:
    """Words in Slack's markup."""
    # verbatim: Slack makes no links or mentions of its own out of what looks like one
    return {"type": "mrkdwn", "text": words or " ", "verbatim": True}


def plain(words: str) -> Block:
    """Words without any markup."""
    return {"type": "plain_text", "text": words, "emoji": False}


def button(label: str, action: str, value: str) -> Block:
    """A button; `value` comes back when somebody presses it."""
    return {
        "type": "button",
        "text": {"type": "plain_text", "text": label, "emoji": False},
        "action_id": action,
        "value": value[:2_000],
    }
