"""The way in to the queues: the same thing is asked for once, and only ids go in."""

import asyncio
import json
import zlib
from datetime import timedelta
from functools import partial

import pytest
import redis
import rq
from rq.job import Job, JobStatus
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer

from jobs.image_build import BUILD_SECONDS, CLONE_SECONDS
from jobs.queue import FORGET_FAILED_SECONDS, QUEUES, KeepingQueue, Queue, open_queue
from jobs.wants import Operation
from tests.jobs.servers import Forgetful

SID = "s0123456789abcdef"


@pytest.fixture
async def queue(redis_url: str) -> Queue:
    return Queue(redis_url)


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


def jobs_in(client: redis.Redis, name: str) -> list[Job]:
    return open_queue(name, client).jobs


@pytest.mark.parametrize(
    ("kind", "queue_name", "function", "limit"),
    [
        ("start", "boxes", "jobs.operations.start", 55),
        ("park", "boxes", "jobs.operations.park", 55),
        ("publish", "publish", "jobs.publish.publish", 55),
    ],
)
async def test_an_operation_goes_to_its_queue_with_the_id_alone(
    queue: Queue, client: redis.Redis, kind: str, queue_name: str, function: str, limit: int
) -> None:
    await queue.enqueue(SID, Operation(kind, 3, 1))  # type: ignore[arg-type]
    (job,) = jobs_in(client, queue_name)
    assert job.id == f"{SID}-3-{kind}-1"
    assert (job.func_name, job.args, job.kwargs, job.timeout) == (function, [SID], {}, limit)
    assert (job.result_ttl, job.failure_ttl) == (0, FORGET_FAILED_SECONDS)
    assert await queue.depth() == {name: int(name == queue_name) for name in QUEUES}


async def test_work_on_boxes_elsewhere_has_queues_of_its_own(queue: Queue) -> None:
    for kind in ("start", "park", "publish"):
        await queue.enqueue(SID, Operation(kind, 0, 0), "modal")  # type: ignore[arg-type]
    await queue.enqueue_fill("acme/rocket", 1, "modal")
    await queue.enqueue_build("acme/rocket", 1, "modal")
    assert {name: count for name, count in (await queue.depth()).items() if count} == {
        "boxes-modal": 3, "images-modal": 1, "publish": 1,
    }  # fmt: skip


async def test_what_was_asked_when_the_record_went_away_is_asked_again(redis_url: str, client: redis.Redis) -> None:
    way = Forgetful(redis_url)
    async with way.listening() as url:
        queue = Queue(url)
        await queue.enqueue(SID, Operation("start", 0, 0))  # the script is known to the server from here on
        way.lose_next = True
        await queue.enqueue(SID, Operation("start", 0, 1))
        await queue.close()
    assert way.lost == 1
    assert [job.id for job in jobs_in(client, "boxes")] == [f"{SID}-0-start-0", f"{SID}-0-start-1"]


@pytest.mark.parametrize("lost_again", [(), (b"LREM",)], ids=["once", "and the answer to putting it back"])
async def test_a_job_that_could_not_be_read_is_kept_and_taken_anew(
    redis_url: str, client: redis.Redis, lost_again: tuple[bytes, ...]
) -> None:
    for name in ("one", "two"):
        open_queue("boxes", client).enqueue("tests.jobs.work.nothing", name, job_id=name)
    way = Forgetful(redis_url, b"HGETALL")
    async with way.listening() as url:
        with redis.Redis.from_url(url) as once:
            taking = partial(KeepingQueue.dequeue_any, [open_queue("boxes", once)], 1, once, serializer=JSONSerializer)
            way.lose_next = True
            with pytest.raises(redis.ConnectionError):
                await asyncio.to_thread(taking)
            assert open_queue("boxes", client).job_ids == ["two"], "the first one is in the worker's hands"
            for way.command in lost_again:
                way.lose_next = True
                with pytest.raises(redis.ConnectionError):
                    await asyncio.to_thread(taking)
            taken = [await asyncio.to_thread(taking) for _ in range(2)]
    assert [job.id for job, _ in taken if job] == ["one", "two"]
    assert client.lrange("rq:queue:boxes:intermediate", 0, -1) == [b"one", b"two"], "each once"


async def test_a_job_is_json_and_never_a_pickle(queue: Queue, client: redis.Redis) -> None:
    await queue.enqueue(SID, Operation("start", 0, 0))
    data = client.hget(f"rq:job:{SID}-0-start-0", "data")
    assert isinstance(data, bytes)
    assert json.loads(zlib.decompress(data)) == ["jobs.operations.start", None, [SID], {}]


