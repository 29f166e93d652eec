"""What Prometheus is told: that it can read it, that it is true, and that nobody else reads it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

import aiohttp
import pytest
import redis.asyncio as redis
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from bot import app, cli
from bot.metrics import Metrics, MetricsPage
from bot.settings import BotSettings
from jobs import census
from jobs import commands as c
from jobs.census import Census, Disk, ImageCount, Server
from jobs.events import Event
from jobs.moments import MOMENTS
from jobs.operations import start_box
from jobs.outcomes import Outcome, Pull, summary
from jobs.records import Heard, Payer, Spent
from jobs.store import Store
from jobs.store_scripts import ACTIVE, STAGE_BOUNDS, key
from jobs.warm_rules import PoolCount
from tests.jobs import test_commands as given_a
from tests.jobs.logged import put
from tests.jobs.servers import Forgetful
from tests.jobs.shop import ROCKET, Bench, bench
from tests.logs import SID, Log, any_log, done

A_CENSUS = Census(
    sessions={"working": 2, "at_rest": 5}, waiting=3, waiting_seconds=7.5, unshown=1, lag_seconds=4.0, unnamed=6,
    totals={
        "event:turn_ended": 9.0, "turn:done": 8.0, "turn:failed": 1.0, "frames": 77.0,
        "usage:model:cached:claude-sonnet-4-5": 900.0, "usage:model:requests:other": 2.0,
        "usage:model:unpriced:other": 2.0, "usage:repository:micros:acme/rocket": 420_000.0,
        "usage:person:micros:U01ADA": 420_000.0,
        "start:warm": 6.0, "warm:unused": 3.0, "warm:unused_seconds": 600.5, "warm:wishes": 4.0,
    },
    boxes={"running": 2},
    strays=("s1-1",), queues={"boxes": 4}, workers={"boxes": 2}, upkeep=True, server=Server(100, 0, True, False),
    disks={"boxes": Disk(5, 9)}, warm=(PoolCount("a/r", 2, 1, 1), PoolCount("b/s", 1, 1, 0)),
    images=(ImageCount("a/r", 60.0, 0, ""), ImageCount("b/s", None, 2, "no")),
    outcomes=summary(
        [
            Outcome(9.0, "a/r", "opencode", (Pull(7, "a", merged=True, first="approved", last="approved"),), 2.0, 0.5),
            Outcome(9.0, "a/r", "opencode", (), None, None),
        ],
        77.0,
        30,
    ),
)  # fmt: skip


def told(text: bytes) -> dict[str, float]:
    """Every sample by its name and labels."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_what_was_counted_is_told_by_name_and_label() -> None:
    metrics = Metrics()
    metrics.slack_called("chat.update", "429")
    metrics.gateway_answered("link/up", "200")
    metrics.push_refused("people")
    metrics.model_answered("anthropic", "529")
    metrics.model_began("anthropic", 0.3)
    metrics.watch_links(lambda: 4)
    said = told(metrics.text(A_CENSUS))
    expected = {
        "shipmate_slack_calls_total{answer=429,method=chat.update}": 1,
        "shipmate_gateway_requests_total{kind=link/up,status=200}": 1,
        "shipmate_pushes_refused_total{rule=people}": 1,
        "shipmate_model_requests_total{provider=anthropic,status=529}": 1,
        "shipmate_model_first_byte_seconds_bucket{le=0.5,provider=anthropic}": 1,
        "shipmate_links_attached{}": 4,
        "shipmate_record_up{}": 1,
        "shipmate_image_age_seconds{repository=a/r}": 60.0,
        "shipmate_image_build_failures{repository=b/s}": 2,
        "shipmate_sessions{status=working}": 2,
        "shipmate_prompts_waiting{}": 3,
        "shipmate_oldest_prompt_seconds{}": 7.5,
        "shipmate_relay_lag_seconds{}": 4,
        "shipmate_turns_total{outcome=done}": 8,
        "shipmate_events_total{kind=turn_ended}": 9,
        "shipmate_starts_total{start=warm}": 6,
        "shipmate_warm_boxes{state=wanted}": 3,
        "shipmate_warm_boxes{state=waiting}": 2,
        "shipmate_warm_boxes{state=filling}": 1,
        "shipmate_warm_predictions_total{}": 4,
        "shipmate_warm_unused_total{}": 3,
        "shipmate_warm_unused_seconds_total{}": 600.5,
        "shipmate_frames_stored_total{}": 77,
        "shipmate_model_tokens_total{kind=cached,model=claude-sonnet-4-5}": 900,
        "shipmate_model_answers_total{model=other}": 2,
        "shipmate_model_unpriced_total{model=other}": 2,
        "shipmate_model_dollars_by_repository_total{repository=acme/rocket}": 0.42,
        "shipmate_model_dollars_by_person_total{person=U01ADA}": 0.42,
        "shipmate_boxes{state=without_session}": 1,
        "shipmate_queue_jobs{queue=boxes}": 4,
        "shipmate_workers{queue=boxes}": 2,
        "shipmate_redis_written{}": 0,
        "shipmate_disk_free_bytes{folder=boxes}": 5,
        "shipmate_outcomes{agent=opencode,counted=sessions,repository=a/r}": 2,
        "shipmate_outcomes{agent=opencode,counted=merged,repository=a/r}": 1,
        "shipmate_outcomes{agent=opencode,counted=approved_first,repository=a/r}": 1,
        "shipmate_outcome_dollars{agent=opencode,repository=a/r}": 0.5,
        "shipmate_outcomes_timestamp_seconds{}": 77,
    }
    assert {name: said.get(name) for name in expected} == expected


