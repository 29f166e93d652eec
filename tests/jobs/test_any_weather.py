"""Whatever workers, boxes and the clock do, every prompt comes to an end and every session to rest."""

import contextlib
import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import commands as c
from jobs import frames as f
from jobs.commands_family import FinishHanding, FinishReport
from jobs.commands_snapshots import FailSnapshot, FinishSnapshot, PutOffSnapshot
from jobs.decide import decide
from jobs.events import StartKind, event_from_json, event_to_json
from jobs.family import BUDGET, STOP
from jobs.fold import fold
from jobs.session import Session, Status
from jobs.wants import Operation, wants
from tests.logs import HEAD, RULES, any_log

S = Status
HOUR = 3_600.0
STARTS: list[StartKind] = ["image", "snapshot", "warm"]
STEPS, EVENTS_MOST = 6_000, 150  # mostly some seconds each: each hour back takes a hundred and fifty to come again


class Weather:
    """A session in a world where things go well with this chance."""

    def __init__(self, seed: int, luck: float) -> None:
        self.chance, self.luck = random.Random(seed), luck
        events = any_log(seed, length=50)
        self.now, self.told = events[-1].at, 0
        folded = fold(events)
        assert folded is not None
        self.session: Session = folded

    def step(self) -> None:
        """Time goes by, mostly forward; the upkeep looks, workers do what is due, and the runner what it can."""
        self.now += self.chance.choice([1.0, 5.0, 30.0, 60.0] * 8 + [HOUR, -HOUR])
        self.do(c.AwaitBox(0))
        self.do(c.Tick())
        for operation in wants(self.session, self.now, RULES):
            self.work(operation)
        if self.session.box is not None:
            self.run()

    def do(self, command: c.Command) -> None:
        with contextlib.suppress(c.Refused):
            events = decide(self.session, command, self.now, RULES)
            assert [event_from_json(event_to_json(event)) for event in events] == list(events)
            self.told += len(events)
            self.session = fold(events, self.session) or self.session

    def well(self) -> bool:
        return self.chance.random() < self.luck

    def said(self) -> bool:
        """Whether a worker that did not do well lived to say so."""
        return self.chance.random() < 0.5

    def delay(self) -> float | None:
        return self.chance.choice([2.0, 2.0, 2.0, None])

    def work(self, operation: Operation) -> None:
        """What a worker does: well, or it fails, or it dies in the middle."""
        doing: dict[str, Callable[[Session], None]] = {
            "start": self.start, "park": self.park, "snapshot": self.snapshot, "publish": self.publish,
            "report": self.report, "hand": self.hand,
        }  # fmt: skip
        doing[operation.kind](self.session)

    def start(self, s: Session) -> None:
        new = s.generation + 1
        self.do(c.BeginStart(s.generation))
        if self.well():
            start, base = self.chance.choice(STARTS), self.chance.choice([None, s.snapshot])
            self.do(c.FinishStart(new, f"b{new}", start, base, True))
        elif self.said():
            self.do(c.FailStart(new, "no space", self.delay()))

    def park(self, s: Session) -> None:
        self.do(c.BeginPark(s.generation, s.turn.number if s.turn is not None else 0))
        if self.well():
            self.do(c.FinishPark(s.generation, self.chance.choice([None, f"p{s.generation}"])))
        elif self.said():
            self.do(c.FailPark(s.generation, "busy", self.delay()))

    def snapshot(self, s: Session) -> None:
        failed = FailSnapshot(s.generation, s.saved.due, "the disk is full", self.delay())
        trouble = self.chance.choice([failed, PutOffSnapshot(s.generation, s.saved.due)])
        self.do(FinishSnapshot(s.generation, s.saved.due, f"t{s.saved.due}") if self.well() else trouble)

    def publish(self, s: Session) -> None:
        self.do(c.BeginPublish())
        if self.well():
            self.do(c.FinishPublish(7, "https://forge.test/7", s.head, True, s.described))
        elif self.said():
            self.do(c.FailPublish(s.head, "the forge is down", self.delay()))

    def report(self, s: Session) -> None:
        if s.owed is not None and self.well():
            self.do(FinishReport(s.owed.upto))

    def hand(self, s: Session) -> None:
        for child in s.children if self.well() else ():
            for handed in (STOP, BUDGET, child.pending.id if child.pending is not None else STOP):
                self.do(FinishHanding(child.id, handed))

    def run(self) -> None:
        """What a box does: it goes on, says nothing, or is lost."""
        s, tip = self.session, f"{self.chance.randint(1, 9):040x}"
        if not self.well():
            if self.chance.random() < 0.1:
                self.do(c.LoseBox(s.generation, "out of memory"))
        elif s.status is S.CONNECTING:
            self.do(c.Attach(s.generation, 1))
        elif s.status is S.PREPARING and self.chance.random() < 0.1:
            self.do(c.Hear(s.generation, (f.Unready(n=1, at=0, kind="unready", reason="no agent"),)))
        elif s.status is S.PREPARING:
            ready = f.Ready(n=1, at=0, kind="ready", conversation="c", resumed=False, head=HEAD)
            self.do(c.Hear(s.generation, (ready,)))
        elif s.turn is not None:
            over = f.Ended(n=1, at=0, kind="turn_ended", turn=s.turn.number, outcome="done", head=tip, pushed=True)
            self.do(c.Hear(s.generation, (over,)))


@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
@settings(max_examples=50, deadline=None)
def test_every_prompt_ends_and_every_session_rests_with_a_log_that_stays_small(seed: int, luck: float) -> None:
    weather = Weather(seed, luck)
    for _ in range(STEPS):
        if weather.session.at_rest:
            break
        weather.step()
    session = weather.session
    assert session.at_rest
    assert not session.queue or session.status is S.ASKING or session.paused is not None
    assert weather.told < EVENTS_MOST
