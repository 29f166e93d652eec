"""What Prometheus and the doctor are told of a stack that has just done the main job."""

import asyncio
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot import doctor
from tests.e2e.people import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def told(office: Office) -> dict[tuple[str, ...], float]:
    status, text = await office.text(office.stack.web_url + "/metrics")
    assert status == 200
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {
        (sample.name.removeprefix("shipmate_"), *dict(sorted(sample.labels.items())).values()): sample.value
        for sample in samples
    }


async def test_a_session_shows_in_the_metrics_and_the_doctor_finds_what_runs(office: Office) -> None:
    before = await told(office)
    thread = await office.ada.says("@shipmate fix the failing test")
    await thread.settled()
    after = await told(office)

    def more(*name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert more("turns_total", "done") == more("events_total", "prompt_received") == 1
    for stage in (
        "durable",
        "repository",
        "box",
        "attached",
        "synced",
        "ready",
        "delivered",
        "first_words",
        "pull_request",
    ):
        assert more("stage_seconds_count", stage) == 1, stage
    assert more("frames_stored_total") > 5
    assert more("slack_calls_total", "ok", "chat.postMessage") >= 2
    assert more("gateway_requests_total", "link/up", "200") > 0
    assert after["links_attached",] >= 1
    assert after["boxes", "running"] >= 1
    assert after["workers", "boxes"] >= 2 and after["workers", "publish"] >= 1  # those killed count for a while
    assert (after["record_up",], after["upkeep",]) == (1, 1)
    assert after["relay_lag_seconds",] < 60

    lines = {one.what: one for one in await doctor.examine(office.stack.settings)}
    for what in ("sessions", "links", "boxes", "upkeep", "queue boxes", "threads", "writes of Redis"):
        assert lines[what].well, lines[what]
    assert "1 web processes answer them" in lines["links"].said
    assert lines["queue boxes"].said.endswith("workers alive")


async def test_the_lag_is_short_in_a_long_turn_and_grows_while_slack_takes_nothing(office: Office) -> None:
    thread = await office.ada.says("@shipmate count slowly to 300")
    await thread.at_work()
    await office.slack(fail=1_000, methods=["chat.postMessage", "chat.update"])
    await until_lag(office, lambda seconds: seconds > 4)
    await office.slack(fail=0, methods=[])
    await until_lag(office, lambda seconds: seconds < 3)
    session = await thread.session()
    assert session is not None and session.turn is not None, "the turn goes on, and its card is up to date"
    await office.ada.ends_what_runs(thread)


async def until_lag(office: Office, true_of: Callable[[float], bool]) -> None:
    async with asyncio.timeout(30):
        while not true_of((await told(office))["relay_lag_seconds",]):
            await asyncio.sleep(0.2)
