"""Run as a program: an agent's permission requests before the tree is in step. Tells what happened as JSON.

In a process of its own, because the runner's parts reap every child of the process that they are in.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from sandbox.runner.acp import Acp
from sandbox.runner.journal import Journal
from sandbox.runner.mcp_settings import Servers
from sandbox.runner.processes import Children


async def main(pyz: str, repo: str, home: str) -> dict[str, Any]:
    readme = Path(repo) / "README.md"
    children, gate = Children(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, children.reap)
    argv = [sys.executable, "-I", "-S", "-B", pyz, "rehearsal"]
    env = {"HOME": home, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    updates: list[dict[str, Any]] = []
    agent = Acp(
        children.spawn(argv, cwd=repo, env=env), repo, "", Servers(repo, {}), gate, updates.append, Journal(home)
    )
    await agent.initialize()
    await agent.open(None)

    async def parked() -> asyncio.Future[dict[str, Any]]:
        """A prompt whose first command waits for leave; some reads went before it."""
        updates.clear()
        asked = asyncio.ensure_future(agent.prompt(["add a line saying Parked"]))
        while not any(update.get("kind") == "edit" for update in updates):
            await asyncio.sleep(0.005)
        await asyncio.wait({asked}, timeout=0.3)
        return asked

    told: dict[str, Any] = {}
    asked = await parked()
    told["read before"] = [u["toolCallId"] for u in updates if u.get("status") == "completed"] != []
    told["held"] = not asked.done()
    agent.cancel()
    told["after cancel"] = (await asked)["stopReason"]
    told["written after cancel"] = "Parked" in readme.read_text()
    asked = await parked()
    gate.set()
    told["after opening"] = (await asked)["stopReason"]
    told["written after opening"] = "Parked" in readme.read_text()
    await agent.end()
    told["code"] = agent._peer.child.code
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
