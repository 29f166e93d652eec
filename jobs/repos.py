"""Which repository a text means. Pure.

The faces ask `choose` when somebody mentions us or answers the question; `jobs/settings.py` says which repositories are
enabled. What is not clear is asked for, never guessed: a wrong guess is work in the wrong place.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from jobs.commands import Choice


class Repository(Protocol):
    """An enabled repository."""

    @property
    def name(self) -> str:
        """`owner/name`."""

    @property
    def base_branch(self) -> str:
        """The branch that work starts from and goes back to."""


class _Named(NamedTuple):
    """An `owner/name` in a text. `surely` a repository, and not the path of a file or a figure of speech."""

    name: str
    surely: bool


_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?"
_ADDRESS = re.compile(r"(?:(?:https?|ssh|git)://|git@)[^\s<>|\"'`]+")
_SLUG = re.compile(
    rf"(?:\b(?P<before>[A-Za-z]+):?\s+`?)?(?<![\w./@~:-])(?P<owner>{_PART})/(?P<name>{_PART})(?![\w/~-])"
)
_BARE = re.compile(rf"(?<![\w./@~-]){_PART}(?![\w/~-])")
_PLACED = re.compile(rf"\b(?:in|on) (?:the )?`?({_PART})(?![\w/~-])", re.IGNORECASE)
_SAYS_REPOSITORY = frozenset(("repo", "repository"))
_SAYS_WHERE = frozenset(("in", "on", "for", "of", "to", "at", "with", "from", "use"))
_FOLDERS = frozenset(
    ("api", "app", "apps", "assets", "bin", "build", "ci", "cmd", "components", "config", "core", "dist", "doc", "docs")
    + ("etc", "examples", "include", "internal", "lib", "libs", "packages", "pages", "pkg", "public", "scripts", "src")
    + ("static", "styles", "test", "tests", "tools", "types", "utils", "var", "vendor", "web")
)
_POLITE = (
    _SAYS_REPOSITORY
    | _SAYS_WHERE
    | frozenset(
        ("the", "this", "that", "one", "it", "it's", "it’s", "is", "i", "we", "mean", "meant", "my", "our", "please")
        + ("thanks", "thank", "you", "sorry", "oh", "ah", "yes", "ok", "okay", "go", "git")
    )
)
_FILE = re.compile(r"\.[A-Za-z0-9]{1,5}$")


def choose(text: str, repositories: Sequence[Repository], forge_url: str = "https://github.com") -> Choice:
    """The repository that `text` means, or the enabled ones to ask for and why.

    An address on the forge or `owner/name` wins over a bare name, unless the work is said to be in that; without any,
    the only enabled repository is meant.
    """
    if not repositories:
        return Choice(reason="No repository is enabled for me yet: SHIPMATE_REPOSITORIES is empty.")
    enabled = {repository.name.lower(): repository for repository in repositories}
    named = list(_named(text, forge_url, enabled))
    unknown = [name for name, surely in named if surely and name.lower() not in enabled]
    meant = {name.lower() for name, _ in named if name.lower() in enabled}
    if meant:
        meant |= _placed(text, enabled)
    if not unknown and not meant:
        meant = _by_bare_name(text, enabled) or (set(enabled) if len(enabled) == 1 else set())
    if unknown:
        reason = f"{unknown[0]} is not enabled for me. Which repository do you mean?"
        return _ask(enabled, reason, only=_says_only(text, unknown[0]))
    if len(meant) > 1:
        several = {name: enabled[name] for name in enabled if name in meant}
        return _ask(several, "That could be more than one repository. Which one do you mean?")
    if not meant:
        return _ask(enabled, "Which repository do you mean?")
    chosen = enabled[meant.pop()]
    return Choice(repository=chosen.name, base_branch=chosen.base_branch, only=_says_only(text, chosen.name))


def base_branch(name: str, repositories: Sequence[Repository]) -> str | None:
    """The base branch of an enabled repository; None if it is not enabled."""
    return next((each.base_branch for each in repositories if each.name.lower() == name.lower()), None)


def _says_only(text: str, name: str) -> bool:
    """Whether a text says which repository is meant, perhaps politely, and nothing else."""
    address, bare = (
        r"(?:(?:https?|ssh|git)://|git@)[^\s<>|]{0,200}[/:]",
        rf"(?<![\w./@~-]){re.escape(name.partition('/')[2])}",
    )
    said = re.sub(rf"(?:(?:{address})?{re.escape(name)}(?:\.git)?|{bare})(?![\w/~-])", " ", text, flags=re.I)
    return all(word in _POLITE for word in re.findall(r"[\w'’]+", said.lower()))


def _ask(options: dict[str, Repository], reason: str, only: bool = False) -> Choice:
    return Choice(options=tuple(repository.name for repository in options.values()), reason=reason, only=only)


def _named(text: str, forge_url: str, enabled: dict[str, Repository]) -> Iterator[_Named]:
    """Every repository that the text names with its owner: the addresses, then the others."""
    for address in _ADDRESS.findall(text):
        if name := _of_address(address, forge_url):
            yield _Named(name, surely=True)
    owners = {name.partition("/")[0] for name in enabled}
    own_names = {name.partition("/")[2] for name in enabled}
    for found in _SLUG.finditer(_ADDRESS.sub(" ", text)):
        owner, name = found["owner"], found["name"].removesuffix(".git")
        before = (found["before"] or "").lower()
        is_path = owner.lower() in _FOLDERS | own_names or _FILE.search(name) is not None
        placed = before in _SAYS_WHERE and not is_path
        yield _Named(f"{owner}/{name}", before in _SAYS_REPOSITORY or placed or owner.lower() in owners)


def _of_address(address: str, forge_url: str) -> str | None:
    """`owner/name` of an address on the forge; None for an address elsewhere."""
    scp = re.fullmatch(r"git@([^:/]+):(.+)", address)
    forge = urlsplit(forge_url)
    try:
        parts = urlsplit(f"ssh://{scp[1]}/{scp[2]}" if scp else address)
    except ValueError:  # somebody's text need not be an address
        return None
    if (parts.hostname or "").lower() != (forge.hostname or "").lower():
        return None
    path = parts.path.removeprefix(forge.path.rstrip("/")).strip("/").split("/")
    found = [part[0] for part in map(re.compile(_PART).match, path[:2]) if part is not None]
    return "/".join(found).removesuffix(".git") if len(found) == 2 else None


def _placed(text: str, enabled: dict[str, Repository]) -> set[str]:
    """The enabled repositories in which, by their name without its owner, the work is said to be: "in rocket"."""
    words = {found[1].lower() for found in _PLACED.finditer(_ADDRESS.sub(" ", text))}
    return {name for name in enabled if name.partition("/")[2] in words}


def _by_bare_name(text: str, enabled: dict[str, Repository]) -> set[str]:
    """The enabled repositories whose name without its owner is a word of the text."""
    words = {word.lower() for word in _BARE.findall(_ADDRESS.sub(" ", text))}
    return {name for name in enabled if name.partition("/")[2] in words}
