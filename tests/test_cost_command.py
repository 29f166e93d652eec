"""`shipmate cost`: what it says of a real record, and of what it cannot use."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from bot import cli, cost_command
from jobs import commands as c
from jobs.fold import fold
from jobs.settings import JobSettings
from jobs.store import Store
from tests.logs import Log

HOUR = 3600


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> JobSettings:
    return JobSettings.from_env({"REDIS_URL": redis_url, "SHIPMATE_DATA_DIR": str(tmp_path)})


async def kept(store: Store, sid: str, log: Log) -> None:
    events = log.events
    folded = fold(events)
    assert folded is not None
    await store.append(sid, events, folded.model_copy(update={"id": sid}), expected=0)


async def an_hour_at_rest(store: Store, sid: str) -> None:
    """A session whose box was there for an hour and a bit, and is not any more."""
    log = Log().ask().boot().ready().work().end(commits=0).do(c.BeginPark(1), after=HOUR).do(c.FinishPark(1, "snap"))
    await kept(store, sid, log)


async def run(settings: JobSettings, line: str = "") -> int:
    args = cli.parser().parse_args(["cost", *line.split()])
    return await asyncio.to_thread(cost_command.reckon, args, settings)


async def test_without_a_box_there_is_nothing_to_reckon_with(
    settings: JobSettings, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    await kept(store, "sone", Log().ask())
    assert await run(settings) == 1
    assert "nothing to reckon with" in capsys.readouterr().out


async def test_what_sessions_took_is_told_with_what_a_thousand_would(
    settings: JobSettings, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        await an_hour_at_rest(store, f"s{number}")
    assert await run(settings, "--cores 2 --memory-mb 2048 --core-hour 0.1 --gib-hour 0.05") == 0
    said = capsys.readouterr().out
    assert "3 sessions with 3 boxes and 3 turns: 3.0 h of boxes" in said
    assert "A box that uses no more than 2 cores and 2 GiB costs $0.300 an hour" in said
    assert await run(settings, "--cores 2 --memory-mb 2048 --core-hour 0.1 --gib-hour 0.05 --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["dollars_of_thousand"] == pytest.approx(1000 * found["seconds"] / 3 / HOUR * 0.3)
    assert found["idle_share"] > 0.9


async def test_one_session_is_told_by_itself_and_a_box_that_is_there_counts_until_now(
    settings: JobSettings, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log()
    log.now = time.time() - 600
    await kept(store, "slives", log.ask().boot().ready())
    await an_hour_at_rest(store, "srests")
    assert await run(settings, "slives") == 0
    said = capsys.readouterr().out
    assert said.startswith("1 session with 1 box and 0 turns: 10 min of boxes")


async def test_the_last_sessions_are_taken_first(settings: JobSettings, store: Store) -> None:
    await an_hour_at_rest(store, "srests")
    await kept(store, "slives", Log().ask().boot().ready())
    assert await store.counts.newest(1) == ["slives"]
    assert await store.counts.newest(5) == ["slives", "srests"]


@pytest.mark.parametrize("line", ["--cores none", "--cores -1", "--sessions 0", "--core-hour nan", "--memory-mb inf"])
def test_what_cannot_be_a_number_is_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        cli.parser().parse_args(["cost", *line.split()])
    assert refused.value.code == 2
    assert "must be a number" in capsys.readouterr().err
