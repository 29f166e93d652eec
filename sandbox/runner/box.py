"""What the runner is told, and where things are in its box: the greeting (docs/wire.md) and the fixed places.

Read before the agent is started, so it imports next to nothing. Everything else of the runner is handed these records.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NamedTuple

WIRE = 1
PORT, EGRESS_PORT = 8787, 8788
CA = "/opt/shipmate/ca.pem"  # there if whoever runs the host named certificates of its own
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "PIP_CERT")
NOT_THROUGH_EGRESS = "127.0.0.1,localhost,::1"
AGENTS = "/opt/shipmate/agents"
PATH = "/usr/local/bin:/usr/bin:/bin"


class BadGreeting(ValueError):
    """The line on stdin is not a greeting; the message says why."""


class Agent(NamedTuple):
    """The agent to start. `gate` is `ask` or `after-sync`: whether it asks before it writes.

    `files`: what it is told in files, by their names below HOME; `state`: where it keeps conversations, below HOME;
    `prime`: whether one throwaway prompt makes its next one quicker.
    """

    name: str
    argv: tuple[str, ...]
    env: dict[str, str]
    gate: str
    files: dict[str, str] = {}
    state: tuple[str, ...] = ()
    prime: bool = False


class Greeting(NamedTuple):
    """The one line that the runner reads on its stdin. `gateway` None: dial nobody."""

    token: str
    box: str
    generation: int
    gateway: str | None
    repository: str
    base_branch: str
    branch: str
    mode: str
    agent: Agent | None
    conversation: str | None
    turn_seconds: float
    sync_seconds: float
    cancel_seconds: float
    silence_seconds: float
    quiet_seconds: float
    env: dict[str, str] = {}
    start: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def from_line(cls, line: bytes) -> Greeting:
        """Read the greeting; raise BadGreeting with a sentence."""
        try:
            said = json.loads(line)
            if said["wire"] != WIRE:
                raise BadGreeting(f"the greeting speaks wire version {said['wire']}; this runner speaks {WIRE}")
            return cls._from(said)
        except (ValueError, KeyError, TypeError, AttributeError) as wrong:
            raise wrong if isinstance(wrong, BadGreeting) else BadGreeting(f"no greeting: {wrong!r}") from None

    @classmethod
    def _from(cls, said: dict[str, Any]) -> Greeting:
        limits, agent = said.get("limits") or {}, said.get("agent")
        if said["mode"] not in ("serve", "warm", "build", "idle"):
            raise BadGreeting(f"unknown mode {said['mode']!r}")
        if said["mode"] in ("serve", "warm") and not agent:
            raise BadGreeting(f"mode {said['mode']} needs an agent")
        return cls(
            token=said["token"],
            box=said.get("box", ""),
            generation=int(said.get("generation") or 0),
            gateway=said.get("gateway"),
            repository=said.get("repository") or "",
            base_branch=said.get("base_branch") or "main",
            branch=said.get("branch") or "",
            mode=said["mode"],
            agent=agent_from(agent) if agent else None,
            conversation=said.get("conversation"),
            turn_seconds=float(limits.get("turn_seconds", 1800)),
            sync_seconds=float(limits.get("sync_seconds", 300)),
            cancel_seconds=float(limits.get("cancel_seconds", 10)),
            silence_seconds=float(limits.get("silence_seconds", 5)),
            quiet_seconds=float(limits.get("quiet_seconds", 600)),
            env={str(name): str(value) for name, value in (said.get("env") or {}).items()},
            start=tuple(tuple(map(str, argv)) for argv in said.get("start") or ()),
        )


def agent_from(said: dict[str, Any]) -> Agent:
    """The greeting's `agent` object."""
    env = {str(name): str(value) for name, value in (said.get("env") or {}).items()}
    files = {str(name): str(text) for name, text in (said.get("files") or {}).items()}
    state = tuple(map(str, said.get("state") or ()))
    if not all(_below(name) for name in (*files, *state)):
        raise BadGreeting("the agent's files must be below its HOME")
    gate, prime = said.get("gate", "after-sync"), bool(said.get("prime"))
    return Agent(said.get("name", ""), tuple(map(str, said["argv"])), env, gate, files, state, prime)


def _below(name: str) -> bool:
    return bool(name) and not name.startswith("/") and ".." not in name.split("/")


class Places(NamedTuple):
    """Where things are. `gateway` is the address that the runner serves for the agent and for git, `egress` the proxy
    that is the way to everywhere else."""

    repo: str
    home: str
    scratch: str
    agents: str
    gateway: str
    egress: str

    @classmethod
    def under(cls, root: str, agents: str, port: int, egress_port: int) -> Places:
        """The places of a box whose tree is `root` ("/" when it is isolated)."""
        repo, home = os.path.join(root, "work/repo"), os.path.join(root, "work/home")
        gateway, egress = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{egress_port}"
        return cls(repo, home, os.path.join(root, "tmp"), agents, gateway, egress)

    @property
    def tools(self) -> str:
        """Where the service's own tools are, for the agent."""
        return f"{self.gateway}/tools/mcp"

    def prepare(self) -> None:
        """Make the folders that are not there yet."""
        for folder in (self.repo, self.home, self.scratch):
            os.makedirs(folder, exist_ok=True)

    def fill(self, text: str) -> str:
        """Put our values in for the placeholders that an agent's argv and environment may have."""
        known = {"gateway": self.gateway, "home": self.home, "repo": self.repo, "agents": self.agents}
        known.update(python=sys.executable, runner=os.path.abspath(sys.argv[0]))
        for name, value in known.items():
            text = text.replace("{" + name + "}", value)
        return text

    def at_work(self, env: dict[str, str], more: dict[str, str]) -> dict[str, str]:
        """The environment of the agent and of commands: ours, and what the repository's recipe adds."""
        return {**env, **{name: self.fill(value.replace("{path}", env["PATH"])) for name, value in more.items()}}

    def lay(self, files: dict[str, str]) -> None:
        """Write what the agent is told in files, below HOME, over whatever is there. Raises OSError."""
        for name, text in files.items():
            path = os.path.join(self.home, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            fresh = f"{path}.{os.getpid()}"
            if os.path.lexists(fresh):  # a runner that was killed just here left it, and each is number 1 of its box
                os.unlink(fresh)
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
                file.write(self.fill(text))
            os.replace(fresh, path)

    def set_aside(self, agent: Agent | None) -> bool:
        """Put away what the agent keeps of conversations, under another name beside it. Whether there was any."""
        found = False
        for name in agent.state if agent else ():
            path = os.path.join(self.home, name)
            for number in range(1000):
                if not os.path.lexists(f"{path}.damaged-{number}"):
                    break
            try:
                os.rename(path, f"{path}.damaged-{number}")
            except OSError:
                continue  # it has none
            found = True
        return found

    def environment(self, path: str) -> dict[str, str]:
        """What the agent, git and every command get as environment, and nothing else of ours."""
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), self.egress)
        proxies["NO_PROXY"] = NOT_THROUGH_EGRESS
        certificates = dict.fromkeys(CA_VARIABLES, CA) if os.path.exists(CA) else {}
        return {
            **certificates,
            **proxies,
            **{name.lower(): value for name, value in proxies.items()},
            "PATH": path,
            "HOME": self.home,
            "TMPDIR": self.scratch,
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "SHELL": "/bin/sh",
            "USER": "shipmate",
            "LOGNAME": "shipmate",
            "GIT_TERMINAL_PROMPT": "0",
        }
