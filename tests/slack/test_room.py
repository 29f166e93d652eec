"""Room for a few at a time: who comes too late is told so early, and loses nobody's place."""

import asyncio

import pytest

from bot.slack.room import Room
from tests.waiting import until


async def stay(room: Room, inside: set[int], number: int, over: asyncio.Event) -> int:
    async with room.place():
        inside.add(number)
        await over.wait()
        inside.discard(number)
        return number


async def test_only_so_many_are_in_at_once_and_the_next_comes_when_one_leaves() -> None:
    room, inside, doors = Room(2, 30.0), set[int](), [asyncio.Event() for _ in range(3)]
    staying = [asyncio.create_task(stay(room, inside, number, door)) for number, door in enumerate(doors)]
    await until(lambda: len(inside) == 2)
    await asyncio.sleep(0)
    assert inside == {0, 1}
    doors[0].set()
    await until(lambda: inside == {1, 2})
    for door in doors:
        door.set()
    assert await asyncio.gather(*staying) == [0, 1, 2]


async def test_who_has_waited_too_long_is_turned_away_and_takes_no_place() -> None:
    room, inside, door = Room(1, 0.05), set[int](), asyncio.Event()
    staying = asyncio.create_task(stay(room, inside, 0, door))
    await until(lambda: inside == {0})
    with pytest.raises(TimeoutError):
        await stay(room, inside, 1, door)
    door.set()
    assert await staying == 0
    assert await stay(room, inside, 2, door) == 2


async def test_one_that_is_cancelled_inside_gives_its_place_back() -> None:
    room, inside, door = Room(1, 5.0), set[int](), asyncio.Event()
    staying = asyncio.create_task(stay(room, inside, 0, door))
    await until(lambda: inside == {0})
    staying.cancel()
    await asyncio.gather(staying, return_exceptions=True)
    door.set()
    assert await stay(room, inside, 1, door) == 1
