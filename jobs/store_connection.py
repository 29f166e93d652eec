"""How the record's server is dialled: bounded in number and time, and tried again until a restart of it is over.

`jobs/store.py` has the client that waits on a loop; RQ blocks, and so does the one that `jobs/queue.py` and the workers
give it.
"""

from typing import Any

import redis.asyncio as redis
from redis import ConnectionError as Lost
from redis import Redis as BlockingRedis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.retry import Retry as BlockingRetry

CONNECTIONS, CALL_SECONDS, CONNECT_SECONDS = 64, 5.0, 2.0
RETRIES, RETRY_SECONDS, RETRY_MOST_SECONDS = 8, 0.02, 0.5  # in all 2 s: a server that is started again is not noticed
_BACKOFF = ExponentialBackoff(RETRY_MOST_SECONDS, RETRY_SECONDS)


def to(url: str) -> redis.Redis:
    """A client of the server of this URL, which is dialled when it is first needed."""
    pool: Any = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        decode_responses=True,
        protocol=2,
        socket_timeout=CALL_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(_BACKOFF, RETRIES),
    )
    return redis.Redis.from_pool(pool)


def blocking(url: str, name: str | None = None) -> BlockingRedis:
    """A client for RQ, known to the server by this name.

    RQ lets go of a job that it has taken if the connection is lost before it knows more of it; so that is dialled
    again likewise. A server that is there and does not answer is not asked again: RQ waits long for each answer.
    """
    return BlockingRedis.from_url(url, client_name=name, retry=BlockingRetry(_BACKOFF, RETRIES, (Lost,)))
