"""The main job with boxes on Modal: the production processes, their real client, and the stand-in at its far end.

One story, in which a thread's box goes through everything that may become of it, and what is only true where two places
are in use.
"""

import json
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio
import redis

from jobs import census
from jobs.events import AgentReady, BoxStarted, PromptDelivered
from jobs.inbox import hash_token
from jobs.session import Session, Status
from sandbox import probe
from sandbox.side_by_side import place_of
from tests.e2e.conftest import open_office
from tests.e2e.people import Office, Thread, until
from tests.modal_cloud.client import ModalCloud

pytestmark = pytest.mark.asyncio(loop_scope="session")
T = TypeVar("T")
DAY = 86_400.0
LATER = 60.0  # seconds: the upkeep asks Modal for its boxes only every ten


@pytest.fixture(scope="module")
def cloud() -> Iterator[ModalCloud]:
    """The stand-in, and this process's environment pointed at it, for the tests look at boxes themselves."""
    found = probe.probe()
    if not found.allowed:
        pytest.skip(found.reason)
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="sm-modal-", dir="/var/tmp") as state,
        ModalCloud.started(Path(state)) as cloud,
    ):
        for name, value in cloud.environment().items():
            patch.setenv(name, value)
        yield cloud


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def far_office(cloud: ModalCloud) -> AsyncIterator[Office]:
    """A stack with one repository on Modal and one on this machine. Boxes there get old, and fall asleep, soon."""
    told = {
        "SHIPMATE_REPOSITORIES": "acme/rocket:modal,acme/docs", "SHIPMATE_IDLE_SECONDS": "5",
        "SHIPMATE_BOX_SECONDS": "32", "SHIPMATE_START_SECONDS": "15", **cloud.environment(),
    }  # fmt: skip
    async with open_office(**told) as found:
        yield found


async def test_a_thread_lives_through_all_that_may_become_of_its_box(far_office: Office, cloud: ModalCloud) -> None:
    office = far_office
    thread = await office.ada.says("@shipmate in acme/rocket fix the failing test")
    session = await thread.settled(seconds=LATER)
    assert session.box == f"modal-{thread.sid}-1" and session.isolated and session.pull_request is not None
    first = session.pull_request.number
    await nothing_is_told_of_the_token(office, cloud, session)
    asked = ("python3", "-c", "import urllib.request as u; u.urlopen('https://evil.example.test')")
    refused = await office.shop.provider.exec(session.box, asked)
    assert b"evil.example.test is not in this repository's list" in refused.stderr, "the gateway judges its way out"

    asleep = await thread.until(lambda s: s.status is Status.ASLEEP, LATER)
    assert place_of(asleep.snapshot or "") == "modal"
    await until(lambda: alive(cloud, thread), lambda names: names == [])

    await cloud.step(3 * DAY)
    await office.grace.replies(thread, "add a line to the README saying days later")
    session = await thread.settled(prompts=2, seconds=LATER)
    [*_, started] = await events(thread, BoxStarted)
    [*_, ready] = await events(thread, AgentReady)
    assert started.start == "snapshot" and ready.resumed, "as it was left, and the agent knows what was before"
    assert session.pull_request is not None and session.pull_request.number == first
    patch = await office.patch(first)
    assert "+    return math.ceil(fuel / tank)" in patch and "+days later" in patch

    counting = await office.ada.replies(thread, "count slowly to 900")
    killed = await thread.until(lambda s: at_work(s, counting), LATER)
    await until(lambda: cloud.kill(killed.box or ""), lambda ended: ended == 1)
    await thread.until(lambda s: at_work(s, counting, again=True) and s.box != killed.box, LATER)
    delivered = [one.again for one in await events(thread, PromptDelivered) if one.prompt_id.endswith(counting)]
    assert delivered == [False, True]
    await office.ada.presses(thread, await thread.card(counting), "stop")
    await thread.until(lambda s: s.status is Status.IDLE and not s.queue, LATER)

    counting = await office.grace.replies(thread, "count slowly to 900")
    old = await thread.until(lambda s: at_work(s, counting), LATER)
    await thread.hears("The box of this thread has reached its age", seconds=LATER)
    await thread.until(lambda s: at_work(s, counting, again=True) and s.box != old.box, LATER)
    await until(lambda: alive(cloud, thread), lambda names: len(names) == 1)
    await office.grace.presses(thread, await thread.card(counting), "stop")
    session = await thread.settled(prompts=4, seconds=LATER)
    assert [ending.outcome for ending in await thread.endings()] == ["done", "done", "stopped", "stopped"]
    assert session.pull_request is not None and session.pull_request.number == first
    await thread.until(lambda s: s.status is Status.ASLEEP, LATER)
    await until(lambda: alive(cloud, thread), lambda names: names == [])


async def test_a_repository_on_this_machine_works_beside_it_and_nobody_takes_one_for_the_other(
    far_office: Office, cloud: ModalCloud
) -> None:
    office = far_office
    near = await office.ada.says("@shipmate in acme/docs: add a line to the README saying near")
    far = await office.grace.says("@shipmate in acme/rocket: add a line to the README saying far")
    here, there = await near.settled(seconds=LATER), await far.settled(seconds=LATER)
    assert here.pull_request is not None and there.pull_request is not None
    started = [(await events(thread, BoxStarted))[0].box for thread in (near, far)]
    assert started == [f"{near.sid}-1", f"modal-{far.sid}-1"]
    assert await alive(cloud, near) == []
    counted = await census.take(office.shop)
    assert (counted.workers["boxes"], counted.workers["boxes-modal"]) >= (2, 64)
    for thread in (near, far):
        await thread.until(lambda s: s.status is Status.ASLEEP, LATER)
    assert [place_of((await thread.session()).snapshot) for thread in (near, far)] == ["local", "modal"]  # type: ignore


def at_work(session: Session, ts: str, *, again: bool = False) -> bool:
    """Whether a turn of the message that was written at `ts` runs."""
    turn = session.turn if session.status is Status.WORKING else None
    return turn is not None and turn.prompt.id.endswith(ts) and turn.again == again


async def events(thread: Thread, kind: type[T]) -> list[T]:
    return [event for event in await thread.log() if isinstance(event, kind)]


async def alive(cloud: ModalCloud, thread: Thread) -> list[str]:
    """The boxes of a thread's session that Modal has now."""
    return [box["name"] for box in await cloud.boxes(alive=True) if thread.sid in box["name"]]


async def nothing_is_told_of_the_token(office: Office, cloud: ModalCloud, session: Session) -> None:
    """What Modal was told of this box would let nobody in at the gateway."""
    [box] = [box for box in await cloud.boxes() if box["name"] == session.box]
    told = json.dumps({name: box[name] for name in ("tags", "env", "asked")})
    words = set(re.findall(r"[A-Za-z0-9_-]{20,}", told))
    assert not [word for word in words if await office.shop.store.granted(hash_token(word)) is not None]
    with redis.Redis.from_url(office.stack.env["REDIS_URL"]) as record:
        assert record.hlen("shipmate:grants") > 0, "there are tokens"
