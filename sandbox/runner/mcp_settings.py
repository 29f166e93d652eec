"""A repository's own MCP servers: `.mcp.json` in its root, as many agents' users keep it, for `session/new`.

`acp.py` asks for them whenever it opens a conversation. They run in the box like everything else that the repository
brings, with what the box allows and no more; nothing of ours is in their environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Mapping
from typing import Any

FILE = ".mcp.json"
FILE_BYTES, SERVERS, ITEMS, CHARS = 256 << 10, 20, 100, 4_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
OURS = "shipmate"


class Malformed(Exception):
    """A server that is not passed on; the message says why."""


class Servers:
    """Reads the settings of the repository at `repo`. `left_out`: what the last reading did not pass on, and why."""

    def __init__(self, repo: str, env: Mapping[str, str]) -> None:
        self._repo, self._env = repo, env
        self.left_out: list[str] = []

    def of(self, can: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The servers as ACP names them, for an agent with these `mcpCapabilities`."""
        self.left_out = []
        found: list[dict[str, Any]] = []
        for name, said in self._said().items():
            try:
                if len(found) == SERVERS:
                    raise Malformed(f"only {SERVERS} are passed on")
                found.append(self._server(name, said, can))
            except Malformed as wrong:
                self.left_out.append(f"{name[:64]!r}: {wrong}")
        return found

    def _said(self) -> dict[str, Any]:
        path = os.path.join(self._repo, FILE)
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                raw = file.read(FILE_BYTES + 1) if regular else b""
        except OSError:
            return {}
        with contextlib.suppress(ValueError, RecursionError):
            said = json.loads(raw) if 0 < len(raw) <= FILE_BYTES else None
            servers = said.get("mcpServers") if isinstance(said, dict) else None
            if isinstance(servers, dict):
                return servers
        self.left_out = ['all of it: it is no file of the form {"mcpServers": {NAME: {…}}} of at most 256 kB']
        return {}

    def _server(self, name: str, said: Any, can: Mapping[str, Any]) -> dict[str, Any]:
        if not NAME.fullmatch(name) or name == OURS:
            raise Malformed("its name cannot be used")
        if not isinstance(said, dict):
            raise Malformed("it is no object")
        kind = said.get("type") or ("http" if "url" in said else "stdio")
        if kind == "stdio":
            return {
                "name": name,
                "command": self._program(self._text(said.get("command"))),
                "args": [self._text(one) for one in _items(said.get("args"), list)],
                "env": self._pairs(said.get("env")),
            }
        if kind not in ("http", "sse"):
            raise Malformed("its type is none of stdio, http and sse")
        if not can.get(kind):
            raise Malformed(f"this agent takes no servers over {kind}")
        url = self._text(said.get("url"))
        if not url.startswith(("http://", "https://")):
            raise Malformed("its url is none")
        return {"type": kind, "name": name, "url": url, "headers": self._pairs(said.get("headers"))}

    def _program(self, command: str) -> str:
        """The program's whole path, as ACP asks for it."""
        if os.sep in command:
            paths = [os.path.join(self._repo, command)]
        else:
            paths = [os.path.join(folder, command) for folder in self._env.get("PATH", "").split(os.pathsep) if folder]
        for path in paths:
            if command and os.path.isfile(path) and os.access(path, os.X_OK):
                return os.path.abspath(path)
        raise Malformed(f"{command[:100]!r} is not in the box")

    def _pairs(self, said: Any) -> list[dict[str, str]]:
        return [{"name": name, "value": self._text(value)} for name, value in _items(said, dict).items() if name]

    def _text(self, said: Any) -> str:
        """A text, with `${NAME}` and `${NAME:-instead}` filled in from the box's environment."""
        if not isinstance(said, str) or len(said) > CHARS or "\0" in said:
            raise Malformed("it has something in it that is no text, or is too long")
        return VARIABLE.sub(self._variable, said)

    def _variable(self, found: re.Match[str]) -> str:
        value = self._env.get(found[1], found[2])
        if value is None:
            raise Malformed(f"the box has no variable {found[1]}")
        return value


def _items(said: Any, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    if said is None:
        return kind()
    if not isinstance(said, kind) or len(said) > ITEMS:
        raise Malformed("it has something in it of another form, or too much of it")
    return said
