"""The stand-in of Modal, driven with the real client: what a box does from its making to its end."""

import modal
import pytest

from tests.modal_cloud.client import ModalCloud

IMAGE = modal.Image.debian_slim()


async def made(app: modal.App, client: modal.Client, *argv: str, **more: object) -> modal.Sandbox:
    words = argv or ("sleep", "1000")
    return await modal.Sandbox.create.aio(*words, app=app, client=client, **{"image": IMAGE, **more})


async def said(box: modal.Sandbox, *argv: str, stdin: str | None = None, **more: object) -> tuple[int, str, str]:
    process = await box.exec.aio(*argv, **more)
    if stdin is not None:
        process.stdin.write(stdin)
        process.stdin.write_eof()
        await process.stdin.drain.aio()
    out, errors = await process.stdout.read.aio(), await process.stderr.read.aio()
    return await process.wait.aio(), out, errors


async def test_an_entrypoint_hears_what_is_written_to_it_and_its_output_is_read(
    app: modal.App, modal_client: modal.Client
) -> None:
    box = await made(app, modal_client, "sh", "-c", "read line; echo heard $line; exit 4")
    box.stdin.write("the greeting\n")
    await box.stdin.drain.aio()
    assert await box.stdout.read.aio() == "heard the greeting\n"
    await box.wait.aio()
    assert box.returncode == 4


async def test_a_command_has_its_input_both_outputs_and_its_code(app: modal.App, modal_client: modal.Client) -> None:
    box = await made(app, modal_client)
    assert await said(box, "sh", "-c", "cat; echo no >&2; exit 3", stdin="yes") == (3, "yes", "no\n")


async def test_a_snapshot_has_what_the_box_wrote_and_removed(app: modal.App, modal_client: modal.Client) -> None:
    box = await made(app, modal_client)
    await said(box, "sh", "-c", "mkdir /srv/a; echo 1 > /srv/a/kept; rm -r /media")
    image = await box.snapshot_filesystem.aio(timeout=60, ttl=None)
    await said(box, "sh", "-c", "echo 2 > /srv/a/kept")
    grown = await made(app, modal_client, image=modal.Image.from_id(image.object_id))
    assert await said(grown, "sh", "-c", "cat /srv/a/kept; test -e /media") == (1, "1\n", "")


async def test_a_terminated_box_is_found_by_its_id_and_not_by_its_name(
    cloud: ModalCloud, app: modal.App, modal_client: modal.Client
) -> None:
    box = await made(app, modal_client, name="one")
    assert (await modal.Sandbox.from_name.aio("shipmate", "one", client=modal_client)).object_id == box.object_id
    await box.terminate.aio()
    with pytest.raises(modal.exception.NotFoundError):
        await modal.Sandbox.from_name.aio("shipmate", "one", client=modal_client)
    again = await modal.Sandbox.from_id.aio(box.object_id, client=modal_client)
    assert again.returncode == 137
