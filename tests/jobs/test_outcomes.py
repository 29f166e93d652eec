"""What became of sessions: of one log, of many, and of all that is on record, archived ones too."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import commands as c
from jobs import events as e
from jobs.events import Event, Lineage
from jobs.fold import fold
from jobs.hindsight import DAY, RENEW_SECONDS, SUMMARY_DAYS, Hindsight
from jobs.outcomes import Outcome, Period, Pull, outcome_of, row_of, rows
from jobs.store import Store
from tests.jobs.stories import STORIES
from tests.logs import ADA, GRACE, PLACE, Log, any_log, done

NOVEMBER = 1_795_000_000.0  # 2026-11-18, a Wednesday
OPENED = e.SessionOpened(at=100, session="s1", place=PLACE, by=ADA, agent="rehearsal")
CHOSEN = e.RepositoryChosen(at=101, repository="acme/rocket", base_branch="main")


def shown(number: int, head: str, opened: bool = False) -> Event:
    return e.PullRequestPublished(at=200, number=number, url="", head=head, opened=opened)


def closed(number: int, merged: bool) -> Event:
    return e.PullRequestClosed(at=300, number=number, merged=merged, by="ada")


def reviewed(*verdicts: str, number: int = 7) -> list[Event]:
    return [e.PullRequestReviewed(at=250, number=number, verdict=verdict, by="grace") for verdict in verdicts]


PULLS = {
    "none": ([], ()),
    "opened": ([shown(7, "a", True)], (Pull(7, "a"),)),
    "its words alone are new": ([shown(7, "a", True), shown(7, "a")], (Pull(7, "a"),)),
    "revised twice": ([shown(7, "a", True), shown(7, "b"), shown(7, "c")], (Pull(7, "c", revisions=2),)),
    "merged": ([shown(7, "a", True), closed(7, True)], (Pull(7, "a", merged=True),)),
    "merged while its worker was about to tell of it": (
        [closed(7, True), shown(7, "a", True)],
        (Pull(7, "a", merged=True),),
    ),
    "closed": ([shown(7, "a", True), closed(7, False)], (Pull(7, "a"),)),
    "closed, opened again and merged": (
        [shown(7, "a", True), closed(7, False), closed(7, True)],
        (Pull(7, "a", merged=True),),
    ),
    "another one after the merge": (
        [shown(7, "a", True), closed(7, True), shown(8, "b", True), closed(8, False)],
        (Pull(7, "a", merged=True), Pull(8, "b")),
    ),
    "approved at once": (
        [shown(7, "a", True), *reviewed("approved")],
        (Pull(7, "a", first="approved", last="approved"),),
    ),
    "approved after changes": (
        [shown(7, "a", True), *reviewed("commented", "changes_requested", "changes_requested", "approved")],
        (Pull(7, "a", first="changes_requested", last="approved", changes_requested=2),),
    ),
    "a review whose words were changed": (
        [
            shown(7, "a", True),
            *reviewed("approved"),
            reviewed("approved")[0].model_copy(update={"edited": True}),
            e.LineCommented(at=260, number=7, comment=1, by="grace", where=e.DiffLines(path="a.py"), words="Why?"),
        ],
        (Pull(7, "a", first="approved", last="approved"),),
    ),
    "changes asked for, in words that were changed": (
        [
            shown(7, "a", True),
            *reviewed("changes_requested"),
            reviewed("changes_requested")[0].model_copy(update={"edited": True}),
        ],
        (Pull(7, "a", first="changes_requested", last="changes_requested", changes_requested=1),),
    ),
    "a comment is no verdict": ([shown(7, "a", True), *reviewed("commented", "dismissed")], (Pull(7, "a"),)),
    "of a pull request that is not there": ([closed(9, True), *reviewed("approved", number=9)], ()),
}


@pytest.mark.parametrize("case", PULLS)
def test_what_became_of_pull_requests_is_in_the_log(case: str) -> None:
    events, expected = PULLS[case]
    found = outcome_of([OPENED, CHOSEN, *events], {})
    assert found is not None and found.pulls == expected
    assert found.merged is any(pull.merged for pull in expected)


BY_A_PERSON = CHOSEN.model_copy(update={"at": 160, "by": GRACE})
LATER = CHOSEN.model_copy(update={"at": 900, "by": GRACE, "repository": "acme/site", "agent": "opencode"})
ANSWERS = {
    "no model has answered": ([CHOSEN], {"received": 99.0}, None),
    "from the message to the first byte": ([CHOSEN], {"received": 99.0, "model_first_byte": 103.5}, 4.5),
    "without a stamp of the message, from the opening": ([CHOSEN], {"model_first_byte": 103.5}, 3.5),
    "a person's time to say where is theirs": ([BY_A_PERSON], {"received": 99.0, "model_first_byte": 162.0}, 2.0),
    "what is chosen later changes nothing": ([CHOSEN, LATER], {"received": 99.0, "model_first_byte": 103.0}, 4.0),
    "clocks that disagree": ([CHOSEN], {"received": 99.0, "model_first_byte": 98.9}, 0.0),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_the_first_response_is_counted_from_when_we_could_begin(case: str) -> None:
    events, stamps, expected = ANSWERS[case]
    found = outcome_of([OPENED, *events], stamps)
    assert found is not None and found.answered_in == expected


def test_a_session_belongs_to_what_was_chosen_last_and_costs_what_all_its_turns_took() -> None:
    spent = [
        e.TurnEnded(at=1, turn=1, outcome="done", cost=0.25),
        e.BoxLost(at=2, generation=1, reason="", cost=0.5),
        e.BoxParked(at=3, generation=2, snapshot=None, cost=None),
    ]
    found = outcome_of([OPENED, CHOSEN, LATER, *spent], {})
    assert found == Outcome(100, "acme/site", "opencode", (), None, 0.75)


def test_a_child_is_a_session_of_its_own_and_a_log_that_begins_otherwise_is_none() -> None:
    child = OPENED.model_copy(update={"parent": Lineage(parent="s0", root="s0", depth=1, number=2)})
    assert outcome_of([child, CHOSEN], {}) is not None
    assert outcome_of([], {}) is None and outcome_of([CHOSEN], {}) is None


def outcome(at: float, *pulls: Pull, agent: str = "opencode", took: float | None = None) -> Outcome:
    return Outcome(at, "acme/rocket", agent, pulls, took, 0.5)


GOOD = Pull(1, "a", merged=True, first="approved", last="approved", revisions=1)
SLOW = Pull(2, "a", merged=True, first="changes_requested", last="approved", changes_requested=2, revisions=4)
BAD = Pull(3, "a", first="changes_requested", last="changes_requested", changes_requested=1)


def test_a_row_adds_up() -> None:
    found = row_of([outcome(1, GOOD, BAD, took=1.0), outcome(2, SLOW, took=9.0), outcome(3, took=2.0), outcome(4)])
    assert (found.sessions, found.with_pull_request, found.merged, found.merged_share) == (4, 2, 2, 0.5)
    assert (found.pull_requests, found.merged_pull_requests, found.reviewed) == (3, 2, 3)
    assert (found.approved_first_share, found.approved_last_share) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert (found.changes_requested, found.revisions, found.revisions_each) == (3, 5, pytest.approx(5 / 3))
    assert (found.answered, found.answered_p50, found.answered_p95) == (3, 2.0, 9.0)
    assert (found.cost, found.cost_per_merged) == (2.0, 1.0)


def test_of_nothing_there_are_no_shares() -> None:
    found = row_of([])
    assert (found.merged_share, found.approved_first_share, found.revisions_each, found.answered_p50) == (None,) * 4
    assert (found.cost, found.cost_per_merged) == (None, None)


@pytest.mark.parametrize(
    ("period", "labels"),
    [
        ("all", ["", ""]), ("day", ["2026-11-18", "2026-11-23", "2026-11-23"]),
        ("week", ["2026-W47", "2026-W48", "2026-W48"]), ("month", ["2026-11", "2026-11"]),
    ],
)  # fmt: skip
def test_there_is_a_row_for_each_period_and_agent(period: Period, labels: list[str]) -> None:
    some = [outcome(NOVEMBER), outcome(NOVEMBER + 5 * DAY), outcome(NOVEMBER + 5 * DAY + 60, agent="claude")]
    assert [row.period for row in rows(some, period)] == labels


@settings(max_examples=25)
@given(st.lists(st.integers(0, 10_000).map(any_log), max_size=6), st.sampled_from(["all", "day", "week", "month"]))
def test_parts_never_exceed_the_whole_and_add_up_to_it(logs: list[list[Event]], period: Period) -> None:
    stamps = {"received": 1_000.0, "model_first_byte": 1_004.0}
    found = [one for log in logs if (one := outcome_of(log, stamps if len(log) % 2 else {})) is not None]
    whole, parts = row_of(found), rows(found, period)
    for row in (whole, *parts):
        assert row.merged <= row.with_pull_request <= row.sessions
        assert row.merged_pull_requests <= row.pull_requests >= row.with_pull_request
        assert row.approved_first <= row.reviewed >= row.approved_last
        assert row.reviewed <= row.pull_requests and row.answered <= row.sessions
        assert (row.answered_p50 or 0) <= (row.answered_p95 or 0)
    for name in ("sessions", "with_pull_request", "merged", "pull_requests", "reviewed", "revisions", "answered"):
        assert sum(getattr(row, name) for row in parts) == getattr(whole, name)


@pytest.mark.parametrize("story", STORIES)
def test_a_log_says_the_same_of_its_pull_request_as_the_session_does(story: str) -> None:
    events = STORIES[story].events
    session, found = fold(events), outcome_of(events, {})
    assert session is not None and found is not None
    shown = session.pull_request
    told = [(pull.number, pull.head, pull.merged) for pull in found.pulls[-1:]]
    assert told == ([] if shown is None else [(shown.number, shown.head, shown.state == "merged")])


# -- the record ------------------------------------------------------------------------------------------------------


async def keep(store: Store, sid: str, log: Log, **stamps: float) -> None:
    """Put this log into the record as that session's."""
    session = log.session
    assert session is not None
    await store.append(sid, log.events, session.model_copy(update={"id": sid}), expected=0, stamps=stamps)


