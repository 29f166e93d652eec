"""Words on their way to and from Slack: what people wrote as plain text, and anybody's words as harmless mrkdwn. Pure.

`intake.py` reads with `plain`, `mentions` and `without_mention`; `blocks.py` writes with `quiet`. Everything that a
person, a model or a repository said passes through `quiet`, so that it can neither mention anybody, nor be a link, nor
break out of where it stands.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

from sandbox.runner.visible import visible

_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_CALLED = r"<(?:@[UW][A-Z0-9]+|!(?:subteam\^[A-Z0-9]+|here|channel|everyone))(?:\|[^<>]*)?>"
_TO_OTHERS = re.compile(rf"\A\s*{_CALLED}|{_CALLED}[\s.,!?:;)]*\Z")
_SPOKEN_OF = re.compile(
    rf"\b(?:by|of|from|for|with|like|as|cc)[:\s]\s*{_CALLED}(?:(?:[\s,]|and\b|or\b)*{_CALLED})*[\s.,!?:;)]*\Z",
    re.IGNORECASE,
)
_USER = re.compile(r"[UW][A-Z0-9]{1,20}")
_TOKEN = re.compile(r"<(?:([@#!])([^<>|\s][^<>|]*)|([a-z][a-z0-9+.-]*:[^<>|\s]+))(?:\|([^<>]*))?>")
_BROADCAST = re.compile(r"@(?=(?:here|channel|everyone|group)\b)", re.IGNORECASE)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_FENCE = "```"
_JOINER = "\u200d"
_NOTHING = "\u200b"  # a character of no width: keeps "@here" a word
_ELLIPSIS = "…"
_REMEMBERED, _SHORT = 2_000, 4_000  # texts, and their characters: a card that runs is drawn anew at each look


def mentions(text: str) -> tuple[str, ...]:
    """The ids of everybody whom this message mentions, in order."""
    return tuple(_MENTION.findall(text))


def is_for_others(text: str) -> bool:
    """Whether a message turns to somebody by name, at its beginning or its end; who is named elsewhere, or after a word
    such as "by", is spoken of."""
    found = _TO_OTHERS.search(text)
    return found is not None and (found.start() == 0 or _SPOKEN_OF.search(text) is None)


def without_mention(text: str, user: str) -> str:
    """The message without the mentions of `user`, its lines and their indentation kept."""
    bare, at = "", 0
    for found in re.finditer(rf"<@{re.escape(user)}(?:\|[^<>]*)?>[ \t]?[:,]?[ \t]?", text):
        bare, at = bare + text[at : found.start()].rstrip(" \t"), found.end()
        inside_a_line = bare and bare[-1] != "\n" and at < len(text) and text[at] != "\n"
        bare += " " if inside_a_line else ""
    return (bare + text[at:]).strip()


def plain(text: str) -> str:
    """What a person meant by the message: no angle brackets of Slack's own, no entities."""
    words = _TOKEN.sub(_said, text)
    return words.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _said(found: re.Match[str]) -> str:
    sigil, target, url, label = found.groups()
    if sigil == "!":
        return label or "@" + target.split("^")[0]
    if sigil:
        return sigil + (label or target).lstrip("@#")
    return _address(url, label)


def _address(target: str, label: str | None) -> str:
    if not label or label == target or target.removeprefix("mailto:") == label or target.endswith("//" + label):
        return target.removeprefix("mailto:")
    return f"{label} ({target})"


def escape(text: str) -> str:
    """The three characters that mrkdwn gives a meaning to, as entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def units(text: str) -> int:
    """Length in UTF-16 units: the most that anybody could count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def fitting(lines: Sequence[str], limit: int) -> int:
    """How many of these lines, each with its line break, are at most `limit` characters long together."""
    return sum(whole <= limit for whole in accumulate(units(line) + 1 for line in lines))


def quiet(text: str, limit: int = 2_900) -> str:
    """Somebody's words, escaped, nobody mentioned, at most `limit` characters long however much escaping adds.

    A cut is marked, falls between whole characters as people see them, and leaves no code block open.
    """
    return (_remembered if len(text) <= _SHORT else _quiet)(text, limit)


def _quiet(text: str, limit: int) -> str:
    return _fit(_BROADCAST.sub("@" + _NOTHING, visible(text)), limit)


_remembered = lru_cache(_REMEMBERED)(_quiet)


def quoted(text: str, limit: int = 2_600) -> str:
    """Somebody's words as a quotation, at most about `limit` characters long."""
    lines = [f"> {line}" for line in quiet(text).split("\n")]
    fit = fitting(lines, limit)
    return "\n".join([*lines[:fit], "> …"] if fit < len(lines) else lines)


def one_line(text: str, limit: int = 150) -> str:
    """As `quiet`, for a place where only one line fits."""
    return quiet(" ".join(visible(text).replace(_FENCE, " ").split()), limit)


def is_user(user_id: str) -> bool:
    """Whether this is an id that Slack gives to somebody who can be mentioned; a bare bot's is not."""
    return _USER.fullmatch(user_id) is not None


def person(user_id: str, name: str) -> str:
    """The mention of a person; just the name if this is no id of Slack's."""
    return f"<@{user_id}>" if is_user(user_id) else one_line(name, 80)


def link(url: str, label: str) -> str:
    """A link of our own making; only the label if the address is none."""
    if not re.fullmatch(r"https?://[^\s<>|]+", url):
        return one_line(label)
    return f"<{escape(url)}|{one_line(label).replace('|', '¦')}>"


def _fit(text: str, limit: int) -> str:
    whole = escape(text)
    whole += _closing(whole)
    if units(whole) <= limit:
        return whole
    room = limit - len(_ELLIPSIS) - len("\n" + _FENCE)
    kept: list[str] = []
    for cluster in _clusters(text[: limit + 1]):
        piece = escape(cluster)
        room -= units(piece)
        if room < 0:
            break
        kept.append(piece)
    cut = "".join(kept).rstrip().rstrip("`")
    return cut + _ELLIPSIS + _closing(cut)


def _closing(text: str) -> str:
    return "\n" + _FENCE if text.count(_FENCE) % 2 else ""


def _clusters(text: str) -> list[str]:
    """Characters as people see them: an emoji of several code points, or a letter with its accents, is one."""
    clusters: list[str] = []
    flags = 0
    for char in text:
        is_flag = 0x1F1E6 <= ord(char) <= 0x1F1FF
        flags = flags + 1 if is_flag else 0
        if clusters and (_belongs(char) or clusters[-1].endswith(_JOINER) or (is_flag and flags % 2 == 0)):
            clusters[-1] += char
        else:
            clusters.append(char)
    return clusters


def _belongs(char: str) -> bool:
    """Whether this code point continues the character before it."""
    code = ord(char)
    tone, tag, selector = 0x1F3FB <= code <= 0x1F3FF, 0xE0020 <= code <= 0xE007F, 0xFE00 <= code <= 0xFE0F
    return char == _JOINER or tone or tag or selector or unicodedata.category(char) in ("Mn", "Me", "Mc")


def plain_label(text: str, limit: int = 75) -> str:
    """Words for a `plain_text` object, where nothing has a meaning; at most `limit` characters."""
    line = " ".join(visible(text).split()) or _ELLIPSIS
    return line if units(line) <= limit else _start(line, limit - 1).rstrip() + _ELLIPSIS


def _start(text: str, room: int) -> str:
    """As many whole characters as there is room for."""
    kept: list[str] = []
    for cluster in _clusters(text[: room + 1]):
        room -= units(cluster)
        if room < 0:
            break
        kept.append(cluster)
    return "".join(kept)
