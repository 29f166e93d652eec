"""A repository's environment: what its devcontainer.json asks for, or what its lock files suggest. Pure.

`jobs/image_build.py` follows it when it builds an image, and what a box needs later (`env`, `egress`, …) is kept with
the image. The file is the repository's, so it is hostile until proven: every value is bounded, and what cannot be
followed is an error with its line (`RecipeError`), or is named in `left_out`; nothing is ignored in silence.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from sandbox.provider import Limits

FILES = (".devcontainer/devcontainer.json", ".devcontainer.json")  # in this order
MOST_COMMANDS, MOST_COMMAND_BYTES, MOST_START_BYTES = 32, 8 << 10, 8 << 10
MOST_VARIABLES, MOST_ENV_BYTES = 100, 16 << 10
MOST_HOSTS = 100
SHELL = ("/bin/sh", "-c")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
# What a runner puts in for its own places (docs/wire.md)
IN_A_BOX: Mapping[str, str] = {"repo": "{repo}", "name": "repo", "path": "{path}", "home": "{home}"}
KNOWN_VARIABLES: Mapping[str, str] = {
    "containerWorkspaceFolder": "repo",
    "containerWorkspaceFolderBasename": "name",
    "containerEnv:PATH": "path",
    "containerEnv:HOME": "home",
}


class RecipeError(Exception):
    """The file cannot be followed. `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line, self.reason = line, reason


class Command(NamedTuple):
    """One command. `name`: its key, where several run side by side; `argv`: through a shell if it was one string."""

    name: str
    argv: tuple[str, ...]

    @property
    def shown(self) -> str:
        """As a person would write it."""
        line = self.argv[2] if self.argv[:2] == SHELL and len(self.argv) == 3 else " ".join(self.argv)
        return f"{self.name}: {line}" if self.name else line


@dataclass(frozen=True)
class Recipe:
    """What to do. The commands of one stage run side by side; `warm` ones and the stages one after the other.

    `seconds`: of all stages of one build together; None, here and elsewhere: what the settings say. `detected`: nobody
    wrote it down, so a step that fails is no fault of the repository's.
    """

    where: str
    image: str = ""
    on_create: tuple[Command, ...] = ()
    update_content: tuple[Command, ...] = ()
    post_create: tuple[Command, ...] = ()
    post_start: tuple[Command, ...] = ()
    warm: tuple[Command, ...] = ()
    check: tuple[Command, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    remote_user: str = ""
    agent: str = ""
    model: str = ""
    egress: tuple[str, ...] = ()
    cpu: float | None = None
    memory_bytes: int | None = None
    seconds: float | None = None
    warm_boxes: int | None = None
    detected: bool = False
    left_out: tuple[str, ...] = field(default=(), compare=False)

    @property
    def digest(self) -> str:
        """The same for all files that ask for the same."""
        said = {name: value for name, value in asdict(self).items() if name not in ("where", "left_out")}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def environment(self, places: Mapping[str, str]) -> dict[str, str]:
        """The variables, with `places` (repo, name, path, home) put in for what the file calls them."""
        return {name: _VARIABLE.sub(lambda found: places[KNOWN_VARIABLES[found[1]]], value) for name, value in self.env}

    def to_json(self) -> str:
        """As one line, for the record."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """What `to_json` wrote; fields of newer versions are left out."""
        said: dict[str, Any] = json.loads(text)
        known = {name: _frozen(name, value) for name, value in said.items() if name in cls.__dataclass_fields__}
        return cls(**known)


_COMMANDS = ("on_create", "update_content", "post_create", "post_start", "warm", "check")


def _frozen(name: str, value: Any) -> Any:
    if name in _COMMANDS:
        return tuple(Command(each[0], tuple(each[1])) for each in value)
    if name == "env":
        return tuple((each[0], each[1]) for each in value)
    return tuple(value) if isinstance(value, list) else value


class Found(NamedTuple):
    """A file that shows how a project is set up: `tool` is the program that `line` needs."""

    file: str
    tool: str
    line: str


_PIP = "python3 -m venv .venv && .venv/bin/python -m pip install --quiet"
# Of each group the first file that is there decides.
DETECTED: tuple[tuple[Found, ...], ...] = (
    (
        Found("uv.lock", "uv", "uv sync"),
        Found("poetry.lock", "poetry", "poetry install --no-interaction"),
        Found("requirements.txt", "python3", f"{_PIP} -r requirements.txt"),
        Found("pyproject.toml", "python3", f"{_PIP} -e ."),
        Found("setup.py", "python3", f"{_PIP} -e ."),
    ),
    (
        Found("pnpm-lock.yaml", "pnpm", "pnpm install --frozen-lockfile"),
        Found("yarn.lock", "yarn", "yarn install"),
        Found("package-lock.json", "npm", "npm ci"),
        Found("npm-shrinkwrap.json", "npm", "npm ci"),
        Found("package.json", "npm", "npm install --no-package-lock"),
    ),
    (Found("go.mod", "go", "go mod download"),),
    (Found("Cargo.lock", "cargo", "cargo fetch --locked"), Found("Cargo.toml", "cargo", "cargo fetch")),
)


def detect(files: frozenset[str]) -> Recipe:
    """What the files at the top of a repository without a devcontainer.json suggest; nothing, if nothing is known."""
    found = [row for row in (next((r for r in group if r.file in files), None) for group in DETECTED) if row]
    commands = tuple(Command(row.file, (*SHELL, row.line)) for row in found)
    where = "no devcontainer.json; " + (", ".join(row.file for row in found) or "nothing else that is known")
    return Recipe(where=where, update_content=commands, detected=True)


def without_images(recipe: Recipe) -> tuple[str, ...]:
    """What a place leaves out that runs boxes on its own system, and as one user."""
    said = []
    if recipe.image:
        said.append(f"image {recipe.image}: boxes here have no container images; they see the /usr of their place")
    if recipe.remote_user:
        said.append(f"remoteUser {recipe.remote_user}: boxes here have one user, who is not root")
    if recipe.cpu is not None:
        said.append(
            "cpu: boxes on this machine share the processors, each with the same weight; on Modal it is heeded, up to"
            " SHIPMATE_MODAL_CORES"
        )
    return tuple(said)


def limits_of(recipe: Recipe | None, ours: Limits) -> Limits:
    """What a box of this recipe may use: a repository may ask for less than the settings allow, not for more."""
    if recipe is None:
        return ours
    asked = [bytes for bytes in (recipe.memory_bytes, ours.memory_bytes) if bytes is not None]
    return replace(ours, memory_bytes=min(asked, default=None), cores=recipe.cpu)
