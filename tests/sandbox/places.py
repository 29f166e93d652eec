"""Providers under test, in fresh folders; and a program that runs the conformance checks as somebody else.

Our own code and the standard library only: `python places.py PROVIDER FOLDER [CHECK...]` is run by other users, from
copies of the source.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox import conformance
from sandbox.local import LocalProvider
from sandbox.provider import Provider
from sandbox.unisolated import UnisolatedProvider
from tests.leash import end_with_us

PROVIDERS = {"local": LocalProvider, "unisolated": UnisolatedProvider}
GREETING = {"wire": 1, "token": "the-token-of-a-box", "gateway": None, "mode": "idle"}
MAKE_AND_DIE = """\
import asyncio, os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.sandbox.places import Place
from sandbox.provider import BoxSpec
place = Place(sys.argv[2], Path(sys.argv[3]))
async def make():
    await place.provider.create(BoxSpec(sys.argv[4], place.greeting()))
    os.killpg(0, signal.SIGKILL)
os.setsid()
asyncio.run(make())
"""


class Place:
    """A provider in a folder: a `ProviderFixture`."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.boxes, self.gateway, self.agents = folder / "boxes", folder / "gateway", folder / "agents"
        self.provider: Provider = PROVIDERS[kind](self.boxes, gateway=self.gateway, agents=self.agents)

    def greeting(self) -> bytes:
        return json.dumps(GREETING).encode() + b"\n"

    def maker(self, name: str) -> tuple[str, ...]:
        source = str(Path(__file__).resolve().parents[2])
        return (sys.executable, "-c", MAKE_AND_DIE, source, self.kind, str(self.folder), name)


async def clear(place: Place) -> None:
    """End whatever still runs there."""
    for info in await place.provider.list():
        await place.provider.discard(info.name)


@contextmanager
def folder() -> Iterator[Path]:
    """A fresh folder that a box's user can reach, on a file system that overlays can use."""
    made = Path(tempfile.mkdtemp(prefix="shipmate-test-", dir="/var/tmp"))
    made.chmod(0o711)
    end_with_us(made)
    try:
        yield made
    finally:
        for path, folders, _ in os.walk(made):
            for name in folders:
                if not Path(path, name).is_symlink():
                    Path(path, name).chmod(0o700)
        shutil.rmtree(made)


async def main(kind: str, where: str, *wanted: str) -> None:
    """Print a JSON object: each check's name, and its traceback or an empty text."""
    place, said = Place(kind, Path(where)), {}
    for check in conformance.CHECKS:
        if wanted and check.__name__ not in wanted:
            continue
        try:
            await check(place)
            said[check.__name__] = ""
        except Exception:
            said[check.__name__] = traceback.format_exc()
    await clear(place)
    print(json.dumps(said))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
