"""The short form of `make kills` and `make soak`: one row for each kind of victim, and a few rounds."""

import random

import pytest

from tests.kills.moments import MOMENTS
from tests.kills.rows import play
from tests.kills.site import Site
from tests.kills.soak import Soak, rounds_on
from tests.kills.victims import VICTIMS, Victim

pytestmark = pytest.mark.asyncio(loop_scope="session")
QUICK = (
    ("web", "pushing"),
    ("workers", "mid-tool"),
    ("upkeep", "queued"),
    ("redis", "mid-text"),
    ("relay in mid-post", "queued"),
    ("runner", "mid-tool"),
    ("agent", "agent starting"),
    ("everything", "permission parked"),
)
SOAK_ROUNDS, SOAK_SESSIONS, SOAK_SEED = 3, 3, 11


def quick() -> list[Victim]:
    """Those after whom nobody has to wait for a worker's silence to be noticed."""
    return [victim for victim in VICTIMS if victim.name in ("web", "redis", "whole box", "upkeep")]


@pytest.mark.parametrize(("victim", "moment"), QUICK, ids=[f"{victim}, {moment}" for victim, moment in QUICK])
async def test_nothing_is_lost_or_doubled_by_a_kill(site: Site, victim: str, moment: str) -> None:
    who = next(each for each in VICTIMS if each.name == victim)
    row = await play(site, who, next(each for each in MOMENTS if each.name == moment), victim.replace(" ", "-"))
    assert row is not None
    assert row.faults == []
    assert row.turn_ended and row.delivered <= 2


async def test_nothing_is_lost_or_doubled_by_random_kills_in_several_sessions(site: Site) -> None:
    soak = Soak()
    await rounds_on(site, soak, SOAK_ROUNDS, random.Random(SOAK_SEED), quick(), sessions=SOAK_SESSIONS)
    assert soak.faults == [] and soak.rounds == SOAK_ROUNDS
