"""What a recipe adds to a box at work: variables, and what is started once the tree is in step."""

import os

from tests.runner.boxes import RunningBox
from tests.runner.gateway import StandIn
from tests.waiting import until


async def test_what_is_started_goes_on_and_has_the_recipes_variables(box: RunningBox, gateway: StandIn):
    env = {"STAGE": "test", "PATH": "{repo}/bin:{path}"}
    await box.start(variables=env, start=[["sh", "-c", 'echo "$STAGE ${PATH%%:*}" > ../said; exec sleep 81']])
    await gateway.frame("ready")
    said = box.repo.parent / "said"
    await until(lambda: said.exists() and said.read_text().endswith("\n"))
    assert said.read_text() == f"test {box.repo}/bin\n"
    assert (await box.exec("sh", "-c", "echo $STAGE")).strip() == "test"


async def test_a_pipe_in_the_place_of_the_log_is_told_and_not_waited_for(box: RunningBox, gateway: StandIn):
    box.home.mkdir(parents=True)
    os.mkfifo(box.home / "start.log")
    await box.start(start=[["true"]])
    await gateway.frame("ready")
    told = (await gateway.frame("remark"))["text"]
    assert told.startswith("postStartCommand could not be started: ") and "start.log" in told


async def test_a_start_that_puts_a_pipe_there_itself_is_told_as_failed(box: RunningBox, gateway: StandIn):
    await box.start(start=[["sh", "-c", "cd; rm start.log; mkfifo start.log; exit 3"]])
    assert (await gateway.frame("remark"))["text"].endswith("ended with 3: it said nothing")


async def test_a_start_that_fails_is_told_and_keeps_nothing_from_working(box: RunningBox, gateway: StandIn):
    await box.start(start=[["sh", "-c", "echo no port >&2; exit 3"], ["no-such-program"]])
    await gateway.frame("ready")
    told = [frame["text"] for frame in gateway.frames if frame["kind"] == "remark"]
    assert any(text.startswith("postStartCommand 'sh -c echo no port") and "no port" in text for text in told)
    assert any("could not be started" in text for text in told)
