"""Legal logs to fold, for tests: stories told by commands, and any stories at all."""

import contextlib
import random
from collections.abc import Callable, Iterator

from jobs import commands as c
from jobs import commands_family as family
from jobs import commands_snapshots as saving
from jobs import commands_tools as t
from jobs import frames as f
from jobs.commands_checks import FinishCheck
from jobs.commands_reviews import CommentOnLines, DeleteLineComment, DismissReview
from jobs.decide import decide
from jobs.decide_spending import cuts_off_turn, with_cost
from jobs.events import Author, DiffLines, Event, Lineage, Place, Prompt, StartKind
from jobs.fold import fold
from jobs.session import Rules, Session, Status

ADA = Author(id="U01ADA", name="Ada", email="ada@acme.test")
GRACE = Author(id="U02GRACE", name="Grace", email="grace@acme.test")
PLACE = Place(client="slack", team="T1", channel="C1", thread="1.000001")
RULES = Rules()
SID = "stest"
HEAD = "a" * 40


class Log:
    """A log under way: give commands, read `events`."""

    def __init__(self, place: Place = PLACE) -> None:
        self.place = place
        self.now = 1_000.0
        self.events: list[Event] = []
        self._folded: Session | None = None

    @property
    def session(self) -> Session | None:
        known = self._folded.seq if self._folded else 0
        self._folded = fold(self.events[known:], self._folded)
        return self._folded

    def do(self, command: c.Command, after: float = 1.0, cost: float | None = None) -> "Log":
        self.now += after
        events = decide(self.session, command, self.now, RULES)
        for event in with_cost(events, cost) if cuts_off_turn(self.session, events) else events:
            self.events.append(event.model_copy(update={"seq": len(self.events) + 1}))
        return self

    def ask(
        self, n: int = 1, who: Author = ADA, text: str = "Fix the fuel test", repository: str | None = "acme/rocket"
    ) -> "Log":
        prompt = Prompt(id=f"T1:C1:1.00000{n}", author=who, text=text, received_at=self.now + 1)
        choice = (
            c.Choice(repository, "main")
            if repository
            else c.Choice(options=("acme/rocket", "acme/site"), reason="Two fit.")
        )
        return self.do(c.Submit(SID, self.place, prompt, choice, "rehearsal"))

    def hear(self, *frames: f.AnyFrame) -> "Log":
        assert self.session is not None
        return self.do(c.Hear(self.session.generation, frames))

    def boot(self, isolated: bool = True, start: StartKind = "image") -> "Log":
        assert self.session is not None
        generation = self.session.generation
        self.do(c.BeginStart(generation))
        self.do(c.FinishStart(generation + 1, f"{SID}-{generation + 1}", start, "img", isolated))
        self.do(c.Attach(generation + 1, 1))
        return self

    def ready(self, synced: bool = True) -> "Log":
        ready = f.Ready(
            n=1, at=self.now, kind="ready", conversation="c", resumed=False, head=HEAD, synced=synced
        )  # fmt: skip
        return self.hear(ready)

    def phase(self, phase: str) -> "Log":
        return self.hear(f.Phase.model_validate({"n": 1, "at": self.now, "kind": "phase", "phase": phase}))

    def work(self, turn: int = 1) -> "Log":
        return self.hear(
            f.Started(n=2, at=self.now, kind="turn_started", turn=turn),
            f.Restated(n=3, at=self.now, kind="restated", turn=turn, text="I will fix the rounding of tanks."),
            f.Step(n=4, at=self.now, kind="step", turn=turn, title="Read rocket/fuel.py", tool="read"),
        )

    def end(
        self, turn: int = 1, outcome: str = "done", commits: int = 1, pushed: bool = True, cost: float | None = None,
        **more: str,
    ) -> "Log":  # fmt: skip
        made = tuple(
            {"sha": f"{n:040x}", "subject": f"Change {n}", "author": ADA.signature} for n in range(1, commits + 1)
        )
        ended = {
            "n": 9, "at": self.now, "kind": "turn_ended", "turn": turn, "outcome": outcome, "commits": made,
            "pushed": pushed and commits > 0, "head": f"{turn:040x}", "summary": "Tanks round up now.",
        }  # fmt: skip
        assert self.session is not None
        return self.do(c.Hear(self.session.generation, (f.Ended.model_validate(ended | more),)), cost=cost)

    def publish(self, turn: int = 1, opened: bool = True) -> "Log":
        self.do(c.BeginPublish())
        return self.do(c.FinishPublish(7, "https://forge.test/acme/rocket/pull/7", f"{turn:040x}", opened))


def done() -> Log:
    """Ada asks, the agent works, the pull request opens."""
    return Log().ask().boot().ready().work().end().publish()


def any_log(seed: int, length: int = 60) -> list[Event]:
    """Some legal log: random commands, half of them what usually comes next, some given twice, the refused left out."""
    chance = random.Random(seed)
    log = chance.choice([lambda: Log().ask(), lambda: Log().ask(repository=None), a_child])()
    for _ in range(length):
        usual = _USUAL.get(_session(log).status, _submit) if chance.random() < 0.5 else chance.choice(_COMMANDS)
        command = usual(log, chance)
        for _ in range(chance.choice([1, 1, 1, 2])):
            with contextlib.suppress(c.Refused):
                log.do(command, after=chance.choice(_LATER))
    return log.events


