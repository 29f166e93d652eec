"""A run of tests that is killed leaves no box, and no folder."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import host_processes, probe
from sandbox.box_folder import BoxFolder
from tests.leash import ROOT
from tests.waiting import until

FOUND = probe.probe()
RUN = """\
import asyncio, sys, time
from sandbox.provider import BoxSpec
from tests.sandbox.places import Place, folder
with folder() as made:
    place = Place(sys.argv[1], made)
    asyncio.run(place.provider.create(BoxSpec("b1", place.greeting())))
    print(made, flush=True)
    time.sleep(300)
"""


@pytest.mark.parametrize("kind", ["local", "unisolated"])
async def test_what_a_killed_run_has_left_is_ended(kind: str) -> None:
    if kind == "local" and not FOUND.allowed:
        pytest.skip(FOUND.reason)
    with subprocess.Popen((sys.executable, "-c", RUN, kind), cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        folder = Path(run.stdout.readline().strip())
        pid = BoxFolder(folder / "boxes/box/b1").said()["child-pid"]
        run.send_signal(signal.SIGKILL)
    await until(lambda: not host_processes.command_name(pid))
