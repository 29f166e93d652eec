"""What the table of agents is made of: the records of one row. Pure; `agents.py` fills them in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple


@dataclass(frozen=True)
class Package:
    """A registry package of which one file is wanted. `integrity` is the archive's, as registries write it."""

    name: str
    version: str
    integrity: str
    file: str


@dataclass(frozen=True)
class Modules:
    """A tree of registry packages, each pinned with its digest in `locks/NAME/package-lock.json`.

    `start`: the file that is run, below the tree. `optional`: whether packages that the lock calls optional are wanted.
    """

    version: str
    start: str
    optional: bool = True


class Setup(NamedTuple):
    """What an agent is told at its start: variables, and files below HOME. Both may hold the runner's placeholders."""

    env: Mapping[str, str]
    files: Mapping[str, str] = {}


def nothing(_model: str) -> Setup:
    """The setup of an agent that needs none."""
    return Setup({})


@dataclass(frozen=True)
class AgentRow:
    """One agent.

    `gate`: what it does before the tree is in step: `ask` before each write, or wait for its prompt.
    `setup`: from a model (`provider/name`, empty: the agent's own choice) to what it is told.
    `speaks`: the model providers whose protocol it knows, the usual one first; none: it needs no model;
    `takes_any_model`: it does not mind a model whose name it has never heard of.
    `packages`: its program by machine (`x86_64`, `aarch64`); `modules`: it is a tree of packages instead, run by Node.
    `state`: where it keeps conversations, below HOME. `resumes`: how it goes on with one in a new process.
    `primes`: whether one throwaway prompt makes its next one quicker. `licence`: its own; `lacks`: what people should
    know.
    """

    name: str
    title: str
    argv: tuple[str, ...]
    gate: Literal["ask", "after-sync"]
    licence: str
    setup: Callable[[str], Setup] = nothing
    speaks: tuple[str, ...] = ()
    takes_any_model: bool = True
    packages: Mapping[str, Package] = field(default_factory=dict)
    modules: Modules | None = None
    state: tuple[str, ...] = ()
    resumes: Literal["resume", "load", "none"] = "none"
    primes: bool = False
    lacks: str = ""

    @property
    def fetched(self) -> bool:
        """Whether it comes from a registry."""
        return bool(self.packages) or self.modules is not None

    def start_file(self, folder: Path) -> Path | None:
        """The file that is there once it is installed below `folder`; None if nothing is to be installed."""
        if self.modules is not None:
            return folder / f"{self.name}-{self.modules.version}" / "node_modules" / self.modules.start
        package = next(iter(self.packages.values()), None)
        return None if package is None else folder / f"{self.name}-{package.version}" / Path(package.file).name
