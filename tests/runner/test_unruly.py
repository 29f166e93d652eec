"""Agents that flood, hang, answer too late, or were left with a damaged conversation; and what is kept of it all."""

import json
import sys
from pathlib import Path
from typing import Any

from sandbox.runner import journal
from tests.runner.boxes import RunningBox, command_of, descendants
from tests.runner.gateway import StandIn
from tests.waiting import until

PROGRAM = [sys.executable, str(Path(__file__).with_name("unruly_agent.py"))]
UNRULY = {"name": "unruly", "argv": PROGRAM, "env": {}, "gate": "ask", "state": [".unruly"]}


def wire(box: RunningBox) -> list[dict[str, Any]]:
    """What the journal has of the wire."""
    return [json.loads(line) for line in (box.home / ".shipmate/acp.jsonl").read_text().splitlines()]


async def test_a_flood_is_bounded_and_the_turn_ends_as_always(box: RunningBox, gateway: StandIn):
    await box.start(agent=UNRULY)
    await gateway.prompt("flood")
    ended = await gateway.frame("turn_ended", seconds=30)
    assert (ended["outcome"], ended["summary"]) == ("done", "Flooded.")
    assert len(gateway.frames) < 3000 and gateway.of("dropped")
    sizes = [file.stat().st_size for file in (box.home / ".shipmate").glob("acp*")]
    assert len(sizes) == 2 and all(size <= journal.WIRE_BYTES for size in sizes)
    assert any("left_out" in line for line in wire(box))


async def test_an_agent_that_says_more_than_anybody_reads_waits_until_it_is_read(box: RunningBox, gateway: StandIn):
    """13,000 lines are 5,000 beyond what is read at once; some thousand lie in the pipe."""
    await box.start(agent=UNRULY)
    await gateway.prompt("torrent")
    took = (await gateway.frame("turn_ended", seconds=30))["summary"]
    assert float(took.removeprefix("Took ").removesuffix(" s.")) > 1.0


async def test_a_stop_is_heeded_in_the_middle_of_a_flood(box: RunningBox, gateway: StandIn):
    await box.start(agent=UNRULY, limits={"cancel_seconds": 0.3})
    await gateway.prompt("flood")
    await gateway.frame("text")
    await gateway.stop_turn()
    assert (await gateway.frame("turn_ended"))["outcome"] == "stopped"


async def test_an_output_that_is_too_long_to_show_is_kept_whole_in_the_box(box: RunningBox, gateway: StandIn):
    await box.start(agent=UNRULY)
    await gateway.prompt("huge")
    await gateway.frame("turn_ended")
    output = gateway.of("tool", status="completed")[0]["output"]
    assert len(output) <= 20_000 and "all of it is in the box: ~/.shipmate/outputs/1-t-..-1.txt" in output
    whole = (box.home / ".shipmate/outputs/1-t-..-1.txt").read_text()
    assert whole.splitlines()[20_000] == "line 20000"


async def test_what_nobody_knows_is_kept_in_the_order_of_the_wire(box: RunningBox, gateway: StandIn):
    await box.start(agent=UNRULY)
    await gateway.prompt("strange")
    assert (await gateway.frame("turn_ended"))["summary"] == "Was answered -32601."
    told = [("to" if "to" in line else "from", line.get("to") or line.get("from")) for line in wire(box)]
    methods = [(way, message.get("method")) for way, message in told]
    assert methods[:3] == [("to", "initialize"), ("from", None), ("to", "session/new")]
    at = methods.index(("to", "session/prompt"))
    assert methods[at + 1 : at + 5] == [
        ("from", "session/update"), ("from", "_vendor/note"), ("from", "terminal/create"), ("to", None)
    ]  # fmt: skip
    assert told[at + 1][1]["params"]["update"] == {"sessionUpdate": "mood_update", "mood": "cheerful"}


async def test_an_agent_that_reads_none_of_our_answers_is_ended_before_they_fill_the_box(
    box: RunningBox, gateway: StandIn
):
    await box.start(agent=UNRULY)
    await gateway.prompt("asks")
    ended = await gateway.frame("turn_ended", seconds=30)
    assert ended["outcome"] == "failed"
    assert "(the agent was killed, for it read nothing of what it was told)" in ended["error"]


