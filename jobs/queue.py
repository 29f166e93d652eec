"""The queues: operations and builds are put in here, and a worker of `jobs/worker.py` does them.

A job is a hint that something is wanted, never the record of it. Its id says what is wanted, so that asking twice while
the first one waits or runs is asking once. Its only argument is an id, in JSON: nobody unpickles what came from Redis.
RQ blocks, so everything here runs in a thread.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import rq
from redis import ConnectionError, Redis
from rq.exceptions import DuplicateJobError
from rq.job import Job, JobStatus
from rq.registry import clean_registries
from rq.serializers import JSONSerializer

from jobs.store_connection import blocking
from jobs.wants import Operation
from sandbox.side_by_side import FAR, HERE

log = logging.getLogger(__name__)
TAKEN_SECONDS = 1.0  # far more than a worker needs from taking a job to beginning it
SILENT_SECONDS = 15.0  # a worker that lives says three times meanwhile that its job goes on
FORGET_FAILED_SECONDS = 15  # so long a job that failed on its own keeps the same one from being asked for again


@dataclass(frozen=True)
class QueueRow:
    """One queue. `limit`: seconds that a job of it may take: it says that it failed before it is taken for lost.

    `waits`: its jobs do little but wait for a place far away, so that one process does many at a time.
    """

    name: str
    limit: int
    waits: bool = False


QUEUES: Mapping[str, QueueRow] = {
    row.name: row
    for row in (
        QueueRow("boxes", 55),
        QueueRow("images", 9_000),
        QueueRow("publish", 55),
        *(QueueRow(f"boxes-{far}", 900, waits=True) for far in FAR),
        *(QueueRow(f"images-{far}", 9_000, waits=True) for far in FAR),
    )
}
_JOBS = {
    "start": ("boxes", "jobs.operations.start"),
    "park": ("boxes", "jobs.operations.park"),
    "snapshot": ("boxes", "jobs.snapshots.snapshot"),
    "publish": ("publish", "jobs.publish.publish"),
    "report": ("publish", "jobs.children.report"),
    "hand": ("publish", "jobs.children.hand"),
}
# KEYS: where jobs in workers' hands are, and the queue. ARGV: the job, which may have been asked for again meanwhile.
_PUT_BACK = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) > 0 then redis.call('LPUSH', KEYS[2], ARGV[1]) end
"""
_BY_PLACE = ("boxes", "images")
_BUILD = ("images", "jobs.images.build")
_FILL = ("boxes", "jobs.warm.fill")


class Queue:
    """The way in to the queues, for any process."""

    def __init__(self, redis_url: str) -> None:
        self._redis = blocking(redis_url)
        self._queues = {name: open_queue(name, self._redis) for name in QUEUES}

    async def enqueue(self, sid: str, operation: Operation, place: str = HERE) -> None:
        """Ask for an operation on this session, unless the same one is asked for already. `place`: of its box."""
        queue, function = _JOBS[operation.kind]
        known_as = f"{sid}-{operation.generation}-{operation.kind}-{operation.attempt}"
        await self._put(queue_at(queue, place), function, sid, known_as, f"{known_as}-again")

    async def enqueue_build(self, repository: str, slot: int, place: str = HERE) -> None:
        """Ask for an image of this repository, once for each `slot`."""
        queue, function = _BUILD
        await self._put(queue_at(queue, place), function, repository, f"image-{_known_as(repository)}-{slot}")

    async def enqueue_fill(self, repository: str, slot: int, place: str = HERE) -> None:
        """Ask for a warm box of this repository, once for each `slot` while that waits."""
        queue, function = _FILL
        await self._put(queue_at(queue, place), function, repository, f"warm-{_known_as(repository)}-{slot}")

    async def clean(self) -> None:
        """Give up the jobs whose worker was killed, so that they can be asked for again."""
        for queue in self._queues.values():
            await asyncio.to_thread(clean_registries, queue)

    async def depth(self) -> dict[str, int]:
        """How many jobs wait in each queue."""
        return {name: await asyncio.to_thread(len, queue) for name, queue in self._queues.items()}

    async def workers(self) -> dict[str, int]:
        """How many workers of each queue are alive."""
        return {name: await asyncio.to_thread(self._alive, name) for name in self._queues}

    def _alive(self, name: str) -> int:
        return len(rq.Worker.all(queue=self._queues[name], serializer=JSONSerializer))

    async def close(self) -> None:
        """Let go of the connections."""
        await asyncio.to_thread(self._redis.close)

    async def _put(self, queue: str, function: str, argument: str, *ids: str) -> None:
        """Ask for it by the first of these ids; by the next, where nothing is heard of whoever has the job of that."""
        for job_id in ids:
            try:
                await asyncio.to_thread(self._enqueue, queue, function, job_id, argument)
            except DuplicateJobError:
                if not await asyncio.to_thread(_is_silent, self._queues[queue], job_id):
                    log.debug("%s is asked for already", job_id)
                    return
            else:
                if job_id != ids[0]:
                    log.warning("%s has a worker that is not heard of: it is asked for again", ids[0])
                return

    def _enqueue(self, queue: str, function: str, job_id: str, argument: str) -> None:
        ask = partial(
            self._queues[queue].enqueue,
            function,
            argument,
            job_id=job_id,
            unique=True,
            job_timeout=QUEUES[queue].limit,
            result_ttl=0,
            failure_ttl=FORGET_FAILED_SECONDS,
        )
        try:
            ask()
        except DuplicateJobError:
            if not _forgotten(self._queues[queue], job_id):
                raise
            log.warning("%s was taken by a worker that died before it began; it is asked for again", job_id)
            ask()


