"""An agent that behaves badly, as its prompt's first word says: run as a program, standard library only.

With a file `bad` among its conversations (HOME/.unruly) it ends at once, as an agent does whose database is damaged.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STATE = Path(os.environ["HOME"]) / ".unruly"


def send(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def update(**fields: Any) -> None:
    send({"method": "session/update", "params": {"sessionId": "u1", "update": fields}})


def says(text: str, message: str = "m1") -> None:
    update(sessionUpdate="agent_message_chunk", messageId=message, content={"type": "text", "text": text})


def flood() -> None:
    """Far more than anybody reads, of every sort."""
    for _ in range(40):
        print("x" * 100_000)
        for _ in range(100):
            says("word " * 800)
    print("!" * 3_000_000, file=sys.stderr, flush=True)
    says("Flooded.", "m2")


def torrent() -> None:
    """More lines than anybody reads, and how long they took to be written."""
    began = time.monotonic()
    sys.stdout.write('{"jsonrpc":"2.0","method":"_vendor/tick","params":{}}\n' * 13_000)
    sys.stdout.flush()
    says(f"Took {time.monotonic() - began:.2f} s.")


def huge() -> None:
    """A command that gives out very much."""
    output = "".join(f"line {n}\n" for n in range(40_000))
    update(sessionUpdate="tool_call", toolCallId="t/../1", title="cat big", kind="execute", status="in_progress")
    content = [{"type": "content", "content": {"type": "text", "text": output}}]
    update(sessionUpdate="tool_call_update", toolCallId="t/../1", status="completed", content=content)


def strange() -> None:
    """Kinds that nobody has heard of, and a request that nobody offers."""
    update(sessionUpdate="mood_update", mood="cheerful")
    send({"method": "_vendor/note", "params": {"a": 1}})
    send({"id": "r1", "method": "terminal/create", "params": {"command": "ls"}})
    says(f"Was answered {json.loads(sys.stdin.readline())['error']['code']}.")


def asks() -> None:
    """Asks without end, and reads none of the answers."""
    for number in range(3_000):
        send({"id": f"{number}{'-' * 50_000}", "method": "_vendor/ask"})
    says("I asked.")
    time.sleep(60)


def command() -> None:
    """A command that is long and quiet."""
    update(sessionUpdate="tool_call", toolCallId="c", title="sleep", kind="execute", status="in_progress")
    time.sleep(0.9)
    update(sessionUpdate="tool_call_update", toolCallId="c", status="completed")


def trouble() -> None:
    """Cannot reach its model, and calls that the end of its turn."""
    update(sessionUpdate="session_info_update", _meta={"codex": {"threadStatus": {"type": "systemError"}}})
    says("The model is away.")


def late() -> None:
    """Pays no heed to a cancel for a while, and then answers as if nothing had been."""
    says("I go on.\n")
    time.sleep(1)
    says(" Too late.")


def hang() -> None:
    """Says something, and then nothing any more."""
    says("Let me think.")
    sys.stdin.readline()  # the cancel


def serve() -> None:
    """Starts what is meant to stay."""
    subprocess.Popen(["sleep", "98"])


def leave() -> None:
    """Starts a command, and leaves it running when it is told to stop."""
    subprocess.Popen(["sh", "-c", "sleep 99; true"])
    says("I wait.\n")
    sys.stdin.readline()  # the cancel


DEEDS = {
    deed.__name__: deed for deed in (flood, torrent, huge, strange, asks, command, trouble, late, hang, serve, leave)
}


def main() -> None:
    if (STATE / "bad").exists():
        sys.exit("database disk image is malformed")
    STATE.mkdir(exist_ok=True)
    for line in sys.stdin:
        message = json.loads(line)
        number, method, params = message.get("id"), message.get("method"), message.get("params") or {}
        if method == "initialize":
            can = {"sessionCapabilities": {"resume": {}}}
            send({"id": number, "result": {"protocolVersion": 1, "agentCapabilities": can}})
        elif method == "session/new":
            send({"id": number, "result": {"sessionId": "u1"}})
        elif method == "session/resume":
            send({"id": number, "result": {}})
        elif method == "session/prompt":
            DEEDS[params["prompt"][0]["text"].split()[0]]()
            send({"id": number, "result": {"stopReason": "end_turn"}})


if __name__ == "__main__":
    main()
