"""`shipmate demo`: everything on this machine, with the playground in place of Slack, GitHub and the model.

Run from a terminal it prints one address and goes on until Ctrl-C, which puts the boxes to sleep and leaves no process.
With `--say` it plays one story in a stack of its own and prints what came of it (`bot/story.py`). The programs that it
supervises are the ones of the Procfile, with production code and an environment that points at the playground.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bot.stack import NotIsolated, Stack
from bot.story import Story, StoryOutcome, play
from bot.supervisor import GivenUp

DONE, FAILED, NOT_ISOLATED, INTERRUPTED = 0, 1, 3, 130


def run(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Run the demo that the arguments ask for; returns the exit code."""
    try:
        return asyncio.run(_in_order(_story(args, env) if args.say is not None else _open_house(args, env)))
    except asyncio.CancelledError:
        return INTERRUPTED
    except NotIsolated as refused:
        print(f"shipmate: {refused}", file=sys.stderr)
        return NOT_ISOLATED
    except GivenUp as trouble:
        print(f"shipmate: {trouble}", file=sys.stderr)
        return FAILED


async def _in_order(demo: Coroutine[Any, Any, int]) -> int:
    """Run the demo so that a SIGTERM or a closed terminal ends it as a Ctrl-C does: in order, at any moment."""
    running = asyncio.ensure_future(demo)
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    return await running


async def _open_house(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    state = (args.state or Path(".shipmate")).resolve()
    async with Stack.running(state, env, agent=args.agent, page_port=args.port or 0) as stack:
        _tell(f"\n  Shipmate is ready:  {stack.page_url}\n")
        _tell("  Open it, choose #dev and write:  @shipmate fix the failing test")
        _tell("  Ctrl-C puts the boxes to sleep and ends everything; the next start goes on from there.\n")
        async with _interrupt() as interrupted:
            await asyncio.wait({interrupted, stack.given_up}, return_when=asyncio.FIRST_COMPLETED)
        if stack.given_up.done():
            stack.given_up.result()
        _tell("\n  Putting the boxes to sleep …")
        await stack.park()
    _tell("  Good night.")
    return DONE


def _tell(words: str) -> None:
    """Say it to the person, if there still is a terminal."""
    with contextlib.suppress(OSError):
        print(words, flush=True)


async def _story(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    story = Story(
        say=args.say,
        say_as=args.say_as,
        reply=args.reply,
        reply_as=args.reply_as,
        reply_when=args.reply_when,
        timeout=float(args.timeout),
    )
    with _state_dir(args.state) as state:
        async with Stack.running(state, env, agent=args.agent, page_port=args.port or 0) as stack:
            try:
                outcome = await _played(stack, story)
            finally:
                await (stack.discard() if args.state is None else stack.park())
        if outcome.good and args.state is None:
            shutil.rmtree(state / "logs")
    if args.as_json:
        print(json.dumps(outcome.report, indent=2))
    else:
        print("\n".join(f"{line['who']}: {line['text']}" for line in outcome.report["thread"]))
    if not outcome.good:
        print(f"shipmate: {outcome.problem}", file=sys.stderr)
    return DONE if outcome.good else FAILED


async def _played(stack: Stack, story: Story) -> StoryOutcome:
    playing = asyncio.create_task(play(stack, story))
    either: tuple[asyncio.Future[Any], ...] = (playing, stack.given_up)
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if stack.given_up.done():
        playing.cancel()
        stack.given_up.result()
    return await playing


@contextlib.contextmanager
def _state_dir(chosen: Path | None) -> Iterator[Path]:
    """The folder of one story. Of a fresh one nothing is left but logs that somebody may want to read."""
    if chosen is not None:
        yield chosen.resolve()
        return
    fresh = Path(tempfile.mkdtemp(prefix="shipmate-demo-"))
    fresh.chmod(0o711)  # for root: the boxes' user must reach its own folder inside
    try:
        yield fresh
    finally:
        for entry in [entry for entry in fresh.iterdir() if entry.name != "logs"]:
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink()
        with contextlib.suppress(OSError):
            fresh.rmdir()


@asynccontextmanager
async def _interrupt() -> AsyncIterator["asyncio.Future[None]"]:
    """A future that is done when the person (or the system) asks us to end, or the terminal is closed."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()

    def ask() -> None:
        if not asked.done():
            asked.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ask)
    yield asked