def a_child() -> Log:
    """A session that an agent has just started."""
    opened = family.OpenChild(
        SID, PLACE, Lineage(parent="sroot", root="sroot", depth=1, number=2), "acme/rocket", "main", "rehearsal", "",
        Prompt(id="sroot/1", author=ADA, text="Do a part of it"),
    )  # fmt: skip
    return Log().do(opened)


def halves(events: list[Event]) -> Iterator[tuple[list[Event], list[Event]]]:
    for cut in range(1, len(events)):
        yield events[:cut], events[cut:]


def _session(log: Log) -> Session:
    assert log.session is not None
    return log.session


def _generation(log: Log, chance: random.Random) -> int:
    """Mostly the newest one; the others are those of workers and boxes that are late."""
    return max(0, _session(log).generation - chance.choice([0, 0, 0, 0, 1]))


def _prompt(log: Log, chance: random.Random) -> str:
    return f"T1:C1:1.00000{chance.randint(1, 6)}"


def _asked(log: Log) -> int:
    paused = _session(log).paused
    return paused.asked if paused is not None else 0


def _submit(log: Log, chance: random.Random) -> c.Command:
    prompt = Prompt(
        id=_prompt(log, chance), author=chance.choice([ADA, GRACE]), text=f"Do {chance.random()}", received_at=log.now
    )
    choice = (
        c.Choice("acme/rocket", "main") if chance.random() < 0.5 else c.Choice(options=("acme/rocket",), reason="?")
    )
    return c.Submit(SID, PLACE, prompt, choice, "rehearsal")


def _ready(log: Log, _chance: random.Random) -> c.Command:
    ready = f.Ready(n=1, at=0, kind="ready", conversation="c", resumed=False, head=HEAD)
    return c.Hear(_session(log).generation, (ready,))


def _hear(log: Log, chance: random.Random) -> c.Command:
    turn, tip = max(0, _session(log).turns - chance.choice([0, 0, 0, 1])), f"{chance.randint(1, 9):040x}"
    frames: list[f.AnyFrame] = [
        f.Phase(n=1, at=0, kind="phase", phase=chance.choice(["agent_starting", "syncing", "agent_restarting"])),
        f.Ready(n=1, at=0, kind="ready", conversation="c", resumed=False, head=HEAD),
        f.Started(n=1, at=0, kind="turn_started", turn=turn),
        f.Restated(n=1, at=0, kind="restated", turn=turn, text="I will"),
        f.Step(n=1, at=0, kind="step", turn=turn, title="Read", tool="read"),
        f.Ended(n=1, at=0, kind="turn_ended", turn=turn, outcome="done", head=tip, pushed=chance.random() < 0.5),
        f.Unready(n=1, at=0, kind="unready", reason="the agent is missing"),
    ]  # fmt: skip
    return c.Hear(_generation(log, chance), tuple(chance.sample(frames, chance.choice([1, 1, 2]))))


def _of_child(log: Log, chance: random.Random) -> c.Command:
    """What a root is asked for one of its family; a child refuses most of it."""
    child = f"c{chance.randint(1, 3)}"
    prompt = Prompt(id=f"{child}/{chance.randint(1, 3)}", author=ADA, text="Do a part of it")
    waits, stopped = chance.random() < 0.5, chance.choice(["", "budget", prompt.id])
    return chance.choice(
        [
            family.SpawnChild(child, SID, "acme/site", "main", "rehearsal", "", prompt, waits),
            family.PromptChild(child, prompt, waits),
            family.FinishHanding(child, stopped),
            family.TakeChildReport(child, chance.randint(1, 30), "done", "It is done.", None, ""),
            family.StopChildren(GRACE),
        ]
    )


def _report(log: Log, chance: random.Random) -> c.Command:
    owed = _session(log).owed
    upto = owed.upto if owed is not None else chance.randint(1, 9)
    told = Prompt(id=f"c1:{chance.randint(1, 30)}", author=ADA, text="Report of #1", report_of=1)
    return chance.choice([family.FinishReport(upto), family.TakeReport(told)])


def _saved(log: Log, chance: random.Random) -> c.Command:
    generation, turn = _generation(log, chance), max(0, _session(log).turns - chance.choice([0, 0, 1]))
    return chance.choice(
        [
            saving.FinishSnapshot(generation, turn, f"snap-{generation}-{turn}"),
            saving.FailSnapshot(generation, turn, "the disk is full", chance.choice([None, 5.0])),
            saving.PutOffSnapshot(generation, turn),
        ]
    )


def _question(chance: random.Random) -> str:
    return f"q{chance.randint(1, 3)}"


def _finish_publish(log: Log, chance: random.Random) -> c.Command:
    session = _session(log)
    return c.FinishPublish(7, "https://forge.test/7", session.head, True, session.described)


