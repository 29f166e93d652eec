"""The stand-in of Modal: how boxes end, by themselves, by their owner, by the clock, by force, and what they leave."""

import asyncio

import modal
import pytest

from tests.modal.driving import made, said, until
from tests.modal_cloud.client import ModalCloud

EXIT = {"enable_exit_snapshot": True}


async def test_a_hard_timeout_in_mid_command_leaves_what_was_said_and_nothing_to_ask(
    app: modal.App, cloud: ModalCloud
) -> None:
    box = await made(app, timeout=300)
    process = await box.exec.aio("sh", "-c", "echo begun; sleep 1000; echo never")
    async for line in process.stdout:
        assert line == "begun\n"
        break
    await cloud.step(301)
    assert await process.stdout.read.aio() == ""
    assert await process.wait.aio() == 137
    assert box.returncode is None
    with pytest.raises(modal.exception.NotFoundError):
        await box.exec.aio("true")
    with pytest.raises(modal.exception.NotFoundError):
        await box.snapshot_filesystem.aio(timeout=10, ttl=None)
    with pytest.raises(modal.exception.NotFoundError):
        await (await modal.Sandbox.from_id.aio(box.object_id)).exec.aio("true")
    with pytest.raises(modal.exception.SandboxTimeoutError):
        await box.wait.aio()
    assert await box.poll.aio() == 124


async def test_partial_output_is_read_without_an_error(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app, timeout=300)
    process = await box.exec.aio("sh", "-c", "echo begun; touch /srv/begun; sleep 1000; echo never")

    async def begun() -> bool:
        return (await said(box, "test", "-e", "/srv/begun"))[0] == 0

    await until(begun)
    await cloud.step(301)
    assert (await process.stdout.read.aio(), await process.wait.aio()) == ("begun\n", 137)


async def test_a_box_that_idles_too_long_is_terminated(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app, timeout=3600, idle_timeout=60)
    await cloud.step(50)
    await said(box, "true")
    await cloud.step(50)
    assert await box.poll.aio() is None
    await cloud.step(60)
    with pytest.raises(modal.exception.SandboxTerminatedError):
        await box.wait.aio()


async def test_a_box_whose_memory_is_out_looks_like_a_terminated_one(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app, name="one")
    process = await box.exec.aio("sleep", "1000")
    assert await cloud.kill("one") == 1
    assert await process.wait.aio() == 137
    await box.wait.aio()
    assert box.returncode == 137


async def test_a_command_has_a_time_of_its_own(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app)
    process = await box.exec.aio("sleep", "1000", timeout=60)
    await cloud.step(61)
    assert await process.wait.aio() == 137
    assert (await said(box, "true"))[0] == 0


@pytest.mark.parametrize("end", ["terminate", "exit", "kill", "timeout"])
async def test_the_last_state_is_kept_however_a_box_ends(app: modal.App, cloud: ModalCloud, end: str) -> None:
    box = await made(app, "sh", "-c", "read line; exit 3", timeout=300, experimental_options=EXIT)
    await said(box, "sh", "-c", "echo last > /srv/state")
    if end == "terminate":
        await box.terminate.aio()
    elif end == "exit":
        box.stdin.write("go\n")
        await box.stdin.drain.aio()
    elif end == "kill":
        await cloud.kill(box.object_id)
    else:
        await cloud.step(301)
    again = await modal.Sandbox.from_id.aio(box.object_id)
    image = await again._experimental_get_exit_snapshot.aio(timeout=20)
    same = await box._experimental_get_exit_snapshot.aio(timeout=20)
    assert image.object_id == same.object_id
    grown = await made(app, image=modal.Image.from_id(image.object_id))
    assert (await said(grown, "cat", "/srv/state"))[1] == "last\n"


async def test_an_exit_snapshot_may_be_pending_or_lost(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app, experimental_options=EXIT)
    with pytest.raises(modal.exception.TimeoutError):
        await box._experimental_get_exit_snapshot.aio(timeout=0.2)
    await box.terminate.aio()
    await cloud.fault("exit_snapshot", answer="pending", times=None)
    with pytest.raises(modal.exception.TimeoutError):
        await box._experimental_get_exit_snapshot.aio(timeout=0.2)
    await cloud.clear()
    await cloud.fault("exit_snapshot", answer="lost")
    with pytest.raises(modal.exception.SnapshotCreationError):
        await box._experimental_get_exit_snapshot.aio(timeout=10)
    assert await box._experimental_get_exit_snapshot.aio(timeout=10)


async def test_without_the_option_nothing_is_kept(app: modal.App) -> None:
    box = await made(app)
    await box.terminate.aio()
    with pytest.raises(modal.exception.ConflictError):
        await box._experimental_get_exit_snapshot.aio(timeout=10)


async def test_what_a_finished_box_said_can_still_be_read(app: modal.App) -> None:
    box = await made(app, "sh", "-c", "echo last words")
    await box.wait.aio()
    assert await box.stdout.read.aio() == "last words\n"


async def test_a_long_entrypoint_keeps_its_newest_words_only(app: modal.App) -> None:
    box = await made(app, "sh", "-c", "yes 0123456789abcdef | head -c 3000000; echo end")
    await box.wait.aio()
    kept = await box.stdout.read.aio()
    assert kept.endswith("end\n") and len(kept) < 2_000_000


async def test_an_image_is_gone_when_it_is_collected_or_its_time_is_over(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app)
    short, long = [await box.snapshot_filesystem.aio(timeout=60, ttl=ttl) for ttl in (60, None)]
    await cloud.step(61)
    with pytest.raises(modal.exception.NotFoundError):
        await made(app, image=modal.Image.from_id(short.object_id))
    assert await made(app, image=modal.Image.from_id(long.object_id))
    await cloud.collect(long.object_id)
    with pytest.raises(modal.exception.NotFoundError):
        await made(app, image=modal.Image.from_id(long.object_id))


async def test_all_processes_of_a_box_end_with_it(app: modal.App) -> None:
    box = await made(app)
    server = """
import socket, time
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
time.sleep(1000)
"""
    process = await box.exec.aio("setsid", "python3", "-c", server)
    port = 0
    async for line in process.stdout:
        port = int(line)
        break
    (await asyncio.open_connection("127.0.0.1", port))[1].close()
    await box.terminate.aio(wait=True)
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)
