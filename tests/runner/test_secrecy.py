"""What nobody in the box may see, and what becomes of processes that nobody waits for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runner.boxes import RunningBox, command_of, descendants
from tests.runner.gateway import StandIn
from tests.waiting import until

TOKEN = "tok-3f1c9d77a2"


async def test_the_token_is_in_no_file_no_argument_and_no_environment(box: RunningBox, gateway: StandIn):
    gateway.token = TOKEN
    await box.start(token=TOKEN)
    await gateway.prompt("slow command 33")
    await gateway.frame("step")
    assert box.process is not None
    runner = box.process.pid
    await until(lambda: any(command_of(pid) == "sleep 33" for pid in descendants(runner)))
    for pid in [runner, *descendants(runner)]:
        for name in ("cmdline", "environ"):
            assert TOKEN.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
    for path in (path for path in box.root.rglob("*") if path.is_file()):
        assert TOKEN.encode() not in path.read_bytes(), path


async def test_children_inherit_no_descriptor_of_the_runners(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.frame("ready")
    listed = await box.exec("sh", "-c", "ls /proc/$$/fd")
    assert listed.split() == ["0", "1", "2"]


async def test_orphans_are_reaped(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.frame("ready")
    begun = "until test -e $HOME/begun; do sleep 0.01; done"
    await box.exec("sh", "-c", f"setsid sh -c 'touch $HOME/begun; sleep 0.05' >/dev/null 2>&1 & {begun}")
    assert box.process is not None
    runner = box.process.pid
    await until(lambda: all("rehearsal" in command_of(pid) for pid in descendants(runner)))


async def test_nothing_is_left_when_the_runner_has_ended(box: RunningBox, gateway: StandIn):
    await box.start()
    await gateway.prompt("slow command 22")
    await gateway.frame("step")
    assert box.process is not None
    runner = box.process.pid
    await until(lambda: any(command_of(pid) == "sleep 22" for pid in descendants(runner)))
    left = descendants(runner)
    assert await box.terminate() == 0
    await until(lambda: not any(command_of(pid) for pid in left))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")
def test_the_runner_lets_nobody_look_into_it():
    code = (
        "import ctypes; from sandbox.runner.__main__ import harden; harden(); "
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert said.stdout.strip() == "0"


BAD_GREETINGS = [
    (b"", "no greeting"),
    (b"hello\n", "no greeting"),
    (b"[]\n", "no greeting"),
    (b'{"wire": 2}\n', "wire version 2"),
    (json.dumps({"wire": 1, "token": "t", "mode": "fly"}).encode() + b"\n", "unknown mode 'fly'"),
    (json.dumps({"wire": 1, "token": "t", "mode": "serve"}).encode() + b"\n", "mode serve needs an agent"),
]


@pytest.mark.parametrize(("line", "why"), BAD_GREETINGS)
def test_a_greeting_that_is_none_is_refused_in_a_sentence(pyz: Path, tmp_path: Path, line: bytes, why: str):
    argv = [sys.executable, "-I", "-S", "-B", str(pyz), "--root", str(tmp_path)]
    done = subprocess.run(argv, input=line, capture_output=True, timeout=20, check=False)
    assert done.returncode == 2
    assert why in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_unknown_options_are_refused_with_the_usage(pyz: Path):
    done = subprocess.run([sys.executable, pyz, "--fly", "1"], input=b"", capture_output=True, timeout=20, check=False)
    assert (done.returncode, b"usage: runner.pyz" in done.stderr) == (2, True)
