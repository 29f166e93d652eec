"""The light runner is one to the gateway: it does turns, and comes back. What is made of its measures is right."""

import time
from pathlib import Path

from jobs.session import Status
from tests.gateway.conftest import Site
from tests.gateway.conftest import short_folder as short_folder
from tests.gateway.conftest import site as site
from tests.scale.light import LightRunner
from tests.scale.run import moments, overtaken
from tests.scale.runners import Runners
from tests.waiting import until


def greeting(socket: Path) -> dict[str, object]:
    return {"gateway": f"unix:{socket.parent}", "token": "t-1", "generation": 1}


async def test_it_does_its_turn_and_comes_back_to_the_next_gateway(site: Site) -> None:
    await site.box()
    async with site.gateway() as socket:
        runner = LightRunner(greeting(socket), pace=0.01)
        runner.start()
        session = await site.until("s1", lambda one: one.turns == 1 and one.status is Status.IDLE)
        assert len(await site.store.transcript("s1")) == 12, "four words and eight lines of tools"
        assert session.box == "s1-1"
        await until(lambda: not runner.outbox.batch())
    runner.link.mark, runner.link.again = time.time(), 0.0
    async with site.gateway():
        await until(lambda: runner.link.again)
    await runner.close()
    found = moments(await site.log("s1"))
    assert found["asked"] <= found["box"] <= found["delivered"]


async def test_what_is_said_is_timed_until_it_is_stored(site: Site) -> None:
    await site.box()
    runners = Runners()
    async with site.gateway() as socket:
        assert await runners.start([greeting(socket)], pace=0.01) == {"links": 1}
        await site.until("s1", lambda one: one.turns == 1 and one.status is Status.IDLE)
        said = await runners.talk(links=1, each=50, seconds=0.4)
        assert said["frames"] == len(said["lags"]) == 20
        assert all(0 < lag < 5 for lag in said["lags"])
        await runners.mark()
        assert (await runners.back())["back"] == 0
    await runners.close()


def test_who_is_overtaken_is_counted_by_who_asked_later_and_had_a_box_before() -> None:
    order = [(1, 5), (2, 6), (3, 4), (4, 9), (5, 3)]
    made = [{"asked": float(asked), "box": float(box)} for asked, box in order]
    assert overtaken(made) == 2
    assert overtaken(made[:2]) == 0
