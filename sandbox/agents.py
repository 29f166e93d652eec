"""The coding agents that can work in a box, as a table. Pure; `sandbox/agent_install.py` fetches them.

A row says how an agent is installed (pinned, with its digest), how it is started, and which settings keep it quiet and
pointed at the gateway. Its argv and environment may hold `{gateway}`, `{home}`, `{repo}`, `{agents}`, `{python}` and
`{runner}`, which the runner fills in inside the box. What was measured of each agent decides its settings.
"""

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

NO_KEY = "the-gateway-has-the-key"  # agents want one to be set; the gateway puts the real one in
DEFAULT_MODEL = "anthropic/claude-sonnet-4-5"


@dataclass(frozen=True)
class Package:
    """A registry package that holds the agent as one file. `integrity` is the archive's, as registries write it."""

    name: str
    version: str
    integrity: str
    file: str


@dataclass(frozen=True)
class AgentRow:
    """One agent. `gate` is what it does before the tree is in step: `ask` before each write, or wait for its prompt.

    `packages`: by machine (`x86_64`, `aarch64`); empty: it is part of Shipmate. `lacks`: what a person should know.
    """

    name: str
    title: str
    argv: tuple[str, ...]
    gate: Literal["ask", "after-sync"]
    environment: Callable[[str], Mapping[str, str]] = lambda _model: {}
    packages: Mapping[str, Package] = field(default_factory=dict)
    lacks: str = ""

    def binary(self, folder: Path) -> Path | None:
        """Where its file is installed; None if it is part of Shipmate."""
        package = next(iter(self.packages.values()), None)
        return None if package is None else folder / f"{self.name}-{package.version}" / Path(package.file).name


def _opencode_environment(model: str) -> Mapping[str, str]:
    """OpenCode takes its whole configuration from one variable, so nothing is written into the repository."""
    provider, _, name = (model or DEFAULT_MODEL).partition("/")
    library, address = _PROVIDERS[provider]
    limits = {"context": 200_000, "output": 8_192}
    entry = {"name": name, "tool_call": True, "attachment": True, "reasoning": True, "limit": limits}
    chosen = f"shipmate/{name}"
    config = {
        "autoupdate": False,
        "share": "disabled",
        "snapshot": False,  # its own undo store; ours is the branch
        "enabled_providers": ["shipmate"],
        "model": chosen,
        "small_model": chosen,  # else it looks for another one for titles
        "provider": {
            "shipmate": {
                "npm": library,
                "name": "Shipmate's gateway",
                "options": {"baseURL": "{gateway}" + address, "apiKey": NO_KEY},
                "models": {name: entry},
            }
        },
        "permission": {"*": "allow"},  # the box is the fence, and subagents hang for ever under "ask"
    }
    quiet = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "SHARE", "DEFAULT_PLUGINS", "CLAUDE_CODE")
    return {"OPENCODE_CONFIG_CONTENT": json.dumps(config)} | {f"OPENCODE_DISABLE_{what}": "1" for what in quiet}


# How a model's name begins -> the library that speaks its protocol, and where the gateway serves that.
_PROVIDERS: Mapping[str, tuple[str, str]] = {
    "anthropic": ("@ai-sdk/anthropic", "/model/anthropic/v1"),
    "openai": ("@ai-sdk/openai", "/model/openai"),
}

ROWS: Mapping[str, AgentRow] = {
    row.name: row
    for row in (
        AgentRow(
            name="rehearsal",
            title="A scripted agent for the demo and the tests. No model is behind it.",
            argv=("{python}", "-I", "-S", "-B", "{runner}", "rehearsal"),
            gate="ask",
            lacks="It knows a handful of tasks and says so.",
        ),
        AgentRow(
            name="opencode",
            title="OpenCode: open source, one binary, many model providers.",
            argv=("{agents}/opencode-1.18.33/opencode", "acp"),
            gate="after-sync",
            environment=_opencode_environment,
            packages={
                "x86_64": Package(
                    "opencode-linux-x64",
                    "1.18.33",
                    "sha512-q/t/3p2CTxOT9y2kvjesb/LZab2+1eqlhhWA02Be6mjTtmYtNBcBsrI5yDo4Fw7ZSPBW2oyMIGMNRqiKQjiAWw==",
                    "package/bin/opencode",
                )
            },
            lacks="No plan updates over ACP; its subagents' steps are not seen. Not pinned for aarch64 yet.",
        ),
    )
}


def row(name: str) -> AgentRow:
    """The row of this name; raises ValueError with the names that there are."""
    if name not in ROWS:
        raise ValueError(f"there is no agent called {name!r}; there are: {', '.join(ROWS)}")
    return ROWS[name]


def installed(agent: AgentRow, folder: Path) -> bool:
    """Whether the agent can be started from this folder."""
    binary = agent.binary(folder)
    return binary is None or binary.is_file()


def package_here(agent: AgentRow, machine: str | None = None) -> Package:
    """The agent's package for this machine; raises ValueError with what can be done if there is none."""
    machine = machine or platform.machine()
    if machine not in agent.packages:
        known = ", ".join(agent.packages) or "no machine: it is part of Shipmate"
        raise ValueError(f"{agent.name} is pinned for {known}; this machine is {machine}")
    return agent.packages[machine]


def check_model(model: str) -> None:
    """Raise ValueError for a model that no agent could be pointed at. An empty one is each agent's default."""
    provider, slash, name = model.partition("/")
    if model and (provider not in _PROVIDERS or not slash or not name):
        raise ValueError(f"a model is written provider/name with one of {', '.join(_PROVIDERS)}; it is {model!r}")


def greeting_agent(agent: AgentRow, model: str) -> dict[str, Any]:
    """The `agent` object of a greeting (docs/wire.md)."""
    env = dict(agent.environment(model))
    return {"name": agent.name, "argv": list(agent.argv), "env": env, "gate": agent.gate}
