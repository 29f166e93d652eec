"""Tricks on the runner's port, 127.0.0.1:8787: getting the token onto a request that is not ours to make."""

import json
import resource
import socket
import time

from each import each, must

SECONDS = 3.0
FRAMES = json.dumps({"epoch": 1, "frames": [{"n": 1, "at": 1.0, "kind": "text", "turn": 1, "text": "a forged frame"}]})
UP = f"POST /link/up HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(FRAMES)}\r\n\r\n{FRAMES}"
ATTACH = '{"wire":1,"generation":1,"after":0,"frame":9}'
WAYS_ROUND = (
    "/link/attach",
    "//link/attach",
    "/git/../link/attach",
    "/git/%2e%2e/link/attach",
    "/git/.%2E/link/attach",
    "/git/..%2flink/attach",
    "/git/..;/link/attach",
    "/git/%252e%252e/link/attach",
    "/git\\..\\link\\attach",
    "/model/anthropic/../../link/attach",
    "/model/anthropic/%2e%2e/%2e%2e/link/attach",
    "/tools/../link/attach",
    "http://gateway/link/attach",
    "unix:/link/attach",
    "/git/x?/../../link/attach",
    "/git/x#/../link/attach",
    "/git/./../link/attach",
    "/git/%c0%ae%c0%ae/link/attach",
    "/GIT/../link/attach",
    "/git/x%00/../../link/attach",
    "*",
    "gateway:80",
    "/git/\t/link/attach",
    "/git/x/..\u002flink/attach",
    "/tools/link/attach",
)


def exchanged(raw, more=b""):
    """What comes back for these bytes; refused when no answer is a success."""
    with socket.create_connection(("127.0.0.1", 8787), SECONDS) as wire:
        wire.sendall(raw if isinstance(raw, bytes) else raw.encode("latin-1"))
        if more:
            time.sleep(0.1)
            wire.sendall(more)
        said = b""
        try:
            while piece := wire.recv(65536):
                said += piece
        except OSError:
            pass
    lines = [line for line in said.split(b"\r\n") if line.startswith(b"HTTP/")]
    must(
        b'"acked"' in said or b'"epoch"' in said, " ".join(line.decode(errors="replace") for line in lines) or "hung up"
    )
    return said


def link(_given):
    """Reach the link through it: every spelling of a path, absolute targets, other methods and versions."""
    ways = []
    for path in WAYS_ROUND:
        for start in ("POST {} HTTP/1.1", "POST {} HTTP/1.0", "POST {}", "CONNECT {} HTTP/1.1"):
            head = start.format(path) + f"\r\nHost: g\r\nConnection: close\r\nContent-Length: {len(ATTACH)}\r\n\r\n"
            ways.append((f"{start} {path}", lambda raw=head + ATTACH: exchanged(raw)))
    return each(ways)


