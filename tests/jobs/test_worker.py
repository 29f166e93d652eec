"""Workers as real processes: they share a queue, are started again when they die, and end when told to."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Worker

from jobs import worker
from jobs.queue import FORGET_FAILED_SECONDS, open_queue
from jobs.settings import JobSettings
from tests.jobs.servers import Server
from tests.jobs.work import SECRET

SECONDS = 20.0
SID = "s0123456789abcdef"


class Workers:
    """`count` workers of a queue under their supervisor, or with a limit of their loop's stillness without one."""

    def __init__(self, redis_url: str, folder: Path, count: int, queue: str = "boxes", *still: str) -> None:
        self.client = redis.Redis.from_url(redis_url, socket_timeout=2 * SECONDS)
        self.log, self.queue = folder / "log", queue
        argv = [sys.executable, "-m", "tests.jobs.work", queue, redis_url, str(folder / "data"), str(count), *still]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(argv, stdout=out, stderr=out, start_new_session=True)

    def ask(self, function: str, name: str = SID, seconds: int = 55) -> str:
        more = {"result_ttl": 0, "failure_ttl": FORGET_FAILED_SECONDS, "job_timeout": seconds}
        job = open_queue(self.queue, self.client).enqueue(f"tests.jobs.work.{function}", name, **more)
        return str(job.id)

    def heard(self, mark: str) -> int:
        """Wait for a job's mark; returns the process that made it."""
        said: Any = self.client.blpop([f"test:{mark}"], timeout=SECONDS)
        assert said is not None, f"no {mark!r}: {self.log.read_text()}"
        return int(said[1])

    def go(self, name: str = SID) -> None:
        self.client.rpush(f"test:{name} go", 1)

    def pids(self) -> set[int]:
        return {int(w.pid) for w in self.all() if w.pid and alive(int(w.pid))}

    def all(self) -> list[Any]:
        """Those that said that they live, and not that they ended."""
        return [w for w in Worker.all(queue=open_queue(self.queue, self.client)) if w.birth_date]

    def end(self) -> None:
        """Kill whatever is left of them."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # also those that the record has forgotten
        self.process.wait(SECONDS)

    def waiting(self) -> set[int]:
        """The processes that wait for the next job, one of each worker."""
        until(lambda: len(found := forks(self.pids())) == len(self.pids()) and all(map(alive, found)), "they wait")
        return forks(self.pids())

    def lines(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def doing(pid: int) -> str:
    """Where a process stands still, and which signals wait for it; "" if it is gone."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        where = Path(f"/proc/{pid}/wchan").read_text()
        return f"{where} {[line for line in status if line.startswith(('Sig', 'Shd'))]}"
    return ""


def forks(pids: set[int]) -> set[int]:
    return {int(child) for pid in pids for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, f"not within {SECONDS:.0f} s: {what}"
        time.sleep(0.02)


@pytest.fixture
def workers(redis_url: str, tmp_path: Path) -> Iterator[Workers]:
    running = Workers(redis_url, tmp_path, 2)
    until(lambda: len(running.pids()) == 2, "two workers")
    yield running
    running.end()


def test_workers_of_one_queue_work_side_by_side_each_job_in_a_process_of_its_own(workers: Workers) -> None:
    for name in ("one", "two"):
        workers.ask("hold", name)
    horses = {workers.heard("one began"), workers.heard("two began")}
    assert len(horses) == 2
    assert not horses & (workers.pids() | {workers.process.pid})
    for name in ("one", "two"):
        workers.go(name)
        workers.heard(f"{name} done")


def test_a_job_begins_in_a_process_that_waited_for_it_and_another_one_waits_for_the_next(workers: Workers) -> None:
    waited = workers.waiting()
    for name in ("one", "two"):
        workers.ask("hold", name)
    assert {workers.heard("one began"), workers.heard("two began")} == waited
    for name in ("one", "two"):
        workers.go(name)
        workers.heard(f"{name} done")
    until(lambda: not any(map(alive, waited)), "each ends with its job")
    assert not workers.waiting() & waited


def test_a_process_that_is_killed_while_it_waits_costs_no_job(workers: Workers) -> None:
    waited = workers.waiting()
    for pid in waited:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(map(alive, waited)), "none waits")
    workers.ask("nothing")
    assert workers.heard(f"{SID} done") not in waited


def test_a_job_knows_the_settings_and_leaves_nothing_when_it_is_done(workers: Workers) -> None:
    job = workers.ask("settings")
    workers.heard(f"{SID} data")
    until(lambda: not workers.client.exists(f"rq:job:{job}"), "the job is forgotten")


