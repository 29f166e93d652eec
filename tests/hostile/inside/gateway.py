"""Tricks on the gateway's own socket, past the runner."""

import glob
import json
import resource
import socket
import threading
import time

from each import Nothing, each, must

SECONDS = 5.0
PATHS = (
    "/link/attach",
    "/link/up",
    "/link/down?epoch=1&after=0",
    "/git/acme/rocket.git/info/refs?service=git-upload-pack",
    "/model/anthropic/v1/messages",
    "/model/openai/chat/completions",
    "/health",
    "/",
)
FRAME = {"n": 1, "at": 1.0, "kind": "text", "turn": 1, "text": "a forged frame"}


def asked(raw):
    """What the gateway answers to these bytes; refused when that is no success."""
    (path, *_) = sorted(glob.glob("/run/gateway/web-*.sock"), reverse=True)
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(SECONDS)
        wire.connect(path)
        wire.sendall(raw)
        said = wire.recv(65536)
    line = said.split(b"\r\n")[0].decode(errors="replace")
    must(line.split(" ")[1:2] == ["200"], line or "hung up")
    return said.decode(errors="replace")


def request(path, token=None, body=b"", more=""):
    head = f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(body)}\r\n{more}"
    return (head + (f"Authorization: Bearer {token}\r\n" if token is not None else "") + "\r\n").encode() + body


def direct(given):
    """Ask without a token, with guessed ones, and with one of a box that is no more."""
    attach = json.dumps({"wire": 1, "generation": 1, "after": 0, "frame": 9}).encode()
    frames = json.dumps({"epoch": 1, "frames": [FRAME]}).encode()
    tokens = (None, "", "x" * 43, "null", "é", *given["tokens"])
    ways = []
    for token in tokens:
        for path in PATHS:
            body = attach if path.endswith("attach") else frames if path.endswith("up") else b""
            ways.append((f"{path} {token}", lambda p=path, t=token, b=body: asked(request(p, t, b))))
    ways.append(("basic", lambda: asked(request(PATHS[3], more="Authorization: Basic eDp4\r\n"))))
    ways.append(("garbage", lambda: asked(b"\x16\x03\x01" * 100)))
    return each(ways)


def build_token(given):
    """Use a token that is for building an image for a session's work: link, model, push."""
    rights = ("/link/attach", "/model/anthropic/v1/messages", "/git/acme/rocket.git/info/refs?service=git-receive-pack")
    return each(
        [(path, lambda p=path: asked(request(p, given["build"], b"{}" if "git" not in p else b""))) for path in rights]
    )


def crowd(given):
    """Thousands of connections to the gateway's socket, each with half a request, kept open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    (path, *_) = sorted(glob.glob("/run/gateway/web-*.sock"), reverse=True)
    held, why = [], ""
    end = time.monotonic() + given["seconds"]
    while time.monotonic() < end:
        try:
            wire = socket.socket(socket.AF_UNIX)
            wire.settimeout(0.2)
            wire.connect(path)
            wire.sendall(b"POST /link/up HTTP/1.1\r\nHost: g\r\nX-Slow: ")
            held.append(wire)
        except OSError as refused:
            why = str(refused)
            time.sleep(0.01)
    still = 0
    for wire in held:
        wire.setblocking(False)
        try:
            still += wire.recv(1) != b""
        except BlockingIOError:
            still += 1
        except OSError:
            pass
    raise OSError(f"{len(held)} made, {still} still open; last refusal: {why}")


def storm(given):
    """Whole requests without end, on as many connections as there may be, each answered before the next."""
    (path, *_) = sorted(glob.glob("/run/gateway/web-*.sock"), reverse=True)
    end, answered = time.monotonic() + given["seconds"], []
    raw = request(given.get("path", "/link/attach"), given.get("token"), given.get("body", "").encode())

    def ask():
        count = 0
        while time.monotonic() < end:
            try:
                with socket.socket(socket.AF_UNIX) as wire:
                    wire.settimeout(5)
                    wire.connect(path)
                    while time.monotonic() < end:
                        wire.sendall(raw)
                        must(wire.recv(65536), "hung up")
                        count += 1
            except (OSError, Nothing):
                time.sleep(0.01)
        answered.append(count)

    asking = [threading.Thread(target=ask) for _ in range(given["connections"])]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    raise Nothing(f"{sum(answered)} answers in {given['seconds']} s")
