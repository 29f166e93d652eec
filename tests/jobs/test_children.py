"""Sessions that agents start: their bounds, what passes between the logs, and how it ends."""

import re
from collections.abc import Callable

import pytest

from jobs import commands as c
from jobs import commands_family as f
from jobs import decide_family
from jobs import events as e
from jobs.children import report_prompt
from jobs.decide import decide
from jobs.events import Lineage, Prompt
from jobs.family import CHILDREN_KEPT, Child, descends
from jobs.session import Rules, Session
from jobs.wants import HAND_SECONDS, REPORT_SECONDS, Operation, wants
from tests.logs import ADA, GRACE, PLACE, RULES, SID, Log

ONE, TWO = "T1:C1:1.000001", "T1:C1:1.000002"
FIRST, SECOND = "c1", "c2"
ENDED = ("done", "Tanks round up.", 7, "https://forge.test/acme/pad/pull/7")


def prompt(text: str = "Paint the pad", n: int = 1, who: e.Author = ADA, child: str = FIRST) -> Prompt:
    return Prompt(id=f"{child}:p{n}", author=who, text=text, received_at=1.0)


def spawn(child: str = FIRST, parent: str = SID, waits: bool = True, text: str = "Paint the pad") -> f.SpawnChild:
    return f.SpawnChild(child, parent, "acme/pad", "main", "rehearsal", "", prompt(text, child=child), waits)


def working() -> Log:
    return Log().ask().boot().ready().work()


def one() -> Log:
    """A root at work that has started a session, which has its prompt."""
    return working().do(spawn()).do(f.FinishHanding(FIRST, f"{FIRST}:p1"))


def two_levels() -> Log:
    return one().do(spawn(SECOND, FIRST)).do(f.FinishHanding(SECOND, f"{SECOND}:p1"))


def reported() -> Log:
    return one().do(f.TakeChildReport(FIRST, 12, *ENDED))


def reporting() -> f.TakeReport:
    """The report of the one, as `jobs/children.py` words it."""
    session = of(child_ended().publish())
    assert session.owed is not None
    return f.TakeReport(report_prompt(session, the_one(one()), session.owed, 1_010.0))


def idle_with_one() -> Log:
    return one().end(commits=0)


def opening(child: str = FIRST) -> f.OpenChild:
    lineage = Lineage(parent=SID, root=SID, depth=1, number=1)
    return f.OpenChild(child, PLACE, lineage, "acme/pad", "main", "rehearsal", "", prompt(child=child))


def child() -> Log:
    return Log().do(opening())


def child_ended() -> Log:
    return child().boot().ready().work().end()


def of(log: Log) -> Session:
    assert log.session is not None
    return log.session


def due(log: Log, after: float = 0.0) -> list[Operation]:
    """What is due for the session's family, so many seconds later."""
    return [one for one in wants(of(log), log.now + after, RULES) if one.kind in ("report", "hand")]


def the_one(log: Log, n: int = 0) -> Child:
    return of(log).children[n]


CAUSES: list[tuple[str, Callable[[], Log], c.Command, list[str]]] = [
    ("an agent starts a session", working, spawn(), ["child_spawned"]),
    ("it asks for the same again", one, spawn(), []),
    ("a session starts one itself", one, spawn(SECOND, FIRST), ["child_spawned"]),
    ("it is given more to do", reported, f.PromptChild(FIRST, prompt(n=2), True), ["child_prompted"]),
    ("it has its prompt", lambda: working().do(spawn()), f.FinishHanding(FIRST, "c1:p1"), ["child_handed"]),
    ("it has it already", one, f.FinishHanding(FIRST, "c1:p1"), []),
    ("an older prompt is handed over late", one, f.FinishHanding(FIRST, "c1:p0"), []),
    ("nobody knows whom it was for", one, f.FinishHanding("nobody", "x"), []),
    ("all are to stop", one, f.StopChildren(GRACE), ["children_stop_requested"]),
    ("all are to stop, twice", lambda: one().do(f.StopChildren(GRACE)), f.StopChildren(ADA), []),
    ("it has stopped", lambda: one().do(f.StopChildren(GRACE)), f.FinishHanding(FIRST, ""), ["child_handed"]),
    ("it has stopped already", one, f.FinishHanding(FIRST, ""), []),
    ("it ends", one, f.TakeChildReport(FIRST, 12, *ENDED), ["child_reported"]),
    ("its end is told twice", reported, f.TakeChildReport(FIRST, 12, *ENDED), []),
    ("it ends again", reported, f.TakeChildReport(FIRST, 20, *ENDED), ["child_reported"]),
    ("nobody's end", one, f.TakeChildReport("nobody", 12, *ENDED), []),
    ("its result comes to its parent", idle_with_one, f.TakeReport(prompt()), ["prompt_received", "prompt_delivered"]),
    ("it comes while the parent works", one, f.TakeReport(prompt()), ["prompt_received"]),
    ("it comes twice", lambda: one().do(f.TakeReport(prompt())), f.TakeReport(prompt()), []),
    ("its parent was stopped", lambda: one().do(c.Stop(GRACE)), f.TakeReport(prompt()), []),
    ("a session is opened", Log, opening(), ["session_opened", "repository_chosen", "prompt_received"]),
    ("it is opened twice", child, opening(), []),
    ("its end is known", child_ended, f.FinishReport(12), ["reported"]),
    ("a newer end is not", child_ended, f.FinishReport(11), []),
    ("a person stops it while its own works", one, c.Stop(GRACE), ["stop_requested", "stop_offered"]),
    ("a person stops what only waits for its own", idle_with_one, c.Stop(GRACE), ["stop_offered"]),
    ("a person stops one that has none at work", lambda: reported(), c.Stop(GRACE), ["stop_requested"]),
]  # fmt: skip


