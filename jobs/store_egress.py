"""The part of the record that says which hosts a repository's boxes may reach besides everybody's.

`jobs/store.py` has one. Written when a repository's recipe was read from its base branch: a box can only propose a
change of it, as a commit.
"""

import json
from collections.abc import Sequence
from typing import Any

import redis.asyncio as redis

from jobs.store_scripts import PREFIX

EGRESS = f"{PREFIX}egress"


class EgressHosts:
    """Names of hosts, by repository."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    async def allow(self, repository: str, hosts: Sequence[str]) -> None:
        """From here on these hosts, and no others, are this repository's."""
        await self._do("HSET", EGRESS, repository, json.dumps(list(hosts)))

    async def of(self, repository: str) -> tuple[str, ...]:
        """The hosts of a repository."""
        kept = await self._do("HGET", EGRESS, repository)
        return tuple(json.loads(kept)) if kept is not None else ()

    async def _do(self, *command: Any) -> Any:
        return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
