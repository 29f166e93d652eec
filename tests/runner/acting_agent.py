"""An agent that does exactly what its prompt says: run as a program. The prompt's words are a list of acts, as JSON.

`["read", path]`, `["search", text]`, `["ask", name, kind, {…}]` (goes on without an answer; when it is allowed, says so
and writes `name`), `["answers"]` (waits for all of them), `["write", path, text]`, `["run", command]`, `["say", text]`,
`["subagent", name]` (as `ask`, from a conversation of its own), `["die"]`. Prompted again, it does the same again, but
says first what it was told, and dies only once.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

OPTIONS = [
    {"optionId": "n", "name": "No", "kind": "reject_once"},
    {"optionId": "y", "name": "Yes", "kind": "allow_once"},
]


class Agent:
    """One conversation on stdin and stdout."""

    def __init__(self) -> None:
        self.calls = 0
        self.asked: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.doing: list[asyncio.Task[None]] = []
        self.cancelled = asyncio.Event()

    def send(self, **message: Any) -> None:
        os.write(1, json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def update(self, **update: Any) -> None:
        self.send(method="session/update", params={"sessionId": "main", "update": update})

    def say(self, text: str) -> None:
        self.update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": text + "\n"})

    def looked(self, kind: str, path: str, output: str) -> None:
        self.calls += 1
        content = [{"type": "content", "content": {"type": "text", "text": output}}]
        places = [{"path": str(Path.cwd() / path)}] if kind == "read" else []
        self.update(
            sessionUpdate="tool_call", toolCallId=f"c{self.calls}", title=f"{kind} {path}", kind=kind,
            status="completed", locations=places, rawInput={"given": path}, content=content,
        )  # fmt: skip

    async def ask(self, conversation: str, name: str, kind: str, given: dict[str, Any]) -> None:
        self.calls += 1
        call = {"toolCallId": f"c{self.calls}", "title": name, "kind": kind, "rawInput": given}
        answer = self.asked[call["toolCallId"]] = asyncio.get_running_loop().create_future()
        params = {"sessionId": conversation, "toolCall": call, "options": OPTIONS}
        self.send(id=call["toolCallId"], method="session/request_permission", params=params)
        outcome = await answer
        if outcome.get("optionId") == "y":
            self.say(f"allowed {name}")
            Path(name).write_text("allowed\n")
        else:
            self.say(f"{outcome['outcome']} {name}")

    async def act(self, what: str, *more: Any) -> None:
        if what == "read":
            self.looked("read", more[0], Path(more[0]).read_text())
        elif what == "search":
            self.looked(
                "search", more[0], subprocess.run(("grep", "-rn", more[0], "."), capture_output=True, text=True).stdout
            )
        elif what in ("ask", "subagent"):
            conversation, more = ("child", (*more, "edit", {})) if what == "subagent" else ("main", more)
            self.doing.append(asyncio.ensure_future(self.ask(conversation, *more)))
        elif what == "answers":
            await asyncio.gather(*self.doing)
        elif what == "write":
            Path(more[0]).parent.mkdir(parents=True, exist_ok=True)
            Path(more[0]).write_text(more[1])
        elif what == "run":
            subprocess.run(more[0], shell=True, check=True, stdout=subprocess.DEVNULL)
        elif what == "say":
            self.say(more[0])
        elif what == "die" and not (died := Path(os.environ["HOME"], "died")).exists():
            died.touch()
            os._exit(3)

    async def prompt(self, number: Any, blocks: list[dict[str, Any]]) -> None:
        self.cancelled.clear()
        self.doing.clear()
        told = [line for line in blocks[-1]["text"].split("\n") if "hanged since" in line or "arlier changes" in line]
        for line in told:
            self.say(f"told: {line}")
        playing = asyncio.ensure_future(self.play(json.loads(blocks[0]["text"])))
        stopping = asyncio.ensure_future(self.cancelled.wait())
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()
        else:
            await asyncio.gather(*self.doing)  # the client answers what it was asked, even so
        playing.cancel()
        self.send(id=number, result={"stopReason": "cancelled" if self.cancelled.is_set() else "end_turn"})

    async def play(self, acts: list[Any]) -> None:
        for act in acts:
            await self.act(*act)

    async def listen(self) -> None:
        reader = asyncio.StreamReader(limit=1 << 24)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            said = json.loads(line)
            method = said.get("method")
            if method == "initialize":
                self.send(id=said["id"], result={"protocolVersion": 1, "agentCapabilities": {"loadSession": True}})
            elif method == "session/new":
                self.send(id=said["id"], result={"sessionId": "main"})
            elif method == "session/prompt":
                asyncio.ensure_future(self.prompt(said["id"], said["params"]["prompt"]))
            elif method == "session/cancel":
                self.cancelled.set()
            elif method is not None:
                self.send(id=said["id"], result={})
            else:
                self.asked[said["id"]].set_result(said["result"]["outcome"])


if __name__ == "__main__":
    asyncio.run(Agent().listen())
