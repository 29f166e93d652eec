"""One image being made in a box: clone, follow the recipe, leave nothing behind, keep the tree.

`jobs/images.py` decides whether one is made, from what, and what becomes of it; `jobs/image_check.py` looks at it
before anybody starts from it. Every step is written to the build's log while it runs, and the time of each is kept.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from jobs import wire
from jobs.image_log import BuildLog
from jobs.image_recipe import GIT, not_brought, recipe_of
from jobs.image_records import Image, Step
from jobs.inbox import hash_token
from jobs.log import forgiven
from jobs.recipe_choices import not_followed
from jobs.store import Grant
from jobs.wiring import Workshop
from sandbox.provider import BoxSpec, ExecResult, Gone, Snapshot, SnapshotKind
from sandbox.recipe import Command, Recipe, RecipeError, without_images

log = logging.getLogger(__name__)
BUILD_SECONDS, CLONE_SECONDS, LOOK_SECONDS = 1800.0, 930.0, 0.05
NO_BRANCH = "couldn't find remote ref"
OUTPUT_BYTES = 64 << 20  # of one command; the log keeps less
OWN = ("{python}", "-I", "-S", "-B", "{runner}")
_PLACES = ("/bin/sh", "-c", 'printf "%s\\n%s\\n%s\\n" "$PWD" "$PATH" "$HOME"')
# What the steps made and git does not know is no work of anybody's: a session must not commit it.
_EXCLUDE = (
    "git ls-files -z --others --exclude-standard --directory | tr '\\0\\n' '\\n?' | sed 's|[][*?!#\\\\ ]|?|g;s|^|/|'"
)
_TIDY = f"mkdir -p .git/info && {_EXCLUDE} | tee -a .git/info/exclude"


class BuildFailed(Exception):
    """No image came of it. The message is a sentence: which step, and why."""


class Anew(Exception):
    """The recipe is another one than that of the image which this one was to grow from."""


class NotNow(Exception):
    """The forge could not be reached: no fault of the repository's. The message is a sentence."""


Judge = Callable[[str], Awaitable[None]]


class Built(NamedTuple):
    """What a box left."""

    snapshot: Snapshot
    head: str
    recipe: Recipe
    notes: tuple[str, ...]
    token: str


