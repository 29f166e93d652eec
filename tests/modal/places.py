"""A provider on the stand-in of Modal, for the checks of `sandbox/conformance.py` and the bad days."""

import json
import sys
from pathlib import Path
from typing import Self

import modal

from sandbox.modal import ModalProvider
from sandbox.modal_entry import RUNNER
from sandbox.modal_place import ModalPlace
from tests.modal.folder_ledger import FolderLedger
from tests.modal_cloud.client import TOKEN

GATEWAY = "https://127.0.0.1:9"
GREETING = {"wire": 1, "token": "the-token-of-a-box", "gateway": None, "mode": "idle"}
MAKE_AND_DIE = """\
import asyncio, os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.modal.places import Spot
from sandbox.provider import BoxSpec
spot = Spot(sys.argv[2], Path(sys.argv[3]))
async def make():
    await spot.provider.create(BoxSpec(sys.argv[4], spot.greeting()))
    os.killpg(0, signal.SIGKILL)
os.setsid()
asyncio.run(make())
"""


def plain(_: tuple[str, ...], runner: Path) -> modal.Image:
    """A base image as small as can be: the stand-in's boxes have this machine's programs."""
    return modal.Image.debian_slim().add_local_file(runner, RUNNER, copy=True)


def place(url: str, **more: object) -> ModalPlace:
    """The stand-in as a place."""
    return ModalPlace(*TOKEN, GATEWAY, server_url=url, **more)  # type: ignore[arg-type]


class Spot:
    """A provider with a ledger in a folder: a `ProviderFixture`."""

    def __init__(self, url: str, folder: Path, **more: object) -> None:
        self.url, self.folder = url, folder
        self.ledger = FolderLedger(folder)
        self.provider = ModalProvider(place(url, **more), self.ledger, base=plain)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.provider.close()

    def greeting(self) -> bytes:
        return json.dumps(GREETING).encode() + b"\n"

    def maker(self, name: str) -> tuple[str, ...]:
        source = str(Path(__file__).resolve().parents[2])
        return (sys.executable, "-c", MAKE_AND_DIE, source, self.url, str(self.folder), name)