def test_a_job_that_crashes_is_told_with_its_session_and_without_a_secret_and_the_worker_goes_on(
    workers: Workers,
) -> None:
    job = workers.ask("crash")
    workers.heard(f"{SID} began")
    until(lambda: "something unexpected" in workers.log.read_text(), "the crash is logged")
    told = [line for line in workers.lines() if line["level"] == "error"]
    assert [line["session"] for line in told] == [SID]
    assert SECRET not in workers.log.read_text()
    until(lambda: 0 < workers.client.ttl(f"rq:job:{job}") <= FORGET_FAILED_SECONDS, "it can be asked for again")
    workers.ask("nothing")
    workers.heard(f"{SID} done")


def test_a_job_whose_process_is_killed_is_told_and_the_worker_goes_on(workers: Workers) -> None:
    workers.ask("hold")
    os.kill(workers.heard(f"{SID} began"), signal.SIGKILL)
    until(lambda: "terminated unexpectedly" in workers.log.read_text(), "it is logged")
    assert {line.get("session") for line in workers.lines() if line["level"] == "warning"} == {SID}
    workers.ask("nothing")
    workers.heard(f"{SID} done")


def test_a_worker_that_dies_is_started_again(workers: Workers) -> None:
    victim, other = sorted(workers.pids())
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(workers.pids() - {victim, other}) == 1, "another worker")
    assert other in workers.pids()
    for name in ("one", "two"):
        workers.ask("hold", name)
    for name in ("one", "two"):
        workers.heard(f"{name} began")
        workers.go(name)


@pytest.mark.parametrize("queue", ["boxes", "boxes-modal"])
async def test_a_job_just_taken_is_begun_when_the_record_is_back(queue: str, tmp_path: Path) -> None:
    async with Server.running(tmp_path / "server") as server:
        worker = Workers(server.url, tmp_path, 1, queue)
        try:
            until(lambda: "blmove" in {one["cmd"] for one in worker.client.client_list()}, "a worker that waits")
            (pid,) = worker.pids()
            os.kill(pid, signal.SIGSTOP)
            worker.ask("nothing")
            assert worker.client.llen(f"rq:queue:{queue}") == 0, "it was given to the worker, which has not read it yet"
            server.kill()
            os.kill(pid, signal.SIGCONT)
            await server.start()
            worker.heard(f"{SID} done")
        finally:
            worker.end()


def test_told_to_end_a_worker_finishes_its_job_first(workers: Workers) -> None:
    workers.ask("hold")
    workers.heard(f"{SID} began")
    pids = workers.pids()
    workers.process.terminate()
    until(lambda: len([pid for pid in pids if alive(pid)]) == 1, "the idle one ends")
    assert workers.process.poll() is None
    workers.go()
    workers.heard(f"{SID} done")
    assert workers.process.wait(SECONDS) == 0
    assert not any(alive(pid) for pid in pids)


def test_told_twice_it_ends_at_once(workers: Workers) -> None:
    workers.ask("hold")
    horse = workers.heard(f"{SID} began")
    workers.process.terminate()
    until(lambda: len(workers.pids()) == 1, "the idle one ends")
    deadline = time.monotonic() + SECONDS
    while workers.process.poll() is None:  # RQ takes a second signal within a second for the first one
        assert time.monotonic() < deadline
        with contextlib.suppress(ProcessLookupError):
            workers.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            workers.process.wait(0.3)
    until(lambda: not alive(horse), "the job's process ends too")


def test_when_the_supervisor_is_killed_its_workers_end_and_what_waits_in_them(workers: Workers) -> None:
    idle, waiting = workers.pids(), workers.waiting()
    workers.process.kill()
    try:
        until(lambda: not any(alive(pid) for pid in idle | waiting), "they end")
    except AssertionError as late:
        left = {pid: doing(pid) for pid in idle | waiting}
        raise AssertionError(f"{late}; left: {left}, of the workers {idle}; {workers.log.read_text()}") from None


def test_when_a_worker_is_killed_its_job_ends_with_it(workers: Workers) -> None:
    workers.ask("hold")
    horse = workers.heard(f"{SID} began")
    for pid in workers.pids():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(horse), "the job's process ends too")


def test_a_queue_that_is_not_there_is_named() -> None:
    with pytest.raises(
        ValueError, match="no queue 'turns'; there are boxes, images, publish, boxes-modal, images-modal"
    ):
        worker.run("turns", JobSettings.from_env({}), count=1)
