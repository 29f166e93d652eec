"""A worker for jobs that do little but wait for a place far away: one process does many of them at a time.

`jobs/worker.py` starts it for the queues that say so (`QueueRow.waits`). A fork for each job would pay for a connection
and its authentication anew each time; here all jobs run on one loop, in the main thread, and share one workshop. Around
it are threads, each of them one of RQ's own workers: it takes a job, has it done on the loop, and says meanwhile that
it lives. SIGTERM ends the process after its running jobs; a second one at once. A process whose loop stands still ends
itself, so that another one starts.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, NoReturn

import redis
from redis import Redis
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.queue import Queue as RqQueue
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty, JobTimeoutException
from rq.worker import WorkerStatus

from jobs import wiring
from jobs.log import about, forgiven
from jobs.queue import KeepingQueue, open_queue
from jobs.renewal import tend
from jobs.store_connection import blocking
from jobs.worker_books import Books

log = logging.getLogger(__name__)
MONITORING_SECONDS = 5.0  # so often a job that runs says so; a minute after it missed one it is given up
WORKER_TTL_SECONDS = 45  # RQ waits 15 less for a job
RESTART_SECONDS = 1.0
HEED_SECONDS = 5.0  # that a job has, once its time is over and it was told
STILL_SECONDS = 60.0  # a loop that has not turned for so long will not turn any more
TWICE_SECONDS = 1.0  # two signals within so short a time are one: a terminal tells everybody
FAREWELL_SECONDS = 3.0  # for the threads that have nothing to do
LOOK_SECONDS, ONCE_SECONDS = 0.05, 1.0
Run = Callable[[Job, Coroutine[Any, Any, object]], object]


class _LoopJob(Job):
    """A job whose function is called here, and runs on the loop. `run` is set by the one who does it."""

    run: Run

    @property
    def func(self) -> Callable[..., object]:
        """The function that RQ calls: it returns when the loop is done with the job."""
        asked: Callable[..., Any] = super().func

        def done(*args: Any) -> object:
            return self.run(self, asked(*args))

        return done


class _Unbounded(BaseDeathPenalty):
    """RQ's own limit needs signals, which threads do not get: the loop holds a job to its time."""

    def setup_death_penalty(self) -> None:
        """Nothing."""

    def cancel_death_penalty(self) -> None:
        """Nothing."""


class _Once(logging.Filter):
    """What all threads have to say of the record at the same moment is said once."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is written."""
        if record.levelno < logging.WARNING or record.exc_info or "job" in str(record.msg):
            return True
        now, before = time.monotonic(), self._said.get(str(record.msg), 0.0)
        if now - before < ONCE_SECONDS:
            return False
        self._said[str(record.msg)] = now
        return True


