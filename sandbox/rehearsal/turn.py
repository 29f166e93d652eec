"""One turn: a script played with real tools, and everything about it told to the client as ACP updates.

`agent.py` makes one for each `session/prompt` and runs it in a thread; `stop` may be called from another. A deed that
changes something is asked for first.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from sandbox.rehearsal import mcp, tools
from sandbox.rehearsal.acts import (
    Act,
    Asked,
    Crash,
    Deafen,
    Edit,
    Environment,
    Plan,
    Read,
    Result,
    Run,
    Say,
    Think,
    UseTool,
    Write,
)
from sandbox.rehearsal.scripts import choose
from sandbox.rehearsal.state import ASKED, DID, SAID, Conversation

PACE_SECONDS = 0.004
PIECES = re.compile(r"\s*\S+(?:\s+\S+){0,2}\s*")  # three words at a time
COUNTED = re.compile(r"\s*\S+\s*")
CRASH_CODE = 70
OPTIONS = [
    {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
    {"optionId": "always", "name": "Allow always", "kind": "allow_always"},
    {"optionId": "no", "name": "Reject", "kind": "reject_once"},
]


class Stopped(Exception):
    """The client cancelled the turn."""


class Client(Protocol):
    """The client, as a turn needs it."""

    def update(self, conversation: str, update: dict[str, Any]) -> None:
        """Send a `session/update`."""

    def ask(self, method: str, params: dict[str, Any], stopped: threading.Event) -> Any:
        """Ask and wait for the answer; None if the turn was stopped first."""


class Turn:
    """`trusted`: whether the client once allowed everything in this conversation. `servers`: of MCP, by address."""

    def __init__(
        self,
        client: Client,
        conversation: Conversation,
        cwd: str,
        trusted: threading.Event,
        servers: tuple[str, ...] = (),
    ) -> None:
        self._client, self._conversation, self._cwd, self._trusted = client, conversation, cwd, trusted
        self._servers = servers
        self._stopped = threading.Event()
        self._deeds = self._messages = 0
        self._said = ""
        self._deaf = False

    def stop(self) -> None:
        """End the turn soon. Called from another thread."""
        self._stopped.set()

    def play(self, words: str) -> str:
        """Play the script that the words ask for; why the turn ended, in ACP's words."""
        script = choose(Asked(words, self._conversation.earlier()))
        self._conversation.note(ASKED, words)
        try:
            act = next(script)
            while True:
                result = self._do(act)
                self._heed()
                act = script.send(result)
        except StopIteration:
            return "end_turn"
        except Stopped:
            self._said += " I was stopped."
            return "cancelled"
        finally:
            self._conversation.note(SAID, self._said.strip())

    def _do(self, act: Act) -> Result:
        done: Result | None = DOINGS[type(act)](self, act)
        return done or Result()

    def _heed(self) -> None:
        if self._stopped.is_set() and not self._deaf:
            raise Stopped

    def _pause(self, seconds: float) -> None:
        self._heed()
        if seconds and self._stopped.wait(seconds):
            self._heed()

    def _update(self, update: str, **fields: Any) -> None:
        self._client.update(self._conversation.id, {"sessionUpdate": update, **fields})

    def _stream(self, kind: str, text: str, pieces: re.Pattern[str], pace: float) -> None:
        self._messages += 1
        for piece in pieces.findall(text):
            self._update(
                kind, messageId=f"{self._conversation.id}-{self._messages}", content={"type": "text", "text": piece}
            )
            self._pause(pace)

    def _say(self, act: Say) -> None:
        self._said = act.text if act.text.strip() else self._said
        if act.pace is None:
            self._stream("agent_message_chunk", act.text, PIECES, PACE_SECONDS)
        elif act.pace:
            self._stream("agent_message_chunk", act.text, COUNTED, act.pace)
        else:
            self._stream("agent_message_chunk", act.text, re.compile(r"(?s).+"), 0)

    def _think(self, act: Think) -> None:
        self._stream("agent_thought_chunk", act.text, PIECES, PACE_SECONDS)

    def _plan(self, act: Plan) -> None:
        entries = [
            {
                "content": text,
                "priority": "medium",
                "status": "completed" if at < act.done else "in_progress" if at == act.done else "pending",
            }
            for at, text in enumerate(act.steps)
        ]
        self._update("plan", entries=entries)

    def _read(self, act: Read) -> Result:
        number = self._begin("read", f"Read {act.path}", act.path, {"path": act.path})
        return self._end(number, tools.read(self._cwd, act.path))

    def _edit(self, act: Edit) -> Result:
        change = self._diff(act.path, act.old, act.new)
        return self._change(act.path, change, lambda: tools.replace(self._cwd, act.path, act.old, act.new))

    def _write(self, act: Write) -> Result:
        before = tools.read(self._cwd, act.path)
        change = self._diff(act.path, before.text if before.ok else None, act.text)
        return self._change(act.path, change, lambda: tools.write(self._cwd, act.path, act.text))

    def _diff(self, path: str, old: str | None, new: str) -> dict[str, Any]:
        return {"type": "diff", "path": os.path.join(self._cwd, path), "oldText": old, "newText": new}

    def _change(self, path: str, change: dict[str, Any], doing: Callable[[], Result]) -> Result:
        number = self._begin("edit", f"Edit {path}", path, {"path": path}, [change])
        if not self._allowed(number, "edit", f"Edit {path}", [change]):
            return self._end(number, Result(False, "This was not allowed."), [change])
        return self._end(number, doing(), [change])

    def _run(self, act: Run) -> Result:
        number = self._begin("execute", act.command, "", {"command": act.command, "description": act.why})
        if not self._allowed(number, "execute", act.command, []):
            return self._end(number, Result(False, "This was not allowed."))

        def show(output: str) -> None:
            self._update("tool_call_update", toolCallId=number, status="in_progress", content=[_text(output)])

        return self._end(number, tools.run(self._cwd, act.command, self._stopped, show))

    def _use_tool(self, act: UseTool) -> Result:
        number = self._begin("other", act.name, "", act.arguments)
        if not self._servers:
            return self._end(number, Result(False, "I was told of no tools when this conversation was opened."))
        return self._end(number, mcp.call(self._servers[0], act.name, act.arguments))

    def _environment(self, act: Environment) -> Result:
        return Result(True, ", ".join(sorted(os.environ)))

    def _deafen(self, act: Deafen) -> None:
        self._deaf = True
        self._say(Say(act.text))
        time.sleep(act.seconds)
        self._deaf = False

    def _crash(self, act: Crash) -> None:
        print("rehearsal: ended in the middle of a turn, as asked", file=sys.stderr, flush=True)
        os._exit(CRASH_CODE)

    def _begin(
        self, kind: str, title: str, path: str, given: dict[str, Any], content: list[dict[str, Any]] | None = None
    ) -> str:
        """Announce a tool call; its id."""
        self._deeds += 1
        number = f"call-{len(self._conversation.notes)}-{self._deeds}"
        self._update(
            "tool_call",
            toolCallId=number,
            title=title,
            kind=kind,
            status="pending",
            locations=[{"path": os.path.join(self._cwd, path)}] if path else [],
            rawInput=given,
            content=content or [],
        )
        self._conversation.note(DID, title)
        return number

    def _end(self, number: str, result: Result, content: list[dict[str, Any]] | None = None) -> Result:
        told: dict[str, Any] = {"content": [*(content or []), _text(result.text)]}
        if result.code is not None:
            told["rawOutput"] = {"exitCode": result.code}
        status = "completed" if result.ok and not self._stopped.is_set() else "failed"
        self._update("tool_call_update", toolCallId=number, status=status, **told)
        return result

    def _allowed(self, number: str, kind: str, title: str, content: list[dict[str, Any]]) -> bool:
        """Whether the client lets us."""
        if not self._trusted.is_set():
            call = {"toolCallId": number, "kind": kind, "title": title, "status": "pending", "content": content}
            params = {"sessionId": self._conversation.id, "toolCall": call, "options": OPTIONS}
            answer = self._client.ask("session/request_permission", params, self._stopped)
            outcome = answer.get("outcome") if isinstance(answer, dict) else None
            outcome = outcome if isinstance(outcome, dict) else {}
            if self._stopped.is_set() or outcome.get("outcome") == "cancelled":
                self._end(number, Result(False, "Stopped before it began."), content)
                raise Stopped
            if outcome.get("optionId") not in ("yes", "always"):
                return False
            if outcome["optionId"] == "always":
                self._trusted.set()
        self._update("tool_call_update", toolCallId=number, status="in_progress")
        return True


DOINGS: dict[type, Callable[..., Any]] = {
    Say: Turn._say,
    Think: Turn._think,
    Plan: Turn._plan,
    Read: Turn._read,
    Edit: Turn._edit,
    Write: Turn._write,
    Run: Turn._run,
    UseTool: Turn._use_tool,
    Environment: Turn._environment,
    Deafen: Turn._deafen,
    Crash: Turn._crash,
}


def _text(text: str) -> dict[str, Any]:
    return {"type": "content", "content": {"type": "text", "text": text}}
