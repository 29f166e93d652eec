"""The stand-in of Modal on bad days: each fault, and what the real client makes of it."""

import asyncio
import time

import modal
import pytest

from tests.modal.driving import made, said, until
from tests.modal_cloud.client import ModalCloud


async def test_a_lost_reply_of_create_is_asked_again_and_makes_one_box(app: modal.App, cloud: ModalCloud) -> None:
    await cloud.fault("lost_reply", rpc="SandboxCreateV2", times=2)
    box = await made(app, name="one")
    calls = await cloud.calls("SandboxCreateV2")
    assert [call["status"] for call in calls] == ["RESET", "RESET", "OK"]
    assert len({call["key"] for call in calls}) == 1
    assert [known["id"] for known in await cloud.boxes()] == [box.object_id]


async def test_two_wishes_are_two_boxes(app: modal.App, cloud: ModalCloud) -> None:
    await made(app)
    await made(app)
    assert len({call["key"] for call in await cloud.calls("SandboxCreateV2")}) == 2
    assert len(await cloud.boxes()) == 2


async def test_a_lost_reply_of_exec_runs_the_command_once(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app)
    await cloud.fault("lost_reply", rpc="TaskExecStart", times=3)
    await said(box, "sh", "-c", "echo ran >> /srv/ran")
    assert (await said(box, "cat", "/srv/ran"))[1] == "ran\n"
    assert (await cloud.counts())["TaskExecStart"] == 5


async def test_a_lost_reply_of_a_snapshot_makes_one_image(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app)
    await cloud.fault("lost_reply", rpc="TaskSnapshotFilesystem", times=2)
    image = await box.snapshot_filesystem.aio(timeout=60, ttl=None)
    snapshots = [known["id"] for known in await cloud.images() if known["source"] == "snapshot"]
    assert snapshots == [image.object_id]


async def test_stdin_is_taken_once_though_its_reply_is_lost(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app, "sh", "-c", "read line; echo $line; sleep 1000")
    await cloud.fault("lost_reply", rpc="SandboxStdinWriteV2", times=2)
    await cloud.fault("lost_reply", rpc="TaskExecStdinWrite", times=2)
    box.stdin.write("once\n")
    await box.stdin.drain.aio()
    async for line in box.stdout:
        assert line == "once\n"
        break
    assert await said(box, "cat", stdin="some words") == (0, "some words", "")


async def test_a_create_that_is_unavailable_for_ever_is_tried_four_times(app: modal.App, cloud: ModalCloud) -> None:
    await cloud.fault("error", rpc="SandboxCreateV2", times=None)
    with pytest.raises(modal.exception.ServiceError):
        await made(app)
    assert (await cloud.counts())["SandboxCreateV2"] == 4
    assert await cloud.boxes() == []


async def test_a_burst_is_weathered(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app)
    await cloud.fault("error", times=3)
    await cloud.fault("refused", times=3)
    assert await said(box, "echo", "heard") == (0, "heard\n", "")


@pytest.mark.parametrize(
    ("kind", "more"), [("error", {"status": "UNAUTHENTICATED"}), ("throttled", {"after": 0.1}), ("late", {"by": 0.1})]
)
async def test_the_router_may_be_shy(app: modal.App, cloud: ModalCloud, kind: str, more: dict[str, object]) -> None:
    box = await made(app)
    await cloud.fault(kind, rpc="TaskExecStart", **more)
    assert await said(box, "echo", "heard") == (0, "heard\n", "")
    assert await cloud.faults() == []


