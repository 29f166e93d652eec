"""What models cost, as a table: dollars for a million tokens, by name. Pure; the model gateway counts by it.

Taken in November 2026 from the providers' lists: https://platform.claude.com/docs/en/about-claude/pricing,
https://developers.openai.com/api/docs/pricing, https://ai.google.dev/gemini-api/docs/pricing (standard service, text;
five-minute caches). Lists change, and contracts differ: SHIPMATE_MODEL_PRICES goes before this table. A model that is
in neither has no price: its tokens are counted, its cost is unknown, and where there is a budget it is refused.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from jobs.records import Spent

MILLION = 1_000_000


class Price(NamedTuple):
    """Dollars for a million tokens. `cached`: input that the provider had in its cache; `written`: that it put there.

    `long`: the price of a whole request whose input is longer than `long_from` tokens.
    """

    input: float
    output: float
    cached: float
    written: float
    long_from: int = 0
    long: tuple[float, float, float, float] | None = None


Prices = Mapping[str, Price]


def _claude(input_: float, output: float) -> Price:
    """Reading from the cache is a tenth of input, writing to it a quarter more."""
    return Price(input_, output, round(input_ * 0.1, 4), round(input_ * 1.25, 4))


def _flat(input_: float, output: float, written: float | None = None) -> Price:
    """Cached input is a tenth of input; writing costs nothing of its own unless it is given."""
    return Price(input_, output, round(input_ * 0.1, 4), input_ if written is None else written)


def _tiered(input_: float, output: float, long_from: int, written: float | None = None) -> Price:
    """Beyond so many tokens of input everything in is twice, everything out half as much again."""
    usual = _flat(input_, output, written)
    long = (input_ * 2, output * 1.5, usual.cached * 2, usual.written * 2)
    return usual._replace(long_from=long_from, long=long)


PRICES: Prices = {
    "claude-fable-5": _claude(10, 50),
    "claude-opus-5": _claude(5, 25),
    "claude-opus-4-8": _claude(5, 25),
    "claude-opus-4-7": _claude(5, 25),
    "claude-opus-4-6": _claude(5, 25),
    "claude-opus-4-5": _claude(5, 25),
    "claude-opus-4-1": _claude(15, 75),
    "claude-opus-4": _claude(15, 75),
    "claude-sonnet-5": _claude(2, 10),
    "claude-sonnet-4-6": _claude(3, 15),
    "claude-sonnet-4-5": _claude(3, 15),
    "claude-sonnet-4": _claude(3, 15),
    "claude-haiku-4-5": _claude(1, 5),
    "gpt-5-6-sol": _tiered(5, 30, 272_000, written=6.25),
    "gpt-5-6-terra": _tiered(2, 12, 272_000, written=2.5),
    "gpt-5-6-luna": _tiered(0.2, 1.2, 200_000, written=0.25),
    "gpt-5-5": _tiered(5, 30, 272_000),
    "gpt-5-4": _tiered(2.5, 15, 272_000),
    "gpt-5-4-mini": _flat(0.75, 4.5),
    "gpt-5-4-nano": _flat(0.2, 1.25),
    "gpt-5-3-codex": _flat(1.75, 14),
    "gpt-5-2": _flat(1.75, 14),
    "gpt-5-2-codex": _flat(1.75, 14),
    "gpt-5-codex": _flat(1.25, 10),
    "gpt-5-mini": _flat(0.25, 2),
    "gemini-3-1-pro": _tiered(2, 12, 200_000),
    "gemini-3-7-flash": _flat(0.75, 3.75),
    "gemini-3-6-flash": _flat(0.75, 3.75),
    "gemini-3-5-flash": _flat(1.5, 9),
}
_DATED = re.compile(r"(?:-\d{8}|-\d{4}-\d{2}-\d{2}|-\d{2}-\d{4}|-latest|-preview|@\d+)+$")


def plain(model: str) -> str:
    """A model's name without its vendor and its date, such as `claude-sonnet-4-5` for
    `anthropic/claude-sonnet-4.5-20250929`."""
    return _DATED.sub("", model.lower().rpartition("/")[2].replace(".", "-"))


def price_of(model: str, given: Prices) -> Price | None:
    """The price of a model; what was `given` by setting goes first, the longest pattern of it first of all."""
    name = model.lower()
    for pattern in sorted(given, key=len, reverse=True):
        if fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern):
            return given[pattern]
    return PRICES.get(plain(model))


def cost(spent: Spent, price: Price) -> int:
    """Millionths of a dollar."""
    read = spent.input + spent.cached + spent.written
    input_, output, cached, written = price[:4]
    if price.long is not None and read > price.long_from:
        input_, output, cached, written = price.long
    dollars = spent.input * input_ + spent.output * output + spent.cached * cached + spent.written * written
    return round(dollars)  # a dollar for a million tokens is a millionth for one
