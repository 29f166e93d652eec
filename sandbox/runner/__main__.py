"""The runner's entry: `PYTHON -I -S -B runner.pyz [--control-fd N] [--outbox-fd M] [--root DIR] [--agents DIR]`.

A provider starts it as pid 1 of a box with a greeting on stdin (docs/wire.md). The order here is for secrecy and
for speed: nobody may look into this process before the agent exists, and the agent is started before asyncio is loaded.
`--control PATH --agent-uid N` instead: a box that is a machine of its own, where it begins as root (`apart.py`).
`runner.pyz rehearsal` is the scripted agent instead, `quiet` and `search` are for images (`tidy.py`). Exit codes: 0, 2
(used wrongly).
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, NamedTuple

from sandbox.runner.box import AGENTS, EGRESS_PORT, PATH, PORT, BadGreeting, Greeting, Places
from sandbox.runner.late import SELDOM_USED, put_off

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.runner.processes import Child

PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
USAGE = (
    "usage: runner.pyz [--control-fd N] [--outbox-fd N] [--root DIR] [--agents DIR] [--control PATH] [--agent-uid N]"
    " | runner.pyz rehearsal|quiet|search"
)


class Arguments(NamedTuple):
    """The command line."""

    control_fd: str = ""
    outbox_fd: str = ""
    root: str = "/"
    agents: str = AGENTS
    control: str = ""
    agent_uid: str = ""

    @classmethod
    def parse(cls, argv: list[str]) -> Arguments:
        """By hand: argparse costs 10 ms. Raises ValueError."""
        names = {"--" + name.replace("_", "-"): name for name in cls._fields}
        given = dict(zip(argv[::2], argv[1::2]))
        if len(argv) % 2 or not set(given) <= set(names):
            raise ValueError(USAGE)
        return cls(**{names[flag]: value for flag, value in given.items()})


def harden() -> None:
    """Let no process of the box look into this one (it holds the token), and adopt every orphan."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # 3 ms, and there is no other way to prctl

    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's handler would let the box's own processes interrupt us


def read_greeting() -> Greeting:
    """The one line on stdin; stdin is /dev/null afterwards. Raises BadGreeting."""
    line = bytearray()
    while not line.endswith(b"\n") and (piece := os.read(0, 1 << 16)):
        line += piece
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return Greeting.from_line(bytes(line))


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    if argv[:1] == ["rehearsal"]:
        from sandbox.rehearsal.agent import main as rehearse  # another program, in the same file

        return rehearse()
    if argv in (["quiet"], ["search"]):
        from sandbox.runner import tidy  # likewise

        return tidy.main(argv[0])
    harden()
    try:
        arguments = Arguments.parse(argv)
        greeting = read_greeting()
        control, outbox = (int(fd) if fd else None for fd in (arguments.control_fd, arguments.outbox_fd))
    except (BadGreeting, ValueError) as wrong:
        print(f"runner: {wrong}", file=sys.stderr)
        return 2
    if not arguments.control:
        return run(arguments, greeting, control, outbox)
    from sandbox.runner import apart  # no other box needs it

    try:
        control = apart.listen(arguments.control)
        uid = apart.step_down(int(arguments.agent_uid)) if arguments.agent_uid else None
    except (apart.NotApart, OSError, ValueError) as wrong:
        print(f"runner: {wrong}", file=sys.stderr)
        return 2
    harden()  # once more: who becomes another user can be looked into again
    return run(arguments, greeting, control, outbox, uid)


def run(
    arguments: Arguments, greeting: Greeting, control: int | None, outbox: int | None, uid: int | None = None
) -> int:
    """Start the agent, then load and run the rest. The imports in here are late so that the agent starts early."""
    for name in SELDOM_USED:
        put_off(name)
    from sandbox.runner.processes import Children, take

    listening, leaving = (_listen(port if arguments.root == "/" else 0, arguments) for port in (PORT, EGRESS_PORT))
    ports = listening.getsockname()[1], leaving.getsockname()[1]
    places = Places.under(arguments.root, arguments.agents, *ports)
    places.prepare()
    env = places.environment(os.environ.get("PATH") or PATH)
    children = Children(uid)

    def start_agent() -> Child:
        assert greeting.agent is not None, "a greeting to serve has an agent"
        places.lay(greeting.agent.files)
        argv = [places.fill(word) for word in greeting.agent.argv]
        more = {name: places.fill(value) for name, value in greeting.agent.env.items()}
        return children.spawn(argv, cwd=places.repo, env={**places.at_work(env, greeting.env), **more})

    agent = _early(start_agent) if greeting.mode in ("serve", "warm") else None
    if not (greeting.gateway or "").startswith("https:"):
        sys.modules["ssl"] = None  # type: ignore[assignment]  # asyncio does without it, and begins 6 ms earlier
    import asyncio

    from sandbox.runner.life import Box, live

    box = Box(greeting, places, env, children, listening, leaving, take(control), take(outbox), start_agent, agent)
    try:
        return asyncio.run(live(box))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends already
        children.kill_all()


def _early(start_agent: Callable[[], Child]) -> Child | None:
    """The agent, before anything else is loaded; None if it cannot be started, which is tried again and told later."""
    try:
        return start_agent()
    except OSError as missing:
        print(f"runner: {missing}", file=sys.stderr)
        return None


def _listen(port: int, arguments: Arguments) -> socket.socket:
    """An address of ours in the box. Bound before the agent starts, so that nobody knocks too early.

    In a place whose network we have not made ourselves somebody may have that port already: then any other will do.
    """
    # Named as TCP, or asyncio does not switch off Nagle's delay for what it accepts: 40 ms for each small answer.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError:
        if not arguments.control:
            raise
        listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    return listening


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
