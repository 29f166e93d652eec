"""JSON with comments and trailing commas, and on which line each value stands. Pure; `recipe.py` reads with it.

Comments are blanked, so that every offset stays what it was, and the standard library reads the rest. Text from a
repository is hostile: its size, depth and numbers are bounded, and whatever is wrong is one `NotJson` with its line.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

MOST_BYTES, MOST_DEPTH = 128 << 10, 32
# A string or a comment that does not end takes the rest: nothing is looked at twice, however the text is made.
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"?|//[^\n]*|/\*.*?(?:\*/|\Z)|[{}\[\],:]|[^\s{}\[\],:"/]+|/', re.DOTALL)
_OPEN, _CLOSE = ("{", "["), ("}", "]")

Path = tuple[str | int, ...]


class NotJson(Exception):
    """The text cannot be read; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line, self.reason = line, reason


class _Token(NamedTuple):
    text: str
    at: int


@dataclass(frozen=True)
class Document:
    """What was read. `lines`: where the value at each path begins, or its key."""

    value: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of the value at this path, else of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(text: str) -> Document:
    """Read it; raises NotJson and nothing else."""
    if len(text) > MOST_BYTES:
        raise NotJson(1, f"it is longer than {MOST_BYTES >> 10} kB")
    text = " " + text[1:] if text.startswith("\ufeff") else text
    tokens, blanked = _tokens(text)
    try:
        value = json.loads(blanked, parse_constant=_refuse_constant)
    except json.JSONDecodeError as wrong:
        raise NotJson(wrong.lineno, f"it is not JSON: {wrong.msg}") from None
    except ValueError as wrong:  # a number of thousands of digits, or one of JavaScript's that JSON does not have
        raise NotJson(1, f"it is not JSON: {str(wrong)[:100]}") from None
    return Document(value, _lines(text, tokens))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _tokens(text: str) -> tuple[list[_Token], str]:
    """The tokens that count, and the text with everything else blanked."""
    kept: list[_Token] = []
    blank: list[tuple[int, int]] = []
    depth = 0
    for found in _TOKEN.finditer(text):
        token = _Token(found[0], found.start())
        if token.text.startswith("//") or (token.text.startswith("/*") and token.text.endswith("*/", 2)):
            blank.append(found.span())
            continue
        depth += (token.text in _OPEN) - (token.text in _CLOSE)
        if depth > MOST_DEPTH:
            raise NotJson(_line(text, token.at), f"it is nested more than {MOST_DEPTH} levels deep")
        if token.text in _CLOSE and _ends_with_spare_comma(kept):
            spare = kept.pop().at
            blank.append((spare, spare + 1))
        kept.append(token)
    return kept, _blanked(text, blank)


def _ends_with_spare_comma(tokens: list[_Token]) -> bool:
    return len(tokens) > 1 and tokens[-1].text == "," and tokens[-2].text not in (*_OPEN, ",", ":")


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    pieces, at = [], 0
    for start, end in sorted(spans):
        pieces += [text[at:start], re.sub(r"[^\n]", " ", text[start:end])]
        at = end
    return "".join((*pieces, text[at:]))


def _lines(text: str, tokens: list[_Token]) -> dict[Path, int]:
    """Walk through tokens that are known to be JSON. Raises NotJson for a key that is given twice."""
    lines: dict[Path, int] = {}
    at: list[str | int | None] = []  # of each open object its key (None before one), of each array the index
    line, seen = 1, 0
    for token in tokens:
        line, seen = line + text.count("\n", seen, token.at), token.at
        if token.text in _CLOSE:
            at.pop()
        elif token.text == ",":
            at[-1] = at[-1] + 1 if isinstance(at[-1], int) else None
        elif token.text != ":":
            is_key = bool(at) and at[-1] is None
            if is_key:
                at[-1] = json.loads(token.text)
            path = tuple(step for step in at if step is not None)
            if is_key and path in lines:
                raise NotJson(line, f"{token.text[:60]} is given twice")
            lines.setdefault(path, line)
            if token.text in _OPEN:
                at.append(None if token.text == "{" else 0)
    return lines


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
