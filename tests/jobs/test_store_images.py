"""The record of images: the last good ones, who asked for a new one, and when it is due."""

import pytest

from jobs.image_records import (
    EXPIRES_SECONDS,
    FROM_SCRATCH_EVERY,
    KEPT_BUILDS,
    LONGEST_PAUSE,
    SLOT_SECONDS,
    Build,
    Image,
    Standing,
    backed_off,
    may_grow,
    next_slot,
    why_build,
)
from jobs.records import Unnamed
from jobs.store import Store

ROCKET, NOW = "acme/rocket", 1_000_000.0
GOOD = Image(
    repository=ROCKET, snapshot="one", built_at=NOW, bytes=1 << 33, id="image-1", commit="a" * 40, runtime="r1",
    expires_at=NOW + EXPIRES_SECONDS,
)  # fmt: skip


def image(number: int) -> Image:
    return GOOD.model_copy(update={"id": f"image-{number}", "snapshot": f"s{number}"})


async def test_the_last_three_good_images_are_kept_and_the_snapshot_of_an_older_one_is_named_no_more(
    store: Store,
) -> None:
    assert await store.images.newest(ROCKET) is None
    for number in range(1, 5):
        await store.images.add(image(number))
    assert await store.images.good(ROCKET) == [image(4), image(3), image(2)]
    assert await store.images.newest(ROCKET) == image(4)
    assert await store.images.all_good() == {ROCKET: [image(4), image(3), image(2)]}
    assert await store.leftovers.unnamed(NOW + 1) == [Unnamed(ROCKET, "s1")]


async def test_an_image_that_is_no_good_is_dropped_once(store: Store) -> None:
    for number in (1, 2):
        await store.images.add(image(number))
    assert [await store.images.drop(image(2), NOW) for _ in range(2)] == [True, False]
    assert await store.images.newest(ROCKET) == image(1)
    assert await store.images.keep_only(ROCKET, 0, NOW)
    assert await store.images.newest(ROCKET) is None
    assert {one.snapshot for one in await store.leftovers.unnamed(NOW + 1)} == {"s1", "s2"}


async def test_an_image_is_asked_for_until_that_is_answered(store: Store) -> None:
    await store.images.ask(ROCKET, NOW)
    assert (await store.images.asked(ROCKET), await store.images.all_asked()) == (NOW, {ROCKET: NOW})
    await store.images.answered(ROCKET)
    assert await store.images.asked(ROCKET) is None


async def test_sessions_that_wait_for_an_image_are_told_once(store: Store) -> None:
    for sid in ("s2", "s1", "s2"):
        await store.images.wait_for(ROCKET, sid)
    assert [await store.images.waiting(ROCKET) for _ in range(2)] == [["s1", "s2"], []]


async def test_the_builder_is_whoever_holds_the_lease(store: Store) -> None:
    assert await store.images.builder(ROCKET) is None
    await store.lease(f"image:{ROCKET}", "image-box", 60)
    assert await store.images.builder(ROCKET) == "image-box"


@pytest.mark.parametrize("newest, runtime, later, asked, why", [
    (None, "r1", 0, False, "there is no image yet"),
    (GOOD, "r1", 0, False, ""),
    (GOOD, "r1", 0, True, "somebody asked for it"),
    (GOOD, "r2", 0, False, "Shipmate's own part of it has changed"),
    (GOOD, "r1", EXPIRES_SECONDS, False, "it is 7 days old"),
])  # fmt: skip
def test_an_image_is_built_only_when_something_moved(
    newest: Image | None, runtime: str, later: float, asked: bool, why: str
) -> None:
    assert why_build(newest, runtime, NOW + later, asked) == why


@pytest.mark.parametrize("change, later, grows", [
    ({}, 0, True),
    ({"age": FROM_SCRATCH_EVERY - 1}, 0, False),
    ({"age": FROM_SCRATCH_EVERY - 2}, 0, True),
    ({"runtime": "r0"}, 0, False),
    ({}, EXPIRES_SECONDS, False),
    ({"commit": ""}, 0, False),
])  # fmt: skip
def test_an_image_grows_from_the_one_before_but_not_for_ever(
    change: dict[str, object], later: float, grows: bool
) -> None:
    assert may_grow(GOOD.model_copy(update=change), "r1", NOW + later) is grows
    assert not may_grow(None, "r1", NOW)


def test_what_failed_is_tried_again_later_and_later_and_what_went_well_at_the_next_half_hour() -> None:
    standing, now = Standing(), NOW
    for number in range(1, 15):
        standing = standing.ended(Build(id=str(number), state="failed", began=now, ended=now), now)
        assert standing.next_at == now + backed_off(number)
    assert (standing.failures, len(standing.builds), backed_off(10_000)) == (14, KEPT_BUILDS, LONGEST_PAUSE)
    standing = standing.ended(Build(id="good", state="good", began=now), now)
    assert (standing.failures, standing.next_at, standing.latest and standing.latest.id) == (0, next_slot(now), "good")
    assert now < next_slot(now) <= now + SLOT_SECONDS
    assert next_slot(now) % SLOT_SECONDS == 0


def test_a_forge_that_is_away_is_no_failure_and_takes_no_place() -> None:
    standing = Standing(failures=2)
    for number in range(3):
        standing = standing.ended(Build(id=f"w{number}", state="waiting", began=NOW, reason="forge"), NOW)
    assert (standing.failures, [build.id for build in standing.builds]) == (2, ["w2"])
    standing = standing.ended(Build(id="same", state="unchanged", began=NOW), NOW)
    assert (standing.failures, standing.builds) == (0, ())
