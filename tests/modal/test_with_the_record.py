"""The provider on Modal with the ledger that it has in production: Redis, shared by several processes' providers."""

import asyncio
from pathlib import Path

from jobs import store_connection
from jobs.store_ledger import RedisLedger
from sandbox.modal import ModalProvider
from sandbox.provider import BoxSpec
from tests.modal.places import Spot, place, plain
from tests.modal_cloud.client import ModalCloud

MANY, AT_ONCE = 40, 8


async def test_many_creates_of_two_processes_are_made_some_at_a_time(
    paper: ModalCloud, redis_url: str, tmp_path: Path
) -> None:
    clients = [store_connection.to(redis_url) for _ in range(2)]
    providers = [
        ModalProvider(place(paper.url, creates=AT_ONCE), RedisLedger(client), base=plain) for client in clients
    ]
    greeting = Spot(paper.url, tmp_path).greeting()
    await providers[0].prepare()
    try:
        made = await asyncio.gather(*(providers[n % 2].create(BoxSpec(f"modal-s{n}-1", greeting)) for n in range(MANY)))
        stats = await paper.stats()
        assert len({box.name for box in made}) == stats["alive"] == MANY
        assert 2 <= stats["at_once"]["SandboxCreateV2"] <= AT_ONCE
        assert {box.name for box in await providers[1].list()} == {box.name for box in made}
    finally:
        for provider in providers:
            await provider.close()
        for client in clients:
            await client.aclose()
