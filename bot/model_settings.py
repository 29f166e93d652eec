"""What the environment says about models: which are allowed, what they cost, what may be spent on them.

Pure but for a file of prices, which is read once. `bot/settings.py` calls these parsers; each raises ValueError, saying
what is wrong with its variable.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

from bot.model_prices import Price

_PATTERN = re.compile(r"[A-Za-z0-9*?._:/@-]{1,200}")
DEAREST = 1e6  # dollars; no price and no budget is above it


def models(text: str) -> tuple[str, ...]:
    """Patterns of models, such as `claude-*,openrouter/*`."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for pattern in found:
        if not _PATTERN.fullmatch(pattern):
            raise ValueError(
                f"must be names of models with * for any part, one after a comma; {pattern[:100]!r} is none"
            )
    return found


def dollars(text: str) -> float:
    """A budget; 0 stands for none."""
    if not re.fullmatch(r"\$?\d{1,7}(\.\d{1,6})?", text):
        raise ValueError(f"must be a number of dollars, such as 5 (0: no budget); it is {text[:100]!r}")
    return float(text.removeprefix("$"))


def prices(text: str) -> Mapping[str, Price]:
    """Dollars for a million tokens: `{"name*": [input, output, cached, written]}` as JSON, or @FILE. The last two may
    be left out: they are as input then."""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).expanduser().read_text()
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(f"names a file that cannot be read ({type(error).__name__})") from None
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise ValueError('must be JSON, such as {"qwen*": [0.5, 2]}, or @FILE')
    return {_pattern(name): _price(name, row) for name, row in told.items()}


def _pattern(name: str) -> str:
    if not _PATTERN.fullmatch(name):
        raise ValueError(f"has {name[:100]!r}, which names no model")
    return name.lower()


def _price(name: str, row: object) -> Price:
    if not isinstance(row, list) or not 2 <= len(row) <= 4 or not all(_is_amount(part) for part in row):
        raise ValueError(f"must give {name} from 2 to 4 amounts: input, output, cached input, writing to the cache")
    numbers = [float(part) for part in row]
    cached = numbers[2] if len(numbers) > 2 else numbers[0]
    written = numbers[3] if len(numbers) > 3 else numbers[0]
    return Price(numbers[0], numbers[1], cached, written)


def _is_amount(part: object) -> bool:
    if not isinstance(part, int | float) or isinstance(part, bool):
        return False
    return math.isfinite(part) and 0 <= part <= DEAREST
