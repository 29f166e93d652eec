"""What goes on inside a box on Modal: who may see whom, who runs as whom, what a command may do and say."""

import asyncio
import json
from dataclasses import replace

import modal
import pytest

from sandbox.conformance_snapshots import BACKGROUND
from sandbox.provider import BoxSpec, BoxState, SnapshotKind
from tests.modal.bad_day import noted, sh, spec
from tests.modal.places import GREETING, Spot
from tests.modal_cloud.client import ModalCloud
from tests.waiting import until

FIND_RUNNER = "grep -l control.sock /proc/[0-9]*/cmdline 2>/dev/null | head -1 | cut -d/ -f3"
OWN = ("{python}", "-I", "-S", "-B", "{runner}")


@pytest.fixture
async def box(spot: Spot) -> str:
    await spot.provider.create(spec(spot, "box"))
    return "box"


async def test_the_agents_user_cannot_look_into_the_runner_nor_stop_it(cloud: ModalCloud, spot: Spot, box: str):
    if not cloud.several_users:
        pytest.skip("as an ordinary user the stand-in has one user for all")
    runner = await sh(spot, box, FIND_RUNNER)
    assert runner.isdigit()
    assert await sh(spot, box, "id -u") == "1000"
    for forbidden in (
        f"cat /proc/{runner}/environ",
        f"cat /proc/{runner}/mem",
        f"ls /proc/{runner}/fd",
        f"kill -9 {runner}",
        f"kill -STOP {runner}",
        "ls /run/shipmate",
        "echo x >>/opt/shipmate/runner.pyz",
        "mv /opt/shipmate /opt/other",
        "cat /proc/1/environ",
    ):
        done = await spot.provider.exec(box, ("sh", "-c", f"{forbidden} 2>&1"))
        assert done.code != 0 and b"ermi" in done.stdout + done.stderr, (forbidden, done)
    assert await sh(spot, box, "grep NoNewPrivs /proc/self/status") == "NoNewPrivs:\t1"
    assert await sh(spot, box, "grep -h Cap[EP] /proc/self/status | sort -u | cut -f2 | sort -u") == "0000000000000000"


async def test_commands_have_the_folders_and_variables_of_any_box(spot: Spot, box: str):
    said = await sh(spot, box, 'pwd; echo "$HOME $TMPDIR $USER $LANG"; env | grep -ic -e modal -e token')
    assert said == "/work/repo\n/work/home /tmp shipmate C.UTF-8\n0"


async def test_the_runners_own_programs_run_there(spot: Spot, box: str):
    await sh(spot, box, BACKGROUND)
    said = json.loads((await spot.provider.exec(box, (*OWN, "quiet"))).stdout)
    assert said["left"] == [] and any("sleep 300" in name for name in said["ended"])


async def test_output_is_heard_while_it_comes(spot: Spot, box: str):
    heard: list[bytes] = []
    command = "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two"

    async def listened() -> None:
        await spot.provider.exec(box, ("sh", "-c", command), heard=heard.append)

    listening = asyncio.create_task(listened())
    await until(lambda: b"".join(heard) == b"one\n")
    await sh(spot, box, "touch go")
    await listening
    assert b"".join(heard) == b"one\ntwo\n"


async def test_a_box_is_asked_for_as_the_place_says(cloud: ModalCloud, spot: Spot, box: str):
    (asked,) = await cloud.boxes(alive=True)
    assert asked["tags"] == {"session": "s1", "generation": "1", "shipmate": "shipmate", "box": "box"}
    (call,) = await cloud.calls("SandboxCreateV2")
    words = json.dumps(call["request"])
    assert GREETING["token"] not in words
    assert "127.0.0.1/32" in words and "enable_exit_snapshot" in words


async def test_what_a_builder_leaves_is_a_base_that_modal_keeps(spot: Spot):
    """As `jobs/image_build.py` does: a box, commands in it, its end, and its last state as a base."""
    await spot.provider.create(BoxSpec("modal-image-1", spot.greeting(), labels={"image": "acme/rocket", "build": "b"}))
    await sh(spot, "modal-image-1", "echo built >made; mkdir -p ~/.cache; echo 1 >~/.cache/x")
    await spot.provider.terminate("modal-image-1")
    left = await spot.provider.last_state("modal-image-1", SnapshotKind.BASE)
    assert left is not None and left.kind is SnapshotKind.BASE
    await spot.provider.discard("modal-image-1")
    assert await spot.provider.list() == []
    for name in ("one", "two"):
        await spot.provider.create(spec(spot, name, left.id))
        assert await sh(spot, name, "cat made ~/.cache/x") == "built\n1"
    await spot.provider.forget_snapshot(left.id)
    assert (await spot.provider.status("one")).state is BoxState.RUNNING


async def test_a_sleeping_session_gets_the_agents_of_today(cloud: ModalCloud, spot: Spot, box: str):
    await spot.provider.terminate(box)
    left = await spot.provider.last_state(box)
    assert left is not None
    old = replace(await noted(spot, left.id), agents="of last month")
    await spot.ledger.put(f"snapshot:{left.id}", old.written())
    before = len(await cloud.calls("ImageGetOrCreate"))
    await spot.provider.create(spec(spot, "awake", left.id))
    assert len(await cloud.calls("ImageGetOrCreate")) > before
    installed = "ls /opt/shipmate/installers/sandbox/agents.py"
    assert await sh(spot, "awake", installed) == "/opt/shipmate/installers/sandbox/agents.py"


async def test_a_box_that_dies_by_itself_is_dead_with_its_code(cloud: ModalCloud, spot: Spot, box: str):
    sandbox = await modal.Sandbox.from_name.aio("shipmate", box, client=await cloud.client())
    runner = await sh(spot, box, FIND_RUNNER)
    process = await sandbox.exec.aio("sh", "-c", f"kill -9 {runner}")
    await process.wait.aio()
    seen = []

    async def dead() -> bool:
        seen.append(await spot.provider.status(box))
        return seen[-1].state is BoxState.DEAD

    while not await dead():
        assert len(seen) < 500
    assert seen[-1].exit_code == 137
    assert await spot.provider.last_state(box) is not None
