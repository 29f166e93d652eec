"""A last look at an image, from outside: a fresh box is started from it, in which nothing of the repository runs yet.

It holds no credential, its tree is the commit's, git finds it clean, and the recipe's own check passes. Only what has
passed is promoted (`jobs/images.py`). To look for our secrets the box is told them, once and on a pipe, while nothing
but our own program runs in it; then it is thrown away.
"""

import json
import logging
import secrets
from typing import Any

from jobs.image_build import OWN, BuildFailed, Built, environment, timed, with_environment
from jobs.image_log import BuildLog
from jobs.image_recipe import GIT
from jobs.image_records import Step
from jobs.log import forgiven
from jobs.wiring import Workshop
from sandbox.provider import BoxSpec, ExecResult
from sandbox.recipe import Recipe, limits_of

log = logging.getLogger(__name__)
SEARCH_SECONDS, CHECK_SECONDS, STATUS_SECONDS = 900.0, 300.0, 300.0
SHORTEST_SECRET = 8  # a shorter one is found everywhere
_ROOTS = ("/bin/sh", "-c", 'cd .. && printf "%s\\n%s\\n" "$PWD" "$OLDPWD"')


class Check:
    """The look at one image."""

    def __init__(self, shop: Workshop, repository: str, build: str, log: BuildLog, steps: list[Step]) -> None:
        self._shop, self._repository, self._build, self._log, self._steps = shop, repository, build, log, steps
        self._box = shop.box_name(repository, f"image-{secrets.token_hex(8)}")

    async def passes(self, built: Built) -> None:
        """Return if the image is good; raises BuildFailed with the reason, or a BoxError."""
        line = json.dumps({"wire": 1, "token": "", "box": self._box, "gateway": None, "mode": "idle"}).encode() + b"\n"
        labels = {"image": self._repository, "build": self._build}
        try:
            async with timed("check", self._log, self._steps):
                limits = limits_of(built.recipe, self._shop.settings.limits)
                spec = BoxSpec(self._box, line, base=built.snapshot.id, labels=labels, limits=limits)
                await self._shop.provider.create(spec)
                await self._holds_no_credential(built.token, built.head)
                await self._is_the_commit(built.head)
                await self._passes_its_own(built.recipe)
        finally:
            with forgiven(log, "the box in which an image was looked at is not gone yet; the upkeep ends it"):
                await self._shop.provider.discard(self._box)

    async def _holds_no_credential(self, token: str, head: str) -> None:
        root, repo = (await self._ask(_ROOTS)).stdout.decode("utf-8", "surrogateescape").split("\n")[:2]
        ours = [
            secret for secret in expanded((token, *self._shop.settings.secrets())) if len(secret) >= SHORTEST_SECRET
        ]
        asked = json.dumps({"secrets": ours, "roots": [root], "repo": repo, "head": head}).encode()
        said = await self._ask((*OWN, "search"), stdin=asked, timeout=SEARCH_SECONDS)
        if said.code:
            raise BuildFailed("check: whether it holds a credential could not be found out")
        found = json.loads(said.stdout)
        for one in found:
            self._log.say(f"{one['path']} holds {one['what']}")
        if found:
            raise BuildFailed(
                f"check: {found[0]['path']} holds {found[0]['what']}, and an image must hold none. Have the step that"
                " writes it remove it"
            )

    async def _is_the_commit(self, head: str) -> None:
        at = (await self._ask((*GIT, "rev-parse", "HEAD"))).stdout.decode().strip()
        if at != head:
            raise BuildFailed(f"check: a step moved HEAD from {head[:10]} to {at[:10] or 'nothing'}")
        status = await self._ask((*GIT, "status", "--porcelain"), timeout=STATUS_SECONDS)
        if status.code or status.stdout.strip():
            names = status.stdout.decode("utf-8", "replace").strip()[:300]
            raise BuildFailed(f"check: git does not find the tree clean: {names or 'git status failed'}")

    async def _passes_its_own(self, recipe: Recipe) -> None:
        env = await environment(self._ask, recipe) if recipe.check else {}
        for command in recipe.check:
            self._log.say(f"$ {command.shown}")
            self._log.forget()
            done = await self._ask(with_environment(command, env), timeout=CHECK_SECONDS, heard=self._log.heard)
            if done.code:
                raise BuildFailed(f"check: {command.shown!r} ended with {done.code}. It said: {self._log.tail()}")

    async def _ask(self, argv: tuple[str, ...], **more: Any) -> ExecResult:
        return await self._shop.provider.exec(self._box, argv, **more)


def expanded(ours: tuple[str, ...]) -> list[str]:
    """Our secrets, and of those with several lines each line that tells something."""
    lines = [line for secret in ours for line in secret.splitlines() if "-----" not in line]
    return [secret for secret in dict.fromkeys((*ours, *lines)) if len(secret) >= SHORTEST_SECRET]
