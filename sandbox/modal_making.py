"""How a box is made on Modal: the intent first, then the call, then the greeting; each step safe to be killed after.

`sandbox/modal.py` calls `make` while it alone is at this name. What was begun and not ended is found by the intent, or
by the name and tags that each box has.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import modal_base, runner_archive
from sandbox.ledger import Ledger
from sandbox.modal_account import Account, bounded
from sandbox.modal_entry import ENTRYPOINT, opening
from sandbox.modal_errors import CONFLICT, EXISTS, NOT_FOUND, Doing, is_a, judged
from sandbox.modal_place import ModalPlace, cores, memory, outbound
from sandbox.modal_records import BOX, BoxRecord, SnapshotRecord
from sandbox.provider import BoxSpec, Permanent, Temporary

if TYPE_CHECKING:
    import modal

CREATE_SECONDS, GREET_SECONDS, BUILD_SECONDS, END_SECONDS = 120.0, 60.0, 1800.0, 30.0
LOOK_SECONDS = 0.2
SLOT = "modal-creates"
Base = Callable[[tuple[str, ...], Path], "modal.Image"]


class Maker:
    """Makes boxes. `base`: the definition of the base image, from names of agents and the runner's archive."""

    def __init__(self, place: ModalPlace, ledger: Ledger, account: Account, base: Base | None = None) -> None:
        self._place, self._ledger, self._account = place, ledger, account
        self._definition = base or modal_base.definition
        self._archive = b""
        self._agents = modal_base.agents_key(place.agents)
        self._building = asyncio.Lock()
        self._built: modal.Image | None = None

    async def make(self, spec: BoxSpec, grown_from: SnapshotRecord | None, record: BoxRecord) -> BoxRecord:
        """The box, greeted. `record`: what is known of an earlier attempt under this name, or a new intent.

        Raises BoxError; the record stays then, so that whatever came of it is found.
        """
        archive = await self._runner()
        digest = hashlib.sha256(archive).hexdigest()[:16]
        image, has = await self._image(grown_from, digest)
        record = replace(record, runner=digest, agents=self._agents)
        await self._ledger.put(BOX + spec.name, record.written())
        async with self._ledger.slot(SLOT, self._place.creates, CREATE_SECONDS + GREET_SECONDS):
            sandbox = await self._created(spec, image, record)
            record = replace(record, sandbox=sandbox.object_id, greeting="begun")
            await self._ledger.put(BOX + spec.name, record.written())
            async with bounded(GREET_SECONDS, Doing.MAKE):
                words = opening(b"" if has == digest else archive, self._place.ca) + spec.greeting
                await _greet(sandbox, words)
        record = replace(record, greeting="done")
        await self._ledger.put(BOX + spec.name, record.written())
        self._account.remember(sandbox)
        return record

    async def _created(self, spec: BoxSpec, image: modal.Image, record: BoxRecord) -> modal.Sandbox:
        """A box that has not been greeted: a new one, or the one that an earlier attempt left."""
        try:
            return await self._create(spec, image)
        except Exception as failed:
            if not is_a(failed, EXISTS):
                raise judged(failed, Doing.MAKE) from failed
        found = await self._account.named(spec.name)
        if found is not None and not record.greeting:
            return found
        if found is not None:  # it was told something, by somebody who is no more: nobody knows how much
            await self._end(found)
        async with bounded(CREATE_SECONDS, Doing.MAKE):
            return await self._create(spec, image)

    async def _create(self, spec: BoxSpec, image: modal.Image) -> modal.Sandbox:
        """A new box. An app that was stopped is looked up once more."""
        try:
            return await self._asked_for(spec, image)
        except Exception as failed:
            if not (is_a(failed, NOT_FOUND) or is_a(failed, CONFLICT)):
                raise
        try:
            return await self._asked_for(spec, image)
        except Exception as failed:
            if is_a(failed, NOT_FOUND):
                self._built = None  # it may be the base image that Modal has no more
            raise

    async def _asked_for(self, spec: BoxSpec, image: modal.Image) -> modal.Sandbox:
        import modal

        client, app = await self._account.open()
        networks, names = outbound(self._place, spec.hosts)
        async with asyncio.timeout(CREATE_SECONDS):
            with self._account.using_app():
                return await modal.Sandbox.create.aio(
                    *ENTRYPOINT,
                    app=app,
                    name=spec.name,
                    tags={**spec.labels, **self._account.tags(spec.name)},
                    image=image,
                    timeout=math.ceil(self._place.box_seconds),
                    workdir="/",
                    cpu=cores(self._place, spec.limits),
                    memory=memory(spec.limits),
                    region=self._place.region,
                    outbound_cidr_allowlist=networks,
                    outbound_domain_allowlist=names,
                    experimental_options={"enable_exit_snapshot": True},
                    client=client,
                )

    async def _end(self, sandbox: modal.Sandbox) -> None:
        async with bounded(END_SECONDS, Doing.MAKE):
            await sandbox.terminate.aio()
            while await sandbox.poll.aio() is None:
                await asyncio.sleep(LOOK_SECONDS)

    async def _image(self, grown_from: SnapshotRecord | None, digest: str) -> tuple[modal.Image, str]:
        """What a box grows from, and the digest of the runner that is in it."""
        if grown_from is None:
            return await self.base(), digest
        image = await self._account.image(grown_from.image)
        if grown_from.agents != self._agents:
            _, app = await self._account.open()
            async with bounded(BUILD_SECONDS, Doing.MAKE):
                with self._account.using_app():
                    image = await modal_base.with_agents(image, self._place.agents).build.aio(app)
        return image, grown_from.runner

    async def base(self) -> modal.Image:
        """The base image; Modal builds it if its definition is new, which takes minutes."""
        async with self._building:
            if self._built is None:
                self._built = await self._build()
            return self._built

    async def _build(self) -> modal.Image:
        archive = await self._runner()
        _, app = await self._account.open()
        with tempfile.TemporaryDirectory(prefix="shipmate-runner-") as folder:
            file = Path(folder) / "runner.pyz"
            file.write_bytes(archive)
            file.chmod(0o644)
            image = self._definition(self._place.agents, file)
            async with bounded(BUILD_SECONDS, Doing.MAKE):
                with self._account.using_app():
                    return await image.build.aio(app)

    async def _runner(self) -> bytes:
        if not self._archive:
            try:
                self._archive = await asyncio.to_thread(runner_archive.pack)
            except (OSError, RuntimeError) as failed:
                raise Temporary(f"the runner could not be packed: {failed}") from failed
        return self._archive


async def _greet(sandbox: modal.Sandbox, words: bytes) -> None:
    """Write to the entrypoint's stdin, which a box that is just starting does not have yet."""
    sandbox.stdin.write(words)
    while True:
        try:
            await sandbox.stdin.drain.aio()  # what was not taken is written again, to the same place
        except ValueError as not_open:
            if await sandbox.poll.aio() is not None:
                raise Temporary(f"the box ended before it had begun ({not_open})", 2.0) from not_open
            await asyncio.sleep(LOOK_SECONDS)
        else:
            return


def checked(spec: BoxSpec) -> None:
    """Raise Permanent for a greeting that is none, or tags that are ours to set."""
    if len(spec.greeting) > GREETING_BYTES or not spec.greeting.endswith(b"\n"):
        raise Permanent("a greeting is one line of at most 60 kB that ends in a newline")


GREETING_BYTES = 60_000