class ThreadWorker(SimpleWorker):
    """One of RQ's workers as a thread."""

    death_penalty_class = _Unbounded
    max_connection_wait_time = 1.0  # RQ's own first pause: before each the record was dialled for 2 s

    def __init__(self, queue: str, redis_url: str, name: str, loop: asyncio.AbstractEventLoop, books: Books) -> None:
        connection = blocking(redis_url, name)
        super().__init__(
            [open_queue(queue, connection)],
            name=name,
            queue_class=KeepingQueue,
            connection=connection,
            job_class=_LoopJob,
            serializer=JSONSerializer,
            job_monitoring_interval=int(MONITORING_SECONDS),
            worker_ttl=WORKER_TTL_SECONDS,
        )
        self._loop, self._books = loop, books
        self._has_taken = False

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Each worker asks for every other one whether it lives: for dozens in one process, once is enough."""
        return self._books.are_due(time.monotonic())

    def stop(self) -> None:
        """Take no job any more. For another thread."""
        self._shutdown_requested_date = datetime.now(UTC)
        self._stop_requested = True

    def _install_signal_handlers(self) -> None:
        """Signals are the main thread's."""

    def subscribe(self) -> None:
        """Nobody gives orders to single workers, and each would cost a connection and a thread."""

    def procline(self, message: str) -> None:
        """All threads have one process, with one name."""

    def reorder_queues(self, reference_queue: RqQueue) -> None:
        """Called when a job was taken: one that is told to stop then still does it."""
        self._has_taken = True

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Say that it lives. Between two waits for a job it heeds here that it is to stop."""
        if self._stop_requested and self.get_state() == WorkerStatus.IDLE and not self._has_taken:
            raise StopRequested
        super().heartbeat(timeout, pipeline)

    def get_heartbeat_ttl(self, job: Job) -> int:
        """How long a job that says nothing is believed to run: what a killed process had is asked for again soon."""
        return int(MONITORING_SECONDS) + 60

    def execute_job(self, job: Job, queue: RqQueue) -> None:
        """Do one job. What is logged meanwhile, by whomever, says which session it is about."""
        assert isinstance(job, _LoopJob)
        job.run = self._run
        try:
            with about(session=str(job.args[0]) if job.args else ""):
                super().execute_job(job, queue)
        finally:
            self._has_taken = False

    def _run(self, job: Job, work: Coroutine[Any, Any, object]) -> object:
        """Have it done on the loop, and say meanwhile that it goes on. Raises what it raised."""
        began, limit = time.monotonic(), float(job.timeout or 0)
        doing = asyncio.run_coroutine_threadsafe(_within(limit, work), self._loop)
        while True:
            try:
                return doing.result(MONITORING_SECONDS)
            except TimeoutError:  # of this wait, unless the job itself raised it
                if doing.done():
                    raise
            self._goes_on(job, doing, time.monotonic() - began - limit)

    def _goes_on(self, job: Job, doing: "Future[object]", overdue: float) -> None:
        """Say so; one that did not end when its time was over is left to itself: whoever tries again is refused, or
        finds it done."""
        if overdue > HEED_SECONDS:
            doing.cancel()
            raise JobTimeoutException(f"it did not end within its time, and {overdue:.0f} s after it")
        with forgiven(log, "it could not be said that a job goes on; it is tried again"):
            self.maintain_heartbeats(job)


async def _within(seconds: float, work: Coroutine[Any, Any, object]) -> object:
    try:
        async with asyncio.timeout(seconds) as bound:
            return await work
    except TimeoutError:
        if bound.expired():
            raise JobTimeoutException(f"it did not end within {seconds:.0f} s") from None
        raise


class Threads:
    """`count` workers of one queue in this process. `still`: after so long a loop that does not turn is given up."""

    def __init__(self, queue: str, redis_url: str, count: int, still: float = STILL_SECONDS) -> None:
        self._queue, self._redis_url, self._count, self._still = queue, redis_url, count, still
        self._workers: dict[str, ThreadWorker] = {}
        self._books = Books()
        self._told_at = 0.0
        self._ending = threading.Event()
        self._turned = time.monotonic()

    async def live(self) -> NoReturn:
        """Run, and end the process at once then: a job that did not heed its end is not waited for either."""
        code = 1
        try:
            await self.run()
            code = 0
        except Exception:
            log.exception("the workers of %s could not work", self._queue)
        finally:
            logging.shutdown()
            os._exit(code)

    async def run(self) -> None:
        """Return when told to end and the last job has ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_end)
        for each in (log, logging.getLogger("rq.worker")):
            each.addFilter(_Once())
        async with wiring.shared() as shop:
            tending = asyncio.create_task(tend(shop))
            names = [f"{self._queue}-{os.getpid()}-{number}" for number in range(self._count)]
            threads = [threading.Thread(target=self._live, args=(name, loop), daemon=True) for name in names]
            threading.Thread(target=self._watch, args=(loop,), daemon=True).start()
            for thread in threads:
                thread.start()
            log.info("%d threads take jobs of the queue %s", self._count, self._queue)
            while not self._ending.is_set():
                await asyncio.sleep(LOOK_SECONDS)
            await self._farewell(threads)
            while not tending.done():  # again and again, for a client that is just dialling may swallow it
                tending.cancel()
                await asyncio.wait({tending}, timeout=LOOK_SECONDS)

    def _told_to_end(self) -> None:
        now = time.monotonic()
        if self._told_at and now - self._told_at > TWICE_SECONDS:
            log.warning("told twice to end: running jobs are given up")
            logging.shutdown()
            os._exit(1)
        self._told_at = self._told_at or now
        self._ending.set()

    async def _farewell(self, threads: list[threading.Thread]) -> None:
        """Wait for the jobs that run, and for a moment for the threads that have none."""
        for worker in list(self._workers.values()):
            worker.stop()
        idle_since = None
        while any(thread.is_alive() for thread in threads):
            with contextlib.suppress(redis.RedisError):
                await asyncio.to_thread(self._wake)
            busy = any(worker.get_state() == WorkerStatus.BUSY for worker in list(self._workers.values()))
            idle_since = None if busy else idle_since or time.monotonic()
            if idle_since is not None and time.monotonic() - idle_since > FAREWELL_SECONDS:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _wake(self) -> None:
        """End the waits for a job: what a worker is told it hears only between two of them."""
        with Redis.from_url(self._redis_url) as client:
            for one in client.client_list():
                if one["name"] in self._workers:
                    client.client_unblock(int(one["id"]))

    def _live(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        """The life of a thread: a worker, and another one if it ends by itself."""
        lives = 0
        while not self._ending.is_set():
            known_as = f"{name}-{lives}"
            try:
                worker = self._workers[known_as] = ThreadWorker(
                    self._queue, self._redis_url, known_as, loop, self._books
                )
                if self._ending.is_set():
                    return
                worker.work(logging_level="WARNING")
            except redis.RedisError as trouble:
                log.warning("workers of %s wait for the record: %s", self._queue, trouble)
            except Exception:
                log.exception("a worker of %s could not work", self._queue)
            self._workers.pop(known_as, None)
            lives += 1
            if not self._ending.wait(RESTART_SECONDS):
                log.warning("a worker of %s ended by itself; another one starts", self._queue)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the process when its loop stands still: nobody else would notice, for the threads say that they live."""
        while True:
            asked = time.monotonic()
            with contextlib.suppress(RuntimeError):  # it is closed: the process ends
                loop.call_soon_threadsafe(self._turns)
            time.sleep(self._still / 10)
            if asked - self._turned > self._still:
                log.critical("the loop of the workers of %s has stood still: the process ends", self._queue)
                logging.shutdown()
                os._exit(1)

    def _turns(self) -> None:
        self._turned = time.monotonic()