def queue_at(queue: str, place: str) -> str:
    """The queue for work on boxes at this place; what needs no box is done the same everywhere."""
    return queue if place == HERE or queue not in _BY_PLACE else f"{queue}-{place}"


def _known_as(repository: str) -> str:
    return hashlib.sha256(repository.encode()).hexdigest()[:16]  # an id of RQ's may have no slash


def _forgotten(queue: rq.Queue, job_id: str) -> bool:
    """Let go of a job that was taken out of its queue and that nobody has begun; whether it was one.

    RQ itself looks for those only after a minute. Should its worker be slow and not dead, the job is done twice: the
    second is refused by the log.
    """
    job = queue.fetch_job(job_id)
    if job is None or job.enqueued_at is None or job.get_status() is not JobStatus.QUEUED:
        return False
    waited = (datetime.now(UTC) - job.enqueued_at.replace(tzinfo=UTC)).total_seconds()
    if waited < TAKEN_SECONDS or queue.get_job_position(job_id) is not None:
        return False
    queue.intermediate_queue.remove(job_id)
    job.delete()
    return True


def _is_silent(queue: rq.Queue, job_id: str) -> bool:
    """Whether a worker has begun this job and has not said for long that it goes on with it.

    RQ itself gives such a job up only after more than a minute, and keeps its id until then. Should its worker be slow
    and not dead, the job is done twice: the second is refused by the log.
    """
    job = queue.fetch_job(job_id)
    if job is None or job.last_heartbeat is None or job.get_status() is not JobStatus.STARTED:
        return False
    return (datetime.now(UTC) - job.last_heartbeat.replace(tzinfo=UTC)).total_seconds() > SILENT_SECONDS


class KeepingQueue(rq.Queue):
    """One queue as everybody opens it. Its worker lets go of no job that it has taken and could not read, for the
    record went away in between: it puts it back when the record is there again, and takes it anew."""

    in_hand: str | None = None

    @classmethod
    def dequeue_any(
        cls, queues: Iterable[rq.Queue], timeout: int | None, connection: Redis, *more: Any, **how: Any
    ) -> tuple[Job, rq.Queue] | None:
        """The next job, of the only queue that there is; raises what RQ's own raises."""
        (queue,) = queues
        assert isinstance(queue, KeepingQueue)
        if queue.in_hand is not None:
            connection.eval(_PUT_BACK, 2, queue.intermediate_queue.key, queue.key, queue.in_hand)
            queue.in_hand = None
        try:
            return super().dequeue_any(queues, timeout, connection, *more, **how)
        except ConnectionError as lost:
            queue.in_hand = getattr(lost, "job_id", None)
            raise


def open_queue(name: str, redis: Redis) -> KeepingQueue:
    """One queue as everybody must open it: its jobs are JSON."""
    return KeepingQueue(name, connection=redis, serializer=JSONSerializer)
