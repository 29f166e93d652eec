"""A box that waits for whoever takes it: made ready before, found again by every gateway, and then as any other."""

from pathlib import Path
from typing import Any

from tests.runner.boxes import BRANCH, REHEARSAL, RunningBox, command_of, descendants, git, kill
from tests.runner.gateway import CUT_AFTER, StandIn

WARM: dict[str, Any] = {"mode": "warm", "generation": 0, "branch": ""}
PRIMED = {"name": "rehearsal", "argv": REHEARSAL, "env": {}, "gate": "ask", "prime": True}


async def waiting(box: RunningBox, gateway: StandIn, **said: Any) -> dict[str, Any]:
    """What the box said of itself when it began to wait."""
    await box.start(**WARM, **said)
    facts: dict[str, Any] = (await gateway.wait(lambda: gateway.waited))[0]
    return facts


async def test_it_waits_with_its_agent_started_and_its_tree_in_step(box: RunningBox, gateway: StandIn, bare: Path):
    facts = await waiting(box, gateway)
    assert facts["head"] == git(bare, "rev-parse", "main") == git(box.repo, "rev-parse", "HEAD")
    assert (facts["agent"]["name"], facts["primed"], facts["wire"]) == ("rehearsal", False, 1)
    assert not gateway.attached


async def test_taken_it_is_ready_at_once_and_works_as_any_box(box: RunningBox, gateway: StandIn, bare: Path):
    await waiting(box, gateway)
    await gateway.take(generation=7, branch="shipmate/s7")
    ready = await gateway.frame("ready")
    assert gateway.attached[0]["generation"] == 7
    assert all(frame["phase"] != "agent_starting" for frame in gateway.of("phase"))
    assert ready["n"] <= 3 and gateway.frames[0]["n"] == 1, "its frames count from 1"
    await gateway.prompt("fix the failing test")
    ended = await gateway.frame("turn_ended")
    assert (ended["outcome"], ended["pushed"]) == ("done", True)
    assert git(bare, "rev-parse", "shipmate/s7") == ended["head"]


async def test_what_came_to_the_forge_while_it_waited_is_there_for_the_first_turn(
    box: RunningBox, gateway: StandIn, bare: Path, tmp_path: Path
):
    await waiting(box, gateway)
    git(tmp_path, "clone", "-q", str(bare), "other")
    who = {"GIT_AUTHOR_NAME": "G", "GIT_AUTHOR_EMAIL": "g@x.test", "GIT_COMMITTER_NAME": "G"}
    git(tmp_path / "other", "commit", "-q", "--allow-empty", "-m", "Later", GIT_COMMITTER_EMAIL="g@x.test", **who)
    git(tmp_path / "other", "push", "-q", "origin", "HEAD:main")
    await gateway.take()
    await gateway.frame("phase", phase="synced")
    assert git(box.repo, "log", "-1", "--format=%s", BRANCH) == "Later"


async def test_a_gateway_that_hangs_up_is_dialled_again_and_may_bring_the_claim(box: RunningBox, gateway: StandIn):
    gateway.faults["warm"] += [503, CUT_AFTER]
    await waiting(box, gateway)
    await gateway.wait(lambda: len(gateway.waited) == 2)
    await gateway.stop()
    gateway.claim = {"kind": "claimed", "generation": 2, "branch": BRANCH}
    await gateway.start()
    await gateway.frame("ready")
    assert gateway.attached[0]["generation"] == 2


async def test_told_to_come_again_later_it_does(box: RunningBox, gateway: StandIn):
    gateway.busy = 0.1
    await waiting(box, gateway)
    await gateway.take()
    await gateway.frame("ready")


async def test_a_box_that_is_not_wanted_any_more_ends(box: RunningBox, gateway: StandIn):
    await waiting(box, gateway)
    gateway.revoked = True
    assert await box.ended() == 0


async def test_told_to_end_while_it_waits_it_ends(box: RunningBox, gateway: StandIn):
    await waiting(box, gateway)
    assert await box.terminate() == 0


async def test_a_box_whose_agent_ends_while_it_waits_is_of_no_use(box: RunningBox, gateway: StandIn):
    await waiting(box, gateway)
    assert box.process is not None
    agents = [pid for pid in descendants(box.process.pid) if "rehearsal" in command_of(pid)]
    kill(agents[0])
    assert await box.ended() == 1
    assert "the agent ended while it waited" in box.stderr.read_text()


async def test_what_its_agent_asks_a_model_costs_nothing_until_it_is_taken(box: RunningBox, gateway: StandIn):
    await waiting(box, gateway)
    address = await box.address()
    await box.exec("git", "ls-remote", f"{address}/model/anthropic/v1.git")
    await gateway.take()
    await gateway.frame("ready")
    await box.exec("git", "ls-remote", f"{address}/model/anthropic/v1.git")
    ways = dict.fromkeys(what.partition("anthropic")[0] for what, _, _ in gateway.asked)
    assert list(ways) == ["GET /model/priming/", "GET /model/"]


async def test_primed_it_has_served_one_prompt_and_nobody_hears_of_it(box: RunningBox, gateway: StandIn):
    facts = await waiting(box, gateway, agent=PRIMED)
    assert facts["primed"] is True
    await gateway.take()
    await gateway.frame("ready")
    await gateway.prompt("what is this?")
    await gateway.frame("turn_ended")
    assert not [frame for frame in gateway.frames if "ready." in str(frame.get("text", ""))]


async def test_a_throwaway_prompt_changes_nothing_in_the_tree(box: RunningBox, gateway: StandIn):
    await waiting(box, gateway, agent=PRIMED)
    assert git(box.repo, "status", "--porcelain") == ""


async def test_an_agent_that_ends_over_its_throwaway_prompt_is_started_again(box: RunningBox, gateway: StandIn):
    script = (
        "import os,sys\nmark=os.environ['HOME']+'/died'\n"
        "if os.path.exists(mark): os.execv(sys.argv[1], sys.argv[1:])\n"
        "open(mark,'w').close()\nimport json\n"
        "for n, line in enumerate(sys.stdin):\n"
        "    said = json.loads(line)\n"
        "    if said['method'] == 'session/prompt': sys.exit(3)\n"
        "    answer = {'protocolVersion': 1, 'sessionId': 'c'}\n"
        "    print(json.dumps({'jsonrpc': '2.0', 'id': said['id'], 'result': answer}), flush=True)\n"
    )
    argv = ["{python}", "-I", "-S", "-c", script, *REHEARSAL]
    facts = await waiting(box, gateway, agent=PRIMED | {"argv": argv})
    assert facts["primed"] is False
    await gateway.take()
    await gateway.frame("ready")
