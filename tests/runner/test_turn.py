"""One turn after the other through the real runner, the real agent and a real repository."""

from pathlib import Path

from tests.runner.boxes import BRANCH, RunningBox, git
from tests.runner.gateway import ADA, GRACE, StandIn


async def test_a_box_says_how_far_it_is_and_then_that_it_is_ready(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    ready = await gateway.frame("ready")
    assert [frame["phase"] for frame in gateway.of("phase")] == ["agent_starting", "syncing", "synced"]
    assert ready["head"] == git(bare, "rev-parse", "main")
    assert ready["resumed"] is False
    assert ready["agent"] == {"name": "rehearsal", "version": "1"}


async def test_a_prompt_becomes_commits_on_the_sessions_branch(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await gateway.prompt("fix the failing test", co_authors=[GRACE])
    ended = await gateway.frame("turn_ended")
    assert (ended["outcome"], ended["error"], ended["pushed"]) == ("done", None, True)
    assert [(c["subject"], c["author"], c["co_authors"]) for c in ended["commits"]] == [
        ("Count the last, partly filled tank", "Ada Lovelace <ada@acme.example>", ["Grace Hopper <grace@acme.example>"])
    ]
    assert ended["summary"].startswith("Fixed: `tanks_needed`")
    assert git(bare, "rev-parse", BRANCH) == ended["head"] == ended["commits"][-1]["sha"]
    assert "math.ceil(fuel / tank)" in git(bare, "show", f"{BRANCH}:rocket/fuel.py")
    assert git(bare, "log", "-1", "--format=%an %ae %cn", BRANCH) == "Ada Lovelace ada@acme.example Ada Lovelace"


async def test_what_is_told_of_a_turn_comes_in_order(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("fix the failing test")
    await gateway.frame("turn_ended")
    assert [frame["n"] for frame in gateway.frames] == list(range(1, len(gateway.frames) + 1))
    kinds = [frame["kind"] for frame in gateway.frames if frame["kind"] != "phase"]
    assert kinds[:2] == ["ready", "turn_started"]
    assert kinds[-1] == "turn_ended"
    assert gateway.of("restated")[0]["text"].startswith("I will find the failing test and mend the code")
    assert "no model behind me" in gateway.of("restated")[0]["text"]
    statuses = [[entry["status"] for entry in plan["entries"]] for plan in gateway.of("plan")]
    assert statuses[0] == ["in_progress", "pending", "pending", "pending"]
    assert statuses[-1] == ["completed"] * 4
    assert [(step["tool"], step["title"]) for step in gateway.of("step")] == [
        ("execute", "python3 -m unittest"),
        ("read", "Read tests/test_fuel.py"),
        ("read", "Read rocket/fuel.py"),
        ("edit", "Edit rocket/fuel.py"),
        ("execute", "python3 -m unittest"),
        ("execute", "git commit -qam 'Count the last, partly filled tank'"),
    ]


async def test_tool_calls_tell_their_output_exit_code_places_and_difference(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("fix the failing test")
    await gateway.frame("turn_ended")
    over = {frame["id"]: frame for frame in gateway.of("tool") if frame["status"] in ("completed", "failed")}
    first, *_, edit, again, _commit = over.values()
    assert (first["status"], first["exit"]) == ("failed", 1)
    assert "test_a_part_filled_tank_is_a_tank_too" in first["output"]
    assert (again["status"], again["exit"]) == ("completed", 0)
    assert edit["locations"] == ["rocket/fuel.py"]
    assert [(diff["path"], diff["new"]) for diff in edit["diff"]] == [
        ("rocket/fuel.py", "    return math.ceil(fuel / tank)")
    ]


async def test_leftovers_are_committed_in_the_words_of_the_prompt(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await gateway.prompt("add a line to the README saying Hello from Ada", author=GRACE, co_authors=[ADA])
    ended = await gateway.frame("turn_ended")
    assert [(c["subject"], c["author"], c["co_authors"]) for c in ended["commits"]] == [
        (
            "Add a line to the README saying Hello from Ada",
            "Grace Hopper <grace@acme.example>",
            ["Ada Lovelace <ada@acme.example>"],
        )
    ]
    assert git(bare, "show", f"{BRANCH}:README.md").endswith("Hello from Ada")


async def test_each_turns_commits_are_its_own_authors(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await gateway.prompt("fix the failing test", 1)
    first = await gateway.frame("turn_ended", turn=1)
    await gateway.prompt("commit a line saying Thanks", 2, author=GRACE, co_authors=[ADA])
    second = await gateway.frame("turn_ended", turn=2)
    assert [c["author"] for c in second["commits"]] == ["Grace Hopper <grace@acme.example>"]
    assert git(bare, "rev-parse", f"{BRANCH}^") == first["head"]
    assert git(bare, "log", "--format=%an", f"main..{BRANCH}").split("\n") == ["Grace Hopper", "Ada Lovelace"]


async def test_a_question_makes_no_commits_and_pushes_nothing(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await gateway.prompt("what is this repository about?")
    ended = await gateway.frame("turn_ended")
    assert (ended["outcome"], ended["commits"], ended["pushed"], ended["error"]) == ("done", [], False, None)
    assert "This is rocket" in ended["summary"]
    assert git(bare, "branch", "--list", BRANCH) == ""


async def test_a_prompt_while_a_turn_runs_is_answered_with_a_failure(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("slow command", 1)
    await gateway.frame("step", turn=1)
    await gateway.prompt("what?", 2)
    refused = await gateway.frame("turn_ended", turn=2)
    assert (refused["outcome"], refused["error"]) == ("failed", "Turn 1 is not over yet.")
    await gateway.stop_turn(1)
    assert (await gateway.frame("turn_ended", turn=1))["outcome"] == "stopped"


async def test_a_turn_that_takes_too_long_is_timed_out_and_its_work_kept(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start()
    await gateway.frame("ready")
    (box.repo / "made-meanwhile.txt").write_text("kept\n")
    await gateway.prompt("slow command", seconds=0.3)
    ended = await gateway.frame("turn_ended", seconds=5)
    assert ended["outcome"] == "timed_out"
    assert ended["error"] == "The turn took longer than 0.3 seconds."
    assert ended["pushed"] is True
    assert git(bare, "show", f"{BRANCH}:made-meanwhile.txt") == "kept"


async def test_a_flood_of_words_and_output_is_bounded_and_ends(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("flood 600")
    ended = await gateway.frame("turn_ended")
    assert ended["outcome"] == "done"
    assert len(gateway.text()) > 600_000
    assert gateway.text().count("flood flood") > 1000
    assert max(len(frame["output"]) for frame in gateway.of("tool")) <= 20_000


async def test_the_agent_sees_no_variable_of_the_host_and_no_token(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("env")
    ended = await gateway.frame("turn_ended")
    names = ended["summary"].split(": ")[1].rstrip(".").split(", ")
    proxies = {f"{of}_PROXY" for of in ("ALL", "HTTP", "HTTPS", "NO")}
    assert proxies | {name.lower() for name in proxies} <= set(names)
    names = [name for name in names if "proxy" not in name.lower()]
    assert names == ["GIT_TERMINAL_PROMPT", "HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER"]


async def test_a_prompt_in_another_form_is_answered_with_a_failure_and_harms_nothing(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("what?", 1, author="nobody")
    assert "does not know" in (await gateway.frame("turn_ended", turn=1))["error"]
    await gateway.say_down({"kind": "prompt_delivered", "text": "and no turn"})
    await gateway.prompt("what?", 2)
    assert (await gateway.frame("turn_ended", turn=2))["outcome"] == "done"