async def test_the_functions_of_all_jobs_are_there(queue: Queue, client: redis.Redis) -> None:
    for kind in ("start", "park", "publish"):
        await queue.enqueue(SID, Operation(kind, 0, 0))  # type: ignore[arg-type]
    await queue.enqueue_build("acme/rocket", 7)
    assert all(callable(job.func) for name in QUEUES for job in jobs_in(client, name))


async def test_asking_again_while_it_waits_is_asking_once(queue: Queue) -> None:
    for _ in range(3):
        await queue.enqueue(SID, Operation("start", 0, 0))
    await queue.enqueue(SID, Operation("start", 0, 1))
    await queue.enqueue(SID, Operation("start", 1, 0))
    assert (await queue.depth())["boxes"] == 3


async def test_a_build_is_asked_for_once_in_each_slot(queue: Queue, client: redis.Redis) -> None:
    for slot in (7, 7, 8):
        await queue.enqueue_build("acme/rocket", slot)
    await queue.enqueue_build("acme/site", 7)
    assert [job.args for job in jobs_in(client, "images")] == [["acme/rocket"], ["acme/rocket"], ["acme/site"]]
    assert QUEUES["images"].limit > BUILD_SECONDS + CLONE_SECONDS, "a build says itself that it took too long"


async def test_a_job_whose_worker_was_killed_is_given_up_and_can_be_asked_for_again(
    queue: Queue, client: redis.Redis
) -> None:
    await queue.enqueue(SID, Operation("start", 0, 0))
    job = take(client, "boxes")
    registry = StartedJobRegistry("boxes", connection=client, serializer=JSONSerializer)
    await queue.clean()
    assert registry.get_job_ids(cleanup=False) == [job.id], "it may still be running"
    client.zadd(registry.key, dict.fromkeys(client.zrange(registry.key, 0, -1), 1))  # its time is over
    await queue.clean()
    assert registry.get_job_ids(cleanup=False) == []
    assert 0 < client.ttl(job.key) <= FORGET_FAILED_SECONDS
    client.delete(job.key)  # as time will
    await queue.enqueue(SID, Operation("start", 0, 0))
    assert (await queue.depth())["boxes"] == 1


def take(client: redis.Redis, name: str) -> Job:
    """Take a job as a worker does that is killed right afterwards."""
    taken = open_queue(name, client)
    worker = rq.Worker([taken], connection=client, serializer=JSONSerializer)
    found = rq.Queue.dequeue_any([taken], None, client, serializer=JSONSerializer)
    assert found is not None
    worker.prepare_execution(found[0])
    worker.prepare_job_execution(found[0], remove_from_intermediate_queue=True)
    return found[0]


async def test_without_redis_asking_raises(queue: Queue) -> None:
    nobody = Queue("unix:///nowhere/redis.sock")
    with pytest.raises(redis.ConnectionError):
        await nobody.enqueue(SID, Operation("start", 0, 0))


@pytest.mark.parametrize(
    ("seconds", "status", "asked_as"),
    [
        (2.0, JobStatus.QUEUED, [f"{SID}-0-start-0"]),
        (0.0, JobStatus.QUEUED, []),
        (2.0, JobStatus.STARTED, []),
        (20.0, JobStatus.STARTED, [f"{SID}-0-start-0-again"]),
    ],
    ids=["its worker died", "its worker has it just now", "its worker is at it", "its worker died at it"],
)
async def test_a_job_whose_worker_died_is_asked_for_again_soon(
    queue: Queue,
    client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
    status: JobStatus,
    asked_as: list[str],
) -> None:
    await queue.enqueue(SID, Operation("start", 0, 0))
    boxes = open_queue("boxes", client)
    [job] = boxes.jobs
    assert client.lmove(boxes.key, boxes.intermediate_queue_key) is not None
    job.enqueued_at -= timedelta(seconds=seconds)
    job.last_heartbeat = job.enqueued_at
    job.set_status(status)
    job.save()
    for _ in range(2):
        await queue.enqueue(SID, Operation("start", 0, 0))
    assert [waiting.id for waiting in boxes.jobs] == asked_as
    assert bool(boxes.intermediate_queue.get_job_ids()) is (job.id not in asked_as)
    assert caplog.text.count("asked for again") == len(asked_as)
