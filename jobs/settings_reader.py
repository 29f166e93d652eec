"""How one variable of the environment is read: the text, and what is wrong with it. Pure.

`jobs/settings.py` and `bot/settings.py` read theirs with a `Reader`; the functions here parse what several of them use.
Each raises `ValueError` with words that follow the variable's name.
"""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

T = TypeVar("T")
MIB = 1 << 20


class Reader:
    """Reads one variable at a time and collects a line for each that is wrong."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.wrong: list[str] = []

    def __call__(self, variable: str, parse: Callable[[str], T], default: T) -> T:
        """The variable's value; `default` if it is not given, or wrong."""
        text = self._env.get(variable, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as wrong:
            self.wrong.append(f"{variable} {wrong}")
            return default


def whole(text: str) -> int:
    """A number from 0 on."""
    if not text.isdecimal():
        raise ValueError(f"must be a whole number; it is {text!r}")
    return int(text)


def attempts(text: str) -> int:
    """A number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"must be a whole number above 0; it is {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """A length of time."""
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", text) or float(text) <= 0:
        raise ValueError(f"must be a number of seconds above 0; it is {text!r}")
    return float(text)


def mebibytes(text: str) -> int | None:
    """Bytes; 0 stands for no limit."""
    if not text.isdecimal():
        raise ValueError(f"must be a whole number of megabytes (0: no limit); it is {text!r}")
    return int(text) * MIB or None


def yes_or_no(text: str) -> bool:
    """1 or 0, or a word for it."""
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in known:
        raise ValueError(f"must be 1 or 0; it is {text!r}")
    return known[text.lower()]


def word(text: str) -> str:
    """A name without spaces and without what nobody sees."""
    if not text.isprintable() or " " in text:
        raise ValueError(f"must be one word; it is {text!r}")
    return text


def secret(text: str) -> SecretStr:
    """Something that fits into a header. What is wrong with it is not repeated."""
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be one word of plain letters, digits and signs; copy it again")
    return SecretStr(text)


def web_url(text: str) -> str:
    """The address without a slash at its end."""
    try:
        parts = urlsplit(text)
        well = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and text.isprintable()
    except ValueError:
        well = False
    if not well or " " in text:
        raise ValueError(f"must be an address that begins with https://; it is {text!r}")
    return text.rstrip("/")
