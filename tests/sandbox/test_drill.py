"""The drill goes through a real provider; a place that breaks a promise is one that we break on purpose."""

from dataclasses import replace
from threading import Event

import pytest

from sandbox import drill
from sandbox.box_folder import BoxFolder
from sandbox.drill import LABEL, Step
from sandbox.local import LocalProvider
from sandbox.provider import BoxSpec, ExecResult, Snapshot, SnapshotKind, Temporary
from tests.sandbox.places import Place
from tests.waiting import until

NAMES = ["create", "exec", "snapshot", "restore", "terminate"]


async def left(place: Place) -> list[str]:
    return [box.name for box in await place.provider.list()]


async def test_a_drill_times_every_step_and_leaves_nothing(local: Place) -> None:
    steps = await drill.drill(local.provider, "drill-1")
    assert [step.name for step in steps] == NAMES
    assert all(step.trouble == "" and step.seconds > 0 for step in steps)
    assert await left(local) == []
    assert [one.name for one in (local.boxes / "layers").iterdir() if one.is_dir()] == [], "the snapshot is let go"


class Forgetful(LocalProvider):
    """Restores without what was in the snapshot."""

    async def create(self, spec: BoxSpec) -> object:  # type: ignore[override]
        return await super().create(replace(spec, base=None))


class Busy(LocalProvider):
    """Takes no snapshot."""

    async def snapshot(self, name: str, kind: SnapshotKind, moment: str = "", hurry: Event | None = None) -> Snapshot:
        raise Temporary("the place is busy", 5.0)


class Silent(LocalProvider):
    """Runs commands that say nothing."""

    async def exec(self, name: str, argv: tuple[str, ...], **more: object) -> ExecResult:  # type: ignore[override]
        return ExecResult(7, b"", b"no such thing")


BROKEN = [
    (Forgetful, "restore", "the restored box does not have the file"),
    (Busy, "snapshot", "the place is busy"),
    (Silent, "exec", "ended with 7"),
]


@pytest.mark.parametrize(("kind", "where", "said"), BROKEN)
async def test_what_goes_wrong_ends_the_drill_with_a_sentence_and_leaves_nothing(
    kind: type[LocalProvider], where: str, said: str, local: Place
) -> None:
    broken = kind(local.boxes, gateway=local.gateway, agents=local.agents)
    steps = await drill.drill(broken, "drill-2")
    assert [step.name for step in steps] == NAMES[: NAMES.index(where) + 1]
    assert said in steps[-1].trouble
    assert await left(local) == []


async def test_a_step_that_takes_too_long_is_given_up(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(drill.SECONDS, "create", 0.0)
    assert [step.trouble for step in await drill.drill(local.provider, "drill-3")] == ["it was not done in 0 s"]
    made = BoxFolder(local.boxes / "box/drill-3")
    await until(made.said)  # its thread goes on, and the box is ended when it has come to something
    await local.provider.discard("drill-3")
    assert await left(local) == []


async def test_the_next_drill_takes_away_what_a_killed_one_left(local: Place) -> None:
    await local.provider.create(BoxSpec("drill-4", drill.greeting(), labels={LABEL: "drill-4"}))
    born = (await local.provider.status("drill-4")).born
    await drill.drill(local.provider, "drill-5", clock=lambda: born + drill.LEFT_SECONDS / 2)
    assert await left(local) == ["drill-4"], "one that may still run is left alone"
    await drill.drill(local.provider, "drill-6", clock=lambda: born + 2 * drill.LEFT_SECONDS)
    assert await left(local) == []


async def test_a_place_where_nothing_works_is_told_as_it_says_it(local: Place) -> None:
    (local.boxes).mkdir(parents=True, exist_ok=True)
    (local.boxes / "box").write_text("not a folder")
    steps = await drill.drill(local.provider, "drill-7")
    assert isinstance(steps[0], Step) and steps[0].name == "create" and steps[0].trouble
