"""Whatever anybody says or is called, a record is one line of JSON that steers no terminal."""

import io
import json
import logging
import subprocess
import sys

import pytest

from jobs.log import _Line
from tests.words.payloads import INNOCENT, PAYLOADS, UNSEEN

HALF = "half \ud83d of a character"


@pytest.mark.parametrize("name", [*PAYLOADS, *INNOCENT, "half"])
def test_a_record_is_one_line_that_steers_nothing_and_loses_nothing(name: str) -> None:
    payload = (PAYLOADS | INNOCENT | {"half": HALF})[name]
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Line(("xoxb-of-ours",)))
    log = logging.Logger("tests")
    log.addHandler(handler)
    log.warning("a box said %s", payload)
    try:
        raise ValueError(payload)
    except ValueError:
        log.exception("trouble with %r", payload)
    stream.flush()
    written = stream.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert not UNSEEN.search(written.replace("\n", ""))
    first, second = map(json.loads, written.removesuffix("\n").split("\n"))
    assert first["said"] == f"a box said {payload}"
    assert f"ValueError: {payload}" in second["trouble"]


def test_the_last_words_of_a_process_are_a_line_without_secrets() -> None:
    program = (
        "from jobs.log import configure\nconfigure(['xoxb-of-ours'])\n"
        "raise RuntimeError('\\x1b[2J the token xoxb-of-ours\\nis no good')"
    )
    died = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=False)
    assert died.returncode == 1
    (line,) = died.stderr.splitlines()
    told = json.loads(line)
    assert told["level"] == "critical" and "RuntimeError" in told["trouble"]
    assert "xoxb-of-ours" not in died.stderr and "\x1b" not in died.stderr
