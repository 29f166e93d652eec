"""The stand-in of Modal as a process: its end is the end of all its boxes, and it begins with nothing."""

import asyncio
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import modal
import pytest

from tests.modal.driving import made, until
from tests.modal_cloud.client import ModalCloud
from tests.modal_cloud.fixtures import FOUND
from tests.sandbox.places import folder

LISTEN = """
import socket, time
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
time.sleep(1000)
"""


async def box_that_listens(cloud: ModalCloud) -> int:
    """The port that a process of a new box listens at, on this machine's loopback."""
    app = await modal.App.lookup.aio("shipmate", create_if_missing=True, client=await cloud.client())
    box = await made(app, "python3", "-c", LISTEN, image=modal.Image.debian_slim())
    async for line in box.stdout:
        return int(line)
    raise AssertionError("the box said nothing")


async def is_silent(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    writer.close()
    return False


@pytest.fixture
def state() -> Iterator[Path]:
    with folder() as made_here:
        yield made_here


@pytest.mark.skipif(not FOUND.allowed, reason=FOUND.reason)
async def test_its_end_is_the_end_of_its_boxes_and_the_next_one_begins_with_nothing(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for how in (signal.SIGKILL, signal.SIGTERM):
        with ModalCloud.started(state) as cloud:
            for name, value in cloud.environment().items():
                monkeypatch.setenv(name, value)
            assert await cloud.boxes() == [] and list((state / "b").iterdir()) == []
            port = await box_that_listens(cloud)
            assert not await is_silent(port)
            cloud.process.send_signal(how)
            await until(partial(is_silent, port))
    assert cloud.process.returncode == 0
    assert not (state / "b").exists() and not (state / "l").exists()
