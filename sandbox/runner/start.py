"""What the repository's recipe starts in every box, once the tree is in step: services, watchers. Called by `life.py`.

The commands run side by side, and what they leave running stays. Their words go to a file below HOME, where the agent
can read them, and may put something else; one that fails is told to people. Nobody waits for them long: a server in the
foreground never ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from sandbox.runner.box import Greeting, Places
from sandbox.runner.commands import ended
from sandbox.runner.journal import open_plain
from sandbox.runner.processes import NULL, Children

PATIENCE, WATCHED_SECONDS = 2.0, 600.0
LOG = "start.log"
TAIL_BYTES = 600


class Starting:
    """The start commands of one box. `say` is the outbox's."""

    def __init__(
        self, children: Children, places: Places, env: dict[str, str], said: Greeting, say: Callable[..., None]
    ) -> None:
        self._children, self._repo, self._commands, self._remark = children, places.repo, said.start, say
        self._env, self._log = places.at_work(env, said.env), os.path.join(places.home, LOG)

    async def run(self) -> None:
        """Start them, and return when they are done or need longer than a moment; they are watched beside that."""
        if self._commands:
            watching = asyncio.gather(*map(self._one, self._commands))
            await asyncio.wait({watching}, timeout=PATIENCE)

    def _say(self, text: str) -> None:
        self._remark("remark", text=text[:1900])

    async def _one(self, argv: tuple[str, ...]) -> None:
        try:
            with open(open_plain(self._log, os.O_WRONLY | os.O_APPEND), "ab") as log:
                child = self._children.spawn(argv, cwd=self._repo, env=self._env, stdin=NULL, stdout=log, stderr=log)
        except OSError as wrong:
            self._say(f"postStartCommand could not be started: {wrong}")
            return
        if await ended(child, WATCHED_SECONDS) and child.code:
            self._say(f"postStartCommand {' '.join(argv)[:200]!r} ended with {child.code}: {self._tail()}")

    def _tail(self) -> str:
        said = ""
        with contextlib.suppress(OSError), open(open_plain(self._log, os.O_RDONLY), "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - TAIL_BYTES))
            said = log.read().decode("utf-8", "replace").strip()
        return said or "it said nothing"