def test_two_processes_count_for_themselves() -> None:
    one, other = Metrics(), Metrics()
    one.push_refused("size")
    assert "shipmate_pushes_refused_total{rule=size}" not in told(other.text(None))


def test_without_the_record_that_is_what_is_told() -> None:
    said = told(Metrics().text(None))
    assert said["shipmate_record_up{}"] == 0
    assert not any(name.startswith("shipmate_sessions") for name in said)


async def test_a_record_is_counted_once_whatever_is_sent_twice(redis_url: str, store: Store, archive: Path) -> None:
    way = Forgetful(redis_url)
    async with way.listening() as url:
        writer = await Store.open(url, archive=archive)
        await put(writer, Log().ask())
        way.lose_next = True
        log = Log().ask().boot()
        await writer.begin_epoch(SID, 1)
        await put(writer, log, heard=Heard(1, 0, 3))
        await writer.close()
    totals = await store.counts.totals()
    assert way.lost == 1
    assert (totals["event:box_started"], totals["event:prompt_received"], totals["frames"]) == (1, 1, 3)


async def test_what_a_model_took_is_counted_once_whatever_is_sent_twice(redis_url: str, archive: Path) -> None:
    way, payer = Forgetful(redis_url), Payer("s1", "root", 3, "U01ADA", "acme/rocket")
    async with way.listening() as url:
        writer = await Store.open(url, archive=archive)
        for spent in (Spent(input=5, output=7, micros=40), Spent(input=1)):
            way.lose_next = True
            await writer.usage.count(payer, "other", spent)
        assert (await writer.usage.of_turn("s1", 3), await writer.usage.of_turn("s1", 4)) == (0.00004, None)
        assert (await writer.usage.of_budget("root"), await writer.usage.of_budget("s1")) == (0.00004, 0.0)
        assert await writer.usage.of_session("s1") == {
            "requests": 2, "input": 6, "output": 7, "micros": 40, "turn:3": 40, "unpriced": 1,
        }  # fmt: skip
        totals = await writer.counts.totals()
        await writer.close()
    assert way.lost == 2
    assert (totals["usage:person:micros:U01ADA"], totals["usage:model:requests:other"]) == (40, 2)


@pytest.mark.parametrize("seed", range(3))
async def test_the_totals_are_the_sum_of_the_logs(store: Store, seed: int) -> None:
    log = Log()
    for event in any_log(seed):
        log.events.append(event)
        await put(store, log)
    totals = await store.counts.totals()
    counted = {name: value for name, value in totals.items() if name.startswith("event:")}
    assert counted == {
        f"event:{kind}": sum(event.kind == kind for event in log.events) for kind in {e.kind for e in log.events}
    }
    assert sum(value for name, value in totals.items() if name.startswith("turn:")) == counted.get(
        "event:turn_ended", 0
    )


