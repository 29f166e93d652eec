"""The workers: `shipmate worker --queue NAME --count N` is a supervisor and N processes that take jobs of one queue.

Each job runs in a fork of a process that has imported everything already, on an event loop of its own. A worker has one
queue only, for with several RQ can lose a job between taking it and beginning it. SIGTERM ends a worker after its
running job; a second one at once. A worker that dies is started again; if the supervisor dies, its workers end too.
"""

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from redis import Redis
from rq import Worker
from rq.job import Job
from rq.queue import Queue as RqQueue
from rq.serializers import JSONSerializer

from jobs import children, images, operations, publish, wiring
from jobs.log import about
from jobs.queue import QUEUES, open_queue
from jobs.settings import JobSettings

log = logging.getLogger(__name__)
PRELOADED = (operations, images, publish, children)  # what jobs are made of: imported once, before any fork
MONITORING_SECONDS = 5  # a job whose worker was killed is given up a minute after it missed one of these
MAINTENANCE_SECONDS = 30
WORKER_TTL_SECONDS = 45  # RQ waits 15 less for a job, and does its maintenance between two waits
RESTART_SECONDS = 0.5
ENDINGS = {signal.SIGTERM, signal.SIGINT}
_PR_SET_PDEATHSIG = 1


def run(queue: str, settings: JobSettings, *, count: int) -> None:
    """Keep `count` workers of this queue alive until told to end."""
    if queue not in QUEUES:
        raise ValueError(f"there is no queue {queue!r}; there are {', '.join(QUEUES)}")
    wiring.configure(settings)
    _Supervisor(queue, settings.redis_url, count).run()


class OneQueueWorker(Worker):
    """RQ's forking worker. What is logged while a job runs, by whomever, says which session it is about."""

    max_connection_wait_time = 2.0

    def execute_job(self, job: Job, queue: RqQueue) -> None:
        """Run one job in a fork, and watch over it."""
        with about(session=str(job.args[0]) if job.args else ""):
            super().execute_job(job, queue)

    def main_work_horse(self, job: Job, queue: RqQueue) -> None:
        """The life of that fork. Without its worker nobody would hold it to its time, so it ends with it."""
        assert self.pid is not None
        _end_with(self.pid)
        super().main_work_horse(job, queue)


class _Supervisor:
    """The parent of the workers of one queue."""

    def __init__(self, queue: str, redis_url: str, count: int) -> None:
        self._queue, self._redis_url, self._count = queue, redis_url, count
        self._workers: set[int] = set()
        self._ending = False

    def run(self) -> None:
        """Return when told to end and the last worker has ended."""
        for number in ENDINGS:
            signal.signal(number, self._end)
        for _ in range(self._count):
            self._start()
        log.info("%d workers take jobs of the queue %s", self._count, self._queue)
        while self._workers:
            pid, status = os.wait()
            self._workers.discard(pid)
            if not self._ending:
                log.warning("a worker of %s ended (%s); another one starts", self._queue, _how(status))
                time.sleep(RESTART_SECONDS)
                self._start()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending = True
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _start(self) -> None:
        """Fork a worker, unless the end has come. No signal may find it half known."""
        with _signals_held():
            if self._ending:
                return
            parent, pid = os.getpid(), os.fork()
            if pid:
                self._workers.add(pid)
                return
            for number in ENDINGS:
                signal.signal(number, signal.SIG_DFL)
        _work(self._queue, self._redis_url, parent)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)


def _work(queue: str, redis_url: str, parent: int) -> NoReturn:
    """The life of one worker."""
    _end_with(parent)
    redis = Redis.from_url(redis_url)
    code = 1
    try:
        worker = OneQueueWorker(
            [open_queue(queue, redis)],
            connection=redis,
            serializer=JSONSerializer,
            job_monitoring_interval=MONITORING_SECONDS,
            maintenance_interval=MAINTENANCE_SECONDS,
            worker_ttl=WORKER_TTL_SECONDS,
        )
        worker.work(logging_level="WARNING")
        code = 0
    except Exception:
        log.exception("a worker of %s could not work", queue)
    finally:
        logging.shutdown()
        os._exit(code)


def _end_with(parent: int) -> None:
    """Have the kernel tell this process to end when `parent` is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit code {code}"