def merged_and_forgotten() -> Log:
    log = done().do(c.ClosePullRequest(7, True, "grace")).do(c.LoseBox(1, "it died"))
    return log.do(c.Tick(), after=40 * DAY)


async def test_the_archive_is_counted_where_it_is(store: Store, archive: Path) -> None:
    await keep(store, "sold", merged_and_forgotten(), received=1_000.0, model_first_byte=1_002.0)
    await keep(store, "snew", done())
    before = sorted(await Hindsight(store).since(0), key=lambda one: one.merged)
    assert [(one.merged, one.answered_in) for one in before] == [(False, None), (True, 2.0)]
    assert await store.archive("sold")
    assert sorted(await Hindsight(store).since(0), key=lambda one: one.merged) == before
    assert await store.all_sessions() == ["snew"], "it was not brought back"


async def test_a_session_that_was_brought_back_counts_as_it_is_now(store: Store) -> None:
    log = merged_and_forgotten()
    await keep(store, "sold", log)
    await store.archive("sold")
    assert (await store.load("sold")) is not None
    log.ask(2).do(c.Stop(ADA))
    assert log.session is not None
    kept = len(await store.events("sold"))
    reviewed_since = e.PullRequestReviewed(at=log.now, number=7, verdict="approved", by="grace")
    folded = log.session.model_copy(update={"id": "sold"})
    await store.append("sold", [*log.events[kept:], reviewed_since], folded, expected=kept)
    [found] = await Hindsight(store).since(0)
    assert found.pulls[0].first == "approved"