_STARTS: list[StartKind] = ["cold", "snapshot", "warm"]
_LATER = [0.1, 1.0, 30.0] * 6 + [400.0] * 4 + [40 * 86_400.0]
_COMMANDS: list[Callable[[Log, random.Random], c.Command]] = [
    _submit,
    _hear,
    _hear,
    _hear,
    _hear,
    lambda log, r: c.EditPrompt(_prompt(log, r), f"Rather {r.random()}"),
    lambda log, r: c.WithdrawPrompt(_prompt(log, r), "its message was deleted"),
    lambda log, r: c.ChooseRepository("acme/rocket", "main", GRACE),
    lambda log, r: c.Stop(GRACE, r.choice([None, _prompt(log, r)])),
    lambda log, r: c.BeginStart(_session(log).generation),
    lambda log, r: c.FinishStart(_generation(log, r), "b", r.choice(_STARTS), None, r.random() < 0.5),
    lambda log, r: c.FailStart(_generation(log, r), "no space", r.choice([None, 1.0])),
    lambda log, r: c.Attach(_generation(log, r), 1),
    lambda log, r: c.SeeModelRequest(_generation(log, r)),
    lambda log, r: c.TellModelTrouble(_generation(log, r), r.choice(["overloaded", ""])),
    lambda log, r: c.TellModelRefusal(_generation(log, r), "The key is refused."),
    lambda log, r: c.ReachBudget(r.choice([None, _generation(log, r)]), 5.1, 5.0 + _session(log).raised, 5.0),
    lambda log, r: c.RaiseBudget(GRACE, _asked(log)),
    lambda log, r: c.RaiseBudget(GRACE, _asked(log)),
    lambda log, r: c.DeclineBudget(GRACE, _asked(log)),
    lambda log, r: c.BeginPark(_generation(log, r)),
    lambda log, r: c.FinishPark(_generation(log, r), r.choice([None, "snap"])),
    lambda log, r: c.FailPark(_generation(log, r), "busy", r.choice([None, 2.0])),
    lambda log, r: c.LoseBox(_generation(log, r), "out of memory"),
    lambda log, r: c.BeginPublish(),
    _finish_publish,
    lambda log, r: c.FailPublish(_session(log).head, "the forge is down", r.choice([None, 5.0])),
    lambda log, r: c.ClosePullRequest(7, True, "grace"),
    lambda log, r: c.ReviewPullRequest(7, "approved", "grace", r.choice(["", "Fine."]), r.randint(0, 3)),
    lambda log, r: CommentOnLines(
        7, r.randint(1, 5), "grace", DiffLines(path="a.py", last=3), r.choice(["Why?", "Ah."]), r.randint(0, 3),
        edited=r.random() < 0.3,
    ),
    lambda log, r: DeleteLineComment(7, r.randint(1, 5)),
    lambda log, r: DismissReview(7, r.randint(1, 3), "ada"),
    lambda log, r: FinishCheck(
        _session(log).head, r.choice("ab"), "lint", "failure", r.random() < 0.3, r.randint(1, 9), words="E501"
    ),
    lambda log, r: t.AskPeople(_generation(log, r), r.choice(["Tabs?", "Which port?"]), r.choice([(), ("yes", "no")])),
    lambda log, r: t.AskPeople(_generation(log, r), "Tabs?"),
    lambda log, r: t.AnswerQuestion(_question(r), r.choice(["yes", "no"]), r.choice([ADA, GRACE])),
    lambda log, r: t.TakeAnswer(_question(r)),
    lambda log, r: t.WantFile(_generation(log, r), r.choice(["a.png", "b.txt"])),
    lambda log, r: t.AttachFile(_generation(log, r), f"f{r.randint(1, 3)}", "a.png", "image/png", 9, r.choice("de")),
    lambda log, r: t.RefuseFile(f"f{r.randint(1, 3)}", "it is not there"),
    lambda log, r: t.DescribePullRequest(_generation(log, r), r.choice(["Round up", "Count tanks"])),
    lambda log, r: c.AwaitBox(r.randint(0, 2)),
    lambda log, r: c.FollowBudget(GRACE, r.random() < 0.5),
    _of_child,
    _of_child,
    _report,
    _saved,
    _saved,
    lambda log, r: c.Tick(r.random() < 0.3),
]  # fmt: skip
_USUAL: dict[Status, Callable[[Log, random.Random], c.Command]] = {
    Status.ASKING: lambda log, r: c.ChooseRepository("acme/rocket", "main", GRACE),
    Status.WAITING: lambda log, r: c.BeginStart(_session(log).generation),
    Status.BOOTING: lambda log, r: c.FinishStart(_session(log).generation, "b", "image", "img", True),
    Status.CONNECTING: lambda log, r: c.Attach(_session(log).generation, 1),
    Status.PREPARING: _ready,
    Status.WORKING: _hear,
    Status.STOPPING: _hear,
    Status.PARKING: lambda log, r: c.FinishPark(_session(log).generation, "snap"),
}
