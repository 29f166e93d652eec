"""How the record's server is dialled: bounded in number and time, and tried again until a restart of it is over.

Only `jobs/store.py` calls it.
"""

from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

CONNECTIONS, CALL_SECONDS, CONNECT_SECONDS = 64, 5.0, 2.0
RETRIES, RETRY_SECONDS, RETRY_MOST_SECONDS = 8, 0.02, 0.5  # in all 2 s: a server that is started again is not noticed


def to(url: str) -> redis.Redis:
    """A client of the server of this URL, which is dialled when it is first needed."""
    pool: Any = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        decode_responses=True,
        protocol=2,
        socket_timeout=CALL_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(ExponentialBackoff(RETRY_MOST_SECONDS, RETRY_SECONDS), RETRIES),
    )
    return redis.Redis.from_pool(pool)
