"""The playground's forge, listening on loopback, and work that is pushed to it behind git's back."""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.playground import forge_pulls
from bot.playground.forge import Forge
from bot.playground.forge_routes import forge_routes

ROCKET = "acme/rocket"


@asynccontextmanager
async def serving(folder: Path, **options: Any) -> AsyncIterator[Forge]:
    """A forge with the sample repository; it knows its own address."""
    forge = await Forge.open(folder, **options)
    app = web.Application()
    app.add_routes(forge_routes(forge))
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    forge.describe(f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield forge
    await forge.close()
    await runner.cleanup()


async def change(forge: Forge, branch: str, files: Mapping[str, str], submodule: str = "") -> str:
    """One more commit on a branch that adds or changes these files, and names a submodule; its sha."""
    bare = forge.bare(ROCKET)
    before = await bare.branches()
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        await bare.git("read-tree", before[branch], env=index)
        entries = [f"160000,{before[branch]},{submodule}"] if submodule else []
        for path, text in files.items():
            blob = await bare.git("hash-object", "-w", "--stdin", stdin=text.encode())
            entries.append(f"100644,{blob.strip()},{path}")
        for entry in entries:
            await bare.git("update-index", "--add", "--cacheinfo", entry, env=index)
        tree = (await bare.git("write-tree", env=index)).strip()
    made = await bare.commit_tree(tree, [before[branch]], "Change files", "Ada", "ada@acme.example")
    await bare.point(f"refs/heads/{branch}", made)
    await forge_pulls.pushed(forge, ROCKET, before, "ada")
    return made


async def push(forge: Forge, branch: str, subject: str = "Count the last tank") -> str:
    """One more commit on the branch, which may be new; its sha."""
    bare = forge.bare(ROCKET)
    before = await bare.branches()
    parent = before.get(branch, before["main"])
    tree = (await bare.git("rev-parse", parent + "^{tree}")).strip()
    made = await bare.commit_tree(tree, [parent], subject, "Ada", "ada@acme.example")
    await bare.point(f"refs/heads/{branch}", made)
    await forge_pulls.pushed(forge, ROCKET, before, "ada")
    return made
