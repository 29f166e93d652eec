"""What the forge says of the checks of a commit, as records. Pure.

Part of `jobs/commands.py`; `jobs/decide_pulls.py` says what comes of it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FinishCheck:
    """A check of the commit `head` has come to its end, as `conclusion` (the forge's word) says. `check` tells it from
    all others of that commit, `run` an earlier run of it from a later one; `words`: what it says, a program's."""

    head: str
    check: str
    name: str
    conclusion: str
    passed: bool
    run: int = 0
    url: str = ""
    words: str = ""
