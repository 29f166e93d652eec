"""What an answer took, read from what streams by: every protocol, every cut, and any nonsense."""

import gzip
import json
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.gateway.model_usage import LINE_BYTES, Meter
from jobs.records import Spent


def sse(*events: object) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


ANTHROPIC = sse(
    {
        "type": "message_start",
        "message": {
            "model": "claude-x",
            "usage": {
                "input_tokens": 30, "output_tokens": 1,
                "cache_read_input_tokens": 2_000, "cache_creation_input_tokens": 400,
            },
        },
    },
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": 'say "usage": {"output_tokens": 9999}'}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 57}},
    {"type": "message_stop"},
)  # fmt: skip
CHAT = (
    sse(
        {"choices": [{"delta": {"content": "Hi"}}], "usage": None},
        {"choices": [{"delta": {"content": "."}}], "usage": None},
        {
            "choices": [],
            "usage": {"prompt_tokens": 500, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 128}},
        },
    )
    + b"data: [DONE]\n\n"
)
RESPONSES = sse(
    {"type": "response.created", "response": {"usage": None}},
    {"type": "response.output_text.delta", "delta": "Hi"},
    {
        "type": "response.completed",
        "response": {
            "output": [{"text": "x" * 3_000}],
            "usage": {"input_tokens": 500, "output_tokens": 12, "input_tokens_details": {"cached_tokens": 128}},
        },
    },
)
GEMINI = sse(
    {"candidates": [], "usageMetadata": {"promptTokenCount": 500}},
    {
        "candidates": [],
        "usageMetadata": {
            "promptTokenCount": 500, "cachedContentTokenCount": 128, "candidatesTokenCount": 5, "thoughtsTokenCount": 7
        },
    },
)  # fmt: skip
STREAMS = [
    ("anthropic", ANTHROPIC, Spent(input=30, cached=2_000, written=400, output=57)),
    ("openai", CHAT, Spent(input=372, cached=128, output=12)),
    ("openai", RESPONSES, Spent(input=372, cached=128, output=12)),
    ("gemini", GEMINI, Spent(input=372, cached=128, output=12)),
]
NAMES = ["messages", "chat", "responses", "gemini"]
BODIES = [
    ("anthropic", {"content": [], "usage": {"input_tokens": 3, "output_tokens": 4}}, Spent(input=3, output=4)),
    (
        "anthropic",
        {"content": [{"type": "tool_use", "input": {"usage": {"input_tokens": 0}}}], "usage": {"input_tokens": 3}},
        Spent(input=3),
    ),
    ("openai", {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, Spent(input=3, output=4)),
    ("openai", {"output": [], "usage": {"input_tokens": 3, "output_tokens": 4}}, Spent(input=3, output=4)),
    ("gemini", {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4}}, Spent(input=3, output=4)),
    ("gemini", [{"x": 1}, {"usageMetadata": {"promptTokenCount": 3}}], Spent(input=3)),
]


def heard(protocol: str, data: bytes, cuts: list[int], streamed: bool, sent: int = 400) -> tuple[Spent, float | None]:
    meter = Meter(protocol, streamed=streamed, sent=sent)
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        meter.look(data[start:end])
    return meter.spent()


