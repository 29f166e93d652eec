"""What the environment says about models: more upstreams, which models are allowed, what they cost, what may be spent.

Pure but for a file of prices, which is read once. `bot/settings.py` calls these parsers; each raises ValueError, saying
what is wrong with its variable.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from bot.model_prices import Price
from jobs.settings import web_url

Protocol = Literal["anthropic", "openai", "gemini"]
TAKEN = (*get_args(Protocol), "priming")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{1,60}")
_PATTERN = re.compile(r"[A-Za-z0-9*?._:/@-]{1,200}")
UPSTREAM = "must be name=protocol,url[,KEY_VARIABLE];… with a protocol of " + ", ".join(get_args(Protocol))
DEAREST = 1e6  # dollars; no price and no budget is above it


class MoreUpstream(NamedTuple):
    """A provider beside the well-known ones. `key_variable`: where its key is; "": it wants none."""

    name: str
    protocol: Protocol
    url: str
    key_variable: str


def upstreams(text: str) -> tuple[MoreUpstream, ...]:
    """`openrouter=openai,https://openrouter.ai/api/v1,OPENROUTER_API_KEY;vllm=openai,http://10.0.0.5:8000/v1`."""
    found = tuple(_upstream(part.strip()) for part in text.split(";") if part.strip())
    if len({one.name for one in found}) != len(found):
        raise ValueError("names an upstream twice")
    return found


def _upstream(text: str) -> MoreUpstream:
    name, _, rest = text.partition("=")
    protocol, url, variable = (part.strip() for part in (*rest.split(",", 2), "", "")[:3])
    if not _NAME.fullmatch(name.strip()) or protocol not in get_args(Protocol):
        raise ValueError(f"{UPSTREAM}; {text[:100]!r} is not")
    if name.strip() in TAKEN:
        raise ValueError(f"cannot name an upstream {name.strip()}: that is taken")
    if variable and not _VARIABLE.fullmatch(variable):
        raise ValueError(f"{UPSTREAM}; {name.strip()} names no variable for its key")
    protocol_known: Any = protocol
    return MoreUpstream(name.strip(), protocol_known, web_url(url), variable)


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
