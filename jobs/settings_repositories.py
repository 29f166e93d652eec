"""How repositories are written in the settings: which, where their boxes run, how many warm ones there are. Pure.

`jobs/settings.py` reads by it.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from sandbox.side_by_side import FAR, HERE

MOST_WARM = 100
_REPOSITORY = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+)(?:@([A-Za-z0-9._/-]+))?(?::([a-z]+))?")


class Repository(NamedTuple):
    """A repository that sessions may work on, as `owner/name`, the branch that they start from, and where their boxes
    run (empty: where `SHIPMATE_PLACE` says)."""

    name: str
    base_branch: str = "main"
    place: str = ""


def repositories(text: str) -> tuple[Repository, ...]:
    """`owner/name[@branch][:place],…`; raises ValueError with what is wrong."""
    found: list[Repository] = []
    for item in (part.strip() for part in text.split(",")):
        match = _REPOSITORY.fullmatch(item)
        if match is None:
            raise ValueError(f"must be owner/name[@branch][:place],...; {item!r} is not")
        branch = match[2] or "main"
        if match[1].endswith(("/.", "/..")) or branch.startswith(("-", "/", ".")) or ".." in branch:
            raise ValueError(f"must be owner/name[@branch][:place],...; {item!r} cannot be one")
        found.append(Repository(match[1], branch, place(match[3]) if match[3] else ""))
    if len({repository.name for repository in found}) != len(found):
        raise ValueError("names a repository twice")
    return tuple(found)


def place(text: str) -> str:
    """Where boxes run."""
    known = (HERE, *FAR)
    if text not in known:
        raise ValueError(f"must be {' or '.join(known)}; it is {text!r}")
    return text


def warm_numbers(enabled: Iterable[Repository], text: str) -> tuple[tuple[str, int], ...]:
    """`owner/name:NUMBER,…` of enabled repositories; raises ValueError with what is wrong."""
    found: dict[str, int] = {}
    for item in (part.strip() for part in text.split(",")):
        name, _, number = item.rpartition(":")
        if (
            not _REPOSITORY.fullmatch(name)
            or "@" in name
            or ":" in name
            or not number.isdecimal()
            or int(number) > MOST_WARM
        ):
            raise ValueError(f"must be owner/name:NUMBER,... with at most {MOST_WARM} each; {item!r} is not")
        found[name] = int(number)
    strange = found.keys() - {one.name for one in enabled}
    if strange:
        raise ValueError(f"names {min(strange)}, which SHIPMATE_REPOSITORIES does not")
    return tuple(found.items())
