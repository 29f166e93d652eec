"""New code and boxes that live: each version of the wire, by its first finished runner, at the gateway of today."""

import signal
from pathlib import Path

import pytest

from jobs import wire
from jobs.events import BoxStarted, LinkAttached, PromptDelivered, StepStarted, TurnEnded
from sandbox.runner.box import WIRE
from tests.gateway.git_world import World, world
from tests.gateway.test_with_runner import STEPS, Stage, asked, stage

__all__ = ["asked", "stage", "world"]
RELEASES = Path(__file__).with_name("releases")


@pytest.fixture(params=wire.SPOKEN)
def pyz(request: pytest.FixtureRequest) -> Path:
    return RELEASES / f"wire-{request.param}.pyz"


def test_the_runner_of_this_release_speaks_its_newest_wire() -> None:
    assert WIRE == wire.NEWEST == max(wire.SPOKEN)


async def test_an_old_runner_goes_on_when_the_web_process_is_a_new_one(stage: Stage, world: World) -> None:
    await stage.webs.start()
    await stage.until_said(StepStarted, 2)
    await stage.webs.start()  # as a deploy does it: the first finished runner gives up a push after two seconds
    await stage.webs.end(signal.SIGTERM)
    (end,) = await stage.until_said(TurnEnded)
    assert (end.outcome, end.error, end.pushed) == ("done", None, True)
    assert [event.title for event in await stage.site.log(stage.sid, StepStarted)] == STEPS
    assert len(await stage.site.log(stage.sid, LinkAttached)) >= 2
    await stage.site.ask(stage.sid, 2, "add a line to the README saying hello")
    _, second = await stage.until_said(TurnEnded, 2)
    assert (second.outcome, second.error, second.pushed) == ("done", None, True)
    assert (await world.branches())[stage.session.branch] == second.head
    assert [event.again for event in await stage.site.log(stage.sid, PromptDelivered)] == [False, False]
    assert len(await stage.site.log(stage.sid, BoxStarted)) == 1, "it is the same box still"
