"""Whatever a box sends up, and whatever comes down into one: read within bounds, or refused in words."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.gateway.access import Refusal
from bot.gateway.link_up import number, pieces_of
from jobs.events import event_from_json, event_to_json
from jobs.fold import fold
from jobs.frames import frame_from_wire
from jobs.hearing import events_of
from sandbox.runner import http1
from sandbox.runner.box import BadGreeting, Greeting
from sandbox.runner.http1 import BadHttp
from sandbox.runner.journal import Journal
from sandbox.runner.jsonrpc import Peer
from sandbox.runner.outbox import _line
from sandbox.runner.toolcalls import ToolCall
from sandbox.runner.translate import Translator
from tests.fuzz.anything import like, quickly
from tests.logs import Log

FRAMES: dict[str, dict[str, Any]] = {
    "phase": {"phase": "syncing"},
    "ready": {"conversation": "c", "resumed": True, "head": "a" * 40, "agent": {"name": "x", "version": "1"}},
    "unready": {"reason": "no"},
    "turn_started": {"turn": 1},
    "restated": {"turn": 1, "text": "I will"},
    "plan": {"turn": 1, "entries": [{"text": "look", "status": "pending"}]},
    "step": {"turn": 1, "id": "1", "title": "Read", "tool": "read"},
    "text": {"turn": 1, "text": "words"},
    "tool": {"turn": 1, "id": "1", "title": "t", "locations": ["a"], "diff": [{"path": "a", "old": "", "new": "x"}]},
    "turn_ended": {
        "turn": 1, "outcome": "done", "summary": "x", "head": "b" * 40, "pushed": True, "usage": {"used": 1},
        "commits": [{"sha": "c", "subject": "s", "author": "A <a@x>", "co_authors": ["B <b@x>"]}],
    },
    "remark": {"text": "so it is"},
    "dropped": {"reason": "no"},
}  # fmt: skip


@pytest.mark.parametrize("kind", FRAMES)
@given(data=st.data())
@quickly
def test_a_frame_of_any_shape_is_refused_or_folds_and_can_be_kept(kind: str, data: st.DataObject) -> None:
    raw = data.draw(like({"n": 1, "at": 1.0, **FRAMES[kind]}))
    raw = raw | {"kind": kind} if isinstance(raw, dict) else raw
    try:
        frame = frame_from_wire(raw)
    except ValidationError:
        return
    session = Log().ask().boot().ready().session
    assert session is not None
    events = events_of(session, [frame], 2_000.0)
    assert fold(events, session) is not None
    for event in events:
        assert event_from_json(event_to_json(event).encode()) == event


@given(like({"epoch": 1, "frames": [{"n": 1, "at": 1.0, "kind": "text", "turn": 1, "text": "x"}], "generation": 3}))
@quickly
def test_a_body_of_any_shape_is_read_or_refused_in_words(body: Any) -> None:
    body = body if isinstance(body, dict) else {"frames": body}
    for read in (
        lambda found: list(pieces_of(found)),
        lambda found: number(found, "epoch"),
        lambda found: number(found, "generation"),
    ):
        try:
            read(body)
        except Refusal as refusal:
            assert refusal.status == 400
            refusal.answer()


AGENT = {"name": "rehearsal", "argv": ["x"], "env": {"A": "b"}, "gate": "ask"}
GREETING = {
    "wire": 1, "token": "t", "box": "b", "generation": 3, "gateway": "unix:/run/gateway", "repository": "acme/rocket",
    "base_branch": "main", "branch": "shipmate/s1", "mode": "serve", "agent": AGENT, "conversation": "c",
    "limits": {"turn_seconds": 1, "sync_seconds": 2, "cancel_seconds": 3, "silence_seconds": 4},
}  # fmt: skip


@given(like(GREETING))
@quickly
def test_a_greeting_of_any_shape_is_one_or_is_none(said: Any) -> None:
    with contextlib.suppress(BadGreeting):
        Greeting.from_line(json.dumps(said).encode() + b"\n")


@given(st.binary(max_size=80))
@quickly
def test_a_line_of_any_bytes_is_no_greeting(line: bytes) -> None:
    with pytest.raises(BadGreeting):
        Greeting.from_line(line)


UPDATE = {
    "sessionUpdate": "tool_call", "content": {"type": "text", "text": "x"}, "messageId": "m", "toolCallId": "1",
    "title": "Read", "kind": "read", "status": "completed", "rawInput": {"path": "a", "todos": [{"content": "x"}]},
    "rawOutput": {"output": "x", "exitCode": 1}, "locations": [{"path": "a", "line": 1}],
    "entries": [{"content": "look", "status": "pending"}], "cost": {"amount": 1}, "used": 1, "size": 2,
}  # fmt: skip
KINDS = ["agent_message_chunk", "agent_thought_chunk", "tool_call", "tool_call_update", "plan", "usage_update"]


@given(st.lists(st.tuples(st.sampled_from(KINDS), like(UPDATE)), max_size=5))
@quickly
def test_what_an_agent_says_becomes_frames_that_the_gateway_takes(updates: list[tuple[str, Any]]) -> None:
    said: list[dict[str, Any]] = []

    def say(kind: str, **fields: Any) -> None:
        said.append({"n": len(said) + 1, "at": 0.0, "kind": kind, **fields})

    translator = Translator(1, "/work/repo", say, lambda: None, lambda: 0.0)
    for kind, update in updates:
        translator.update((update if isinstance(update, dict) else {}) | {"sessionUpdate": kind})
    translator.flush()
    translator.finish()
    assert all(isinstance(path, str) for call in translator.calls for path in call.touched)
    for frame in said:
        frame_from_wire(json.loads(_line(frame)))
    json.dumps(translator.usage, allow_nan=False)


@given(like(UPDATE))
@quickly
def test_a_tool_call_of_any_shape_is_merged(update: Any) -> None:
    call = ToolCall("1", "/work/repo")
    call.merge(update if isinstance(update, dict) else {})
    call.frame()


@given(
    st.binary(max_size=200)
    | st.sampled_from([b"POST /x HTTP/1.1\r\nContent-Length: 4\r\n\r\n", b"0\r\n\r\n", b"zz\r\n"])
)
@quickly
def test_bytes_of_any_kind_are_http_or_are_refused(raw: bytes) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader(limit=1 << 10)
        reader.feed_data(raw)
        reader.feed_eof()
        with contextlib.suppress(BadHttp):
            head = await http1.read_head(reader)
            if head is not None:
                length = head.length or http1.CHUNKED
                async for _ in http1.pieces(reader, length):
                    pass

    asyncio.run(read())


class _Quiet:
    """As much of an agent's process as a peer asks for before it is connected."""

    code = None


@given(st.lists(like({"jsonrpc": "2.0", "id": 1, "method": "session/update", "params": {}, "error": {"code": 1}})))
@quickly
def test_lines_of_any_shape_are_taken_or_passed_over(messages: list[Any]) -> None:
    async def take() -> None:
        heard: list[dict[str, Any]] = []

        async def answer(_method: str, params: dict[str, Any]) -> Any:
            return params

        journal = Journal("/dev/null")  # no folder: nothing is kept
        peer = Peer(_Quiet(), journal, answer, lambda _method, params: heard.append(params))  # type: ignore[arg-type]
        for message in messages:
            peer._take(json.dumps(message).encode())
        peer._take(b"[" * 100_000)
        peer._take(b"\xff{}")
        await asyncio.sleep(0)
        assert all(isinstance(params, dict) for params in heard)

    asyncio.run(take())
