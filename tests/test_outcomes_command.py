"""`shipmate outcomes`: what it says of a real record, and of what it cannot use."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from bot import cli, outcomes_command
from bot.outcome_words import UNHEARD, headline, page
from jobs import commands as c
from jobs.outcomes import Outcome, Pull, row_of, rows, summary
from jobs.settings import JobSettings
from jobs.store import Store
from tests.logs import Log


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> JobSettings:
    return JobSettings.from_env({"REDIS_URL": redis_url, "SHIPMATE_DATA_DIR": str(tmp_path)})


async def opened(store: Store, sid: str, days_ago: float, *then: c.Command, repository: str = "acme/rocket") -> None:
    """A session that opened a pull request so long ago, and what came after."""
    log = Log()
    log.now = time.time() - days_ago * 86_400
    log.ask(repository=repository).boot().ready().work().end(cost=0.5).publish()
    for command in then:
        log.do(command)
    assert log.session is not None
    await store.append(sid, log.events, log.session.model_copy(update={"id": sid}), expected=0)


async def some(store: Store) -> None:
    await opened(store, "sone", 1, c.ReviewPullRequest(7, "approved", "grace"), c.ClosePullRequest(7, True, "ada"))
    await opened(store, "stwo", 2, c.ReviewPullRequest(7, "changes_requested", "grace"))
    await opened(store, "sthree", 20, repository="acme/site")
    await opened(store, "sfour", 40)


async def run(settings: JobSettings, line: str = "") -> int:
    args = cli.parser().parse_args(["outcomes", *line.split()])
    return await asyncio.to_thread(outcomes_command.count, args, settings)


async def test_the_last_thirty_days_are_told_by_repository(
    settings: JobSettings, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    await some(store)
    assert await run(settings) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Opened since 20") and lines[0].endswith(" UTC:")
    assert lines[1:6] == [
        "3 sessions, 3 with a pull request, 1 with a merged one (33%).",
        "First response of a model: none was asked, or none has answered.",
        "Reviews: 2 pull requests with a verdict; the first one approves 1 (50%), the last one 1 (50%)."
        " Changes were requested 1 time.",
        "Revisions: 0 pushes to 3 pull requests after they were opened, 0.00 each.",
        "Cost: models took $1.50, $1.50 for each merged pull request.",
    ]
    assert [line.split()[:4] for line in lines[7:]] == [
        ["repository", "agent", "sessions", "with"],
        ["acme/rocket", "rehearsal", "2", "2"],
        ["acme/site", "rehearsal", "1", "1"],
    ]


@pytest.mark.parametrize(
    ("line", "sessions", "periods"),
    [
        ("--since 90d", 4, 2), ("--since 36h", 1, 1), ("--since 3w --repository ACME/site", 1, 1),
        ("--since 90d --by month --repository acme/rocket", 3, None), ("--since 1h", 0, 0),
    ],
)  # fmt: skip
async def test_a_program_is_told_what_a_person_is(
    line: str, sessions: int, periods: int | None, settings: JobSettings, store: Store,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    await some(store)
    assert await run(settings, f"{line} --json") == (0 if sessions else 1)
    found = json.loads(capsys.readouterr().out)
    assert found["whole"]["sessions"] == sum(row["sessions"] for row in found["rows"]) == sessions
    assert periods is None or len(found["rows"]) == periods
    assert found["whole"]["merged_share"] == (pytest.approx(found["whole"]["merged"] / sessions) if sessions else None)


async def test_where_nothing_was_opened_it_says_where_to_look(
    settings: JobSettings, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    await some(store)
    assert await run(settings, "--repository acme/moon") == 1
    assert capsys.readouterr().out.startswith("No session of acme/moon was opened since 20")


async def test_what_cannot_be_read_is_left_out_and_named(
    settings: JobSettings, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    await some(store)
    (settings.data_dir / "archive").mkdir()
    (settings.data_dir / "archive" / "sbad.json.gz").write_bytes(b"no archive")
    assert await run(settings, "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["unread"] == ["sbad"]
    assert "Left out: 1 session that cannot be read (sbad)." in said.err


@pytest.mark.parametrize(
    "line", ["--since 30", "--since d", "--since 0d", "--since=-3d", "--since 9999d", "--since ²d"]
)
def test_what_is_no_time_is_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        cli.parser().parse_args(["outcomes", *line.split()])
    assert refused.value.code == 2
    assert "such as 12h, 30d or 8w" in capsys.readouterr().err


def test_a_table_has_no_column_in_which_nothing_is_said() -> None:
    merged = Pull(7, "a", merged=True, first="approved", last="approved", revisions=3)
    found = [
        Outcome(0.0, "acme/rocket", "opencode", (merged,), 2.5, 1.25),
        Outcome(9e5, "acme/rocket", "opencode", (Pull(8, "b"),), 200.0, None),
        Outcome(9e5, "", "opencode", (), None, None),
    ]
    assert page(row_of(found), rows(found, "week")).splitlines()[-4:] == [
        "period    repository    agent     sessions  with PR    merged  answer p50    p95  approved first  last"
        "  revisions  cost per merged",
        "1970-W01  acme/rocket   opencode         1        1  1 (100%)       2.5 s  2.5 s            100%  100%"
        "       3.00            $1.25",
        "1970-W02  (not chosen)  opencode         1        0    0 (0%)           -      -               -     -"
        "          -                -",
        "1970-W02  acme/rocket   opencode         1        1    0 (0%)       3 min  3 min               -     -"
        "       0.00                -",
    ]
    assert page(row_of(found[:1]), rows(found[:1], "day")).splitlines()[-1].startswith("1970-01-01  acme/rocket")
    assert len(page(row_of(found[:1]), rows(found[:1])).splitlines()) == 5
    assert "answer p50" not in page(row_of([]), rows([found[2], found[2]._replace(agent="claude")]))


def test_a_forge_that_says_nothing_is_suspected() -> None:
    silent = Outcome(0.0, "acme/rocket", "opencode", (Pull(8, "b"),), None, None)
    assert UNHEARD in page(row_of([silent]), [])
    assert UNHEARD not in page(row_of([silent._replace(pulls=(Pull(8, "b", first="approved"),))]), [])


def test_the_headline_is_one_line_and_none_where_nobody_asked() -> None:
    merged = Outcome(0.0, "acme/rocket", "opencode", (Pull(7, "a", merged=True),), 2.06, None)
    told = headline(summary([merged, merged._replace(pulls=(), answered_in=None)], 0.0, 30))
    assert told == "Last 30 days: 2 sessions, 1 with a pull request, 1 merged (50%), first answer after 2.1 s"
    assert headline(summary([], 0.0, 30)) == ""
