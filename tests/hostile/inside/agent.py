#!/usr/bin/python3
"""A hostile agent: it speaks the Agent Client Protocol just well enough to be started, and plays tricks when asked.

It is installed in the place of a real agent and runs in a real box; standard library only. A prompt names tricks, one a
line, each with what it is given as JSON in hexadecimal digits, which no chat changes. Every trick is a process of its
own, and what came of it is said as text; those of `mouth.py` are played by this process itself, on its own stdout.
"""

import importlib
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from each import REFUSALS

PLAYERS = ("files", "processes", "gateway", "forwarder", "repository", "network", "kernel", "tree", "greed", "outward")
SECONDS = 60
SESSION = "hostile-conversation"


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def say(text):
    content = {"type": "text", "text": text}
    update = {"sessionUpdate": "agent_message_chunk", "content": content}
    send({"method": "session/update", "params": {"sessionId": SESSION, "update": update}})


def play(line):
    """Play the trick that a line of the prompt names; nothing for any other line."""
    _, name, *given = line.split(" ", 2)
    given = [bytes.fromhex(given[0]).decode()] if given else []
    if name.startswith("mouth."):
        mouth = importlib.import_module("mouth")
        getattr(mouth, name[len("mouth.") :])(json.loads(given[0]) if given else {}, say, SESSION)
        return
    argv = [sys.executable, os.path.abspath(__file__), "--trick", name, *given]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, start_new_session=True
        )
        said = done.stdout.decode(errors="replace")[-6000:] or json.dumps({"got": "", "why": how_it_ended(done)})
    except subprocess.TimeoutExpired:
        said = json.dumps({"got": "", "why": "it took too long"})
    except OSError as failed:
        said = json.dumps({"got": "", "why": f"not even begun: {failed}"})
    say(f"came of {name}: {said}\n")


def how_it_ended(done):
    return f"ended with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}"


def trick(name, given):
    """In a process of its own: print what was got, or why nothing was."""
    module, _, function = name.partition(".")
    assert module in PLAYERS, module
    try:
        found = {"got": str(getattr(importlib.import_module(module), function)(given) or "")[:2000], "why": ""}
    except REFUSALS as refused:
        found = {"got": "", "why": f"{refused}"[:1500] or type(refused).__name__}
    except BaseException as wrong:
        found = {"got": "", "why": "", "broken": f"{type(wrong).__name__}: {wrong}"[:1500]}
    print(json.dumps(found), flush=True)


def answer(request):
    method, number = request.get("method"), request.get("id")
    if method == "initialize":
        result = {"protocolVersion": 1, "agentCapabilities": {"loadSession": True}, "agentInfo": {"name": "hostile"}}
    elif method == "session/new":
        result = {"sessionId": SESSION}
    elif method == "session/prompt":
        said = "\n".join(block.get("text", "") for block in request["params"]["prompt"][:1])
        for line in said.splitlines():
            if line.startswith("play "):
                play(line)
        result = {"stopReason": "end_turn"}
    else:
        result = {}
    if number is not None:
        send({"id": number, "result": result})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--trick"]:
        trick(sys.argv[2], json.loads(sys.argv[3]) if len(sys.argv) > 3 else {})
    else:
        for each in sys.stdin:
            answer(json.loads(each))
