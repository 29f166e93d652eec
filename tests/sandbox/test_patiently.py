"""Slices, as the kernel has them afterwards."""

import asyncio
import ctypes
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sandbox import host_processes
from sandbox.box_folder import BoxFolder
from sandbox.local import WAITED_FOR_SECONDS
from sandbox.patiently import (
    ATTRIBUTES,
    LIBC,
    PATIENT_NANOSECONDS,
    run_patiently,
)
from sandbox.provider import BoxSpec
from tests.sandbox.places import Place
from tests.waiting import until

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}
KNOWN_SINCE = (6, 12)

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or tuple(map(int, platform.release().split(".")[:2])) < KNOWN_SINCE,
    reason="this kernel takes no notice of slices",
)


def slice_of(pid: int) -> int:
    said = ctypes.create_string_buffer(ATTRIBUTES.size)
    assert LIBC.syscall(SCHED_GETATTR[os.uname().machine], pid, said, ATTRIBUTES.size, 0) == 0
    return int(ATTRIBUTES.unpack(said.raw)[5])


@pytest.fixture
def shell() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that starts another whenever it is told to, and says its number."""
    told = "while read -r _; do sleep 60 >/dev/null & echo $!; done; kill $(jobs -p) 2>/dev/null"
    with subprocess.Popen(("/bin/bash", "-c", told), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_a_process_and_what_it_starts_get_long_slices(shell: "subprocess.Popen[bytes]") -> None:
    assert slice_of(shell.pid) < PATIENT_NANOSECONDS
    assert run_patiently(shell.pid) and slice_of(shell.pid) == PATIENT_NANOSECONDS
    assert shell.stdin is not None and shell.stdout is not None
    shell.stdin.write(b"\n")
    shell.stdin.flush()
    assert slice_of(int(shell.stdout.readline())) == PATIENT_NANOSECONDS
    assert os.getpriority(os.PRIO_PROCESS, shell.pid) == os.getpriority(os.PRIO_PROCESS, 0)


def test_nobody_is_changed_who_is_gone_or_of_another_policy(shell: "subprocess.Popen[bytes]") -> None:
    os.sched_setscheduler(shell.pid, os.SCHED_BATCH, os.sched_param(0))
    assert not run_patiently(shell.pid) and os.sched_getscheduler(shell.pid) == os.SCHED_BATCH
    assert not run_patiently(1 << 22)


async def test_a_boxs_runner_goes_before_what_runs_in_the_box_once_nobody_waits_for_it(local: Place) -> None:
    await local.provider.create(BoxSpec("one", local.greeting()))
    box = BoxFolder(local.boxes / "box/one")
    runner, namespace = box.said()["child-pid"], box.said()["pid-namespace"]
    running = asyncio.create_task(local.provider.exec("one", ("sleep", "60")))
    others = await until(lambda: set(host_processes.by_namespace().get(namespace, ())) - {runner})
    assert slice_of(runner) < PATIENT_NANOSECONDS and PATIENT_NANOSECONDS not in map(slice_of, others)
    record = json.loads((box.path / "record.json").read_text())
    (box.path / "record.json").write_text(json.dumps(record | {"born": record["born"] - WAITED_FOR_SECONDS}))
    await local.provider.overgrown()
    assert slice_of(runner) < PATIENT_NANOSECONDS and set(map(slice_of, others)) == {PATIENT_NANOSECONDS}
    running.cancel()
