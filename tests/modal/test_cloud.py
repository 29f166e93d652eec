"""The stand-in of Modal, driven with the real client: what a box does from its making to its end."""

import asyncio
import os
from pathlib import Path

import modal
import pytest

from tests.modal.driving import made, said
from tests.modal_cloud.client import ModalCloud


async def test_an_entrypoint_hears_what_is_written_to_it_and_its_output_is_read(app: modal.App) -> None:
    box = await made(app, "sh", "-c", "read line; echo heard $line; exit 4")
    box.stdin.write("the greeting\n")
    await box.stdin.drain.aio()
    assert await box.stdout.read.aio() == "heard the greeting\n"
    await box.wait.aio()
    assert box.returncode == 4


async def test_a_command_has_its_input_both_outputs_and_its_code(app: modal.App) -> None:
    box = await made(app)
    assert await said(box, "sh", "-c", "cat; echo no >&2; exit 3", stdin="yes") == (3, "yes", "no\n")


async def test_a_command_that_is_not_there_ends_with_127(app: modal.App) -> None:
    box = await made(app)
    code, out, errors = await said(box, "no-such-command")
    assert (code, out) == (127, "") and "no-such-command" in errors


async def test_a_command_that_gets_a_signal_ends_with_128_and_its_number(app: modal.App) -> None:
    box = await made(app)
    assert (await said(box, "sh", "-c", "kill -TERM $$"))[0] == 128 + 15


async def test_a_command_sees_what_was_given_to_the_box_and_to_itself(app: modal.App) -> None:
    box = await made(app, env={"OF_BOX": "1"}, secrets=[modal.Secret.from_dict({"SECRET": "2"})], workdir="/srv/here")
    words = ("sh", "-c", "echo $OF_BOX $SECRET $OWN $MODAL_SANDBOX_ID; pwd")
    out = (await said(box, *words, env={"OWN": "3"}))[1]
    assert out == f"1 2 3 {box.object_id}\n/srv/here\n"
    assert (await said(box, "pwd", workdir="/var"))[1] == "/var\n"


async def test_a_command_in_the_background_does_not_hold_back_the_end_of_the_one_before(app: modal.App) -> None:
    box = await made(app)
    assert await said(box, "sh", "-c", "sleep 1000 & echo done") == (0, "done\n", "")


async def test_megabytes_go_in_and_come_out_whole(app: modal.App) -> None:
    box, text = await made(app), "0123456789abcdef" * 40_000
    assert await said(box, "sh", "-c", "cat", stdin=text) == (0, text, "")


async def test_a_snapshot_has_what_the_box_wrote_and_removed(app: modal.App) -> None:
    box = await made(app)
    await said(box, "sh", "-c", "mkdir /srv/a; echo 1 > /srv/a/kept; rm -r /media")
    image = await box.snapshot_filesystem.aio(timeout=60, ttl=None)
    await said(box, "sh", "-c", "echo 2 > /srv/a/kept")
    grown = await made(app, image=modal.Image.from_id(image.object_id))
    assert await said(grown, "sh", "-c", "cat /srv/a/kept; test -e /media") == (1, "1\n", "")


async def test_snapshots_grow_from_snapshots(app: modal.App) -> None:
    image = None
    for number in range(6):
        box = await made(app) if image is None else await made(app, image=modal.Image.from_id(image.object_id))
        await said(box, "sh", "-c", f"echo {number} >> /srv/log; touch /srv/{number}; rm -f /srv/{number - 1}")
        image = await box.snapshot_filesystem.aio(timeout=60, ttl=None)
        await box.terminate.aio()
    last = await made(app, image=modal.Image.from_id(image.object_id))
    assert (await said(last, "sh", "-c", "wc -l < /srv/log; ls /srv"))[1].split() == ["6", "5", "log"]


async def test_a_box_is_a_place_of_its_own(app: modal.App, tmp_path: Path) -> None:
    box, other = await made(app), await made(app)
    await said(box, "sh", "-c", "echo mine > /srv/file")
    assert (await said(other, "cat", "/srv/file"))[0] == 1
    assert (await said(other, "ls", str(tmp_path)))[0] != 0
    assert len((await said(other, "sh", "-c", "ls -d /proc/[0-9]*"))[1].split()) <= 4
    assert (await said(other, "sh", "-c", "echo 1 > /usr/bin/x"))[0] != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a box more than one user")
async def test_root_in_a_box_can_become_another_user_who_cannot_read_its_files(app: modal.App) -> None:
    box = await made(app)
    script = (
        "umask 077; echo s > /root/s; exec setpriv --reuid 1000 --regid 1000 --clear-groups sh -c 'id -u; cat /root/s'"
    )
    code, out, _ = await said(box, "sh", "-c", script)
    assert (code, out) == (1, "1000\n")


