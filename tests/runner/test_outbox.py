"""Frames wait in a file, in order, without gaps, within bounds."""

import asyncio
import fcntl
import json
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.runner.outbox import BATCH_BYTES, BATCH_FRAMES, FULL_BYTES, Outbox


def waiting(outbox: Outbox) -> list[dict]:
    """Everything that waits, batch after batch."""
    found: list[dict] = []
    while batch := outbox.batch():
        found += [json.loads(line) for _, line in batch]
        outbox.acknowledged(batch[-1][0])
    return found


async def test_a_batch_is_bounded_in_frames_and_bytes():
    outbox = Outbox()
    for _ in range(BATCH_FRAMES + 10):
        outbox.say("text", text="x")
    assert len(outbox.batch()) == BATCH_FRAMES
    outbox = Outbox()
    for _ in range(10):
        outbox.say("text", text="x" * 200_000)
    assert 1 <= len(outbox.batch()) < 10
    assert sum(len(line) for _, line in outbox.batch()) <= BATCH_BYTES


async def test_a_frame_that_is_far_too_large_is_told_instead_of_sent():
    outbox = Outbox()
    outbox.say("text", text="x" * 1_000_000)
    assert [(frame["n"], frame["kind"]) for frame in waiting(outbox)] == [(1, "dropped")]


async def test_half_a_character_harms_nothing():
    outbox = Outbox()
    outbox.say("text", text="\ud83d and on")
    assert waiting(outbox)[0]["text"] == "? and on"


async def test_words_are_left_out_and_facts_are_kept_when_far_too_much_waits():
    outbox = Outbox()
    for _ in range(FULL_BYTES // 500_000 + 20):
        outbox.say("text", turn=1, text="x" * 500_000)
    outbox.say("turn_ended", turn=1)
    frames = waiting(outbox)
    assert [frame["kind"] for frame in frames[-2:]] == ["dropped", "turn_ended"]
    assert [frame["n"] for frame in frames] == list(range(1, len(frames) + 1))
    outbox.say("text", turn=2, text="heard again")
    assert [frame["text"] for frame in waiting(outbox)] == ["heard again"]


async def test_facts_that_an_agent_repeats_without_end_are_bounded_too():
    outbox = Outbox()
    for _ in range(2 * FULL_BYTES // 500_000 + 50):
        outbox.say("plan", turn=1, entries=["x" * 500_000])
    outbox.say("turn_ended", turn=1)
    frames = waiting(outbox)
    assert len(frames) < 2 * FULL_BYTES // 500_000 + 10
    assert frames[-1]["kind"] == "turn_ended"


async def test_a_full_disk_costs_words_and_no_facts():
    fd = os.memfd_create("full", os.MFD_ALLOW_SEALING)
    outbox = Outbox(fd)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
    outbox.say("turn_started", turn=1)
    outbox.say("text", turn=1, text="lost")
    outbox.say("turn_ended", turn=1)
    assert [(frame["n"], frame["kind"]) for frame in waiting(outbox)] == [(1, "turn_started"), (2, "turn_ended")]


async def test_when_the_only_frame_is_given_up_nothing_is_left_to_send():
    outbox = Outbox()
    outbox.say("text", turn=1, text="never taken")
    for _ in range(2):
        outbox.refused(1, "no")
    news = asyncio.ensure_future(outbox.news())
    await asyncio.wait_for(outbox.emptied(), 1)
    assert outbox.batch() == [] and not news.done()
    outbox.say("turn_ended", turn=1)
    await asyncio.wait_for(news, 1)
    assert [frame["n"] for frame in waiting(outbox)] == [2]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.text(max_size=20)),
        st.tuples(st.just("acknowledge"), st.integers(0, 10)),
        st.tuples(st.just("refuse"), st.integers(0, 10)),
    ),
    max_size=40,
)


@given(steps=STEPS, appending=st.booleans())
@settings(deadline=None)
def test_whatever_is_acknowledged_or_refused_the_rest_waits_in_order(steps: list[tuple[str, object]], appending: bool):
    async def run() -> None:
        outbox = Outbox(os.memfd_create("outbox") if appending else None)
        expected: dict[int, str] = {}
        refused: set[int] = set()
        for what, value in steps:
            if what == "say":
                outbox.say("text", text=value)
                expected[outbox.last] = str(value)
            elif what == "acknowledge":
                upto = min(expected, default=1) - 1 + int(str(value))
                outbox.acknowledged(min(upto, outbox.last))
                expected = {n: text for n, text in expected.items() if n > min(upto, outbox.last)}
            elif expected:
                n = sorted(expected)[int(str(value)) % len(expected)]
                outbox.refused(n, "no")
                if n in refused:
                    del expected[n]
                refused.add(n)
        frames = waiting(outbox)
        assert [frame["n"] for frame in frames] == sorted(expected)
        for frame in frames:
            assert frame["kind"] == ("dropped" if frame["n"] in refused else "text")
            assert frame["n"] in refused or frame["text"] == expected[frame["n"]]

    asyncio.run(run())
