"""The short form of `make hostile`: the tricks that take no time, played in one real box of one real stack."""

import pytest

from sandbox import probe
from tests.hostile.ground import Ground
from tests.hostile.play import play
from tests.hostile.tricks import ALL

SHORT = tuple(trick for trick in ALL if trick.short)


async def test_no_trick_of_a_hostile_agent_succeeds() -> None:
    found = probe.probe()
    if not found.allowed:
        pytest.skip(found.reason)
    async with Ground.laid_out() as ground:
        rows = [row async for row in play(ground, SHORT)]
    assert {row.trick.name: (row.faults, row.logged) for row in rows if not row.refused} == {}
    assert len(rows) == len(SHORT)


def test_every_trick_has_a_name_of_its_own_and_says_who_refuses_it() -> None:
    assert len({trick.name for trick in ALL}) == len(ALL)
    assert all(trick.tried and trick.by for trick in ALL)