async def test_only_what_was_opened_since_then_counts(store: Store, archive: Path) -> None:
    await keep(store, "sold", merged_and_forgotten())
    log = Log()
    log.now = NOVEMBER
    await keep(store, "snew", log.ask())
    assert len(await Hindsight(store).since(0)) == 2
    assert len(await Hindsight(store).since(NOVEMBER - DAY)) == 1
    await store.archive("sold")
    assert len(await Hindsight(store).since(NOVEMBER - DAY)) == 1, "its file is new, the session is not"
    os.utime(archive / "sold.json.gz", (1_000, NOVEMBER - 2 * DAY))
    assert await store.histories.archived_since(NOVEMBER - DAY) == {}


async def test_what_cannot_be_read_is_left_out_and_the_rest_is_counted(store: Store, archive: Path) -> None:
    for sid in ("sone", "sbad"):
        await keep(store, sid, merged_and_forgotten())
        await store.archive(sid)
    (archive / "sbad.json.gz").write_bytes(b"no archive")
    (archive / "no id.json.gz").write_bytes(b"")
    (archive / ".sone.77").write_bytes(b"half of it")
    (archive / "scut.json.gz").write_bytes((archive / "sone.json.gz").read_bytes()[:-99])
    await store._do("RPUSH", "shipmate:{slater}:log", '{"seq": 1, "at": 1, "kind": "of_a_newer_release"}')
    await store._do("SADD", "shipmate:active", "slater")
    hindsight = Hindsight(store)
    assert len(await hindsight.since(0)) == 1
    assert sorted(hindsight.unread) == ["sbad", "scut", "slater"]


async def test_who_looks_again_sees_what_is_new_alone_and_knows_the_rest(store: Store) -> None:
    log = done()
    log.now = NOVEMBER
    hindsight = Hindsight(store)
    await keep(store, "sone", log)
    assert [one.merged for one in await hindsight.since(0)] == [False]
    log.do(c.ClosePullRequest(7, True, "grace"))
    assert log.session is not None
    await store.append("sone", log.events[-1:], log.session, expected=len(log.events) - 1)
    await keep(store, "stwo", done())
    assert sorted(one.merged for one in await hindsight.since(0)) == [False, True]
    assert row_of(await hindsight.since(0)) == row_of(await Hindsight(store).since(0))


async def test_a_summary_is_kept_for_those_who_must_not_wait_and_renewed_when_it_is_old(store: Store) -> None:
    hindsight, now = Hindsight(store), NOVEMBER
    await hindsight.renew(now)
    first = await store.histories.summary()
    assert first is not None and (first.at, first.days, first.whole.sessions) == (now, SUMMARY_DAYS, 0)
    log = Log()
    log.now = NOVEMBER
    await keep(store, "sone", log.ask())
    await hindsight.renew(now + RENEW_SECONDS - 1)
    assert await store.histories.summary() == first
    await hindsight.renew(now + RENEW_SECONDS)
    renewed = await store.histories.summary()
    assert renewed is not None and (renewed.whole.sessions, len(renewed.rows)) == (1, 1)
    assert renewed == await Hindsight(store).last_days(now + RENEW_SECONDS)


async def test_a_summary_of_another_release_is_none(store: Store) -> None:
    await store._do("SET", "shipmate:summary", '{"at": 1}')
    assert await store.histories.summary() is None
    await Hindsight(store).renew(NOVEMBER)
    assert await store.histories.summary() is not None
