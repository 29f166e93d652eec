"""`runner.pyz rehearsal`: a scripted agent that speaks the Agent Client Protocol (version 1) over stdin and stdout.

This file is the protocol: requests are read in the main thread, each turn is played in one of its own. Standard library
only; asyncio and subprocess are not on the way to the first answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from typing import Any, NamedTuple

from sandbox.rehearsal import state
from sandbox.rehearsal.turn import Turn

PROTOCOL, VERSION = 1, "1"
LAST_SECONDS = 1.0
CONTEXT_MARK = "<system-reminder>"  # a block that begins so was not said by a person
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
NOT_FOUND = -32002
REPLAYED = {state.ASKED: "user_message_chunk", state.SAID: "agent_message_chunk"}


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code


class Wire:
    """The client's end: one JSON message on a line, whichever thread it comes from."""

    def __init__(self, out: int) -> None:
        self._out = out
        self._writing = threading.Lock()
        self._asked: dict[str, Asking] = {}
        self._count = 0

    def send(self, message: dict[str, Any]) -> None:
        """Write one message. A client that is gone ends the agent."""
        line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        with self._writing:
            while line:
                line = line[os.write(self._out, line) :]

    def update(self, conversation: str, update: dict[str, Any]) -> None:
        """Send a `session/update`."""
        self.send({"method": "session/update", "params": {"sessionId": conversation, "update": update}})

    def ask(self, method: str, params: dict[str, Any], stopped: threading.Event) -> Any:
        """Ask the client and wait for its answer; None for an error, or if `give_up` was called meanwhile."""
        self._count += 1
        number = f"ask-{self._count}"
        asking = self._asked[number] = Asking(stopped)
        self.send({"id": number, "method": method, "params": params})
        if not stopped.is_set():
            asking.over.wait()
        self._asked.pop(number, None)
        return asking.answer

    def answered(self, message: dict[str, Any]) -> None:
        """Take the client's answer."""
        asking = self._asked.get(str(message.get("id")))
        if asking is not None:
            asking.answer = message.get("result")
            asking.over.set()

    def give_up(self) -> None:
        """Wait no more for answers to turns that were stopped."""
        for asking in list(self._asked.values()):
            if asking.stopped.is_set():
                asking.over.set()


class Asking:
    """A question to the client."""

    def __init__(self, stopped: threading.Event) -> None:
        self.answer: Any = None
        self.over, self.stopped = threading.Event(), stopped


class Open(NamedTuple):
    """A conversation that is open in this process."""

    conversation: state.Conversation
    cwd: str
    trusted: threading.Event
    servers: tuple[str, ...]