async def test_stages_are_counted_from_the_first_prompt_and_once_each(store: Store) -> None:
    await store.stamp(SID, "received", 100.0)
    for at in (100.3, 150.0):
        await store.stamp(SID, "delivered", at)
    await put(store, done(), stamps={"attached": 99.0, "pull_request": 1e9})
    await store.stamp("sother", "delivered", 5.0)  # it has no beginning
    text = Metrics().text(await census_of(store))
    said = told(text)
    stage = "shipmate_stage_seconds"
    assert said[f"{stage}_bucket{{le=0.25,stage=delivered}}"] == 0
    assert said[f"{stage}_bucket{{le=0.5,stage=delivered}}"] == 1
    assert said[f"{stage}_count{{stage=delivered}}"] == 1
    assert said[f"{stage}_sum{{stage=delivered}}"] == pytest.approx(0.3)
    assert said[f"{stage}_bucket{{le=0.1,stage=attached}}"] == 1, "a clock that was stepped back"
    assert said[f"{stage}_bucket{{le={STAGE_BOUNDS[-1]},stage=pull_request}}"] == 0
    assert said[f"{stage}_count{{stage=pull_request}}"] == 1
    assert {f"{stage}_count{{stage={each}}}" for each in MOMENTS} <= said.keys()


async def census_of(store: Store) -> Census:
    sizes = await store.counts.sizes()
    return Census({}, 0, 0, sizes["unshown"], 0, sizes["unnamed"], await store.counts.totals(), {}, (), {}, {}, False,
                  Server(0, 0, True, True))  # fmt: skip


async def test_words_wait_from_the_first_event_until_slack_has_taken_what_there_is(store: Store) -> None:
    assert await store.counts.unshown_since() is None
    log = Log().ask()
    await put(store, log)
    first = log.events[0].at
    await put(store, log.boot())
    assert await store.counts.unshown_since() == first, "more to say does not make it newer"
    await store.said(SID, first + 60)
    assert await store.counts.unshown_since() == first + 60
    await store.shown(SID, len(log.events))
    await store.said(SID, first + 90)
    assert await store.counts.unshown_since() is None
    assert await store.unshown() == []


@pytest.fixture
async def at(store: Store, redis_url: str) -> AsyncIterator[Bench]:
    async with bench(store, redis_url) as opened:
        yield opened


async def test_a_census_says_what_is_there(at: Bench) -> None:
    empty = await census.take(at.shop)
    assert (empty.waiting, empty.lag_seconds, empty.boxes, empty.strays) == (0, 0.0, {"running": 0, "dead": 0}, ())
    await at.ask()
    await at.ask()
    at.clock.ahead = 30
    found = await census.take(at.shop)
    assert (found.sessions["waiting"], found.waiting, found.unshown) == (1, 2, 1)
    assert 29 < found.waiting_seconds < 40 and 29 < found.lag_seconds < 40
    assert (found.queues["boxes"], found.workers["boxes"]) == (1, 0)
    assert found.server.used > 0 and found.server.keeps and found.disks["boxes"].size > 0
    await start_box(at.shop, at.sid)
    found = await census.take(at.shop)
    assert (found.boxes, found.strays) == ({"running": 1, "dead": 0}, ())
    assert found.sessions["connecting"] == 1
    assert found.totals["event:box_started"] == 1
    box = f"{at.sid}-1"
    await at.do(c.LoseBox(1, "it was thought dead"))
    await at.do(c.BeginStart(1))
    await at.do(c.FinishStart(2, "elsewhere", "cold", None, False))
    at.clock.ahead = 200
    assert (await census.take(at.shop)).strays == (box,)


async def test_where_more_is_under_way_than_is_looked_into_each_is_counted_and_no_box_is_called_a_stray(
    at: Bench, redis_url: str
) -> None:
    await at.ask()
    await start_box(at.shop, at.sid)
    async with redis.Redis.from_url(redis_url) as client:
        await client.sadd(ACTIVE, *(f"s{n}" for n in range(40)))  # they cannot be read: no session is of any of them
        await client.set(key("s1", "session"), "{}")
        at.clock.ahead = 200
        found = await census.take(at.shop)
        assert (found.sessions["connecting"], found.sessions["not_looked_into"], found.strays) == (1, 40, ())
        await client.srem(ACTIVE, at.sid)  # it is not among those that are looked into
        assert (await census.take(at.shop)).strays == ()