@pytest.mark.parametrize(("log", "command", "kinds"), [row[1:] for row in CAUSES], ids=[row[0] for row in CAUSES])
def test_a_command_causes_these_events(log: Callable[[], Log], command: c.Command, kinds: list[str]) -> None:
    before = log()
    assert [event.kind for event in decide(before.session, command, before.now + 1, RULES)] == kinds


NONE, FLAT, NARROW = Rules(children_most=0), Rules(children_depth=1), Rules(children_parallel=1)
REFUSED: list[tuple[str, Callable[[], Log], c.Command, Rules, str]] = [
    ("it is turned off", working, spawn(), NONE, "turned off here. Do the work yourself."),
    ("it is turned off by depth", working, spawn(), Rules(children_depth=0), "turned off here"),
    ("too deep", one, spawn(SECOND, FIRST), FLAT, "only 1 deep, and this one is as deep as that. Do it yourself."),
    ("far too deep", two_levels, spawn("c3", SECOND), RULES, "only 2 deep"),
    ("too many", reported, spawn(SECOND), Rules(children_most=1), "1 sessions were started for this request already"),
    ("too many at a time", one, spawn(SECOND), NARROW, "#1 (acme/pad). End your turn and start this one when"),
    ("nothing is asked", lambda: working().end(commits=0), spawn(), RULES, "only while a request is worked on"),
    ("of another family", one, spawn(SECOND, "stranger"), RULES, "family is not known here"),
    ("not by way of a child", child, spawn(SECOND), RULES, "family is not known here"),
    ("more for nobody", one, f.PromptChild("nobody", prompt(), True), RULES, "no such session"),
    ("more before it has the first", lambda: working().do(spawn()), f.PromptChild(FIRST, prompt(n=2), True), RULES,
     "still being given"),
    ("more for an ended one while all hands are busy", lambda: reported().do(spawn(SECOND)),
     f.PromptChild(FIRST, prompt(n=2), True), NARROW, "#2 (acme/pad)"),
    ("none is left to stop", reported, f.StopChildren(GRACE), RULES, "nothing left to stop"),
    ("stopped again while they go on", lambda: idle_with_one().do(c.Stop(GRACE)), c.Stop(ADA), RULES,
     "Press the button above"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("log", "command", "rules", "why"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_command_is_refused_with_what_to_do(
    log: Callable[[], Log], command: c.Command, rules: Rules, why: str
) -> None:
    before = log()
    with pytest.raises(c.Refused, match=re.escape(why)):
        decide(before.session, command, before.now + 1, rules)


def test_every_command_has_its_cases() -> None:
    assert {type(row[2]) for row in (*CAUSES, *REFUSED)} >= set(decide_family.DECIDE_FAMILY)


def test_a_storm_of_a_hundred_leaves_only_what_was_allowed_in_the_log() -> None:
    log, refused = working(), 0
    before = len(log.events)
    for n in range(100):
        try:
            log.do(spawn(f"c{n}", text="x" * 20_000))
        except c.Refused:
            refused += 1
    assert (len(log.events) - before, refused) == (RULES.children_parallel, 100 - RULES.children_parallel)


def test_a_new_request_of_a_person_may_start_as_many_again_and_a_report_may_not() -> None:
    rules = Rules(children_most=1)
    log = reported().end(commits=0)
    log.do(f.TakeReport(prompt().model_copy(update={"id": "c1:12", "report_of": 1})))
    with pytest.raises(c.Refused, match="1 sessions were started for this request"):
        decide(log.session, spawn(SECOND), log.now, rules)
    log.end(2, commits=0).ask(2)
    (spawned,) = decide(log.session, spawn(SECOND), log.now, rules)
    assert isinstance(spawned, e.ChildSpawned) and (spawned.number, spawned.cause) == (2, TWO)


def test_what_a_grandchild_is_for_is_the_request_that_all_began_with() -> None:
    log = two_levels()
    assert [(one.number, one.depth, one.parent, one.cause) for one in of(log).children] == [
        (1, 1, SID, ONE), (2, 2, FIRST, ONE)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sid", "ancestor", "does"),
    [
        (FIRST, SID, True), (SECOND, SID, True), (SECOND, FIRST, True), (FIRST, SECOND, False), (FIRST, FIRST, False),
        (SID, SID, False), ("nobody", SID, False), (SECOND, "nobody", False),
    ],
)  # fmt: skip
def test_only_who_was_started_descends(sid: str, ancestor: str, does: bool) -> None:
    assert descends(of(two_levels()).children, sid, ancestor) is does


def test_an_end_is_told_once_its_pull_request_is_there_or_late() -> None:
    log = child_ended()
    owed = of(log).owed
    assert owed is not None and (owed.upto, owed.outcome, owed.summary) == (12, "done", "Tanks round up now.")
    assert due(log) == []
    assert due(log, REPORT_SECONDS) == [Operation("report", 12, 2)]
    log.publish()
    assert due(log) == [Operation("report", 12, 0)]
    log.do(f.FinishReport(12))
    assert (due(log), of(log).owed) == ([], None)


def test_nothing_is_told_while_it_has_more_to_do() -> None:
    log = child().boot().ready().ask(2).work().end(commits=0)
    assert due(log) == []
    log.work(2).end(2, commits=0)
    assert [one.kind for one in due(log)] == ["report"]


@pytest.mark.parametrize(
    ("log", "outcome"),
    [
        (lambda: child().do(c.Stop(GRACE)), "stopped"),
        (lambda: child().boot().ready().work().do(c.Stop(GRACE)).end(outcome="stopped", commits=0), "stopped"),
        (lambda: child().do(c.BeginStart(0)).do(c.FailStart(1, "no room", None)), "failed"),
    ],
)  # fmt: skip
def test_one_that_never_got_far_is_told_of_too(log: Callable[[], Log], outcome: str) -> None:
    ended = log()
    owed = of(ended).owed
    assert owed is not None and owed.outcome == outcome
    assert [one.kind for one in due(ended)] == ["report"]
    assert not of(ended).at_rest, "the upkeep must see that something is due"


def test_nobody_is_told_of_what_a_person_opened() -> None:
    assert of(working().end(commits=0)).owed is None


def test_what_was_not_handed_over_soon_is_due() -> None:
    log = working().do(spawn())
    assert due(log, HAND_SECONDS - 0.1) == []
    assert [one.kind for one in due(log, HAND_SECONDS)] == ["hand"]
    assert due(log.do(f.FinishHanding(FIRST, "c1:p1")), 99) == []


def test_a_stop_of_all_is_due_at_once() -> None:
    log = one().do(f.StopChildren(GRACE))
    assert [one.kind for one in due(log)] == ["hand"]
    assert due(log.do(f.FinishHanding(FIRST, ""))) == []


def test_a_report_of_older_work_ends_nothing() -> None:
    log = reported().do(f.PromptChild(FIRST, prompt(n=2), True)).do(f.TakeChildReport(FIRST, 20, *ENDED))
    assert the_one(log).working and the_one(log).waits


def test_what_it_was_asked_last_is_what_it_is_for() -> None:
    log = reported().do(f.PromptChild(FIRST, prompt("Paint it\n red", 2, GRACE), True))
    assert (the_one(log).task, the_one(log).author) == ("Paint it red", GRACE)


def test_who_was_told_waits_no_more() -> None:
    assert the_one(one()).waits and not the_one(reported()).waits
    assert the_one(reported().do(f.PromptChild(FIRST, prompt(n=2), True))).waits


def test_a_turn_of_a_child_has_a_limit_of_its_own() -> None:
    log = child().boot().ready().work()
    rules = Rules(turn_seconds=1000, child_seconds=100, stop_seconds=10)
    assert decide(log.session, c.Tick(), log.now + 109, rules) == ()
    (stop,) = decide(log.session, c.Tick(), log.now + 111, rules)
    assert isinstance(stop, e.StopRequested) and stop.by is None


def test_a_person_who_asks_again_after_a_stop_hears_of_reports_again() -> None:
    log = one().do(c.Stop(GRACE)).end(outcome="stopped", commits=0)
    assert decide(log.session, f.TakeReport(prompt()), log.now, RULES) == ()
    log.ask(2)
    assert [event.kind for event in decide(log.session, f.TakeReport(prompt()), log.now, RULES)] == ["prompt_received"]


def test_the_oldest_that_ended_are_forgotten_and_numbers_go_on() -> None:
    many = Rules(children_most=CHILDREN_KEPT + 5)
    log = working()
    for n in range(1, CHILDREN_KEPT + 16):
        if n == 11:
            log.end().ask(2).work(2)
        events = decide(of(log), spawn(f"c{n}"), log.now, many)
        log.events += [event.model_copy(update={"seq": len(log.events) + 1}) for event in events]
        log.do(f.FinishHanding(f"c{n}", f"c{n}:p1")).do(f.TakeChildReport(f"c{n}", 12, *ENDED))
        if n == CHILDREN_KEPT + 10:
            assert len(of(log).children) == CHILDREN_KEPT
    assert the_one(log, 0).number == 11, "those of the request that is worked on are counted"
    assert the_one(log, -1).number == CHILDREN_KEPT + 15
    with pytest.raises(c.Refused, match="which is the most"):
        decide(of(log), spawn("c99"), log.now, many)
