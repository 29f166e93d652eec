"""What agents send becomes frames that a gateway takes, whatever they send."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.frames import frame_from_wire
from sandbox.runner.translate import Translator

Updates = list[dict[str, Any]]


def frames(updates: Updates, seconds: float = 1.0, flush: bool = True) -> list[dict[str, Any]]:
    """The frames of a turn in which these updates come, `seconds` apart."""
    said: list[dict[str, Any]] = []
    now = [0.0]
    translator = Translator(
        1, "/work/repo", lambda kind, **more: said.append({"kind": kind, **more}), lambda: None, lambda: now[0]
    )
    for update in updates:
        now[0] += seconds
        translator.update(update)
        if flush:
            translator.flush()
    translator.finish()
    said.append({"kind": "summary", "text": translator.summary, "usage": translator.usage})
    return said


def of(kind: str, updates: Updates) -> list[dict[str, Any]]:
    return [frame for frame in frames(updates) if frame["kind"] == kind]


def words(text: str, kind: str = "agent_message_chunk", **more: Any) -> dict[str, Any]:
    return {"sessionUpdate": kind, "content": {"type": "text", "text": text}, **more}


def call(number: str = "c", kind: str = "tool_call", **more: Any) -> dict[str, Any]:
    return {"sessionUpdate": kind, "toolCallId": number, **more}


def test_words_that_come_together_are_said_together():
    said = frames([words("one "), words("two "), words("three")], flush=False)
    assert [frame["text"] for frame in said if frame["kind"] == "text"] == ["one two three"]


def test_thoughts_and_words_keep_their_order():
    said = frames([words("a"), words("b", "agent_thought_chunk"), words("c")], flush=False)
    assert [(frame["kind"], frame["text"]) for frame in said if frame["kind"] in ("text", "thought")] == [
        ("text", "a"), ("thought", "b"), ("text", "c"),
    ]  # fmt: skip


def test_another_message_begins_with_a_blank_line():
    said = of("text", [words("First.", messageId="1"), words("Second.", messageId="2"), words(" More.", messageId="2")])
    assert "".join(frame["text"] for frame in said) == "First.\n\nSecond. More."


RESTATED = [
    ([words("I will mend it.\n\nFirst I look.")], "I will mend it."),
    ([words("I will mend"), words(" it."), call(title="ls -l", kind="execute")], "I will mend it."),
    ([words("\n\n"), words("I will.\n")], "I will."),
    ([words("One. " + "x" * 400)], "One."),
    ([words("x" * 400)], "x" * 299 + "…"),
    ([words("I will.")], "I will."),
]


@pytest.mark.parametrize(("updates", "text"), RESTATED)
def test_the_task_is_restated_once_in_the_agents_first_words(updates: Updates, text: str):
    assert [frame["text"] for frame in of("restated", updates)] == [text]


def test_a_tool_call_is_a_step_once_it_says_something():
    updates = [
        call(title="read", kind="read", status="pending", rawInput={}),
        call(kind="tool_call_update", title="read", status="in_progress", locations=[{"path": "/work/repo/README.md"}]),
        call(
            kind="tool_call_update",
            status="completed",
            content=[{"type": "content", "content": words("# x")["content"]}],
        ),
    ]
    for update, kind in zip(updates, ("tool_call", "tool_call_update", "tool_call_update"), strict=True):
        update["sessionUpdate"] = kind
    assert [(f["title"], f["tool"]) for f in of("step", updates)] == [("read README.md", "other")]
    last = of("tool", updates)[-1]
    assert (last["status"], last["output"], last["locations"]) == ("completed", "# x", ["README.md"])


def test_an_update_of_a_call_that_was_never_announced_is_a_step_too():
    update = {"sessionUpdate": "tool_call_update", "toolCallId": "x", "title": "Edit a.py", "kind": "edit"}
    assert [(frame["id"], frame["tool"]) for frame in of("step", [update])] == [("x", "edit")]


def test_output_that_grows_is_told_now_and_then_and_whole_at_the_end():
    def more(text: str, status: str = "in_progress") -> dict[str, Any]:
        content = [{"type": "content", "content": {"type": "text", "text": text}}]
        return {"sessionUpdate": "tool_call_update", "toolCallId": "c", "status": status, "content": content}

    start = {"sessionUpdate": "tool_call", "toolCallId": "c", "title": "make all", "kind": "execute"}
    growing = [more("x" * n) for n in range(1, 101)]
    said = [f for f in frames([start, *growing, more("x" * 101, "completed")], 0.05) if f["kind"] == "tool"]
    assert 3 <= len(said) <= 12
    assert (said[-1]["output"], said[-1]["status"]) == ("x" * 101, "completed")


def test_an_agents_list_of_things_to_do_is_its_plan():
    todos = [{"content": "Look", "status": "completed"}, {"content": "Mend", "status": "odd"}, {"content": " "}]
    update = {"sessionUpdate": "tool_call", "toolCallId": "t", "title": "todowrite", "rawInput": {"todos": todos}}
    assert [frame["entries"] for frame in of("plan", [update, update])] == [
        [{"text": "Look", "status": "completed"}, {"text": "Mend", "status": "pending"}]
    ]
    assert of("step", [update]) == []


def test_the_summary_is_the_last_message():
    said = frames([words("First."), call(title="ls -l"), words("Last.")])
    assert said[-1]["text"] == "Last."


def test_of_the_use_only_numbers_are_kept():
    cost = {"amount": 0.5, "currency": "x" * 100_000}
    update = {"sessionUpdate": "usage_update", "used": 10, "size": float("nan"), "cost": cost, "other": "x"}
    assert frames([update])[-1]["usage"] == {"used": 10, "amount": 0.5}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just("x" * 30_000),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
KINDS = ("agent_message_chunk", "agent_thought_chunk", "tool_call", "tool_call_update", "plan", "usage_update", "new")
BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(["content", "diff", "terminal"]) | JSON},
    optional={
        "content": st.fixed_dictionaries({"type": st.just("text"), "text": JSON}) | JSON,
        "path": JSON,
        "newText": JSON,
    },
)
UPDATES = st.fixed_dictionaries(
    {"sessionUpdate": st.sampled_from(KINDS) | JSON},
    optional={
        "content": st.fixed_dictionaries({"type": st.just("text"), "text": JSON}) | st.lists(BLOCKS, max_size=3) | JSON,
        "toolCallId": st.sampled_from(["a", "b"]) | JSON,
        "title": JSON,
        "kind": st.sampled_from(["read", "edit", "execute"]) | JSON,
        "status": st.sampled_from(["pending", "completed", "failed"]) | JSON,
        "locations": st.lists(st.fixed_dictionaries({"path": JSON}), max_size=3) | JSON,
        "entries": st.lists(st.fixed_dictionaries({"content": JSON, "status": JSON}), max_size=3) | JSON,
        "rawInput": st.fixed_dictionaries({}, optional={"todos": JSON, "command": JSON}) | JSON,
        "rawOutput": st.fixed_dictionaries({}, optional={"output": JSON, "exitCode": JSON, "metadata": JSON}) | JSON,
        "messageId": JSON,
        "used": JSON,
        "cost": JSON,
    },
)


@given(updates=st.lists(UPDATES, max_size=8))
@settings(deadline=None, max_examples=80)
def test_whatever_an_agent_sends_the_gateway_takes_what_is_made_of_it(updates: Updates):
    *said, summary = frames(updates)
    for n, frame in enumerate(said, start=1):
        frame_from_wire({"n": n, "at": 0.0, **frame})
    ended = {"kind": "turn_ended", "turn": 1, "outcome": "done", "summary": summary["text"], "usage": summary["usage"]}
    frame_from_wire({"n": 1, "at": 0.0, **ended})