@pytest.mark.parametrize(("protocol", "stream", "spent"), STREAMS, ids=NAMES)
@given(st.data())
def test_a_stream_tells_what_it_took_wherever_it_is_cut_in_pieces(
    protocol: str, stream: bytes, spent: Spent, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    assert heard(protocol, stream, cuts, streamed=True) == (spent, None)


@pytest.mark.parametrize(("protocol", "body", "spent"), BODIES)
def test_a_whole_body_tells_it_at_its_place(protocol: str, body: object, spent: Spent) -> None:
    assert heard(protocol, json.dumps(body).encode(), [], streamed=False) == (spent, None)


def test_a_body_longer_than_is_kept_tells_it_at_its_end() -> None:
    body = json.dumps({"output": "x" * (LINE_BYTES + 10), "usage": {"input_tokens": 7, "output_tokens": 8}}).encode()
    assert heard("openai", body, [1_000], streamed=False)[0] == Spent(input=7, output=8)
    line = b"data: " + body + b"\n\n"
    assert heard("openai", line, list(range(0, len(line), 65_536))[1:], streamed=True)[0] == Spent(input=7, output=8)


@pytest.mark.parametrize(("protocol", "stream", "_spent"), STREAMS, ids=NAMES)
def test_a_stream_that_ends_before_it_has_told_is_guessed_by_its_events(
    protocol: str, stream: bytes, _spent: Spent
) -> None:
    cut = sse(*({"delta": "x"} for _ in range(20)))
    assert heard(protocol, cut, [], streamed=True) == (Spent(input=100, output=20), None)


def test_a_stream_that_is_cut_after_it_told_what_it_read_is_paid_for_its_words_too() -> None:
    begun = ANTHROPIC.split(b"\n\n")[0] + b"\n\n"
    words = sse(*({"type": "content_block_delta", "delta": {"text": "x"}} for _ in range(20)))
    read = Spent(input=30, cached=2_000, written=400)
    assert heard("anthropic", begun + words, [], streamed=True) == (read._replace(output=21), None)


def test_a_server_between_that_tells_dollars_is_believed() -> None:
    stream = sse({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.0123}})
    assert heard("openai", stream, [], streamed=True) == (Spent(input=10, output=5), 0.0123)
    for nonsense in (-1, "0.1", True, 1e9, None):
        stream = sse({"usage": {"prompt_tokens": 10, "cost": nonsense}})
        assert heard("openai", stream, [], streamed=True)[1] is None


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_an_answer_that_comes_packed_is_looked_into(size: int) -> None:
    for name, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        packed = pack(b": " + b"x" * 300_000 + b"\n" + CHAT)
        meter = Meter("openai", streamed=True, sent=8, packed=name)
        for at in range(0, len(packed), size):
            meter.look(packed[at : at + size])
        assert meter.spent() == (Spent(input=372, cached=128, output=12), None)


def test_one_that_is_packed_otherwise_or_says_so_falsely_is_guessed() -> None:
    for name in ("gzip", "br"):
        meter = Meter("openai", streamed=True, sent=8, packed=name)
        for _ in range(4):
            meter.look(b"\x8b\x02" * 50)
        assert meter.spent() == (Spent(input=2, output=meter.bytes // 4), None)
        assert meter.bytes >= 300


LOOKS_LIKE_SOMETHING = [
    b'data: {"usage": {',
    b'data: {"usage": {"input_tokens": -5}}',
    b'{"usage": {"input_tokens": true}}',
    b'data: {"usageMetadata": {"promptTokenCount": 1e400}}',
    b'data: {"usage": []}',
    b'data: {"message": {"usage": {"input_tokens": "many"}}}',
    b"[" * 5_000,
    b"\xff",
    b"\n",
    b"data:",
]
NONSENSE = st.one_of(st.binary(max_size=300), st.sampled_from(LOOKS_LIKE_SOMETHING))


@pytest.mark.parametrize("protocol", ["anthropic", "openai", "gemini"])
@given(st.lists(NONSENSE, max_size=8), st.booleans())
def test_nonsense_is_passed_over(protocol: str, pieces: list[bytes], streamed: bool) -> None:
    meter = Meter(protocol, streamed=streamed, sent=8)
    for piece in pieces:
        meter.look(piece)
    spent, told = meter.spent()
    assert all(isinstance(amount, int) and amount >= 0 for amount in spent[:4])
    assert told is None


def test_an_endless_line_costs_neither_memory_nor_time() -> None:
    meter = Meter("anthropic", streamed=True, sent=8)
    began = time.process_time()
    for _ in range(300):
        meter.look(b"x" * 65_536)
    assert len(meter._held) <= LINE_BYTES
    assert time.process_time() - began < 2.0
