"""Somebody's words without the characters that nobody sees and that change what others see.

Every floor shows words through `visible`: the runner in commit messages, `jobs/publish.py` on the forge, the faces in
Slack and on pages. Letters stay as they were written, however alike two of them look.
"""

from __future__ import annotations

import re

UNSEEN = (  # the inside of a character class
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control codes, which steer terminals
    "\ud800-\udfff"  # halves of characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn the direction of what follows
    "\u00ad\u115f\u1160\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"  # take no room
    "\U000e0000-\U000e007f"  # say something that only a machine reads
)
LINE_ENDS = "\u2028\u2029"
_LINE_ENDS = re.compile(f"\r\n|[{LINE_ENDS}]")
_FLAG = "\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"  # the one honest use of tag characters: flags of regions
_UNSEEN = re.compile(f"({_FLAG})|[{UNSEEN}]")


def visible(text: str) -> str:
    """The same words, with lines that end in a line feed and nothing in them that hides, turns or steers."""
    return _UNSEEN.sub(lambda found: found[1] or "", _LINE_ENDS.sub("\n", text))
