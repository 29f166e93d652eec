"""What goes down a link, folded from stories: pure."""

from bot.gateway.link_down import Line, line_of, meant_for, superseded
from jobs import commands as c
from jobs.events import Attachment, PromptDelivered, StopRequested
from jobs.fold import fold
from jobs.session import Session
from tests.logs import ADA, GRACE, RULES, Log


def down(log: Log, generation: int = 1) -> list[Line]:
    session = fold(log.events)
    assert session is not None
    lines = (line_of(event, session, RULES) for event in meant_for(generation, log.events))
    return [line for line in lines if line is not None]


def working() -> Log:
    return Log().ask().boot().ready()


def test_a_prompt_goes_down_with_its_author_and_the_turns_limit() -> None:
    (line,) = down(working())
    assert (line["kind"], line["turn"], line["again"]) == ("prompt_delivered", 1, False)
    assert line["text"] == "Fix the fuel test"
    assert line["author"] == {"id": "U01ADA", "name": "Ada", "email": "ada@acme.test"}
    assert (line["co_authors"], line["others"], line["seconds"]) == ([], [], RULES.turn_seconds)


def test_the_other_participants_are_co_authors_and_what_waits_is_told_as_context() -> None:
    log = working().work().ask(2, GRACE, "Use\npytest").ask(3, ADA, "x" * 500).end(commits=0)
    (line,) = down(log)
    assert (line["turn"], line["author"]["name"], line["text"]) == (2, "Grace", "Use\npytest")
    assert line["co_authors"] == [{"id": "U01ADA", "name": "Ada", "email": "ada@acme.test"}]
    (waiting,) = line["others"]
    assert (
        waiting.startswith("Ada asked for something that comes later") and waiting.endswith("x…") and len(waiting) < 400
    )


def test_files_and_what_was_said_before_are_named_and_the_runner_is_told_where_to_fetch_files() -> None:
    log = working()
    session = log.session
    assert session is not None and session.turn is not None
    files = (Attachment(name="crash.log"), Attachment(name="a.png"))
    prompt = session.turn.prompt.model_copy(
        update={"attachments": files, "before": ("Grace: main is red:\n    assert 0\n",)}
    )
    with_files = session.model_copy(update={"turn": session.turn.model_copy(update={"prompt": prompt})})
    (event,) = meant_for(1, log.events)
    line = line_of(event, with_files, RULES)
    assert line is not None
    assert line["text"] == "Fix the fuel test"
    came, before = line["others"]
    assert came.startswith("Files came with this request: crash.log, a.png. ")
    assert before == "Before this request, Grace: main is red:\n    assert 0"
    assert line["attachments"] == [
        {"name": "crash.log", "mimetype": "", "bytes": 0, "path": "/link/attachment?turn=1&n=0"},
        {"name": "a.png", "mimetype": "", "bytes": 0, "path": "/link/attachment?turn=1&n=1"},
    ]


def test_a_stop_goes_down_after_its_prompt() -> None:
    log = working().work().do(c.Stop(GRACE))
    prompt, stop = down(log)
    assert (prompt["kind"], stop["kind"], stop["turn"]) == ("prompt_delivered", "stop_requested", 1)
    assert prompt["seq"] < stop["seq"]


def test_nothing_of_a_turn_that_is_over_goes_down_again() -> None:
    assert down(working().work().end()) == []
    assert [line["turn"] for line in down(working().work().end().ask(2))] == [2]


def test_a_prompt_that_is_delivered_again_says_so_and_only_to_the_new_box() -> None:
    log = working().work().do(c.LoseBox(1, "out of memory")).boot().ready()
    assert down(log, generation=1) == []
    (line,) = down(log, generation=2)
    assert (line["again"], line["turn"]) == (True, 2)


def test_only_what_a_runner_acts_on_is_meant_for_it() -> None:
    log = working().work().do(c.Stop(GRACE)).end(outcome="stopped")
    assert [type(event) for event in meant_for(1, log.events)] == [PromptDelivered, StopRequested]
    assert meant_for(2, log.events) == ()


def test_an_attachment_is_over_when_a_newer_one_or_a_newer_box_is_there() -> None:
    log = working()
    assert not superseded(1, 1, log.events)
    assert superseded(1, 1, log.do(c.Attach(1, 2)).events)
    assert not superseded(1, 2, log.events)
    lost = log.do(c.LoseBox(1, "gone")).boot()
    assert superseded(1, 2, lost.events)
    assert not superseded(2, 1, lost.events)


def test_without_a_session_turn_there_is_nothing_to_say() -> None:
    log = working()
    idle = Session.model_validate(fold(log.events[:6]).model_dump())  # type: ignore[union-attr]
    assert idle.turn is None
    assert [line_of(event, idle, RULES) for event in meant_for(1, log.events)] == [None]