async def test_nobody_misses_what_waits_for_a_word_on_the_budget_nor_is_late_what_was_just_interrupted(
    at: Bench,
) -> None:
    for command in (await at.ask(), c.BeginStart(0), c.FinishStart(1, "b", "cold", None, False), c.Attach(1, 1))[1:]:
        await at.do(command)
    await at.do(given_a.hear(given_a.READY))
    at.clock.ahead = 600
    await at.do(c.LoseBox(1, "out of memory"))
    found = await census.take(at.shop)
    assert found.waiting == 1 and found.waiting_seconds < 60
    await at.do(c.ReachBudget(None, 5.1, 5.0, 5.0))
    assert (await census.take(at.shop)).waiting == 0


@asynccontextmanager
async def page(shop: Bench, token: str | None) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    served = web.Application()

    async def look() -> Census:
        return await census.take(shop.shop)

    served.add_routes(MetricsPage(Metrics(), look, token).routes)
    runner = web.AppRunner(served)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as http:
        yield http, f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("token", "said", "status"),
    [
        (None, None, 200), ("right", None, 401), ("right", "Bearer wrong", 401), ("right", "Basic right", 401),
        ("right", "Bearer ", 401), ("right", "Bearer right", 200), ("ünusual", "Bearer right", 401),
    ],
)  # fmt: skip
async def test_who_has_no_token_reads_nothing(at: Bench, token: str | None, said: str | None, status: int) -> None:
    async with page(at, token) as (http, url):
        headers = {"Authorization": said} if said is not None else {}
        async with http.get(url, headers=headers) as answer:
            assert answer.status == status
            assert ("shipmate_sessions" in await answer.text()) is (status == 200)


async def test_many_readers_at_once_are_answered(at: Bench) -> None:
    async with page(at, None) as (http, url):
        began = time.monotonic()
        answers = await asyncio.gather(*(http.get(url) for _ in range(10)))
        assert {answer.status for answer in answers} == {200}
        assert time.monotonic() - began < 5
        for answer in answers:
            answer.release()


@pytest.mark.parametrize(
    ("told", "open_to"),
    [
        ({}, "all"),
        ({"SHIPMATE_HOST": "localhost"}, "all"),
        ({"SHIPMATE_HOST": "::1", "SHIPMATE_PUBLIC_URL": "http://127.0.0.1:8080"}, "all"),
        ({"SHIPMATE_HOST": "0.0.0.0"}, "none"),
        ({"SHIPMATE_HOST": "10.0.0.7"}, "none"),
        ({"SHIPMATE_PUBLIC_URL": "https://shipmate.acme.test"}, "none"),
        ({"SHIPMATE_HOST": "0.0.0.0", "SHIPMATE_METRICS_TOKEN": "t"}, "token"),
        ({"SHIPMATE_METRICS_TOKEN": "t"}, "token"),
    ],
)
def test_metrics_are_open_only_where_nobody_else_can_reach_them(
    at: Bench, tmp_path: Path, told: dict[str, str], open_to: str
) -> None:
    settings = BotSettings.from_env({"SHIPMATE_DATA_DIR": str(tmp_path), "SHIPMATE_REPOSITORIES": ROCKET} | told)
    routes = app.metrics_routes(settings, at.shop, Metrics())
    assert len(routes) == (0 if open_to == "none" else 1)
    assert ("t" in settings.secrets()) is (open_to == "token")


def families() -> set[str]:
    """The names of all samples that there can be."""
    found = set()
    for family in text_string_to_metric_families(Metrics().text(A_CENSUS).decode()):
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        found |= {family.name + suffix for suffix in suffixes}
    return found


def test_the_page_about_running_names_only_what_there_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "running.md").read_text()
    named = set(re.findall(r"shipmate_[a-z_]+", page))
    assert len(named) > 15
    assert named - families() == set()
    stages = set(re.findall(r'stage="(\w+)"', page))
    assert stages and stages <= set(MOMENTS)
    kinds = set(re.findall(r'kind="(\w+)"', page))
    assert kinds and kinds <= {kind.model_fields["kind"].default for kind in get_args(get_args(Event)[0])}


def test_the_units_start_commands_that_there_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "running.md").read_text()
    commands = re.findall(r"ExecStart=\S+/shipmate (.*)", page)
    assert len(commands) == 2
    for queue in ("boxes", "images", "publish"):
        for command in commands:
            assert cli.parser().parse_args(command.replace("%i", queue).split())
