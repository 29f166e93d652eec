"""What is kept of images and of the builds that made them, and when the next build is due. Pure.

`jobs/store_images.py` keeps these records, `jobs/images.py` makes them. Times are seconds since the epoch.
"""

import math
from typing import Literal

from jobs.events import Frozen
from sandbox.recipe import Recipe

KEPT_IMAGES, KEPT_BUILDS = 3, 10
SLOT_SECONDS = 1800.0  # so often it is looked whether an image is still that of the branch
EXPIRES_SECONDS = 7 * 86_400.0  # older than that: built anew from scratch
FROM_SCRATCH_EVERY = 10  # builds; those between grow from the image before
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 6 * 3600.0  # after builds that failed, one after the other
FORGE_PAUSE = 60.0

BuildState = Literal["building", "good", "unchanged", "failed", "waiting"]


class Step(Frozen):
    """One step of a build. `code` is its exit code; None: it was not a command, or did not end by itself."""

    name: str
    seconds: float
    code: int | None = None


class Image(Frozen):
    """A repository at a commit, ready to work in. `recipe` is `sandbox.recipe.Recipe` as JSON, empty if there is none.

    `bytes` is what its own layer takes, `age` how many builds it is away from one from scratch, and `notes` are
    sentences for the people whose sessions start from it.
    """

    repository: str
    snapshot: str
    built_at: float
    bytes: int
    id: str = ""
    commit: str = ""
    recipe: str = ""
    recipe_digest: str = ""
    runtime: str = ""
    age: int = 0
    seconds: float = 0.0
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    expires_at: float = 0.0

    @property
    def made_by(self) -> Recipe | None:
        """The recipe that it was made by."""
        return Recipe.from_json(self.recipe) if self.recipe else None


class Build(Frozen):
    """One attempt. `why` it was made, `reason` why it failed; `ended` 0: it is under way, or its worker was killed;
    `asked`: somebody wants one although nothing may be new."""

    id: str
    state: BuildState
    began: float
    why: str = ""
    reason: str = ""
    ended: float = 0.0
    steps: tuple[Step, ...] = ()
    asked: bool = False


class Standing(Frozen):
    """How it stands with the builds of one repository: the newest first, and when the next one is due."""

    builds: tuple[Build, ...] = ()
    failures: int = 0
    next_at: float = 0.0

    @property
    def latest(self) -> Build | None:
        """The newest build."""
        return self.builds[0] if self.builds else None

    def began(self, build: Build) -> "Standing":
        """A build is under way. Should its worker be killed, it is looked at again as soon as that is known."""
        return self.model_copy(
            update={"builds": (build, *self._others(build))[:KEPT_BUILDS], "next_at": min(self.next_at, build.began)}
        )

    def ended(self, build: Build, now: float) -> "Standing":
        """It is over; one that found nothing to do takes no place among those that are kept."""
        failures = {"failed": self.failures + 1, "waiting": self.failures}.get(build.state, 0)
        pause = {"failed": backed_off(failures), "waiting": FORGE_PAUSE}.get(build.state)
        next_at = next_slot(now) if pause is None else now + pause
        builds = self._others(build) if build.state == "unchanged" else (build, *self._others(build))
        return Standing(builds=builds[:KEPT_BUILDS], failures=failures, next_at=next_at)

    def _others(self, build: Build) -> tuple[Build, ...]:
        return tuple(each for each in self.builds if each.id != build.id and each.state != "waiting")


def backed_off(failures: int) -> float:
    """Seconds until it is tried again after so many failures in a row."""
    return float(min(FIRST_PAUSE * 2 ** min(failures - 1, 20), LONGEST_PAUSE))


def lost_tries(waited: float) -> int:
    """How many workers must have died if a build has been due for so long and nobody has begun."""
    return int(math.log2(1 + max(0.0, waited) / FIRST_PAUSE))


def next_slot(now: float) -> float:
    """When the next half hour begins: the same moment for everybody."""
    return (now // SLOT_SECONDS + 1) * SLOT_SECONDS


def why_build(newest: Image | None, runtime: str, now: float, asked: bool) -> str:
    """Why an image has to be built wherever its branch is, in words; empty if only a branch that moved is a reason."""
    if newest is None:
        return "there is no image yet"
    if asked:
        return "somebody asked for it"
    if newest.runtime != runtime:
        return "Shipmate's own part of it has changed"
    if newest.expires_at and newest.expires_at <= now:
        return f"it is {(now - newest.built_at) / 86_400:.0f} days old"
    return ""


def may_grow(newest: Image | None, runtime: str, now: float) -> bool:
    """Whether the next image may grow from this one, rather than begin with nothing."""
    if newest is None or not newest.commit or newest.runtime != runtime:
        return False
    return newest.age + 1 < FROM_SCRATCH_EVERY and now < newest.expires_at
