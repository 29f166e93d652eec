"""What a box answers is believed only if it is an answer."""

import asyncio
from pathlib import Path

import pytest

from sandbox import control
from sandbox.provider import Permanent

GOOD = b'{"code": 0, "stdout_bytes": 2, "stderr_bytes": 0, "truncated": false}\nhi'
NO_ANSWERS = [
    b"", b"\n", b"{", b"7\n", b"[]\n", b'"error"\n', b"null\n", b"{}\n", b"\xff\n", b"[" * 60_000 + b"\n",
    b"x" * 100_000 + b"\n", b'{"code": null, "stdout_bytes": 0, "stderr_bytes": 0, "truncated": false}\n',
    b'{"code": 0, "stdout_bytes": 2, "stderr_bytes": 0, "truncated": false}\nh',
    b'{"code": 0, "stdout_bytes": -1, "stderr_bytes": 0, "truncated": false}\n',
    b'{"code": 0, "stdout_bytes": 99999999, "stderr_bytes": 0, "truncated": false}\n',
]  # fmt: skip


async def answered(folder: Path, answer: bytes) -> bytes:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    path = str(folder / "c.sock")
    async with await asyncio.start_unix_server(answers, path):
        return (await control.run(path, ("true",), b"", 5.0, 1000)).stdout


@pytest.mark.parametrize("answer", NO_ANSWERS)
async def test_what_is_no_answer_is_told_as_such(spot: Path, answer: bytes) -> None:
    with pytest.raises(control.NoAnswer):
        await answered(spot, answer)


async def test_an_answer_is_read_and_a_refusal_is_for_good(spot: Path) -> None:
    assert await answered(spot, GOOD) == b"hi"
    (spot / "c.sock").unlink(missing_ok=True)
    with pytest.raises(Permanent, match="refused a command: no"):
        await answered(spot, b'{"error": "no"}\n')