class Agent:
    """Answers requests. One turn at a time in each conversation."""

    def __init__(self, wire: Wire, home: str) -> None:
        self._wire, self._home = wire, home
        self._open: dict[str, Open] = {}
        self._turns: dict[str, Turn] = {}
        self._threads: list[threading.Thread] = []
        self._requests = {
            "initialize": self._initialize,
            "session/new": self._new,
            "session/load": self._load,
            "session/resume": self._resume,
        }

    def take(self, line: bytes) -> None:
        """One line from the client."""
        try:
            message = json.loads(line)
        except ValueError:
            self._wire.send({"id": None, "error": {"code": PARSE_ERROR, "message": "This is not JSON."}})
            return
        if not isinstance(message, dict):
            self._wire.send({"id": None, "error": {"code": INVALID_REQUEST, "message": "This is not a request."}})
            return
        method, params = message.get("method"), message.get("params")
        params = params if isinstance(params, dict) else {}
        if not isinstance(method, str):
            self._wire.answered(message)
        elif "id" in message:
            self._request(message["id"], method, params)
        elif method == "session/cancel":
            self._cancel(str(params.get("sessionId")))

    def stop_all(self) -> None:
        """The client is gone: end every turn, with the command that it may be at."""
        for number in list(self._turns):
            self._cancel(number)
        for thread in self._threads:
            thread.join(LAST_SECONDS)

    def _request(self, number: object, method: str, params: dict[str, Any]) -> None:
        try:
            if method == "session/prompt":
                self._prompt(number, params)
                return
            if method not in self._requests:
                raise Refused(METHOD_NOT_FOUND, f"Method not found: {method}")
            self._wire.send({"id": number, "result": self._requests[method](params)})
        except Refused as refused:
            self._wire.send({"id": number, "error": {"code": refused.code, "message": str(refused)}})
        except OSError as wrong:
            self._wire.send({"id": number, "error": {"code": INVALID_PARAMS, "message": str(wrong)}})

    def _initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        return {
            "protocolVersion": PROTOCOL,
            "agentCapabilities": {
                "loadSession": True,
                "mcpCapabilities": {"http": True, "sse": False},
                "sessionCapabilities": {"resume": {}},
            },
            "agentInfo": {"name": "rehearsal", "title": "Rehearsal (no model)", "version": VERSION},
            "authMethods": [],
        }

    def _new(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"sessionId": self._opened(state.begin(self._home), _cwd(params), params).id}

    def _load(self, params: dict[str, Any]) -> dict[str, Any]:
        """Open an earlier conversation and tell what was said in it."""
        for kind, text in self._found(params).notes:
            if kind in REPLAYED:
                update = {"sessionUpdate": REPLAYED[kind], "content": {"type": "text", "text": text}}
                self._wire.update(str(params["sessionId"]), update)
        return {}

    def _resume(self, params: dict[str, Any]) -> dict[str, Any]:
        self._found(params)
        return {}

    def _found(self, params: dict[str, Any]) -> state.Conversation:
        cwd = _cwd(params)
        try:
            return self._opened(state.find(self._home, str(params.get("sessionId"))), cwd, params)
        except state.Unknown as unknown:
            raise Refused(NOT_FOUND, str(unknown)) from unknown

    def _opened(self, conversation: state.Conversation, cwd: str, params: dict[str, Any]) -> state.Conversation:
        self._open[conversation.id] = Open(conversation, cwd, threading.Event(), _servers(params))
        return conversation

    def _prompt(self, number: object, params: dict[str, Any]) -> None:
        opened = self._open.get(str(params.get("sessionId")))
        if opened is None:
            raise Refused(NOT_FOUND, "There is no such conversation in this process.")
        if opened.conversation.id in self._turns:
            raise Refused(INVALID_REQUEST, "A turn is running in this conversation.")
        turn = Turn(self._wire, *opened)
        self._turns[opened.conversation.id] = turn
        playing = threading.Thread(target=self._play, args=(number, turn, opened, _words(params)), daemon=True)
        self._threads = [*(thread for thread in self._threads if thread.is_alive()), playing]
        playing.start()

    def _play(self, number: object, turn: Turn, opened: Open, words: str) -> None:
        try:
            answer: dict[str, Any] = {"result": {"stopReason": turn.play(words)}}
        except BrokenPipeError:
            return  # nobody is left to tell
        except Exception as wrong:  # a full disk, a fault of ours: a prompt is answered whatever happens
            answer = {"error": {"code": INTERNAL_ERROR, "message": f"The rehearsal failed: {wrong!r}"}}
        del self._turns[opened.conversation.id]
        with contextlib.suppress(BrokenPipeError):
            self._wire.send({"id": number, **answer})

    def _cancel(self, number: str) -> None:
        turn = self._turns.get(number)
        if turn is not None:
            turn.stop()
            self._wire.give_up()


def _cwd(params: dict[str, Any]) -> str:
    cwd = params.get("cwd")
    if not isinstance(cwd, str) or not os.path.isabs(cwd):
        raise Refused(INVALID_PARAMS, "`cwd` must be an absolute path.")
    return cwd


def _servers(params: dict[str, Any]) -> tuple[str, ...]:
    """The addresses of the MCP servers that the client named and that are reached over HTTP."""
    named = params.get("mcpServers")
    servers = [server for server in (named if isinstance(named, list) else []) if isinstance(server, dict)]
    return tuple(str(server["url"]) for server in servers if server.get("type") == "http" and "url" in server)


def _words(params: dict[str, Any]) -> str:
    """What the person said: the text blocks of a prompt without those that are for the agent's information."""
    blocks = params.get("prompt")
    texts = [
        block["text"]
        for block in (blocks if isinstance(blocks, list) else [])
        if isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)
    ]
    return "\n".join(text for text in texts if not text.startswith(CONTEXT_MARK))


def main() -> int:
    """Serve one client until its end of the pipe closes; the exit code."""
    agent = Agent(Wire(sys.stdout.fileno()), os.environ.get("HOME") or "/")
    try:
        for line in sys.stdin.buffer:
            if line.strip():
                agent.take(line)
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    agent.stop_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
