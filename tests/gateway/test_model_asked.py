"""Which model a request is for, and how much of requests is held: as tables."""

import json

import pytest

from bot.gateway.model_asked import (
    QUICK_BYTES,
    SLICE,
    Room,
    TooMuch,
    Unclear,
    is_left_running,
    model_of,
    wants_stream,
)
from tests.waiting import while_others_run

NAMED = [
    (b'{"model": "claude-x", "messages": []}', "claude-x"),
    (b'{"messages": [], "model":"claude-x"}', "claude-x"),
    (b'{"model" : "a\\u002db"}', "a-b"),
    (b'{"messages": [{"content": "say \\"model\\": \\"evil\\""}], "model": "good"}', "good"),
    (b'{"tools": [{"input_schema": {"properties": {"model": {"type": "string"}}}}], "model": "good"}', "good"),
    (b'{"messages": [{"input": {"model": "evil"}}], "model": "good"}', "good"),
    (b'{"model": "good", "messages": [{"input": {"model": "evil"}}]}', "good"),
    (b'{"metadata": {"model": "good"}, "mod\\u0065l": "evil"}', "evil"),
    (b'{"metadata": {"model": "good"}, "\\u006D\\u006f\\u0064e\\u006C"\n :\t"evil"}', "evil"),
    (b'{"model" :' + b" " * 900 + b'"far"}', "far"),
    (b'{"x": "\\\\u006dodel", "model": "good"}', "good"),
    (b'{"messages": []}', ""),
    (b'{"model": 7}', ""),
    (b"", ""),
    (b"not json at all", ""),
]
UNCLEAR = [
    b'{"model": "good", "messages": [], "model": "evil"}',
    b'{"model": "good", "\\u006dodel": "evil"}',
    b'[{"model": "good"}, {"model": "evil"}]',
    b'{"model": "good", "x": {"model": "evil"}',
    b'{"x": {"model": "good"}, "model"' + b" " * 2_000 + b': "evil"}',
    b'{"x": {"model": "good"}, "model":' + b"\n" * 100_000 + b'"evil"}',
    b'{"x": {"model": "good"}, "y": [' + b"[]," * 1_000_000 + b'0], "model": "evil"}',
]


@pytest.mark.parametrize(("body", "model"), NAMED)
async def test_the_model_is_that_of_the_outermost_object(body: bytes, model: str) -> None:
    assert await model_of(body) == model


@pytest.mark.parametrize("before", range(SLICE - 40, SLICE + 8))
async def test_it_is_found_wherever_it_stands(before: int) -> None:
    body = b'{"text": "' + b"x" * (before - 12) + b'", "mode\\u006c": "good", "background": true}'
    assert await model_of(body) == "good"
    assert await is_left_running(body)


@pytest.mark.parametrize("piece", [b'"model":"",', b'"\\u006d"'])
async def test_others_get_on_while_a_long_body_is_looked_through(piece: bytes) -> None:
    _, turns = await while_others_run(model_of(piece * ((4 << 20) // len(piece))))
    assert turns > 10


@pytest.mark.parametrize("body", UNCLEAR)
async def test_where_readers_could_differ_it_is_not_guessed(body: bytes) -> None:
    with pytest.raises(Unclear):
        await model_of(body)


async def test_a_long_body_with_a_doubt_is_read_whole() -> None:
    said = [{"input": {"model": "evil", "text": "x" * 1_000}}] * (QUICK_BYTES // 500)
    assert await model_of(json.dumps({"model": "good", "messages": said}).encode()) == "good"


@pytest.mark.parametrize(
    ("body", "streams"), [(b'{"stream": true}', True), (b'{"stream":true}', True), (b'{"stream": false}', False)]
)
async def test_whether_it_is_to_stream_is_seen(body: bytes, streams: bool) -> None:
    assert await wants_stream(body) is streams


@pytest.mark.parametrize(
    ("body", "runs"),
    [
        (b'{"background": true}', True),
        (b'{"backgroun\\u0064":true}', True),
        (b'{"\\u0062ackground" : true}', True),
        (b'{"background": false}', False),
        (b'{"run_in_background": true}', False),
        (b'{"input": "say \\"background\\": true"}', False),
    ],
)
async def test_what_would_go_on_behind_our_back_is_seen(body: bytes, runs: bool) -> None:
    assert await is_left_running(body) is runs


def test_one_box_takes_no_others_room_and_all_together_have_an_end() -> None:
    room = Room(of_box=10, of_all=25)
    with room.share("one") as one, room.share("one") as other, room.share("two") as two, room.share("three") as three:
        one.take(8)
        with pytest.raises(TooMuch) as much:
            one.check(3)
        assert not much.value.passing, "it is too long by itself"
        with pytest.raises(TooMuch) as much:
            other.check(3)
        assert much.value.passing, "there is room once the first one is answered"
        two.take(10)
        with pytest.raises(TooMuch) as much:
            three.take(8)
        assert much.value.passing
        three.take(7)
        assert room.held == 25
    assert room.held == 0


def test_a_box_that_sends_one_long_body_after_the_other_is_told_to_wait_and_no_other_is() -> None:
    room = Room()
    for _ in range(12):
        room.check_pace("a", 10 << 20, now=1.0)
    with pytest.raises(TooMuch) as refused:
        room.check_pace("a", 10 << 20, now=1.0)
    assert refused.value.passing
    room.check_pace("b", 60 << 20, now=1.0)
    room.check_pace("a", 10 << 20, now=3.0)
    assert [room.check_pace("c", 1 << 20, now=n / 5) for n in range(1_000)] == [None] * 1_000
