"""Modules of the library that are loaded when something of them is first used, which may be never.

asyncio and subprocess import them for what they seldom do. `__main__` puts them off before it loads those two.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

SELDOM_USED = (
    "inspect",
    "locale",
    "textwrap",
    "random",
    "bz2",
    "lzma",
    "zlib",
    "asyncio.sslproto",
    "asyncio.staggered",
)


def put_off(name: str) -> None:
    """Let whoever imports this module have an empty one that becomes it; nothing happens if it is loaded already."""
    if name in sys.modules:
        return
    module = ModuleType(name)

    def load(attribute: str) -> Any:
        if sys.modules.get(name) is module:
            del sys.modules[name]
        vars(module).pop("__getattr__", None)
        __import__(name)
        vars(module).update(vars(sys.modules[name]))
        return getattr(module, attribute)

    vars(module)["__getattr__"] = load
    sys.modules[name] = module
