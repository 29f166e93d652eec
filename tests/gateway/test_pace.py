"""The pace of a box's frames, and how many connections it may have."""

import asyncio
import json
import logging
import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from bot.gateway.door import FORGET_EVERY, Door, Names
from bot.gateway.pace import (
    BATCHES_IN_A_ROW,
    BATCHES_PER_SECOND,
    BYTES_AT_ONCE,
    FRAMES_AT_ONCE,
    FRAMES_PER_SECOND,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Pace,
)
from bot.gateway.requests import AT_ONCE, PER_SECOND, REFUSED_COUNTS, Requests
from sandbox.box_folder import named_by_namespace
from sandbox.host_processes import namespace_of


def test_a_box_at_an_ordinary_pace_never_waits() -> None:
    pace = Pace()
    assert {pace.delay("b", 20, 20_000, now=n / 10) for n in range(1000)} == {0.0}


@pytest.mark.parametrize(("frames", "size"), [(256, 0), (1, 1 << 20)])
def test_a_box_that_says_far_too_much_waits_and_no_other_does(frames: int, size: int) -> None:
    pace = Pace()
    enough = int(max(FRAMES_AT_ONCE / 256, BYTES_AT_ONCE / (1 << 20))) + 5
    delays = [pace.delay("b", frames, size, now=0.0) for _ in range(enough)]
    assert delays[0] == 0.0 and 0.0 < delays[-1] <= LONGEST_SECONDS
    assert pace.delay("other", frames, size, now=0.0) == 0.0
    assert pace.delay("b", 1, 1, now=3600.0) == 0.0


def test_the_wait_is_as_long_as_the_debt() -> None:
    pace = Pace()
    pace.delay("b", int(FRAMES_AT_ONCE), 0, now=0.0)
    assert pace.delay("b", 1, 0, now=0.0) == SHORTEST_SECONDS, "what is said meanwhile comes as one batch"
    assert pace.delay("b", int(FRAMES_PER_SECOND) - 1, 0, now=0.0) == pytest.approx(1.0)


def test_a_box_that_sends_many_small_batches_is_answered_as_if_it_put_them_together() -> None:
    pace = Pace()
    assert {pace.rest("b", now=n / BATCHES_PER_SECOND) for n in range(1000)} == {0.0}
    waits, now = [], 1000.0
    for _ in range(200):  # each is sent when the one before it was answered
        waits.append(pace.rest("b", now))
        now += waits[-1]
    assert waits[: int(BATCHES_IN_A_ROW)] == [0.0] * int(BATCHES_IN_A_ROW)
    assert waits[-100:] == [pytest.approx(1 / BATCHES_PER_SECOND)] * 100


def test_a_box_that_asks_without_end_is_answered_later_and_no_other_is() -> None:
    requests = Requests()
    ordinary = {requests.delay("b", 1.0, now=n / 20) for n in range(1000)}
    at_once = [requests.delay("b", 1.0, now=100.0) for _ in range(int(AT_ONCE) + 90)]
    assert ordinary == {0.0} and at_once[int(AT_ONCE) - 1] == 0.0
    assert at_once[-1] == pytest.approx(90 / PER_SECOND)
    assert max(requests.delay("b", 1.0, now=100.0) for _ in range(1000)) == LONGEST_SECONDS
    assert (requests.delay("other", 1.0, now=100.0), requests.delay("b", 1.0, now=3600.0)) == (0.0, 0.0)


def test_what_is_refused_counts_for_more() -> None:
    requests, asked = Requests(), 0
    while requests.delay("b", 1.0, now=0.0) == 0.0:
        requests.delay("b", REFUSED_COUNTS - 1.0, now=0.0)
        asked += 1
    assert asked == AT_ONCE / REFUSED_COUNTS


def box_here(boxes_dir: Path, name: str, **more: int) -> int:
    """A box's folder that says of this process to be its first; the pid namespace."""
    namespace = namespace_of(os.getpid())
    (boxes_dir / "box" / name).mkdir(parents=True)
    said = {"child-pid": os.getpid(), "pid-namespace": namespace} | more
    (boxes_dir / "box" / name / "status").write_text(json.dumps(said) + "\n")
    return namespace


def test_a_box_is_known_by_its_namespace_while_it_lives(tmp_path: Path) -> None:
    box_here(tmp_path, "dead", **{"exit-code": 0})
    box_here(tmp_path, "gone", **{"child-pid": 1 << 22})
    namespace = box_here(tmp_path, "of-another", **{"pid-namespace": 7})
    assert [named_by_namespace(tmp_path, n) for n in (namespace, 7, 0)] == ["", "", ""]
    box_here(tmp_path, "alive")
    assert named_by_namespace(tmp_path, namespace) == "alive"


def test_the_folder_of_boxes_is_not_looked_through_for_each_request_of_a_stranger(tmp_path: Path) -> None:
    asked: list[int] = []

    def named(_: Path, namespace: int) -> str:
        asked.append(namespace)
        return f"box-{namespace}" if namespace else ""

    names = Names(tmp_path, named)
    assert {names.of(7, now=100 + n / 1_000) for n in range(1_000)} == {"box-7"}
    assert (names.of(0, now=101.0), names.of(7, now=106.0)) == ("", "box-7")
    assert asked == [7, 0, 7]


class Held(asyncio.Protocol):
    """Says nothing."""


async def test_connections_beyond_the_most_of_a_box_are_closed_at_once(
    short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    boxes = short_folder / "boxes"
    box_here(boxes, "noisy")
    with ExitStack() as opened:
        listening = opened.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(short_folder / "door.sock"))
        listening.listen()
        opening = Door(listening, Held, boxes, most=3)
        opening.of_no_box = -1  # as if this process were in a box
        opening.open()
        clients = [await asyncio.open_unix_connection(str(short_folder / "door.sock")) for _ in range(5)]
        async with asyncio.timeout(5):
            assert [await reader.read() for reader, _ in clients[3:]] == [b"", b""]
        clients[0][1].close()
        await asyncio.sleep(0)
        opening.close()
        for _, writer in clients:
            writer.close()
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "refused more than 3 connections at a time of box noisy"
    ]


async def test_connections_that_were_closed_are_forgotten_of_boxes_and_of_others(short_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(short_folder / "door.sock"))
        listening.listen()
        opening = Door(listening, Greeting, short_folder)
        opening.open()
        kept = []
        for of_no_box in (opening.of_no_box, -1):
            opening.of_no_box = of_no_box
            for _ in range(3 * FORGET_EVERY):
                reader, writer = await asyncio.open_unix_connection(str(short_folder / "door.sock"))
                assert await reader.read() == b"hello"
                writer.close()
            kept.append(sum(map(len, opening._open.values())))
        opening.close()
    assert kept[0] == 0 and kept[1] <= FORGET_EVERY


class Greeting(Held):
    """Says one word and ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.write_eof()


async def test_processes_of_no_box_are_not_counted(short_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(short_folder / "door.sock"))
        listening.listen()
        opening = Door(listening, Greeting, short_folder, most=1)
        opening.open()
        clients = [await asyncio.open_unix_connection(str(short_folder / "door.sock")) for _ in range(3)]
        async with asyncio.timeout(5):
            assert [await reader.read() for reader, _ in clients] == [b"hello"] * 3
        opening.close()
        for _, writer in clients:
            writer.close()
