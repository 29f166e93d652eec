"""The supervisor with real processes: it starts again what dies, gives up in words, and ends all in order."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot import supervisor
from bot.supervisor import GivenUp, Patience, Program, Supervisor, last_words
from tests.waiting import until

SECONDS = 15.0
TELL = "import sys, os, time; print(sys.argv[1], os.getpid(), time.monotonic(), flush=True)"
STAY = f"{TELL}; time.sleep(60)"
SAY_GOODBYE = (
    "import sys, signal, time\n"
    "def end(*_):\n"
    "    print(sys.argv[1], 'ended', time.monotonic(), flush=True)\n"
    "    sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "print(sys.argv[1], 'there', flush=True)\n"
    "time.sleep(60)\n"
)
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('there', flush=True); time.sleep(60)"
WITH_A_CHILD = (
    "import subprocess, time\n"
    "child = subprocess.Popen(['sleep', '60'])\n"
    "print('child', child.pid, flush=True)\n"
    "time.sleep(60)\n"
)


def python(name: str, script: str) -> Program:
    return Program(name, (sys.executable, "-c", script, name), {"PATH": os.environ["PATH"]})


@asynccontextmanager
async def supervising(logs: Path, **patience: float) -> AsyncIterator[Supervisor]:
    one = Supervisor(logs, Patience(**patience))
    try:
        yield one
    finally:
        await one.end()


def lines(logs: Path, name: str) -> list[list[str]]:
    path = logs / f"{name}.log"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def lives(pid: int) -> bool:
    """Whether this process is there and not only waiting to be buried."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return said.rpartition(")")[2].split()[0] != "Z"


async def test_what_dies_is_started_again_after_a_moment(tmp_path: Path) -> None:
    async with supervising(tmp_path) as one:
        one.add(python("web", STAY))
        await until(lambda: len(lines(tmp_path, "web")) == 1)
        first = one.pid("web")
        assert first is not None and first == int(lines(tmp_path, "web")[0][1])
        killed = time.monotonic()
        os.kill(first, signal.SIGKILL)
        await until(lambda: len(lines(tmp_path, "web")) == 2)
        assert one.pid("web") not in (None, first)
        assert float(lines(tmp_path, "web")[1][2]) - killed >= supervisor.FIRST_DELAY_SECONDS
        assert not one.given_up.done()


async def test_what_keeps_dying_is_started_ever_more_slowly(tmp_path: Path) -> None:
    async with supervising(tmp_path) as one:
        one.add(python("web", TELL))
        await until(lambda: len(lines(tmp_path, "web")) == 4)
    began = [float(line[2]) for line in lines(tmp_path, "web")]
    waits = [later - earlier for earlier, later in zip(began, began[1:], strict=False)]
    for number, wait in enumerate(waits):
        assert wait >= supervisor.FIRST_DELAY_SECONDS * 2**number


async def test_what_never_stays_up_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    async with supervising(tmp_path, deaths=3) as one:
        one.add(python("web", "import sys; sys.exit('no port is free')"))
        with pytest.raises(GivenUp, match=r"web does not stay up\.\n(no port is free\n?){3}"):
            await asyncio.wait_for(one.given_up, SECONDS)
        assert one.pid("web") is None


async def test_who_stayed_up_for_a_while_is_not_counted_as_dying_in_a_row(tmp_path: Path) -> None:
    async with supervising(tmp_path, deaths=2, healthy=0.0) as one:
        one.add(python("web", TELL))
        await until(lambda: len(lines(tmp_path, "web")) >= 4)
        assert not one.given_up.done()


async def test_all_end_kindly_the_last_added_first(tmp_path: Path) -> None:
    names = ("redis", "web", "upkeep")
    async with supervising(tmp_path) as one:
        for name in names:
            one.add(python(name, SAY_GOODBYE))
        await until(lambda: all(lines(tmp_path, name) for name in names))
    ended = {name: float(lines(tmp_path, name)[-1][2]) for name in names}
    assert ended["upkeep"] < ended["web"] < ended["redis"]
    assert all([line[1] for line in lines(tmp_path, name)] == ["there", "ended"] for name in names)


async def test_some_end_and_are_not_started_again_while_the_others_go_on(tmp_path: Path) -> None:
    async with supervising(tmp_path) as one:
        for name in ("redis", "boxes", "upkeep"):
            one.add(python(name, STAY))
        await until(lambda: all(lines(tmp_path, name) for name in ("redis", "boxes", "upkeep")))
        redis, boxes = one.pid("redis"), one.pid("boxes")
        await one.end("boxes", "upkeep")
        assert (one.pid("redis"), one.pid("boxes"), one.pid("upkeep")) == (redis, None, None)
        assert boxes is not None and not lives(boxes)
        assert len(lines(tmp_path, "boxes")) == 1


async def test_who_does_not_end_kindly_is_killed(tmp_path: Path) -> None:
    async with supervising(tmp_path, kind=0.2) as one:
        one.add(python("web", DEAF))
        await until(lambda: bool(lines(tmp_path, "web")))
        pid = one.pid("web")
    assert pid is not None and not lives(pid)


@pytest.mark.parametrize("how", ["ended", "killed"])
async def test_what_a_program_has_started_ends_with_it(tmp_path: Path, how: str) -> None:
    async with supervising(tmp_path) as one:
        one.add(python("boxes", WITH_A_CHILD))
        await until(lambda: bool(lines(tmp_path, "boxes")))
        child = int(lines(tmp_path, "boxes")[0][1])
        assert lives(child)
        if how == "killed":
            pid = one.pid("boxes")
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        else:
            await one.end("boxes")
        await until(lambda: not lives(child))


async def test_a_program_gets_its_environment_and_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "secret")
    async with supervising(tmp_path) as one:
        script = "import os, time; print(sorted(set(os.environ) & {'OURS', 'THEIRS'}), flush=True); time.sleep(60)"
        one.add(Program("web", (sys.executable, "-c", script), {"THEIRS": "1"}))
        await until(lambda: bool(lines(tmp_path, "web")))
    assert lines(tmp_path, "web") == [["['THEIRS']"]]


async def test_programs_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from bot.supervisor import Program, Supervisor\n"
        "async def main():\n"
        "    one = Supervisor(Path(sys.argv[1]))\n"
        "    one.add(Program('web', (sys.executable, '-c', sys.argv[2], 'web'), {}))\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path), STAY)
    await until(lambda: bool(lines(tmp_path, "web")))
    pid = int(lines(tmp_path, "web")[0][1])
    parent.kill()
    await parent.wait()
    await until(lambda: not lives(pid))


def test_last_words_are_the_end_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    assert last_words(path) == ""
    path.write_bytes(b"x" * 9_000 + b"\n" + b"\n".join(b"line %d" % n for n in range(30)) + b"\n\xff bad")
    assert last_words(path).splitlines() == [*(f"line {n}" for n in range(19, 30)), "\ufffd bad"]
