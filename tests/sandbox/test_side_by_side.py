"""Two places as one: what is of which is read from names, and nothing goes to the wrong one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox import side_by_side
from sandbox.provider import BoxInfo, BoxSpec, BoxState, Missing, SnapshotKind, Temporary, Unreachable
from sandbox.side_by_side import FAR, HERE, SideBySide, named, place_of
from sandbox.unisolated import UnisolatedProvider

IDLE = b'{"wire": 1, "token": "", "box": "b", "gateway": null, "mode": "idle"}\n'


class Place(UnisolatedProvider):
    """A real place that can be made to be silent, and is somebody else's."""

    def __init__(self, folder: Path, longest: float | None = None) -> None:
        super().__init__(folder / "boxes", gateway=folder / "gateway", agents=folder / "agents")
        self.longest_seconds = longest
        self.silent = self.closed = self.prepared = False
        self.due: list[float] = []
        self.slow: asyncio.Event | None = None
        self.asked = asyncio.Event()

    async def list(self) -> list[BoxInfo]:
        if self.silent:
            raise Temporary("it does not answer")
        if self.slow is not None:
            self.asked.set()
            await self.slow.wait()
        return await super().list()

    async def overgrown(self) -> dict[str, str]:
        if self.silent:
            raise Temporary("it does not answer")
        return {"some": "disk"}

    async def prepare(self) -> None:
        self.prepared = True

    async def renew(self, before: float) -> int:
        return len([due for due in self.due if due < before])

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    async with emptied(Place(tmp_path / "here")) as place:
        yield place


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[Place]:
    async with emptied(Place(tmp_path / "far", longest=3600.0)) as place:
        yield place


class emptied:
    """A place whose boxes are gone afterwards."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def __aenter__(self) -> Place:
        return self._place

    async def __aexit__(self, *_: object) -> None:
        self._place.silent, self._place.slow = False, None
        for box in await self._place.list():
            await self._place.discard(box.name)


@pytest.fixture
def both(here: Place, far: Place) -> SideBySide:
    return SideBySide({HERE: here, "modal": far})


@pytest.mark.parametrize(
    ("name", "place"),
    [("s0123-1", HERE), ("modal-s0123-1", "modal"), ("modal:im-1", "modal"), ("modality-1", HERE), ("x-modal-1", HERE)],
)
def test_a_name_says_its_place(name: str, place: str) -> None:
    assert place_of(name) == place


@pytest.mark.parametrize("place", [HERE, *FAR])
def test_whatever_is_named_for_a_place_is_of_it(place: str) -> None:
    assert place_of(named(place, "image-0123")) == place
    assert len(named(place, "s0123456789abcdef-1000000")) <= 48


async def test_a_box_lives_where_its_name_says_and_is_found_there(both: SideBySide, here: Place, far: Place) -> None:
    for name in ("s1-1", "modal-s1-1"):
        await both.create(BoxSpec(name, IDLE))
        assert (await both.status(name)).state is BoxState.RUNNING
        done = await both.exec(name, ("tee", "words"), stdin=name.encode())
        assert done.code == 0
    assert [[box.name for box in await place.list()] for place in (here, far)] == [["s1-1"], ["modal-s1-1"]]
    assert [box.name for box in await both.list()] == ["s1-1", "modal-s1-1"]
    await both.discard("modal-s1-1")
    assert [box.name for box in await both.list()] == ["s1-1"]


async def test_a_snapshot_is_restored_where_it_was_taken_and_nowhere_else(both: SideBySide, far: Place) -> None:
    await both.create(BoxSpec("modal-s1-1", IDLE))
    await both.exec("modal-s1-1", ("tee", "words"), stdin=b"kept")
    taken = await both.snapshot("modal-s1-1", SnapshotKind.TURN, "turn 1")
    await both.terminate("modal-s1-1")
    left = await both.last_state("modal-s1-1")
    assert left is not None and [place_of(one.id) for one in (taken, left)] == ["modal", "modal"]
    await both.create(BoxSpec("modal-s1-2", IDLE, base=left.id))
    assert (await both.exec("modal-s1-2", ("cat", "words"))).stdout == b"kept"
    with pytest.raises(Missing, match="cannot grow"):
        await both.create(BoxSpec("s1-3", IDLE, base=left.id))
    await both.forget_snapshot(taken.id)
    with pytest.raises(Missing):
        await far.create(BoxSpec("modal-s1-4", IDLE, base=taken.id.removeprefix("modal:")))


async def test_boxes_of_a_place_that_is_silent_are_not_taken_for_gone(both: SideBySide, far: Place) -> None:
    far.silent = True
    with pytest.raises(Temporary):
        await both.list()
    far.silent = False
    for name in ("s1-1", "modal-s1-1"):
        await both.create(BoxSpec(name, IDLE))
    await both.list()
    far.silent = True
    await both.discard("s1-1")
    assert [box.name for box in await both.list()] == ["modal-s1-1"]
    assert await both.overgrown() == {"some": "disk"}, "those of the other place"


async def test_a_place_that_takes_long_to_answer_keeps_nobody_waiting_and_is_heard_when_it_does(
    both: SideBySide, far: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await both.create(BoxSpec("modal-s1-1", IDLE))
    await both.list()
    monkeypatch.setattr(side_by_side, "PATIENCE_SECONDS", 0.05)
    far.slow = asyncio.Event()
    await both.create(BoxSpec("modal-s1-2", IDLE))
    assert [box.name for box in await both.list()] == ["modal-s1-1"]
    far.slow.set()
    monkeypatch.setattr(side_by_side, "PATIENCE_SECONDS", 20.0)
    assert [box.name for box in await both.list()] == ["modal-s1-1", "modal-s1-2"]
    far.slow.clear()
    far.asked.clear()
    asked = asyncio.create_task(both.list())
    await far.asked.wait()
    await both.close()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_what_is_at_a_place_that_is_not_set_up_is_out_of_reach_and_not_gone(here: Place) -> None:
    alone = SideBySide({HERE: here})
    for call in (alone.status("modal-s1-1"), alone.discard("modal-s1-1"), alone.forget_snapshot("modal:im-1")):
        with pytest.raises(Unreachable, match="at modal, which is not set up here"):
            await call
    assert await alone.list() == []


async def test_together_they_promise_what_each_of_them_keeps(both: SideBySide, here: Place, far: Place) -> None:
    assert (both.isolated, both.longest_seconds) == (False, 3600.0)
    assert SideBySide({HERE: here}).longest_seconds is None


async def test_a_place_that_is_somebody_elses_is_prepared_renewed_and_left(
    both: SideBySide, here: Place, far: Place, tmp_path: Path
) -> None:
    here.due, far.due = [1.0, 9.0], [2.0]
    await both.prepare()
    assert here.prepared and far.prepared
    assert (await both.renew(5.0), await both.renew(1.0)) == (2, 0)
    await both.close()
    assert here.closed and far.closed
    ours = SideBySide({HERE: UnisolatedProvider(tmp_path, gateway=tmp_path, agents=tmp_path)})
    await ours.prepare()
    assert await ours.renew(5.0) == 0
