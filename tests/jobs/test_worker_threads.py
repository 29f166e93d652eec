"""Workers of a queue whose jobs wait: one process, one loop, many jobs; killed, hung and ended as any worker may be."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobs.worker_books import Books
from tests.jobs.test_worker import SECONDS, SID, Workers, alive, until
from tests.jobs.work import SECRET

SHARED, QUEUE = "boxes-modal", "images-modal"  # of the process that several tests use, and of a test's own
MANY = 60


@pytest.fixture(scope="module")
def many(redis_server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """A process that does many jobs at a time, for the tests that leave it as it is."""
    with redis.Redis.from_url(redis_server_url) as client:
        client.flushall()
    yield from running(redis_server_url, tmp_path_factory.mktemp("many"), MANY, SHARED)


@pytest.fixture
def workers(redis_url: str, tmp_path: Path) -> Iterator[Workers]:
    """A process of a test's own."""
    yield from running(redis_url, tmp_path, 3, QUEUE)


def running(redis_url: str, folder: Path, count: int, queue: str) -> Iterator[Workers]:
    started = Workers(redis_url, folder, count, queue)
    try:
        until(lambda: len(started.all()) == count, f"{count} workers")
        yield started
    finally:
        started.end()


def test_many_jobs_wait_at_once_in_one_process(many: Workers) -> None:
    for n in range(MANY):
        many.ask("hold", str(n))
    (pid,) = {many.heard(f"{n} began") for n in range(MANY)}
    assert pid != many.process.pid and many.pids() == {pid}
    for n in range(MANY):
        many.go(str(n))
    assert {many.heard(f"{n} done") for n in range(MANY)} == {pid}


def test_all_jobs_run_on_one_loop_and_have_one_workshop(many: Workers) -> None:
    for n in range(6):
        many.ask("share", f"share {n}")
    until(lambda: len(list(many.client.scan_iter("test:share * in *"))) == 6, "six jobs")
    (where,) = {key.decode().partition(" in ")[2] for key in many.client.scan_iter("test:share * in *")}
    assert where.startswith("MainThread ")


def test_a_job_leaves_nothing_when_it_is_done(many: Workers) -> None:
    job = many.ask("nothing", "brief")
    many.heard("brief done")
    until(lambda: not many.client.exists(f"rq:job:{job}"), "the job is forgotten")


def test_a_job_that_crashes_is_told_with_its_session_and_without_a_secret_and_the_rest_goes_on(many: Workers) -> None:
    many.ask("hold", "other")
    many.heard("other began")
    many.ask("crash", "crashing")
    until(lambda: "something unexpected" in many.log.read_text(), "the crash is logged")
    told = [line for line in many.lines() if line["level"] == "error"]
    assert [line["session"] for line in told] == ["crashing"]
    assert SECRET not in many.log.read_text()
    many.go("other")
    many.heard("other done")


def test_a_job_that_takes_too_long_is_ended_and_its_worker_goes_on(many: Workers) -> None:
    many.ask("hold", "long", seconds=1)
    many.heard("long began")
    until(lambda: "it did not end within 1 s" in many.log.read_text(), "its end is logged")
    until(lambda: len(many.all()) == MANY, "nobody ended")


def test_what_is_said_of_a_job_that_runs_keeps_it_from_being_taken_for_lost(many: Workers) -> None:
    many.ask("hold", "lasting")
    many.heard("lasting began")

    def believed() -> float:
        [(_, until_when)] = many.client.zrange(f"rq:wip:{SHARED}", 0, -1, withscores=True)
        return float(until_when)

    first = believed()
    assert first - many.client.time()[0] < 70
    until(lambda: believed() > first, "it says that it goes on")
    many.go("lasting")
    many.heard("lasting done")


def test_a_process_whose_loop_stands_still_ends_itself(redis_url: str, tmp_path: Path) -> None:
    workers = Workers(redis_url, tmp_path, 2, QUEUE, "1")
    try:
        workers.ask("block")
        workers.heard(f"{SID} began")
        assert workers.process.wait(SECONDS) == 1
        assert "has stood still" in workers.log.read_text()
    finally:
        workers.end()


def test_a_process_that_is_killed_is_started_again(workers: Workers) -> None:
    workers.ask("hold")
    pid = workers.heard(f"{SID} began")
    os.kill(pid, signal.SIGKILL)
    until(lambda: workers.pids() - {pid}, "another process")
    workers.ask("nothing", "next")
    assert workers.heard("next done") != pid


def test_told_to_end_it_finishes_its_jobs_first_and_takes_no_others(workers: Workers) -> None:
    for name in ("one", "two"):
        workers.ask("hold", name)
        workers.heard(f"{name} began")
    pids = workers.pids()
    workers.process.terminate()
    until(lambda: len(workers.all()) == 2, "the idle one ends")
    workers.ask("nothing", "late")
    for name in ("one", "two"):
        workers.go(name)
        workers.heard(f"{name} done")
    assert workers.process.wait(SECONDS) == 0
    assert not any(alive(pid) for pid in pids)
    assert workers.client.llen(f"rq:queue:{QUEUE}") == 1 and not workers.client.exists("test:late done")
    assert workers.all() == []


def test_told_to_end_with_nothing_to_do_it_ends_at_once(workers: Workers) -> None:
    workers.process.terminate()
    assert workers.process.wait(5.0) == 0


def test_told_twice_it_ends_at_once(workers: Workers) -> None:
    workers.ask("hold")
    pid = workers.heard(f"{SID} began")
    workers.process.terminate()
    until(lambda: len(workers.all()) == 1, "the idle ones end")
    assert alive(pid)

    def told_again() -> bool:
        if workers.process.poll() is None:
            workers.process.terminate()
        return not alive(pid)

    until(told_again, "the job ends with its process")


def test_when_the_supervisor_is_killed_the_process_ends(workers: Workers) -> None:
    pids = workers.pids()
    workers.process.kill()
    until(lambda: not any(alive(pid) for pid in pids), "it ends")


def test_a_job_that_does_not_heed_its_end_is_left_to_itself_and_keeps_the_process_from_nothing(
    workers: Workers,
) -> None:
    job = workers.ask("deaf", seconds=1)
    pid = workers.heard(f"{SID} was told")
    until(lambda: "s after it" in workers.log.read_text(), "it is given up")
    until(lambda: workers.client.ttl(f"rq:job:{job}") > 0, "it can be asked for again")
    for n in range(3):
        workers.ask("nothing", f"after {n}")
        workers.heard(f"after {n} done")
    workers.process.terminate()
    assert workers.process.wait(SECONDS) == 0
    assert not alive(pid)


def test_rqs_books_are_seen_to_by_one_of_all_threads_and_again_after_a_while() -> None:
    books = Books()
    assert [books.are_due(now) for now in (100.0, 100.0, 129.9, 130.0, 130.0)] == [True, False, False, True, False]
