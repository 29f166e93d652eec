"""A stop ends a turn in whatever phase it is, soon, and what was done until then is kept."""

import time

from tests.runner.boxes import BRANCH, RunningBox, command_of, descendants, git
from tests.runner.gateway import CUT, HANG, StandIn
from tests.waiting import until

WHEN_TOLD = [
    "/bin/sh", "-c",
    "until test -e {home}/go; do sleep 0.02; done; exec {python} -I -S -B {runner} rehearsal",
]  # fmt: skip


async def test_a_turn_that_waits_for_the_agent_is_stopped_without_it(box: RunningBox, gateway: StandIn):
    await box.start(argv=WHEN_TOLD)
    await gateway.prompt("fix the failing test")
    await gateway.stop_turn()
    ended = await gateway.frame("turn_ended", seconds=2)
    assert (ended["outcome"], ended["commits"], ended["error"]) == ("stopped", [], None)
    (box.home / "go").touch()
    await gateway.frame("ready")
    assert not gateway.of("turn_started")


async def test_the_turn_after_one_that_was_stopped_while_waiting_is_run(box: RunningBox, gateway: StandIn):
    await box.start(argv=WHEN_TOLD)
    await gateway.prompt("fix the failing test", 1)
    await gateway.stop_turn(1)
    await gateway.prompt("what is this?", 2)
    await gateway.frame("turn_ended", turn=1)
    (box.home / "go").touch()
    assert (await gateway.frame("turn_ended", turn=2))["outcome"] == "done"
    assert not gateway.of("turn_started", turn=1)


async def test_words_are_stopped(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("slowly 30")
    await gateway.wait(lambda: "2," in gateway.text())
    await gateway.stop_turn()
    ended = await gateway.frame("turn_ended", seconds=2)
    assert (ended["outcome"], ended["error"]) == ("stopped", None)


async def test_a_command_is_stopped_with_everything_that_it_started(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("slow command 77")
    await gateway.frame("step")
    assert box.process is not None
    runner = box.process.pid
    await until(lambda: any(command_of(pid) == "sleep 77" for pid in descendants(runner)))
    await gateway.stop_turn()
    assert (await gateway.frame("turn_ended", seconds=2))["outcome"] == "stopped"
    await until(lambda: not any(command_of(pid) == "sleep 77" for pid in descendants(runner)))


async def test_what_was_done_until_a_stop_is_committed_and_pushed(box: RunningBox, gateway: StandIn, bare):
    await box.start()
    await gateway.prompt("slow command")
    await gateway.frame("step")
    (box.repo / "half.txt").write_text("half done\n")
    await gateway.stop_turn()
    ended = await gateway.frame("turn_ended")
    assert (ended["outcome"], ended["pushed"], len(ended["commits"])) == ("stopped", True, 1)
    assert git(bare, "show", f"{BRANCH}:half.txt") == "half done"


async def test_an_agent_that_hears_no_cancel_is_killed_and_started_again(box: RunningBox, gateway: StandIn):
    await box.start(limits={"cancel_seconds": 0.4})
    first = await gateway.frame("ready")
    await gateway.prompt("stubborn 60", 1)
    await gateway.frame("restated", turn=1)
    begun = time.monotonic()
    await gateway.stop_turn()
    assert (await gateway.frame("turn_ended", turn=1))["outcome"] == "stopped"
    assert 0.4 <= time.monotonic() - begun < 3
    await gateway.frame("phase", phase="agent_restarting")
    again = (await gateway.wait(lambda: gateway.of("ready")[1:]))[0]
    assert (again["conversation"], again["resumed"]) == (first["conversation"], True)
    await gateway.prompt("what was done?", 2)
    assert "“stubborn 60”" in (await gateway.frame("turn_ended", turn=2))["summary"]


async def test_a_stop_while_pushing_does_not_wait_for_the_forge(box: RunningBox, gateway: StandIn):
    await box.start(limits={"cancel_seconds": 1})
    await gateway.frame("ready")
    gateway.faults["git"] += [HANG]
    await gateway.prompt("fix the failing test", 1)
    await gateway.wait(lambda: not gateway.faults["git"])
    await gateway.stop_turn(1)
    ended = await gateway.frame("turn_ended", turn=1, seconds=5)
    assert ended["pushed"] is False
    assert "no time left to push" in ended["error"]
    assert [commit["subject"] for commit in ended["commits"]] == ["Count the last, partly filled tank"]
    gateway.release.set()
    await gateway.prompt("what is this?", 2)
    assert (await gateway.frame("turn_ended", turn=2))["pushed"] is True


async def test_a_stop_for_a_turn_that_is_over_is_ignored(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("what is this?", 1)
    await gateway.frame("turn_ended", turn=1)
    await gateway.stop_turn(1)
    await gateway.prompt("and this?", 2)
    assert (await gateway.frame("turn_ended", turn=2))["outcome"] == "done"
    assert len(gateway.of("turn_ended")) == 2


async def test_a_stop_that_comes_over_a_broken_link_is_heard(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("slowly 30")
    await gateway.wait(lambda: "1," in gateway.text())
    await gateway.stop()
    await gateway.stop_turn()
    gateway.faults["attach"] += [CUT]
    await gateway.start("web-2.sock")
    assert (await gateway.frame("turn_ended", seconds=5))["outcome"] == "stopped"
