"""A hunt for secrets in a box with a real agent in it, and in what it leaves: only what dies with it is there."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from sandbox.agents import NO_KEY
from sandbox.box_folder import BoxFolder
from tests.agents.boxes import agents_in, folder_of, memory_of
from tests.agents.test_main_job import SECONDS, put_to_sleep
from tests.e2e.people import Office
from tests.kills.site import members, runner_of
from tests.secrets.places import Canaries, files

pytestmark = pytest.mark.asyncio(loop_scope="session")


def secrets_of(office: Office) -> Canaries:
    """Every secret that there is, and the hashes of the boxes' tokens."""
    stack = office.stack
    named = {
        name: value
        for name, value in (stack.keys | stack.env).items()
        if name.endswith(("_TOKEN", "_SECRET", "_KEY")) and value
    }
    assert {"GITHUB_TOKEN", "SLACK_BOT_TOKEN", "ANTHROPIC_API_KEY"} <= set(named)
    with redis.Redis.from_url(stack.env["REDIS_URL"]) as client:
        hashes = {key.decode() for key in client.hkeys("shipmate:grants")}
    assert hashes
    return Canaries(named, hashes)


def shown_by(box: BoxFolder) -> Iterator[tuple[str, bytes]]:
    """What every process of the box but its runner shows of itself, its memory with it."""
    for pid in members(box):
        if pid != runner_of(box):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                for what in ("environ", "cmdline"):
                    yield f"{what} of {pid}", Path(f"/proc/{pid}/{what}").read_bytes()
                yield from ((f"memory of {pid}", piece) for piece in memory_of(pid))


async def test_a_box_knows_no_secret_but_what_dies_with_it(agent: str, office: Office) -> None:
    thread = await office.ada.says("@shipmate add a line to the README saying nothing secret")
    await thread.settled(1, SECONDS)
    canaries, box = secrets_of(office), await folder_of(office, thread)
    assert await agents_in(office, thread)

    knows, looked = 0, 0
    for where, data in shown_by(box):
        assert canaries.found_in(data) == [], where
        knows, looked = knows + (NO_KEY.encode() in data), looked + len(data)
    assert knows and looked > 20_000_000  # it was looked at: what stands for a key is there

    await put_to_sleep(office, thread)
    state = office.stack.state
    own = (state / "playground", state / "playground.env", state / "view-secret")  # where they are kept on purpose
    for where, data in [*files(office.stack.settings.jobs.boxes_dir), *files(state, own)]:
        assert canaries.found_in(data) == [], where
