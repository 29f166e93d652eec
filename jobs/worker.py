"""The workers: `shipmate worker --queue NAME --count N` is a supervisor and N processes that take jobs of one queue.

Each job runs in a fork of a process that has imported everything already, on an event loop of its own; the fork for the
next one is made beforehand (`jobs/horse.py`). Where jobs do little but wait, it is one process with N threads instead
(`jobs/worker_threads.py`). A worker has one queue only, for with several RQ can lose a job between taking it and
beginning it. SIGTERM ends a worker after its running job; a second one at once. A worker that dies is started again; if
the supervisor dies, its workers end too.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from redis import RedisError
from rq import Worker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue as RqQueue
from rq.serializers import JSONSerializer

from jobs import children, images, operations, publish, wiring
from jobs.horse import ENDINGS, Horse, signals_held
from jobs.log import about
from jobs.queue import QUEUES, KeepingQueue, open_queue
from jobs.settings import JobSettings
from jobs.store_connection import blocking
from jobs.worker_threads import Threads
from sandbox import runtime

log = logging.getLogger(__name__)
PRELOADED = (operations, images, publish, children)  # what jobs are made of: imported once, before any fork
MONITORING_SECONDS = 5  # a job whose worker was killed is given up a minute after it missed one of these
MAINTENANCE_SECONDS = 30
WORKER_TTL_SECONDS = 45  # RQ waits 15 less for a job, and does its maintenance between two waits
RESTART_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


def run(queue: str, settings: JobSettings, *, count: int) -> None:
    """Keep `count` workers of this queue alive until told to end."""
    if queue not in QUEUES:
        raise ValueError(f"there is no queue {queue!r}; there are {', '.join(QUEUES)}")
    wiring.configure(settings)
    if QUEUES[queue].waits:
        _Supervisor(queue, partial(_work_in_threads, queue, settings.redis_url, count), 1).run()
    else:
        _Supervisor(queue, partial(_work, queue, settings.redis_url), count).run()


class OneQueueWorker(Worker):
    """RQ's forking worker. What is logged while a job runs, by whomever, says which session it is about."""

    max_connection_wait_time = 1.0  # RQ's own first pause: before each the record was dialled for 2 s
    _waiting: Horse | None = None

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """Wait for a job, with a fork for it at hand."""
        self._waiting = self._waiting or self._saddled()
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def _shutdown(self) -> None:
        """End an idle worker. Redis's client swallows whatever else is raised while it counts its own calls."""
        try:
            super()._shutdown()  # type: ignore[no-untyped-call]
        except StopRequested:
            raise SystemExit from None

    def execute_job(self, job: Job, queue: RqQueue) -> None:
        """Run one job in a fork, and watch over it."""
        with about(session=_session_of(job)):
            super().execute_job(job, queue)

    def fork_work_horse(self, job: Job, queue: RqQueue) -> None:
        """Give the job to the fork that waits, or to another one if something has ended that."""
        assert self.execution is not None
        line = json.dumps((job.id, self.execution.id)).encode()
        horse, self._waiting = self._waiting or self._saddled(), None
        while not horse.goes(line):
            horse = self._saddled()
        self._horse_pid = horse.pid

    def _saddled(self) -> Horse:
        return Horse.saddled(self._get_ready, self._ride)

    def _get_ready(self) -> None:
        """What the fork does while it waits. Without its worker nobody would hold it to its time: it ends with it."""
        assert self.pid is not None
        _end_with(self.pid)
        with contextlib.suppress(RedisError):  # dialled again when there is a job
            self.connection.ping()

    def _ride(self, line: bytes) -> None:
        """The rest of its life, with a job."""
        job_id, execution_id = json.loads(line)
        job = Job.fetch(job_id, connection=self.connection, serializer=self.serializer)
        job.redis_server_version = self.get_redis_server_version()  # type: ignore[no-untyped-call]
        self.execution = Execution(execution_id, job_id, self.connection, self.name)
        with about(session=_session_of(job)):
            self.main_work_horse(job, self.queues[0])


def _session_of(job: Job) -> str:
    return str(job.args[0]) if job.args else ""


class _Supervisor:
    """The parent of the processes that work on one queue. `life`: what each of them does, told who its parent is."""

    def __init__(self, queue: str, life: Callable[[int], NoReturn], count: int) -> None:
        self._queue, self._life, self._count = queue, life, count
        self._workers: set[int] = set()
        self._ending = False

    def run(self) -> None:
        """Return when told to end and the last worker has ended."""
        for number in ENDINGS:
            signal.signal(number, self._end)
        runtime.key()  # known to all forks
        gc.collect()
        gc.freeze()  # what they share is not looked through, and so not copied, in each
        for _ in range(self._count):
            self._start()
        log.info("%d processes take jobs of the queue %s", self._count, self._queue)
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
        with signals_held():
            if self._ending:
                return
            parent, pid = os.getpid(), os.fork()
            if pid:
                self._workers.add(pid)
                return
            for number in ENDINGS:
                signal.signal(number, signal.SIG_DFL)
        self._life(parent)


def _work(queue: str, redis_url: str, parent: int) -> NoReturn:
    """The life of one worker."""
    _end_with(parent)
    redis = blocking(redis_url)
    code = 1
    try:
        worker = OneQueueWorker(
            [open_queue(queue, redis)],
            queue_class=KeepingQueue,
            connection=redis,
            serializer=JSONSerializer,
            job_monitoring_interval=MONITORING_SECONDS,
            maintenance_interval=MAINTENANCE_SECONDS,
            worker_ttl=WORKER_TTL_SECONDS,
        )
        worker.work(logging_level="WARNING")
        code = 0
    except SystemExit:
        code = 0
    except Exception:
        log.exception("a worker of %s could not work", queue)
    finally:
        logging.shutdown()
        os._exit(code)


def _work_in_threads(queue: str, redis_url: str, count: int, parent: int) -> NoReturn:
    """The life of one process with many workers."""
    _end_with(parent)
    asyncio.run(Threads(queue, redis_url, count).live())
    os._exit(1)  # it does not come here


def _end_with(parent: int) -> None:
    """Have the kernel tell this process to end when `parent` is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit code {code}"