class Builder:
    """The making of one image in one box. `judge` is told the commit, and raises if it is made already."""

    def __init__(self, shop: Workshop, repository: str, build: str, log: BuildLog, judge: Judge) -> None:
        self._shop, self._repository, self._build, self._log, self._judge = shop, repository, build, log, judge
        self._box = ""
        self.steps: list[Step] = []

    async def make(self, base: Image | None) -> Built:
        """A snapshot of the tree, grown from `base` or from nothing. Raises BuildFailed, Anew, or a BoxError.

        The dead box stays until `clear`: should this worker die before the image is on record, the upkeep finds the
        snapshot by it.
        """
        await self.clear()
        self._box = self._shop.box_name(self._repository, f"image-{secrets.token_hex(8)}")
        try:
            return await self._made(base)
        except Gone as gone:
            raise BuildFailed(f"its box ended before it was done; it may have run out of memory ({gone})") from gone

    async def clear(self) -> None:
        """Nothing is left of the box, but for its snapshot; if that cannot be now, the upkeep sees to it. Safe to
        repeat."""
        if self._box:
            with forgiven(log, f"box {self._box} of a build is not gone yet; the upkeep ends it"):
                await self._shop.store.revoke(self._box)
                await self._shop.provider.discard(self._box)

    async def _made(self, base: Image | None) -> Built:
        async with self._timed("clone" if base is None else "fetch"):
            token = await self._begin(base)
            head = await self._cloned()
        self._log.say(f"at commit {head}")
        await self._judge(head)
        recipe = await self._read_recipe(base)
        notes = await self._follow(recipe, base)
        async with self._timed("tidy up"):
            await self._quiet()
            await self._tidy(head)
        async with self._timed("keep"):
            await self._shop.store.revoke(self._box)
            await self._shop.provider.terminate(self._box)
            snapshot = await self._shop.provider.last_state(self._box, SnapshotKind.BASE)
        if snapshot is None:
            raise BuildFailed("its box left nothing")
        return Built(snapshot, head, recipe, notes, token)

    async def _begin(self, base: Image | None) -> str:
        """Start the box; its token."""
        token = secrets.token_urlsafe(32)
        grant = Grant("", self._box, 0, self._repository, "build", "")
        await self._shop.store.grant(hash_token(token), grant)
        line = {
            **{
                "wire": wire.NEWEST,
                "token": token,
                "box": self._box,
                "gateway": self._shop.gateway_address(self._repository),
            },
            **{"repository": self._repository, "base_branch": self._shop.settings.base_branch(self._repository)},
            "mode": "build",
        }
        greeting = json.dumps(line).encode() + b"\n"
        labels = {"image": self._repository, "build": self._build}
        base_id = base.snapshot if base is not None else None
        limits = self._shop.settings.limits
        await self._shop.provider.create(BoxSpec(self._box, greeting, base=base_id, labels=labels, limits=limits))
        return token

    async def _cloned(self) -> str:
        """The commit that was cloned."""
        end = time.monotonic() + CLONE_SECONDS
        while time.monotonic() < end:
            answer = await self._ask(("/bin/sh", "-c", f'cat "$TMPDIR/cloned-{self._box}.json"'))
            if answer.code == 0:
                said: dict[str, Any] = json.loads(answer.stdout)
                if "head" in said:
                    return str(said["head"])
                raise self._not_cloned(str(said["error"]), bool(said["final"]))
            await asyncio.sleep(LOOK_SECONDS)
        raise BuildFailed(f"clone: it took longer than {CLONE_SECONDS:.0f} seconds")

    def _not_cloned(self, why: str, final: bool) -> Exception:
        if NO_BRANCH in why:
            branch = self._shop.settings.base_branch(self._repository)
            return BuildFailed(
                f"clone: the forge has no branch {branch} with a commit. Push a first one, or name another branch:"
                f" SHIPMATE_REPOSITORIES={self._repository}@BRANCH"
            )
        return BuildFailed(f"clone: {why}") if final else NotNow(f"the repository could not be cloned: {why}")

    async def _read_recipe(self, base: Image | None) -> Recipe:
        try:
            recipe = await recipe_of(self._ask)
        except RecipeError as wrong:
            raise BuildFailed(f"recipe: line {wrong.line} {wrong.reason}") from wrong
        if base is not None and recipe.digest != base.recipe_digest:
            raise Anew
        self._log.say(f"recipe: {recipe.where}")
        unheeded = not_followed(self._shop.settings, self._repository, recipe)
        for line in (*recipe.left_out, *without_images(recipe), *unheeded):
            self._log.say(f"  {line}")
        await self._shop.store.egress.allow(self._repository, recipe.egress)
        return recipe

    async def _follow(self, recipe: Recipe, base: Image | None) -> tuple[str, ...]:
        """Run the stages; sentences for people about what is not in the image."""
        notes = list(await not_brought(self._ask))
        first, again = (recipe.on_create, recipe.post_create) if base is None else ((), ())
        stages = (
            *(("onCreateCommand", first), ("updateContentCommand", recipe.update_content)),
            *(("postCreateCommand", again), *(("warm", (command,)) for command in recipe.warm)),
        )
        seconds = recipe.seconds or BUILD_SECONDS
        env = await environment(self._ask, recipe)
        try:
            async with asyncio.timeout(seconds):
                for name, commands in stages:
                    notes += await self._stage(name, commands, env, recipe.detected, seconds)
        except TimeoutError:
            raise BuildFailed(
                f"the steps took longer than {seconds:g} seconds (customizations.shipmate.seconds may allow more)"
            ) from None
        for note in notes:
            self._log.say(note)
        return tuple(notes)

    async def _stage(
        self, name: str, commands: tuple[Command, ...], env: dict[str, str], detected: bool, seconds: float
    ) -> list[str]:
        """Run the commands of a stage side by side. One that fails fails the build, unless nobody had written it."""
        if not commands:
            return []
        async with self._timed(name):
            self._log.forget()
            ran = await asyncio.gather(*(self._run(command, env, seconds) for command in commands))
        failed = [(command, done) for command, done in zip(commands, ran, strict=True) if done.code]
        if failed and not detected:
            command, done = failed[0]
            raise BuildFailed(f"{name}: {command.shown!r} ended with {done.code}. It said: {self._log.tail()}")
        return [
            f"{command.name} was found, but {command.shown.removeprefix(command.name + ': ')!r} did not work when the"
            f" image was built (it ended with {done.code}), so what it installs is missing."
            for command, done in failed
        ]

    async def _run(self, command: Command, env: dict[str, str], seconds: float) -> ExecResult:
        self._log.say(f"$ {command.shown}")
        argv = with_environment(command, env)
        done = await self._ask(argv, timeout=seconds, limit=OUTPUT_BYTES, heard=self._log.heard)
        if done.code:
            self._log.say(f"{command.shown!r} ended with {done.code}")
        return done

    async def _quiet(self) -> None:
        """No process goes on."""
        said = json.loads((await self._ask((*OWN, "quiet"))).stdout)
        for name in said["ended"]:
            self._log.say(f"ended what went on: {name}")
        if said["left"]:
            raise BuildFailed(f"tidy up: these processes do not end: {', '.join(said['left'][:5])}")

    async def _tidy(self, head: str) -> None:
        """The tree is that of the commit, and git has nothing to say about what the steps made."""
        changed = (await self._ask((*GIT, "diff", "--name-only", "HEAD"))).stdout.decode("utf-8", "replace").split("\n")
        if names := [name for name in changed if name]:
            self._log.say(f"put back as it is in the commit: {', '.join(names[:20])}")
        for argv in ((*GIT, "reset", "--quiet", "--hard", head), ("/bin/sh", "-c", _TIDY)):
            done = await self._ask(argv, timeout=CLONE_SECONDS)
            if done.code:
                raise BuildFailed(f"tidy up: git said: {done.stderr.decode('utf-8', 'replace').strip()[:500]}")
        if made := done.stdout.decode("utf-8", "replace").split():
            self._log.say(f"made by the steps, and hidden from git: {', '.join(made[:20])}")

    async def _ask(self, argv: tuple[str, ...], **more: Any) -> ExecResult:
        return await self._shop.provider.exec(self._box, argv, **more)

    @asynccontextmanager
    async def _timed(self, name: str) -> AsyncIterator[None]:
        """Note how long a step took, however it went."""
        async with timed(name, self._log, self.steps):
            yield


@asynccontextmanager
async def timed(name: str, log: BuildLog, steps: list[Step]) -> AsyncIterator[None]:
    """Say that a step begins, and add it to the steps when it is over, however it went."""
    log.say(f"== {name}")
    began, code = time.monotonic(), 1
    try:
        yield
        code = 0
    finally:
        steps.append(Step(name=name, seconds=round(time.monotonic() - began, 3), code=code))


async def environment(ask: Any, recipe: Recipe) -> dict[str, str]:
    """The recipe's variables, as they are in this box."""
    repo, path, home = (await ask(_PLACES)).stdout.decode("utf-8", "surrogateescape").split("\n")[:3]
    return recipe.environment({"repo": repo, "name": repo.rpartition("/")[2], "path": path, "home": home})


def with_environment(command: Command, env: dict[str, str]) -> tuple[str, ...]:
    """The command's argv, with variables set."""
    return ("/usr/bin/env", *(f"{name}={value}" for name, value in env.items()), *command.argv)
