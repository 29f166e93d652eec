"""What real agents said on their wires, played to the runner: one language comes out of their dialects.

The logs in `wires/` are of real runs of one task: read, run tests, edit, run them again (`tests/agents/record.py`).
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.runner.boxes import RunningBox
from tests.runner.gateway import StandIn

HERE = Path(__file__).parent


class Told(NamedTuple):
    """What a dialect has. `failed`: the exit code of the tests that fail; `plans`: how often it told its plan."""

    failed: int | None
    passed: int | None
    plans: int
    usage: set[str]
    diff: str  # in what an edit shows as old


WIRES = {
    "opencode": Told(1, 0, 3, {"used", "size", "inputTokens", "outputTokens"}, "    return int(fuel // tank)"),
    "claude": Told(
        1, None, 0, {"used", "size", "amount", "inputTokens", "outputTokens"}, "    return int(fuel // tank)"
    ),
    "codex": Told(1, 0, 0, {"used", "size", "inputTokens", "outputTokens"}, '    """How many tanks hold `fuel`.'),
    "rehearsal": Told(1, 0, 5, set(), "    return int(fuel // tank)"),
    "gemini": Told(None, None, 0, set(), '"""Fuel for one burn,'),
}


@pytest.fixture(params=WIRES)
async def played(request: pytest.FixtureRequest, box: RunningBox, gateway: StandIn) -> tuple[Told, StandIn]:
    """The turn of one agent, as the gateway heard of it."""
    box.repo.mkdir(parents=True)
    argv = [sys.executable, str(HERE / "replayed_agent.py"), str(HERE / f"wires/{request.param}.jsonl")]
    agent = {"name": request.param, "argv": argv, "env": {}, "gate": "after-sync"}
    await box.start(agent=agent)
    await gateway.prompt("fix the failing test")
    await gateway.frame("turn_ended", outcome="done")
    return WIRES[request.param], gateway


def last_of_each(gateway: StandIn) -> list[dict[str, Any]]:
    """The tool calls as they were at their end, in order."""
    found = {frame["id"]: frame for frame in gateway.of("tool")}
    return list(found.values())


async def test_an_agents_wire_is_told_in_the_runners_own_words(played: tuple[Told, StandIn]) -> None:
    told, gateway = played
    assert gateway.of("restated")[0]["text"].startswith("I will find the failing test and mend the code")
    assert len(gateway.of("plan")) == told.plans

    calls = last_of_each(gateway)
    steps = [frame["title"] for frame in gateway.of("step")]
    assert len(steps) == len(calls) == len({frame["id"] for frame in gateway.of("step")})
    tests = [call for call in calls if call["title"] == "python3 -m unittest"]
    assert [call["exit"] for call in tests] == [told.failed, told.passed]
    assert [("FAILED" in call["output"], "OK" in call["output"]) for call in tests] == [(True, False), (False, True)]
    assert all(call["tool"] == "execute" and not call["output"].startswith(("`", "[")) for call in tests)
    assert all(call["status"] in ("completed", "failed") for call in calls)

    [edit] = [call for call in calls if call["diff"]]
    [diff] = edit["diff"]
    assert edit["tool"] == "edit" and diff["path"].endswith("rocket/fuel.py")
    assert told.diff in diff["old"] and "return math.ceil(fuel / tank)" in diff["new"]
    ended = gateway.of("turn_ended")[0]
    assert ended["summary"].startswith("Fixed: `tanks_needed`") and told.usage <= set(ended["usage"])
