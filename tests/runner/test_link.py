"""Whatever happens to the link, nothing is lost and nothing is doubled."""

import asyncio

import pytest

from tests.runner.boxes import RunningBox
from tests.runner.gateway import BEAT_SECONDS, CUT, CUT_AFTER, DUPLICATE, HANG, REPLACED, StandIn
from tests.waiting import until

FAULTS = [
    ("attach", CUT), ("attach", CUT_AFTER), ("attach", 503), ("attach", 409), ("attach", HANG),
    ("attach", 426),
    ("down", CUT), ("down", CUT_AFTER), ("down", 503), ("down", 409), ("down", HANG), ("down", DUPLICATE),
    ("down", REPLACED), ("up", CUT), ("up", CUT_AFTER), ("up", 503), ("up", 409), ("up", HANG),
]  # fmt: skip


def without_gaps(gateway: StandIn) -> bool:
    return [frame["n"] for frame in gateway.frames] == list(range(1, len(gateway.frames) + 1))


@pytest.mark.parametrize(("route", "fault"), FAULTS)
async def test_a_turn_survives_any_fault_of_any_request(box: RunningBox, gateway: StandIn, route: str, fault: object):
    gateway.faults[route] += [fault, None, fault]
    await box.start(limits={"silence_seconds": 0.4})
    await gateway.prompt("add a line saying Once")
    await gateway.frame("turn_started")
    gateway.faults[route] += [fault]
    ended = await gateway.frame("turn_ended")
    assert ended["outcome"] == "done"
    assert without_gaps(gateway)
    assert len(gateway.of("turn_started")) == len(gateway.of("turn_ended")) == 1
    assert gateway.text().count("no model behind me") == 1
    assert len(ended["commits"]) == 1


async def test_words_said_while_the_gateway_is_away_come_when_it_is_back(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("slowly 1")
    await gateway.wait(lambda: " 2," in gateway.text() or "1," in gateway.text())
    stored = len(gateway.frames)
    await gateway.stop()
    await asyncio.sleep(0.5)  # the time that it is away is what this is about
    await gateway.start("web-2.sock")
    await gateway.frame("turn_ended")
    assert without_gaps(gateway) and len(gateway.frames) > stored
    assert "1, 2, 3, 4, done." in gateway.text()
    afters = [attach["after"] for attach in gateway.attached]
    assert (afters[0], afters[-1]) == (0, 10)


async def test_a_gateway_that_falls_silent_is_dialled_again(box: RunningBox, gateway: StandIn):
    gateway.beats = False
    await box.start(limits={"silence_seconds": 0.3})
    await gateway.wait(lambda: len(gateway.attached) > 2)


async def test_a_gateway_that_is_busy_with_others_is_dialled_again_when_it_says(box: RunningBox, gateway: StandIn):
    gateway.busy = 0.7
    began = asyncio.get_running_loop().time()
    await box.start()
    await gateway.frame("ready")
    assert asyncio.get_running_loop().time() - began > 0.7


async def test_a_gateway_that_answers_too_late_is_dialled_less_and_less_often(box: RunningBox, gateway: StandIn):
    gateway.faults["attach"] += [HANG] * 5
    began = asyncio.get_running_loop().time()
    await box.start(limits={"silence_seconds": 0.2})
    await gateway.frame("ready")
    assert asyncio.get_running_loop().time() - began > 5 * 0.2 + 0.5 * 0.2 * (0.2 + 0.4 + 0.8 + 1.6 + 3)


async def test_a_gateway_that_beats_is_not_dialled_again(box: RunningBox, gateway: StandIn):
    await box.start(limits={"silence_seconds": 1})
    await gateway.frame("ready")
    await until(lambda: gateway.beaten > 1.6 / BEAT_SECONDS)
    assert len(gateway.attached) == 1


async def test_a_dead_socket_beside_a_living_one_does_no_harm(box: RunningBox, gateway: StandIn):
    (gateway.folder / "web-9.sock").touch()
    await box.start()
    await gateway.frame("ready")


async def test_a_gateway_of_another_wire_is_waited_out_with_the_agent_alive(box: RunningBox, gateway: StandIn):
    gateway.faults["attach"] += [426] * 6
    await box.start()
    await gateway.frame("ready")
    assert without_gaps(gateway)
    assert not gateway.of("phase", phase="agent_restarting")


async def test_a_gateway_that_comes_late_is_found(box: RunningBox, gateway: StandIn):
    await gateway.stop()
    await box.start()
    await asyncio.sleep(0.3)  # long enough to have been looked for in vain
    await gateway.start()
    await gateway.frame("ready")


async def test_a_frame_that_is_refused_leaves_a_mark_and_no_gap(box: RunningBox, gateway: StandIn):
    gateway.refuses = lambda frame: frame["kind"] == "plan"
    await box.start()
    await gateway.prompt("add a line saying Hello")
    await gateway.frame("turn_ended")
    assert without_gaps(gateway)
    plans = [frame for frame in gateway.told if frame["kind"] == "plan"]
    assert {frame["reason"] for frame in gateway.of("dropped")} == {"a frame was refused: not like this"}
    assert len(gateway.of("dropped")) == len({frame["n"] for frame in plans}) == 3


@pytest.mark.parametrize("moment", ["before", "in a turn", "after"])
async def test_a_revoked_token_ends_the_runner_and_its_agent(box: RunningBox, gateway: StandIn, moment: str):
    gateway.revoked = moment == "before"
    await box.start()
    if moment != "before":
        await gateway.frame("ready")
    if moment == "in a turn":
        await gateway.prompt("slow command")
        await gateway.frame("step")
    gateway.revoked = True
    await gateway.stop()
    await gateway.start("web-2.sock")
    assert await box.ended() == 0
    assert "the token was revoked" in box.stderr.read_text()


async def test_a_newer_generation_ends_the_runner(box: RunningBox, gateway: StandIn):
    gateway.faults["attach"] += ["stale generation"]
    await box.start()
    assert await box.ended() == 0
    assert "stale generation" in box.stderr.read_text()


async def test_sigterm_flushes_what_was_said_and_exits_well(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("slowly 20")
    await gateway.wait(lambda: "2," in gateway.text())
    gateway.faults["up"] += [HANG]
    await gateway.wait(lambda: not gateway.faults["up"])
    assert box.outbox.stat().st_size > 0
    ending = asyncio.ensure_future(box.terminate())
    gateway.release.set()
    assert await ending == 0
    assert box.outbox.stat().st_size == 0
    assert without_gaps(gateway)
    assert "Traceback" not in box.stderr.read_text() and "never retrieved" not in box.stderr.read_text()


async def test_sigterm_does_not_wait_for_a_gateway_that_is_away(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.frame("ready")
    await gateway.stop()
    assert await box.terminate() == 0
