"""Agents that crash, are missing, or never answer well; conversations that go on in another process or box."""

import os
from pathlib import Path

import pytest

from sandbox.runner.box import Places
from tests.runner.boxes import BRANCH, REHEARSAL, RunningBox, command_of, descendants, git, kill
from tests.runner.gateway import ADA, GRACE, StandIn
from tests.waiting import until


def test_what_a_killed_runner_left_of_an_agents_files_is_no_trouble(tmp_path: Path):
    places = Places.under(str(tmp_path), "/agents", 1, 2)
    places.prepare()
    (tmp_path / "work/home/.x").mkdir()
    left = tmp_path / f"work/home/.x/config.{os.getpid()}"
    left.symlink_to(tmp_path / "elsewhere")
    places.lay({".x/config": "{gateway}"})
    assert (tmp_path / "work/home/.x/config").read_text() == "http://127.0.0.1:1"
    assert not os.path.lexists(left) and not (tmp_path / "elsewhere").exists()


async def test_a_second_crash_ends_the_turn_and_the_conversation_goes_on(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("crash now", 1)
    ended = await gateway.frame("turn_ended", turn=1)
    assert ended["outcome"] == "failed"
    assert "ended with code 70: rehearsal: ended in the middle of a turn, as asked" in ended["error"]
    assert "Now." in gateway.text()
    again = (await gateway.wait(lambda: gateway.of("ready")[1:]))[0]
    assert again["resumed"] is True
    await gateway.prompt("what was done?", 2)
    assert "“crash now”" in (await gateway.frame("turn_ended", turn=2))["summary"]


async def test_an_agent_that_is_killed_in_mid_turn_is_asked_once_more(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("what was done? First run a slow command for 1 seconds")
    await gateway.frame("step")
    assert box.process is not None
    for pid in descendants(box.process.pid):
        kill(pid)
    ended = await gateway.frame("turn_ended", turn=1)
    assert (ended["outcome"], ended["error"]) == ("done", None)
    assert [len(gateway.of(kind)) for kind in ("turn_started", "ready", "turn_ended")] == [1, 2, 1]
    assert gateway.of("phase", phase="agent_restarting")
    assert gateway.text().count("I will wait in a command.") == 2


async def test_a_prompt_whose_agent_died_in_that_moment_is_asked_all_the_same(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.frame("ready")
    assert box.process is not None
    for pid in descendants(box.process.pid):
        kill(pid)
    await gateway.prompt("what is this?")
    assert (await gateway.frame("turn_ended"))["outcome"] == "done"


async def test_an_agent_that_dies_between_turns_is_started_again(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.frame("ready")
    assert box.process is not None
    for pid in descendants(box.process.pid):
        kill(pid)
    await gateway.frame("phase", phase="agent_restarting")
    await gateway.prompt("what is this?")
    assert (await gateway.frame("turn_ended"))["outcome"] == "done"
    await gateway.wait(lambda: len(gateway.of("ready")) == 2)


async def test_what_an_agent_left_running_goes_with_it(box: RunningBox, gateway: StandIn):
    await box.start(limits={"cancel_seconds": 0.2})
    await gateway.frame("ready")
    assert box.process is not None
    runner = box.process.pid
    begun = "until test -e $HOME/begun; do sleep 0.01; done"
    await box.exec("sh", "-c", f"setsid sh -c 'touch $HOME/begun; sleep 66; true' >/dev/null 2>&1 & {begun}")
    await until(lambda: any(command_of(pid) == "sleep 66" for pid in descendants(runner)))
    await gateway.prompt("stubborn 60")
    await gateway.frame("restated")
    await gateway.stop_turn()
    await gateway.frame("turn_ended")
    await until(lambda: not any(command_of(pid) == "sleep 66" for pid in descendants(runner)))


BROKEN = [
    (["{agents}/nothing-here/agent"], "The agent is not installed in this box: "),
    (["/bin/sh", "-c", "echo no licence >&2; exit 3"], "could not be started: the agent ended with code 3: no licence"),
    (["/bin/sh", "-c", 'read line; echo \'{"id":1,"result":{"protocolVersion":7}}\'; read line'], "ACP version 7"),
    (["/bin/sh", "-c", 'read line; echo \'{"id":1,"error":{"message":"Log in first"}}\'; read x'], "Log in first"),
]


@pytest.mark.parametrize(("argv", "why"), BROKEN)
async def test_a_box_whose_agent_cannot_start_says_why(box: RunningBox, gateway: StandIn, argv: list[str], why: str):
    await box.start(argv=argv)
    await gateway.prompt("fix the failing test")
    assert why in (await gateway.frame("unready"))["reason"]
    ended = await gateway.frame("turn_ended")
    assert ended["outcome"] == "failed" and why in ended["error"]
    assert not gateway.of("ready")
    assert await box.terminate() == 0


async def test_noise_on_the_agents_stdout_is_passed_over(box: RunningBox, gateway: StandIn):
    noise = "echo Starting...; echo '[1,2]'; echo '{\"id\":99,\"result\":{}}'; echo '{'; "
    deep = "head -c 200000 /dev/zero | tr '\\0' '['; echo; "
    await box.start(argv=["/bin/sh", "-c", noise + deep + "exec " + " ".join(REHEARSAL)])
    await gateway.prompt("what is this?")
    assert (await gateway.frame("turn_ended"))["outcome"] == "done"


async def test_another_box_goes_on_where_an_earlier_one_was(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await gateway.prompt("fix the failing test", 1)
    first = await gateway.frame("turn_ended", turn=1)
    (box.repo / "not-yet-committed.txt").write_text("kept\n")
    conversation = gateway.of("ready")[0]["conversation"]
    assert await box.terminate() == 0
    gateway.frames.clear()
    gateway.down.clear()
    await box.start(conversation=conversation, generation=2)
    ready = await gateway.frame("ready")
    assert (ready["conversation"], ready["resumed"], ready["head"]) == (conversation, True, first["head"])
    assert (box.repo / "not-yet-committed.txt").read_text() == "kept\n"
    await gateway.prompt("what was done?", 2, author=GRACE, co_authors=[ADA])
    ended = await gateway.frame("turn_ended", turn=2)
    assert "“fix the failing test”: Fixed" in ended["summary"]
    assert [commit["author"] for commit in ended["commits"]] == ["Grace Hopper <grace@acme.example>"]
    assert git(bare, "show", f"{BRANCH}:not-yet-committed.txt") == "kept"


async def test_a_conversation_that_nobody_knows_is_begun_anew(box: RunningBox, gateway: StandIn):
    await box.start(conversation="0123456789abcdef")
    ready = await gateway.frame("ready")
    assert ready["resumed"] is False
    assert ready["conversation"] != "0123456789abcdef"


async def test_an_interrupted_prompt_says_so_to_the_agent(box: RunningBox, gateway: StandIn):
    await box.start(argv=["/bin/sh", "-c", "tee {home}/heard | " + " ".join(REHEARSAL)])
    await gateway.prompt("what is this?", again=True, others=["Grace asked for something that comes later"])
    await gateway.frame("turn_ended")
    heard = (box.home / "heard").read_text()
    assert "This request is from Ada Lovelace." in heard
    assert "You were interrupted in the middle of this request." in heard
    assert "- Grace asked for something that comes later" in heard