async def test_a_throttled_client_waits_as_it_is_told(app: modal.App, cloud: ModalCloud) -> None:
    await cloud.fault("throttled", rpc="SandboxCreateV2", times=2, after=0.2)
    began = time.monotonic()
    await made(app)
    assert time.monotonic() - began >= 0.4
    statuses = [call["status"] for call in await cloud.calls("SandboxCreateV2")]
    assert statuses == ["RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "OK"]


async def test_an_exhausted_quota_is_an_error_at_once_until_it_is_over(app: modal.App, cloud: ModalCloud) -> None:
    await cloud.fault("quota", rpc="SandboxCreateV2", times=None, seconds=600)
    with pytest.raises(modal.exception.ResourceExhaustedError):
        await made(app)
    await cloud.step(601)
    assert await made(app)
    assert (await cloud.counts())["SandboxCreateV2"] == 2


async def test_a_limit_of_boxes_counts_those_that_run(app: modal.App, cloud: ModalCloud) -> None:
    await cloud.limit(1)
    box = await made(app)
    with pytest.raises(modal.exception.ResourceExhaustedError):
        await made(app)
    await box.terminate.aio()
    assert await made(app)


@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_a_stream_that_is_cut_again_and_again_is_read_whole(app: modal.App, cloud: ModalCloud, size: int) -> None:
    box = await made(app)
    await cloud.fault("cut", rpc="TaskExecStdioRead", times=None, bytes=size)
    words = "".join(chr(97 + n % 26) for n in range(size * 9))
    assert await said(box, "printf", "%s", words) == (0, words, "")
    assert (await cloud.counts())["TaskExecStdioRead"] >= 9


async def test_a_slow_snapshot_outlasts_its_callers_patience_and_is_made_all_the_same(
    app: modal.App, cloud: ModalCloud
) -> None:
    box = await made(app)
    await cloud.fault("slow", rpc="TaskSnapshotFilesystem", by=300)
    with pytest.raises(modal.exception.TimeoutError):
        await box.snapshot_filesystem.aio(timeout=1, ttl=None)
    await cloud.step(301)

    async def there() -> bool:
        return any(image["source"] == "snapshot" for image in await cloud.images())

    await until(there)


async def test_a_snapshot_may_be_too_early(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app)
    await cloud.fault("early", times=None)
    with pytest.raises(modal.exception.ConflictError):
        await box.snapshot_filesystem.aio(timeout=10, ttl=None)
    await said(box, "true")
    assert await box.snapshot_filesystem.aio(timeout=10, ttl=None)


async def test_a_create_that_nobody_waits_for_any_more_makes_its_box(app: modal.App, cloud: ModalCloud) -> None:
    await made(app)
    await cloud.fault("slow", rpc="SandboxCreateV2", by=300)
    waits = asyncio.ensure_future(made(app, name="orphan"))

    async def asked() -> bool:
        return "slow" in [call["fault"] for call in await cloud.calls("SandboxCreateV2")]

    async def there() -> bool:
        return "orphan" in [box["name"] for box in await cloud.boxes(alive=True)]

    await until(asked)
    waits.cancel()
    await cloud.step(301)
    await until(there)


async def test_a_wait_may_never_return(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app)
    await cloud.fault("hang", rpc="TaskExecWait", times=None)
    process = await box.exec.aio("true")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await process.wait.aio()
    assert await process.poll.aio() == 0


async def test_a_finished_task_may_be_forgotten(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app, name="one")
    process = await box.exec.aio("sleep", "1000")
    await cloud.fault("forgotten", times=None)
    await cloud.kill("one")
    with pytest.raises(modal.exception.NotFoundError):
        await process.wait.aio()


async def test_a_list_may_be_of_some_time_ago(app: modal.App, cloud: ModalCloud) -> None:
    async def listed() -> list[str]:
        return [box.object_id async for box in modal.Sandbox.list.aio(app_id=app.app_id)]

    first = await made(app)
    await cloud.step(60)
    second = await made(app)
    await first.terminate.aio()
    assert await listed() == [second.object_id]
    number = await cloud.fault("stale", by=30, times=None)
    assert await listed() == [first.object_id]
    await cloud.clear(number)
    assert await listed() == [second.object_id]


async def test_a_name_may_be_held_for_a_while(app: modal.App, cloud: ModalCloud) -> None:
    await cloud.fault("held_name", by=30, times=None)
    await (await made(app, name="one")).terminate.aio(wait=True)
    with pytest.raises(modal.exception.AlreadyExistsError):
        await made(app, name="one")
    await cloud.step(31)
    assert await made(app, name="one")


async def test_a_finished_sandbox_may_name_no_task(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app)
    await box.terminate.aio(wait=True)
    await cloud.fault("no_task", times=None)
    with pytest.raises(modal.exception.ConflictError):
        await (await modal.Sandbox.from_id.aio(box.object_id)).exec.aio("true")


async def test_what_idles_may_end_otherwise(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app, idle_timeout=60)
    await cloud.fault("idle", status="IDLE_TIMEOUT")
    await cloud.step(61)
    await box.wait.aio()
    assert box.returncode == 137


async def test_a_fault_may_be_for_one_box(app: modal.App, cloud: ModalCloud) -> None:
    await cloud.fault("error", rpc="SandboxCreateV2", box="bad", times=None, status="INVALID_ARGUMENT", message="no")
    with pytest.raises(modal.exception.InvalidError, match="no"):
        await made(app, name="bad")
    assert await made(app, name="good")


async def test_a_hundred_creates_at_once_are_a_hundred_boxes(paper: ModalCloud) -> None:
    client = await paper.client()
    app = await modal.App.lookup.aio("shipmate", create_if_missing=True, client=client)
    image = await modal.Image.debian_slim().build.aio(app)
    boxes = await asyncio.gather(*(made(app, name=f"b{n}", client=client, image=image) for n in range(100)))
    assert len({box.object_id for box in boxes}) == 100
    assert (await paper.stats())["at_once"]["SandboxCreateV2"] > 10


async def test_an_unknown_fault_is_refused(cloud: ModalCloud) -> None:
    with pytest.raises(ValueError, match="lost_reply"):
        await cloud.fault("bad luck")
