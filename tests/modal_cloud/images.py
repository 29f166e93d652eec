"""Images: what a box grows from. Recipes and snapshots make them; they go when their time is over or when collected."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from modal_proto import api_pb2

from tests.modal_cloud.clock import Clock
from tests.modal_cloud.dispatch import Refused
from tests.modal_cloud.ids import ulid

VERSION = "2025.06"
WORDS = re.compile(r"^(\w+)\s+(.*)$", re.S)


@dataclass
class Image:
    """One image. `layers`: the oldest first, without the base of all. `expires`: None: never."""

    id: str
    layers: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/root"
    cmd: list[str] = field(default_factory=list)
    made: float = 0.0
    expires: float | None = None
    recipe: list[str] = field(default_factory=list)
    source: str = "recipe"


class Images:
    """All images. `copies_in` puts the files of a mount into a layer: (mount's id, where from, where to) → layer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._images: dict[str, Image] = {}
        self._recipes: dict[str, str] = {}

    def get(self, image: str) -> Image:
        """The image, or Refused with NOT_FOUND if it never was, was deleted or its time is over."""
        found = self._images.get(image)
        if found is None or (found.expires is not None and self._clock.now() >= found.expires):
            raise Refused("NOT_FOUND", f"Image with ID {image} not found")
        return found

    def all(self) -> list[Image]:
        """Every image that can still be had."""
        now = self._clock.now()
        return [image for image in self._images.values() if image.expires is None or image.expires > now]

    def collect(self, image: str) -> None:
        """Let an image be gone, as when its time is over. Its layers stay: others may have grown from it."""
        self._images.pop(image, None)

    def reset(self) -> set[str]:
        """Forget snapshots; which layers the others have. A client remembers what it has built, so that stays."""
        self._images = {image.id: image for image in self._images.values() if image.source == "recipe"}
        return {layer for image in self._images.values() for layer in image.layers}

    def keep(self, image: Image) -> Image:
        """Add one."""
        self._images[image.id] = image
        return image

    def of_recipe(self, recipe: api_pb2.Image, force: bool, copy_in: Any) -> Image:
        """The image of a recipe: the same for the same words on the same bases, unless it is forced."""
        words = json.dumps(
            [[base.image_id for base in recipe.base_images], list(recipe.dockerfile_commands), recipe.context_mount_id]
        )
        key = hashlib.sha256(words.encode()).hexdigest()
        if not force and (known := self._recipes.get(key)) in self._images:
            return self._images[known]  # type: ignore[index]
        bases = [self.get(base.image_id) for base in recipe.base_images]
        image = Image(f"im-{ulid(self._clock.now())}", made=self._clock.now(), recipe=list(recipe.dockerfile_commands))
        if bases:
            image.layers, image.env, image.workdir, image.cmd = (
                bases[0].layers,
                dict(bases[0].env),
                bases[0].workdir,
                bases[0].cmd,
            )
        for line in recipe.dockerfile_commands:
            _follow(image, line, recipe.context_mount_id, copy_in)
        self._recipes[key] = image.id
        return self.keep(image)

    def of_snapshot(self, grown_from: Image, layer: str | None, ttl: int | None, source: str) -> Image:
        """The image of what a box has written."""
        now = self._clock.now()
        expires = None if ttl is None or ttl <= 0 else now + ttl
        layers = grown_from.layers if layer is None else (*grown_from.layers, layer)
        made = Image(f"im-{ulid(now)}", layers, dict(grown_from.env), grown_from.workdir, grown_from.cmd, now, expires)
        made.source = source
        return self.keep(made)


def _follow(image: Image, line: str, mount: str, copy_in: Any) -> None:
    """One line of a recipe. RUN is on record only: nothing is installed here."""
    if (found := WORDS.match(line.strip())) is None:
        return
    word, rest = found[1].upper(), found[2].strip()
    if word == "ENV":
        name, _, value = rest.partition("=")
        image.env[name.strip()] = value.strip().strip('"').strip("'")
    elif word == "WORKDIR":
        image.workdir = rest
    elif word == "CMD":
        image.cmd = json.loads(rest) if rest.startswith("[") else ["/bin/sh", "-c", rest]
    elif word == "COPY" and mount:
        source, target = rest.split()[-2:]
        image.layers = (*image.layers, copy_in(mount, source, target))