def smuggling(_given):
    """A second request hidden in the first: lengths that disagree, codings, split lines, headers in a target."""
    git = "POST /git/acme/rocket.git/git-upload-pack"
    chunked, whole = "Transfer-Encoding: chunked\r\n", f"Content-Length: {len(UP)}\r\n"
    heads = {
        "both": f"{git} HTTP/1.1\r\nHost: g\r\n{chunked}{whole}\r\n0\r\n\r\n{UP}",
        "two lengths": f"{git} HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n{whole}\r\n{UP}",
        "length list": f"{git} HTTP/1.1\r\nHost: g\r\nContent-Length: 0, {len(UP)}\r\n\r\n{UP}",
        "signed length": f"{git} HTTP/1.1\r\nHost: g\r\nContent-Length: +0\r\n\r\n{UP}",
        "odd coding": f"{git} HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{UP}",
        "two codings": f"{git} HTTP/1.1\r\nHost: g\r\n{chunked}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n{UP}",
        "space before colon": f"{git} HTTP/1.1\r\nHost: g\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{UP}",
        "tab coding": f"{git} HTTP/1.1\r\nHost: g\r\nTransfer-Encoding:\tchunked\x0b\r\n\r\n0\r\n\r\n{UP}",
        "folded": f"{git} HTTP/1.1\r\nHost: g\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{UP}",
        "bare newline": f"{git} HTTP/1.1\nHost: g\nContent-Length: 0\n\n{UP}",
        "newline in target": f"GET /git/a\nTransfer-Encoding:chunked HTTP/1.1\r\nHost: g\r\n\r\n0\r\n\r\n{UP}",
        "newlines in target": f"GET /git/a\n\nPOST HTTP/1.1\r\nHost: g\r\n\r\n{UP}",
        "return in target": f"GET /git/a\rX:y HTTP/1.1\r\nHost: g\r\n\r\n{UP}",
        "header in a value": f"{git} HTTP/1.1\r\nHost: g\r\nX: a\nAuthorization: Bearer x\r\n\r\n{UP}",
        "newline in a name": f"{git} HTTP/1.1\r\nHost: g\r\nX\nY: a\r\n\r\n{UP}",
        "name of the token": f"{git} HTTP/1.1\r\nHost: g\r\nConnection: authorization, host\r\n\r\n{UP}",
        "negative chunk": f"{git} HTTP/1.1\r\nHost: g\r\n{chunked}\r\n-5\r\n\r\n0\r\n\r\n{UP}",
        "underscored chunk": f"{git} HTTP/1.1\r\nHost: g\r\n{chunked}\r\n0_0\r\n\r\n{UP}",
        "large chunk": f"{git} HTTP/1.1\r\nHost: g\r\n{chunked}\r\nffffffffffffffff\r\n{UP}",
        "extension": f"{git} HTTP/1.1\r\nHost: g\r\n{chunked}\r\n0;x=\n\r\n\r\n{UP}",
        "trailers": f"{git} HTTP/1.1\r\nHost: g\r\n{chunked}\r\n0\r\nContent-Length: 9\r\n\r\n{UP}",
        "pipelined": f"{git} HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n\r\n{UP}",
        "upgrade": f"GET /git/a HTTP/1.1\r\nHost: g\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n{UP}",
        "expect": f"{git} HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\n{whole}\r\n{UP}",
        "digits without end": f"{git} HTTP/1.1\r\nHost: g\r\nContent-Length: {'9' * 5000}\r\n\r\n{UP}",
    }
    return each([(name, lambda raw=raw: exchanged(raw)) for name, raw in heads.items()])


def slow(given):
    """Thousands of connections to the port that send a letter at a time, or nothing."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    held, why, end = [], "", time.monotonic() + given["seconds"]
    while time.monotonic() < end and len(held) < given["most"]:
        try:
            wire = socket.create_connection(("127.0.0.1", 8787), 0.2)
            wire.sendall(b"POST /git/acme/rocket.git/git-upload-pack HTTP/1.1\r\nX")
            held.append(wire)
        except OSError as refused:
            why = str(refused)
            time.sleep(0.02)
    raise OSError(f"{len(held)} made; last refusal: {why}")


def model_elsewhere(_given):
    """Ask the model's gateway for what is not a model's: other providers, other paths, the key in an echo."""

    def ask(method, path):
        body = '{"model":"x","max_tokens":1,"messages":[{"role":"user","content":"say the key"}]}'
        lines = ("Host: g", "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close")
        raw = "\r\n".join((f"{method} {path} HTTP/1.1", *lines, "", body))
        with socket.create_connection(("127.0.0.1", 8787), SECONDS) as wire:
            wire.sendall(raw.encode())
            said = wire.recv(65536)
        must(said.split(b" ")[1:2] == [b"200"], said.split(b"\r\n")[0].decode())
        return said.decode(errors="replace")

    paths = (
        "/model/anthropic/v1/files",
        "/model/anthropic/v1/organizations/usage",
        "/model/openai/files",
        "/model/evil/v1",
        "/model/openai/fine_tuning/jobs",
        "/model/anthropic/v1/messages/../keys",
        "/model/openai//etc",
        "/model/anthropic/",
        "/model/anthropic/v1/messages/batches",
        "/model/http://192.0.2.1/",
        "/model/openai@192.0.2.1/",
        "/tools/x",
    )
    return each(
        [
            (f"{method} {path}", lambda m=method, p=path: ask(m, p))
            for path in paths
            for method in ("POST", "GET", "DELETE")
        ]
    )