async def test_a_turn_in_which_nothing_happens_is_said_to_and_ended(box: RunningBox, gateway: StandIn):
    await box.start(agent=UNRULY, limits={"quiet_seconds": 0.4, "cancel_seconds": 5})
    await gateway.prompt("hang", 1)
    ended = await gateway.frame("turn_ended", turn=1)
    assert (ended["outcome"], ended["error"]) == (
        "timed_out",
        "The agent said and did nothing for 0.4 seconds, so it was stopped. Reply to go on.",
    )
    await gateway.prompt("strange", 2)
    assert (await gateway.frame("turn_ended", turn=2))["outcome"] == "done"


async def test_a_turn_that_ends_in_trouble_has_failed(box: RunningBox, gateway: StandIn):
    await box.start(agent=UNRULY)
    await gateway.prompt("trouble")
    ended = await gateway.frame("turn_ended")
    assert (ended["outcome"], ended["error"]) == ("failed", "The agent reported an error: The model is away.")


async def test_a_command_may_be_quiet_for_long(box: RunningBox, gateway: StandIn):
    await box.start(agent=UNRULY, limits={"quiet_seconds": 0.4})
    await gateway.prompt("command")
    assert (await gateway.frame("turn_ended"))["outcome"] == "done"


async def test_an_answer_that_comes_after_a_cancel_belongs_to_nobodys_turn(box: RunningBox, gateway: StandIn):
    await box.start(agent=UNRULY, limits={"cancel_seconds": 0.2})
    await gateway.prompt("late", 1)
    await gateway.frame("restated", turn=1)
    await gateway.stop_turn(1)
    assert (await gateway.frame("turn_ended", turn=1))["outcome"] == "stopped"
    await gateway.prompt("strange", 2)
    ended = await gateway.frame("turn_ended", turn=2)
    assert ended["summary"] == "Was answered -32601." and "Too late" not in gateway.text(1) + gateway.text(2)


async def test_a_command_that_an_agent_leaves_running_ends_with_the_stop_and_what_was_there_before_stays(
    box: RunningBox, gateway: StandIn
):
    def sleeping() -> list[str]:
        assert box.process is not None
        return sorted(c for c in map(command_of, descendants(box.process.pid)) if c.startswith("sleep"))

    await box.start(agent=UNRULY)
    await gateway.prompt("serve", 1)
    await gateway.frame("turn_ended", turn=1)
    await gateway.prompt("leave", 2)
    await until(lambda: sleeping() == ["sleep 98", "sleep 99"])
    await gateway.stop_turn(2)
    assert (await gateway.frame("turn_ended", turn=2))["outcome"] == "stopped"
    await until(lambda: sleeping() == ["sleep 98"])


async def test_an_agent_that_cannot_start_with_what_it_knew_begins_anew(box: RunningBox, gateway: StandIn):
    (box.home / ".unruly").mkdir(parents=True)
    (box.home / ".unruly/bad").touch()
    await box.start(agent=UNRULY, conversation="u0")
    ready = await gateway.frame("ready")
    assert (ready["conversation"], ready["resumed"]) == ("u1", False)
    assert (box.home / ".unruly.damaged-0/bad").exists()
    assert any("malformed" in str(line.get("stderr")) for line in wire(box))


async def test_an_agents_files_are_laid_below_home_before_it_starts(box: RunningBox, gateway: StandIn):
    told = {".x/config": "at {gateway} in {home}\n"}
    (box.home / ".x").mkdir(parents=True)
    (box.home / ".x/config").symlink_to("/etc/hostname")
    await box.start(agent=UNRULY | {"files": told})
    await gateway.frame("ready")
    assert (box.home / ".x/config").read_text() == f"at {await box.address()} in {box.home}\n"
    assert [file.name for file in (box.home / ".x").iterdir()] == ["config"]


async def test_a_file_outside_of_home_is_refused(box: RunningBox, gateway: StandIn):
    for name in ("/etc/passwd", "../x", ""):
        await box.start(agent=UNRULY | {"files": {name: "no"}})
        assert await box.ended() == 2
        assert b"must be below its HOME" in box.stderr.read_bytes()


async def test_a_journal_that_cannot_be_written_costs_nothing(box: RunningBox, gateway: StandIn):
    box.home.mkdir(parents=True)
    (box.home / ".shipmate").symlink_to("/proc")
    await box.start(agent=UNRULY)
    await gateway.prompt("huge")
    assert (await gateway.frame("turn_ended"))["outcome"] == "done"
    assert "characters left out …" in gateway.of("tool", status="completed")[0]["output"]
