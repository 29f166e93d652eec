"""How the tests of the stand-in use the real client: make a box, have a command in it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import modal

from tests import waiting

IMAGE = modal.Image.debian_slim()


async def made(app: modal.App, *argv: str, **more: object) -> modal.Sandbox:
    """A box of the app, with a long sleep for an entrypoint unless it is said otherwise."""
    return await modal.Sandbox.create.aio(*(argv or ("sleep", "1000")), app=app, **{"image": IMAGE, **more})


async def until(true: Callable[[], Awaitable[object]]) -> None:
    """Wait until something that has to be asked for is true."""
    end = time.monotonic() + waiting.SECONDS
    while not await true():
        assert time.monotonic() < end, f"it did not come true in {waiting.SECONDS:g} s"
        await asyncio.sleep(waiting.LOOK_SECONDS)


async def said(box: modal.Sandbox, *argv: str, stdin: str | None = None, **more: object) -> tuple[int, str, str]:
    """A command's code, output and error output."""
    process = await box.exec.aio(*argv, **more)
    if stdin is not None:
        process.stdin.write(stdin)
        process.stdin.write_eof()
        await process.stdin.drain.aio()
    out, errors = await process.stdout.read.aio(), await process.stderr.read.aio()
    return await process.wait.aio(), out, errors