async def test_a_terminated_box_is_found_by_its_id_and_not_by_its_name(app: modal.App, cloud: ModalCloud) -> None:
    box = await made(app, name="one")
    assert (await modal.Sandbox.from_name.aio("shipmate", "one")).object_id == box.object_id
    await box.terminate.aio()
    with pytest.raises(modal.exception.NotFoundError):
        await modal.Sandbox.from_name.aio("shipmate", "one")
    await box.terminate.aio(wait=True)
    assert (await modal.Sandbox.from_id.aio(box.object_id)).returncode == 137
    last = await modal.Sandbox.from_name.aio("shipmate", "one", include_terminated=True)
    assert last.object_id == box.object_id
    with pytest.raises(modal.exception.SandboxTerminatedError):
        await box.wait.aio()


async def test_a_name_is_taken_while_its_box_runs_and_free_afterwards(app: modal.App) -> None:
    box = await made(app, name="one")
    with pytest.raises(modal.exception.AlreadyExistsError):
        await made(app, name="one")
    await box.terminate.aio()
    assert (await made(app, name="one")).object_id != box.object_id


async def test_boxes_are_listed_by_their_tags_over_all_pages(paper: ModalCloud) -> None:
    client = await paper.client()
    app = await modal.App.lookup.aio("shipmate", create_if_missing=True, client=client)
    image = await modal.Image.debian_slim().build.aio(app)
    same = {"client": client, "image": image}
    boxes = await asyncio.gather(*(made(app, tags={"kind": "a", "n": str(n)}, **same) for n in range(110)))
    wanted = [box.object_id for box in boxes]
    other = await made(app, tags={"kind": "b"}, **same)
    await (await modal.Sandbox.from_id.aio(wanted.pop(7), client=client)).terminate.aio()
    await other.set_tags.aio({"kind": "c"})
    listed = modal.Sandbox.list.aio(app_id=app.app_id, tags={"kind": "a"}, client=client)
    assert sorted([box.object_id async for box in listed]) == sorted(wanted)
    assert (await paper.counts())["SandboxListV2"] == 4  # three pages, and the empty one after them
    assert await other.get_tags.aio() == {"kind": "c"}


async def test_what_was_asked_for_a_box_can_be_looked_at(app: modal.App, cloud: ModalCloud) -> None:
    await made(
        app, name="one", cpu=(1.5, 3), memory=2048, region="eu-west", outbound_domain_allowlist=["gateway.example"],
        timeout=7200, idle_timeout=900, experimental_options={"enable_exit_snapshot": True},
    )  # fmt: skip
    (box,) = await cloud.boxes()
    asked = box["asked"]
    resources = {"memory_mb": 2048, "milli_cpu": 1500, "milli_cpu_max": 3000}
    assert {name: asked["resources"][name] for name in resources} == resources
    assert asked["scheduler_placement"]["regions"] == ["eu-west"]
    assert asked["network_access"]["allowed_domains"] == ["gateway.example"]
    assert (asked["timeout_secs"], asked["idle_timeout_secs"]) == (7200, 900)
    assert asked["experimental_options_v2"] == {"enable_exit_snapshot": "True"}


async def test_files_come_with_an_image_and_with_a_box(app: modal.App, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/small").write_text("small")
    (tmp_path / "large").write_bytes(b"0" * (5 << 20))
    image = (
        modal.Image.debian_slim()
        .env({"OF_IMAGE": "1"})
        .workdir("/srv/place")
        .add_local_dir(tmp_path / "folder", "/opt/folder", copy=True)
        .add_local_file(tmp_path / "large", "/opt/large", copy=True)
        .add_local_file(tmp_path / "folder/small", "/opt/late")
    )
    box = await made(app, image=image)
    words = "echo $OF_IMAGE; pwd; cat /opt/folder/small /opt/late; echo; wc -c < /opt/large"
    assert (await said(box, "sh", "-c", words))[1].split() == ["1", "/srv/place", "smallsmall", str(5 << 20)]


async def test_an_image_that_fails_to_build_says_so(app: modal.App, cloud: ModalCloud) -> None:
    await cloud.fault("build", message="no such package")
    with pytest.raises(modal.exception.ImageBuildError, match="no such package"):
        await made(app, image=modal.Image.debian_slim().run_commands("apt-get install nothing"))


async def test_a_box_is_waited_for_until_it_is_ready(app: modal.App) -> None:
    box = await made(
        app, "sh", "-c", "sleep 0.2; touch /ready; sleep 1000",
        readiness_probe=modal.Probe.with_exec("test", "-e", "/ready", interval_ms=20),
    )  # fmt: skip
    await box.wait_until_ready.aio(timeout=10)
    assert (await said(box, "test", "-e", "/ready"))[0] == 0
