"""The runner's ACP against an agent that the official SDK speaks for."""

import sys
from pathlib import Path

import pytest

from tests.runner.boxes import RunningBox
from tests.runner.gateway import StandIn

AGENT = [sys.executable, str(Path(__file__).with_name("sdk_agent.py"))]


async def test_an_agent_of_the_official_sdk_does_a_whole_turn(box: RunningBox, gateway: StandIn, bare: Path):
    await box.start(argv=AGENT)
    await gateway.prompt("work")
    ended = await gateway.frame("turn_ended")
    assert gateway.of("ready")[0]["agent"] == {"name": "sdk-agent", "version": "0.12"}
    assert (ended["outcome"], ended["error"], ended["pushed"]) == ("done", None, True)
    assert ended["summary"] == "Option just-now was chosen; reading was refused with -32601."
    assert ended["usage"] == {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
    assert [frame["text"] for frame in gateway.of("restated")] == ["I will write a file."]
    assert [frame["text"] for frame in gateway.of("thought")] == ["Let me see."]
    assert gateway.of("plan")[0]["entries"] == [{"text": "Write it", "status": "in_progress"}]
    last = gateway.of("tool")[-1]
    assert (last["tool"], last["status"], last["output"]) == ("edit", "completed", "Done.")
    assert last["diff"] == [{"path": "by-sdk.txt", "old": "", "new": "hello\n"}]
    assert (box.repo / "by-sdk.txt").exists() and not (box.repo / "by-client.txt").exists()


@pytest.mark.parametrize("speaks_mcp", [True, False])
async def test_an_agent_is_told_of_our_tools_if_it_can_use_them(box: RunningBox, gateway: StandIn, speaks_mcp: bool):
    await box.start(argv=[*AGENT, "http"] if speaks_mcp else AGENT)
    await gateway.prompt("servers")
    said = (await gateway.frame("turn_ended"))["summary"]
    ours = f"shipmate at {await box.address()}/tools/mcp with []"
    assert said == (ours if speaks_mcp else "none")


async def test_an_agents_reasons_for_ending_are_told(box: RunningBox, gateway: StandIn):
    await box.start(argv=AGENT)
    told = {}
    for turn, words in enumerate(("refuse", "overflow", "loop", "fail"), start=1):
        await gateway.prompt(words, turn)
        ended = await gateway.frame("turn_ended", turn=turn)
        told[words] = (ended["outcome"], ended["error"])
    assert {outcome for outcome, _ in told.values()} == {"failed"}
    assert "refused to go on" in told["refuse"][1]
    assert "answer became too long" in told["overflow"][1]
    assert "asked its model too often" in told["loop"][1]
    assert told["fail"][1] == "The agent reported an error: Out of luck: the model is away"
    await gateway.prompt("wait", 5)
    await gateway.frame("text", turn=5)
    await gateway.stop_turn(5)
    assert (await gateway.frame("turn_ended", turn=5))["outcome"] == "stopped"
