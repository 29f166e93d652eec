"""What is logged: a line of JSON, with the ids of what it is about, and never a secret."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from jobs.log import ENOUGH, HIDDEN, LINES_MOST, about, configure

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\nq0lT4nVx9Zk1\n-----END RSA PRIVATE KEY-----\n"
SECRETS = ("xoxb-of-ours", "s3cr3t/with+signs", PEM)
log = logging.getLogger("tests.log")


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is logged during the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure(SECRETS, stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(written: io.StringIO) -> list[dict[str, str]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_every_record_is_one_json_line(written: io.StringIO) -> None:
    log.info("two\nlines and %s", "an argument")
    log.warning("ü")
    first, second = lines(written)
    assert (first["level"], first["from"], first["said"]) == ("info", "tests.log", "two\nlines and an argument")
    assert (second["level"], second["said"]) == ("warning", "ü")
    assert first["at"].endswith("Z")


def test_a_line_says_which_session_and_box_it_is_about(written: io.StringIO) -> None:
    with about(session="s1"):
        log.info("the session")
        with about(box="s1-1"):
            log.info("its box")
        log.info("the session again")
    log.info("nothing")
    found = [(line.get("session"), line.get("box")) for line in lines(written)]
    assert found == [("s1", None), ("s1", "s1-1"), ("s1", None), (None, None)]


async def test_tasks_that_run_at_once_do_not_mix_their_sessions(written: io.StringIO) -> None:
    async def work(sid: str) -> None:
        with about(session=sid):
            for _ in range(3):
                await asyncio.sleep(0)
                log.info(sid)

    await asyncio.gather(*(work(f"s{n}") for n in range(5)))
    assert len(lines(written)) == 15
    assert all(line["session"] == line["said"] for line in lines(written))


@pytest.mark.parametrize(
    "text",
    [
        "token xoxb-of-ours was refused",
        "https://x-access-token:s3cr3t/with+signs@github.com",
        PEM,
        "MIIEowIBAAKCAQEA7",
        "Authorization: Bearer abcdefgh12345678",
        "authorization: Basic eC1hY2Nlc3M6dG9rZW4=",
        "remote said ghs_abcdefghijklmnop1234 is bad",
        "xapp-1-A012-345-deadbeef",
    ],
)
def test_a_secret_is_never_written(written: io.StringIO, text: str) -> None:
    log.error("it failed: %s", text)
    with about(session=text):
        log.info("about it")
    try:
        raise RuntimeError(text)
    except RuntimeError:
        log.exception("trouble")
    whole = written.getvalue()
    leaks = [*SECRETS[:2], "MIIEowIBAAKCAQEA7", "q0lT4nVx9Zk1", "abcdefgh12345678", "eC1hY2Nlc3M6dG9rZW4=",
             "ghs_abcdefghijklmnop1234", "deadbeef"]  # fmt: skip
    assert not [leak for leak in leaks if leak in whole]
    assert whole.count(HIDDEN) >= 3


def test_ordinary_words_stay(written: io.StringIO) -> None:
    log.info("a basic test of the bearer of news; sha %s", "a" * 40)
    assert lines(written)[0]["said"] == "a basic test of the bearer of news; sha " + "a" * 40


def test_an_exception_is_told_with_its_trace(written: io.StringIO) -> None:
    try:
        raise ValueError("no space")
    except ValueError:
        log.exception("the box failed")
    (line,) = lines(written)
    assert line["said"] == "the box failed"
    assert "ValueError: no space" in line["trouble"]
    assert "test_log.py" in line["trouble"]


def test_a_box_cannot_fill_the_log(written: io.StringIO) -> None:
    with about(session="s1", box="noisy"):
        for n in range(LINES_MOST + 50):
            log.warning("refused %d", n)
    with about(box="quiet"):
        log.warning("refused as well")
    log.warning("of no box")
    found = lines(written)
    assert len(found) == LINES_MOST + 2
    assert found[LINES_MOST - 1]["said"] == f"refused {LINES_MOST - 1} {ENOUGH}"
