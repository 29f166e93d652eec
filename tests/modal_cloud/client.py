"""A test's hand on the stand-in: starts it as a process of its own, gives the real client, breaks things.

    with ModalCloud.started(tmp_path / "modal") as cloud:
        os.environ |= cloud.environment()
        app = await modal.App.lookup.aio("shipmate", create_if_missing=True, client=await cloud.client())
        await cloud.fault("lost_reply", rpc="SandboxCreateV2", times=2)

Its methods may be called from any event loop.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import modal

from bot.supervisor import LEASH

SOURCE = Path(__file__).resolve().parents[2]
STOP_SECONDS = 20.0
TOKEN = ("ak-standin", "as-standin")


class ModalCloud:
    """A stand-in that runs. `url`: what MODAL_SERVER_URL has to be for its clients."""

    def __init__(self, process: subprocess.Popen[bytes], said: dict[str, Any]) -> None:
        self.process = process
        self.url: str = said["url"]
        self.admin: str = said["admin"]
        self.several_users: bool = said["several_users"]

    @classmethod
    @contextmanager
    def started(cls, state: Path, mode: str = "boxes") -> Iterator["ModalCloud"]:
        """Start one, and end it with all its boxes afterwards."""
        ours = (sys.executable, "-m", "tests.modal_cloud", "--state", str(state), "--mode", mode)
        words = (*LEASH, str(os.getpid()), *ours)
        with subprocess.Popen(words, cwd=SOURCE, stdout=subprocess.PIPE) as process:
            try:
                line = process.stdout.readline()  # type: ignore[union-attr]
                if not line:
                    raise RuntimeError("the stand-in did not start: its error output says why")
                yield cls(process, json.loads(line))
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(STOP_SECONDS)

    def environment(self) -> dict[str, str]:
        """What a process whose `modal` client is to talk to this stand-in finds in its environment."""
        return {
            "MODAL_SERVER_URL": self.url,
            "MODAL_TOKEN_ID": TOKEN[0],
            "MODAL_TOKEN_SECRET": TOKEN[1],
            "MODAL_CONFIG_PATH": "/nonexistent",
            "MODAL_DISABLE_API_PROXY": "1",
        }

    async def client(self) -> modal.Client:
        """A client of this process. The environment must be set before (`fixtures.py` does it)."""
        return await modal.Client.from_credentials.aio(*TOKEN)

    async def fault(
        self,
        kind: str,
        *,
        rpc: str = "*",
        box: str | None = None,
        times: int | None = 1,
        seconds: float | None = None,
        **more: Any,
    ) -> int:
        """Order a bad day (`faults.py` lists them); its number. `times` None: until `seconds` are over, or cleared."""
        wish = {"kind": kind, "rpc": rpc, "box": box, "times": times, "seconds": seconds, "more": more}
        return int(await self._ask("POST", "/faults", wish))

    async def clear(self, number: int | None = None) -> None:
        """Take a fault back, or all."""
        await self._ask("DELETE", "/faults" if number is None else f"/faults?number={number}")

    async def faults(self) -> list[dict[str, Any]]:
        """The faults that are still open, with their hits."""
        return list(await self._ask("GET", "/faults"))

    async def calls(self, rpc: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """The calls that came, the oldest first: number, rpc, request, status, key, fault, seconds."""
        query = f"?since={since}" + ("" if rpc is None else f"&rpc={rpc}")
        return list(await self._ask("GET", f"/calls{query}"))

    async def counts(self) -> dict[str, int]:
        """How many calls of each name came."""
        return dict(await self._ask("GET", "/counts"))

    async def boxes(self, alive: bool = False, after: int | None = None) -> list[dict[str, Any]]:
        """Every box that was, the newest first, with all that was asked for it and, on paper, what its entrypoint has
        `heard`. With `after`: all but the first so many, the oldest first."""
        return list(await self._ask("GET", f"/boxes?alive={int(alive)}" + ("" if after is None else f"&after={after}")))

    async def stats(self) -> dict[str, Any]:
        """Boxes `alive` and `made`; `at_once`: the most calls of each name that were open at the same moment."""
        return dict(await self._ask("GET", "/stats"))

    async def kill(self, box: str, code: int = 137, status: str = "FAILURE") -> int:
        """End a box (id or name) as if its memory were out; how many were ended."""
        return int(await self._ask("POST", "/kill", {"box": box, "code": code, "status": status}))

    async def images(self) -> list[dict[str, Any]]:
        """Images that can still be had."""
        return list(await self._ask("GET", "/images"))

    async def collect(self, image: str) -> None:
        """Let an image be gone."""
        await self._ask("POST", "/collect", {"image": image})

    async def limit(self, most: int | None) -> None:
        """How many boxes may run at once."""
        await self._ask("POST", "/limit", {"most": most})

    async def step(self, seconds: float) -> float:
        """Let time pass in the cloud; what time it is there."""
        return float(await self._ask("POST", "/clock", {"seconds": seconds}))

    async def script(self, pattern: str, **facts: Any) -> None:
        """On paper: say what commands that match do (`paper.Script`)."""
        await self._ask("POST", "/scripts", {"pattern": pattern, **facts})

    async def reset(self) -> None:
        """End all boxes; forget them, snapshots, calls, faults, the limit and steps of the clock. Apps and built
        images stay."""
        await self._ask("POST", "/reset")

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession(trust_env=False) as http,
            http.request(method, self.admin + path, json=body) as answer,
        ):
            said = await answer.json()
            if answer.status != 200:
                raise ValueError(said)
            return said
