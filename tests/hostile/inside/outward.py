"""Tricks on the way out, 127.0.0.1:8788, and on the agent's tools, 127.0.0.1:8787/tools/mcp."""

import json
import os
import socket

from each import Nothing, each, must

SECONDS = 8.0
METADATA = ("169.254.169.254", "metadata.google.internal", "100.100.100.200", "168.63.129.16")
NUMBERS = (
    "127.0.0.1",
    "0",
    "0x7f.1",
    "2130706433",
    "017700000001",
    "127.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[fe80::1%lo]",
)


def through(raw):
    """What the proxy answers; got when it opened a way, or said that it has looked for one."""
    with socket.create_connection(("127.0.0.1", 8788), SECONDS) as wire:
        wire.settimeout(SECONDS)
        wire.sendall(raw if isinstance(raw, bytes) else raw.encode("latin-1"))
        said = wire.recv(65536)
    line = said.partition(b"\r\n")[0].decode(errors="replace")
    must(line.split(" ")[1:2] in (["200"], ["502"], ["504"]), line or "hung up")
    return line


def private(given):
    """Tunnels and plain requests to the host itself, its neighbours, the cloud's metadata, the gateway."""
    hosts = (
        *METADATA,
        *NUMBERS,
        *given["hosts"],
        "localhost",
        "localhost.",
        "gateway",
        "pypi.org.",
        "pypi.org@127.0.0.1",
    )
    ports = (22, *given["ports"])
    ways = [(f"CONNECT {h}:{p}", lambda at=f"{h}:{p}": through(f"CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n"))
            for h in hosts for p in ports]  # fmt: skip
    ways += [(f"GET {h}:{p}", lambda at=f"{h}:{p}": through(f"GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\n\r\n"))
             for h in hosts for p in (80, *ports)]  # fmt: skip
    return each(ways)


def unlisted(_given):
    """Names that are on no list, and listed ones written in other ways."""
    names = (
        "example.com",
        "pypi.org.example.com",
        "xpypi.org",
        "pypi.org\t.example.com",
        "pypi.org%00.example.com",
        "pypi.org/../@example.com",
        "*.org",
        "a" * 300,
        "пример.рф".encode().decode("latin-1"),
        "",
    )
    heads = (
        "CONNECT {}:443 HTTP/1.1",
        "GET http://{}/ HTTP/1.1",
        "CONNECT {}:443",
        "POST /egress?host={}&port=443 HTTP/1.1",
    )
    return each(
        [
            (head.format(name), lambda raw=head.format(name) + f"\r\nHost: {name[:80]}\r\n\r\n": through(raw))
            for name in names
            for head in heads
        ]
    )


def smuggled(_given):
    """The gateway's own addresses by way of the proxy, and requests hidden behind a tunnel that is refused."""
    attach = "POST /link/attach HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n\r\n"
    heads = {
        "own address": "POST /link/attach HTTP/1.1\r\nHost: g\r\n\r\n",
        "query": "CONNECT pypi.org:443&host=127.0.0.1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "newline": "CONNECT pypi.org:443\nHost:a HTTP/1.1\r\nHost: x\r\n\r\n",
        "behind": "CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n" + attach,
        "token": "CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Bearer x\r\n\r\n",
        "huge": "CONNECT example.com:443 HTTP/1.1\r\nX: " + "y" * 200_000 + "\r\n\r\n",
    }
    return each([(name, lambda raw=raw: through(raw)) for name, raw in heads.items()])


def called(tool, **arguments):
    """What a tool says; refused when it answers with an error."""
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    ).encode()
    head = (
        "POST /tools/mcp HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", 8787), SECONDS) as wire:
        wire.settimeout(SECONDS)
        wire.sendall(head.encode() + body)
        said = b""
        while piece := wire.recv(65536):
            said += piece
    text = said.partition(b"\r\n\r\n")[2].decode(errors="replace")
    answer = json.loads(text[text.index("{") : text.rindex("}") + 1])
    result = answer.get("result") or {}
    words = " ".join(str(part.get("text", "")) for part in result.get("content", []))
    if "error" in answer or result.get("isError"):
        raise Nothing(words or str(answer.get("error", {}).get("message", "an error")))
    return words


def other_sessions(given):
    """Look at, steer and stop a session that is not its own."""
    sid = given["victim"]
    return each(
        [
            ("session_status", lambda: called("session_status", session=sid)),
            ("read_session", lambda: called("read_session", session=sid)),
            ("prompt_session", lambda: called("prompt_session", session=sid, prompt="a forged frame")),
            ("stop_session", lambda: called("stop_session", session=sid)),
            ("numbers", lambda: called("stop_session", session=1)),
            ("wrong types", lambda: called("prompt_session", session=[sid], prompt={"a": 1})),
            ("no such tool", lambda: called("delete_session", session=sid)),
            ("other repository", lambda: called("spawn_session", repository="acme/secret", prompt="read it")),
        ]
    )


def loop(_given):
    """Calls without end: what is got is how many were answered before they were refused."""
    answered = 0
    for _ in range(200):
        try:
            called("list_sessions")
            answered += 1
        except Nothing as refused:
            raise Nothing(f"{answered} calls, then: {refused}"[:200]) from None
    return f"{answered} calls"


def spawn_storm(given):
    """Sessions without end: what is got is more of them than one may start."""
    started = 0
    said = "none was refused"
    for number in range(given["most"] * 4):
        try:
            called("spawn_session", repository="acme/rocket", prompt=f"play nothing {number}")
            started += 1
        except Nothing as refused:
            said = str(refused)
    if started > given["most"]:
        return f"{started} sessions"
    raise Nothing(f"{started} sessions, then: {said}"[:200])


def files_of_others(given):
    """Show people files that are not in its tree, that are none, or that never end."""
    os.makedirs("/work/home/odd", exist_ok=True)
    for name, target in (("shadow", "/etc/shadow"), ("link", given["paths"][0]), ("memory", "/proc/1/mem")):
        path = f"/work/home/odd/{name}"
        if not os.path.lexists(path):
            os.symlink(target, path)
    if not os.path.exists("/work/home/odd/pipe"):
        os.mkfifo("/work/home/odd/pipe")
    paths = (
        *given["paths"],
        "/etc/shadow",
        "/proc/1/mem",
        "/proc/1/environ",
        "/proc/self/mem",
        "/dev/zero",
        "/work/home/odd/shadow",
        "/work/home/odd/link",
        "/work/home/odd/memory",
        "/work/home/odd/pipe",
        "../../../../etc/passwd",
        "/run/gateway",
    )
    return each([(path, lambda at=path: called("attach", path=at)) for path in paths])
