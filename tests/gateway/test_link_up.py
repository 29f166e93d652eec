"""Batches of frames as boxes may write them: read, bounded, blamed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.gateway.access import Refusal
from bot.gateway.link_up import BATCH_FRAMES, number, pieces_of
from jobs.frames import AnyFrame

WORDS = {"n": 1, "at": 1.0, "kind": "text", "turn": 1, "text": "hello"}
ENDED = {"n": 3, "at": 1.0, "kind": "turn_ended", "turn": 1, "outcome": "done"}

BAD_BATCHES: list[tuple[str, Any, int | None]] = [
    ("no frames", {}, None),
    ("not a list", {"frames": WORDS}, None),
    ("an empty list", {"frames": []}, None),
    ("too many", {"frames": [WORDS] * (BATCH_FRAMES + 1)}, None),
    ("not an object", {"frames": [WORDS, 7]}, None),
    ("no number", {"frames": [{**WORDS, "n": None}]}, None),
    ("number zero", {"frames": [{**WORDS, "n": 0}]}, None),
    ("a number that is true", {"frames": [{**WORDS, "n": True, "text": 7}]}, None),
    ("a number beyond all", {"frames": [{**WORDS, "n": 1 << 60}]}, None),
    ("unknown kind", {"frames": [WORDS, {**WORDS, "n": 2, "kind": "shout"}]}, 2),
    ("no kind", {"frames": [{"n": 5, "at": 1.0}]}, 5),
    ("no turn", {"frames": [{"n": 5, "at": 1.0, "kind": "turn_started"}]}, 5),
    ("too much text", {"frames": [{**WORDS, "n": 9, "text": "x" * 65_537}]}, 9),
    ("half a character", {"frames": [{**WORDS, "n": 9, "text": "\ud83d"}]}, 9),
    (
        "half a character in a commit",
        {"frames": [{**ENDED, "commits": [{"sha": "c", "subject": "\ud83d", "author": "A <a@x>"}]}]},
        3,
    ),
    (
        "half a character in a plan",
        {"frames": [{**ENDED, "kind": "plan", "entries": [{"text": "\udcff", "status": "pending"}]}]},
        3,
    ),
    ("a time that never comes", {"frames": [{**WORDS, "n": 9, "at": float("inf")}]}, 9),
    (
        "a head that is no sha",
        {"frames": [{**WORDS, "n": 3, "kind": "turn_ended", "outcome": "done", "head": "-x"}]},
        3,
    ),
]


def frames_of(body: Any) -> list[AnyFrame]:
    return [frame for piece in pieces_of(body) for frame in piece]


@pytest.mark.parametrize(("body", "n"), [row[1:] for row in BAD_BATCHES], ids=[row[0] for row in BAD_BATCHES])
def test_what_the_wire_does_not_allow_is_refused_naming_the_frame(body: Any, n: int | None) -> None:
    with pytest.raises(Refusal) as refused:
        frames_of(body)
    assert (refused.value.status, refused.value.n) == (400, n)
    assert 0 < len(refused.value.error) < 300


def test_what_a_frame_holds_is_not_repeated_in_its_refusal() -> None:
    with pytest.raises(Refusal) as refused:
        frames_of({"frames": [{**WORDS, "turn": "the token is 1234"}]})
    assert "1234" not in refused.value.error


def test_fields_of_newer_versions_are_ignored() -> None:
    (frame,) = frames_of({"frames": [{**WORDS, "mood": "good"}]})
    assert (frame.kind, frame.n) == ("text", 1)


NAMES = st.text() | st.sampled_from([*WORDS, "frames", "head", "commits"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
)


@given(ANYTHING)
def test_any_body_at_all_is_read_or_refused(body: Any) -> None:
    try:
        frames = frames_of(body if isinstance(body, dict) else {"frames": [body]})
    except Refusal as refusal:
        json.dumps(refusal.error).encode()
    else:
        assert all(frame.n >= 1 for frame in frames)


@pytest.mark.parametrize("value", [None, -1, "", "-1", "1.0", " 1", "٣", 1.0, True, "9" * 20, 1 << 60, [], {}])
def test_only_a_whole_number_is_one(value: object) -> None:
    with pytest.raises(Refusal):
        number({"epoch": value}, "epoch")


@pytest.mark.parametrize(("value", "is_"), [(0, 0), ("0", 0), ("17", 17), (5, 5)])
def test_a_whole_number_may_come_from_a_query(value: object, is_: int) -> None:
    assert number({"epoch": value}, "epoch") == is_
