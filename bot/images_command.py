"""`shipmate images`: which images there are, one built now, what a build said, old ones let go. Called by `bot/cli.py`.

What a box said is shown without what steers terminals. Exit codes: 0 done, 1 failed or nothing to show, 2 used wrongly.
"""

import argparse
import asyncio
import codecs
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from bot.program import in_workshop
from jobs import image_log
from jobs.image_records import Build, Image, Standing
from jobs.queue import queue_at
from jobs.settings import JobSettings
from jobs.wiring import Workshop
from sandbox.runner.visible import visible

DONE, FAILED = 0, 1
LOOK_SECONDS, BEGIN_SECONDS = 0.3, 90.0
PIECE = 1 << 16


class Unknown(ValueError):
    """There is no such repository or build here."""


def run(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Run one verb; returns the exit code."""
    return carry_out(args, JobSettings.from_env(env))


def carry_out(args: argparse.Namespace, settings: JobSettings) -> int:
    """The same with settings that were read already."""
    verbs: dict[str, Callable[[Workshop, argparse.Namespace], Awaitable[int]]] = {
        "list": _list, "build": _build, "log": _log, "prune": _prune,
    }  # fmt: skip
    return in_workshop(settings, lambda shop: verbs[args.verb](shop, args))


async def _list(shop: Workshop, args: argparse.Namespace) -> int:
    good, standings = await shop.store.images.all_good(), await shop.store.images.standings()
    rows = []
    for name in sorted({repository.name for repository in shop.settings.repositories} | set(good)):
        building = await shop.store.images.builder(name) is not None
        rows.append(_row(name, good.get(name, []), standings.get(name, Standing()), building))
    if args.as_json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print("No repository is enabled: set SHIPMATE_REPOSITORIES=owner/name,...")
    else:
        print("\n".join(line for row in rows for line in _lines(row, shop.clock())))
    return DONE


def _row(name: str, images: list[Image], standing: Standing, building: bool) -> dict[str, Any]:
    latest = standing.latest
    return {
        "repository": name,
        "images": [image.model_dump(exclude={"recipe", "repository"}) for image in images],
        "latest_build": latest.model_dump() if latest else None,
        "building": building,
        "failures": standing.failures,
        "next_look": standing.next_at,
    }


def _lines(row: dict[str, Any], now: float) -> list[str]:
    latest, images = row["latest_build"], row["images"]
    said = [row["repository"]]
    for mark, image in zip("*" + " " * len(images), images, strict=False):
        grown = f"{image['age']} builds since the last from scratch" if image["age"] else "from scratch"
        said.append(
            f"  {mark} {image['commit'][:10]}  {ago(now - image['built_at'])} ago, {_size(image['bytes'])} of its own,"
            f" built in {image['seconds']:.1f} s, {grown}"
        )
    if not images:
        said.append("    no image yet: sessions begin with a clone")
    if row["building"]:
        said.append(f"    a build is under way: shipmate images log {row['repository']} --follow")
    elif latest and latest["state"] in ("failed", "waiting"):
        said.append(f"    {_how(latest)} {ago(now - latest['ended'])} ago: {visible(latest['reason'])}")
    wait = row["next_look"] - now
    said.append(
        f"    looked at again in {ago(wait)}" if wait > 0 else "    to be looked at as soon as a worker is free"
    )
    return said


def _how(build: dict[str, Any]) -> str:
    return {"failed": "the last build failed", "waiting": "it could not be looked at"}[build["state"]]


async def _build(shop: Workshop, args: argparse.Namespace) -> int:
    """Ask for a build, show what it says while it runs, and how it went."""
    name = _enabled(shop, args.repository)
    queue = queue_at("images", shop.place(name))
    if not (await shop.queue.workers())[queue]:
        return _complain(f"no worker takes builds: start `shipmate worker --queue {queue}`, then try again")
    before, out = (await shop.store.images.standing(name)).latest, sys.stderr if args.as_json else sys.stdout
    if before is not None and before.state == "building" and await shop.store.images.builder(name) == before.id:
        print("A build is under way already; this is what it says.", file=out)
        before = None
    else:
        await shop.store.images.ask(name, shop.clock())
        await shop.queue.enqueue_build(name, int(shop.clock()), shop.place(name))
    build = await _begun(shop, name, before)
    if build is None:
        return _complain(f"no worker began within {BEGIN_SECONDS:.0f} s: others may be building. It stays asked for")
    if build.state != "waiting":
        build = await _followed(shop, name, build, out)
    image = next((each for each in await shop.store.images.good(name) if each.id == build.id), None)
    if args.as_json:
        print(json.dumps({"build": build.model_dump(), "image": image.model_dump() if image else None}, indent=2))
    if image is None:
        return _complain(f"no image of {name} came of it: {visible(build.reason)}")
    return DONE


async def _begun(shop: Workshop, name: str, before: Build | None) -> Build | None:
    """The build that is newer than `before`, as soon as it has begun."""
    end = time.monotonic() + BEGIN_SECONDS
    while time.monotonic() < end:
        latest = (await shop.store.images.standing(name)).latest
        if latest is not None and (before is None or latest.id != before.id):
            return latest
        await asyncio.sleep(LOOK_SECONDS)
    return None


async def _followed(shop: Workshop, name: str, build: Build, out: TextIO) -> Build:
    """Show the build's log until the build is over; how it ended."""
    log = _Log(image_log.path(shop.settings.data_dir, build.id), out)
    while True:
        known = {each.id: each for each in (await shop.store.images.standing(name)).builds}
        latest = known.get(build.id, build)
        over = latest.state != "building" or await shop.store.images.builder(name) != build.id
        log.show()
        if over:
            return latest
        await asyncio.sleep(LOOK_SECONDS)


@dataclass
class _Log:
    """A log that is being written, and how far it was shown."""

    path: Path
    out: TextIO
    at: int = 0

    def __post_init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(self) -> None:
        """Show what is new."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.at)
            while piece := file.read(PIECE):
                self.at += len(piece)
                self.out.write(visible(self._decoder.decode(piece)))
        self.out.flush()


async def _log(shop: Workshop, args: argparse.Namespace) -> int:
    """What the newest build of a repository said, or another one of it."""
    standing = await shop.store.images.standing(args.repository)
    build = next((each for each in standing.builds if args.build in (None, each.id)), None)
    if build is None:
        known = ", ".join(each.id for each in standing.builds)
        raise Unknown(f"there is no such build of {args.repository}; there are: {known or 'none yet'}")
    if not image_log.path(shop.settings.data_dir, build.id).exists():
        return _complain(f"{build.id} left no log here ({build.state}: {visible(build.reason) or 'it did not begin'})")
    if args.follow:
        build = await _followed(shop, args.repository, build, sys.stdout)
    else:
        _Log(image_log.path(shop.settings.data_dir, build.id), sys.stdout).show()
    return DONE if build.state in ("good", "building") else FAILED


async def _prune(shop: Workshop, args: argparse.Namespace) -> int:
    """Let go of older images. Their bytes follow when no session grew from them, at the latest a day later."""
    good, gone = await shop.store.images.all_good(), {}
    names = [args.repository] if args.repository else sorted(good)
    for name in names:
        if name not in good:
            raise Unknown(f"there is no image of {name}")
        if await shop.store.images.keep_only(name, args.keep, shop.clock()):
            gone[name] = [image.id for image in good[name][args.keep :]]
    builds = (build.id for each in (await shop.store.images.standings()).values() for build in each.builds)
    logs = image_log.clear(shop.settings.data_dir, builds, shop.clock())
    if args.as_json:
        print(json.dumps({"dropped": gone, "logs": logs}))
    else:
        count = sum(map(len, gone.values()))
        print(f"{count} images are let go, and {logs} old logs. Disk space follows within a day (shipmate upkeep).")
    return DONE


def _enabled(shop: Workshop, name: str) -> str:
    known = [repository.name for repository in shop.settings.repositories]
    if name not in known:
        raise Unknown(f"{name} is not enabled; SHIPMATE_REPOSITORIES has: {', '.join(known) or 'none'}")
    return name


def _complain(sentence: str) -> int:
    print(f"shipmate: {sentence}.", file=sys.stderr)
    return FAILED


def _size(count: int) -> str:
    if not count:
        return "its place does not tell how much"
    return f"{count / (1 << 30):.1f} GB" if count >= 1 << 30 else f"{count / (1 << 20):.1f} MB"


def ago(seconds: float) -> str:
    """A length of time, as one says it."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
