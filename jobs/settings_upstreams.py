"""How model providers beside the well-known ones are written in the settings. Pure; `jobs/settings.py` reads by it.

The faces send requests there (`bot/gateway/model_upstreams.py`), the workers point agents at them.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

PROTOCOLS = ("anthropic", "openai", "gemini")  # as the well-known providers are called, which speak them
TAKEN = (*PROTOCOLS, "priming")
UPSTREAM = f"must be name=protocol,url[,KEY_VARIABLE];… with a protocol of {', '.join(PROTOCOLS)}"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{1,60}")


class MoreUpstream(NamedTuple):
    """A provider beside the well-known ones. `key_variable`: where its key is; "": it wants none."""

    name: str
    protocol: str
    url: str
    key_variable: str


def upstreams(text: str, address: Callable[[str], str]) -> tuple[MoreUpstream, ...]:
    """`openrouter=openai,https://openrouter.ai/api/v1,OPENROUTER_API_KEY;vllm=openai,http://10.0.0.5:8000/v1`.

    `address` reads a URL. Raises ValueError with what is wrong.
    """
    found = tuple(_upstream(part.strip(), address) for part in text.split(";") if part.strip())
    if len({one.name for one in found}) != len(found):
        raise ValueError("names an upstream twice")
    return found


def _upstream(text: str, address: Callable[[str], str]) -> MoreUpstream:
    name, _, rest = text.partition("=")
    protocol, url, variable = (part.strip() for part in (*rest.split(",", 2), "", "")[:3])
    if not _NAME.fullmatch(name.strip()) or protocol not in PROTOCOLS:
        raise ValueError(f"{UPSTREAM}; {text[:100]!r} is not")
    if name.strip() in TAKEN:
        raise ValueError(f"cannot name an upstream {name.strip()}: that is taken")
    if variable and not _VARIABLE.fullmatch(variable):
        raise ValueError(f"{UPSTREAM}; {name.strip()} names no variable for its key")
    return MoreUpstream(name.strip(), protocol, address(url), variable)
