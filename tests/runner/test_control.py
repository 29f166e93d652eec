"""The control socket: how the host runs commands in a box."""

import asyncio
import json
import signal

import pytest

from tests.runner.boxes import RunningBox, command_of, descendants, kill
from tests.runner.gateway import StandIn
from tests.waiting import until


@pytest.fixture
async def idle(box: RunningBox) -> RunningBox:
    await box.start(mode="idle", gateway=None, agent=None)
    return box


async def test_a_runner_answers_a_ping(idle: RunningBox):
    assert await idle.control({"op": "ping"}) == ({"ok": True, "runner": "1"}, b"")


async def test_a_command_is_run_in_the_repositorys_folder(idle: RunningBox):
    assert (await idle.exec("pwd")).strip() == str(idle.repo.resolve())


async def test_both_outputs_and_the_code_come_back(idle: RunningBox):
    request = {"op": "exec", "argv": ["sh", "-c", "cat; echo no >&2; exit 3"], "stdin_bytes": 5}
    answer, said = await idle.control(request, b"hello")
    assert (answer["code"], answer["stdout_bytes"], answer["stderr_bytes"], answer["truncated"]) == (3, 5, 3, False)
    assert said == b"hellono\n"


async def test_output_is_cut_at_the_limit_and_the_command_goes_on_to_its_end(idle: RunningBox):
    command = "head -c 3000000 /dev/zero; touch ended"
    answer, said = await idle.control({"op": "exec", "argv": ["sh", "-c", command], "limit": 1000})
    assert (answer["code"], answer["truncated"], len(said)) == (0, True, 1000)
    assert (idle.repo / "ended").exists()


async def test_a_command_that_takes_too_long_is_killed_with_its_group(idle: RunningBox):
    answer, _ = await idle.control({"op": "exec", "argv": ["sh", "-c", "sleep 55; true"], "timeout": 0.2})
    assert (answer["code"], answer["timed_out"]) == (-9, True)
    assert idle.process is not None
    runner = idle.process.pid
    await until(lambda: not any(command_of(pid) == "sleep 55" for pid in descendants(runner)))


async def test_a_child_that_holds_the_output_open_delays_nothing(idle: RunningBox):
    answer, said = await idle.control({"op": "exec", "argv": ["sh", "-c", "sleep 44 & echo done"], "timeout": 30})
    assert (answer["code"], said) == (0, b"done\n")


@pytest.mark.parametrize(("argv", "code"), [(["no-such-program"], 127), (["/etc/passwd"], 126), (["/"], 126)])
async def test_a_command_that_cannot_be_run_is_told_as_a_shell_would(idle: RunningBox, argv: list[str], code: int):
    assert (await idle.control({"op": "exec", "argv": argv}))[0]["code"] == code


BAD = [
    b"nonsense\n",
    b"[]\n",
    b"{}\n",
    b'{"op":"fly"}\n',
    b'{"op":"exec"}\n',
    b'{"op":"exec","argv":["ls"],"stdin_bytes":1e12}\n',
]


@pytest.mark.parametrize("line", BAD)
async def test_what_is_no_request_is_told_and_harms_nothing(idle: RunningBox, line: bytes):
    assert "not a request" in (await idle.control(line))[0]["error"]
    assert (await idle.control({"op": "ping"}))[0]["ok"] is True


async def test_a_command_is_run_while_a_turn_runs(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("slow command")
    await gateway.frame("step")
    assert await box.exec("git", "rev-parse", "--abbrev-ref", "HEAD") == "shipmate/s1\n"


async def test_an_idle_runner_ends_when_it_is_told(idle: RunningBox):
    await idle.control({"op": "ping"})
    assert await idle.terminate() == 0


async def test_a_runner_that_is_told_again_and_again_ends_well_all_the_same(idle: RunningBox):
    await idle.control({"op": "ping"})
    assert idle.process is not None
    pid = idle.process.pid  # by its number: `terminate` of one that is dead takes its code from who waits for it
    await until(lambda: idle.process.returncode is not None or kill(pid, signal.SIGTERM))
    assert idle.process.returncode == 0


async def test_output_is_followed_while_the_command_runs(idle: RunningBox):
    command = "echo one; while ! [ -e go ]; do sleep 0.02; done; echo two >&2"
    request = {"op": "exec", "argv": ["sh", "-c", command], "follow": True, "limit": 6}
    async with idle.asked(request) as reader:
        assert await reader.readline() == b'{"piece":4}\n'
        assert await reader.readexactly(4) == b"one\n"
        (idle.repo / "go").touch()
        assert await reader.readline() == b'{"piece":2}\n'
        assert await reader.readexactly(2) == b"tw"
        answer = json.loads(await reader.readline())
    assert (answer["code"], answer["stdout_bytes"], answer["stderr_bytes"], answer["truncated"]) == (0, 0, 0, True)


async def test_nothing_moves_while_the_box_is_held_and_everything_does_afterwards(idle: RunningBox):
    counting = "setsid sh -c 'while :; do echo x >>t; sleep 0.01; done' >/dev/null 2>&1 </dev/null &"
    await idle.exec("sh", "-c", f"{counting} while [ ! -s t ]; do sleep 0.01; done")
    async with idle.asked({"op": "hold"}) as reader:
        assert json.loads(await reader.readline()) == {"held": True}
        before = (idle.repo / "t").read_bytes()
        late = asyncio.create_task(idle.exec("touch", "late"))
        await asyncio.wait({late}, timeout=0.2)
        assert (idle.repo / "t").read_bytes() == before and not late.done()
    await late
    await until(lambda: (idle.repo / "t").read_bytes() != before)
