"""Uploads the files that an agent attached, each into its thread once.

`writer.py` calls it before it would post. Slack knows a file before it is shared, so its id is on record by then; when
the answer was lost, or the process died, the thread is searched for a message with that file before it is shared again.
What Slack does not take (an app without `files:write`) is left to words, with a link.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from bot.cards import SharedFile
from bot.slack.calls import Calls, Later, SlackError, Unsure
from bot.slack.config import SlackConfig
from bot.slack.posts import Posted
from bot.slack.text import plain_label
from jobs.events import Place
from jobs.shelf import Shelf

log = logging.getLogger(__name__)
UPLOAD = "the upload of a file"
PATIENCE_SECONDS, UPLOAD_SECONDS = 2.0, 10.0
REPLIES_PAGE, REPLIES_PAGES = 200, 20
Save = Callable[[Posted], Awaitable[None]]


class Sharing:
    """For one thread. `hold` takes or keeps the right to write it, and raises if somebody else has it."""

    def __init__(
        self,
        sid: str,
        hold: Callable[[], Awaitable[None]],
        calls: Calls,
        config: SlackConfig,
        clock: Callable[[], float],
    ) -> None:
        self._sid, self._hold, self._calls, self._config, self._clock = sid, hold, calls, config, clock

    async def share(self, place: Place, file: SharedFile, before: Posted | None, save: Save) -> bool:
        """See to it that the file is in the thread; False: words must do. `before` is what is remembered of it, with
        Slack's id of the file as its `mark`. Raises `Later` or `Unsure`, as `Calls` does."""
        known = before.mark if before is not None and before.state == "posting" else ""
        if before is not None and before.state == "posting" and not known:
            return False  # words are on their way already
        if known and await self._is_there(place, known):
            await save(Posted(state="gone", mark=known, at=self._clock()))
            return True
        if known and before is not None and 0 <= self._clock() - before.at < self._config.arrive_seconds:
            raise Unsure(UPLOAD, "it has not arrived yet")
        try:
            known = known or await self._upload(file)
            if not known:
                return False
            await self._hold()
            await save(Posted(state="posting", mark=known, at=self._clock()))
            named = {"id": known, "title": plain_label(file.title or file.name, 255)}
            await self._calls.call(
                "files.completeUploadExternal",
                patience=PATIENCE_SECONDS,
                files=[named],
                channel_id=place.channel,
                thread_ts=place.thread,
            )
        except (Later, Unsure):
            raise
        except SlackError as refused:
            log.warning("%s: Slack does not take the file %s (%s); it is named in words", self._sid, file.id, refused)
            await save(Posted(state="wanted"))
            return False
        await save(Posted(state="gone", mark=known, at=self._clock()))
        return True

    async def _upload(self, file: SharedFile) -> str:
        """Slack's id of the file, once it has the content; empty if it is not kept any more."""
        folder = self._config.files_dir
        path = Shelf(folder).path(self._sid, file.id) if folder is not None else None
        if path is None or not path.is_file():
            log.warning("%s: the file %s is not kept any more", self._sid, file.id)
            return ""
        data = await asyncio.to_thread(path.read_bytes)
        said = await self._calls.call(
            "files.getUploadURLExternal", patience=PATIENCE_SECONDS, filename=file.name, length=len(data)
        )
        url, slack_id = str(said.get("upload_url", "")), str(said.get("file_id", ""))
        if urlsplit(url).scheme not in ("https", "http") or not slack_id:
            raise SlackError(UPLOAD, "no address to send it to")
        await self._hold()
        await _send(url, file.name, data)
        return slack_id

    async def _is_there(self, place: Place, slack_id: str) -> bool:
        """Whether a message of ours in the thread has this file."""
        cursor: str | None = None
        for _ in range(REPLIES_PAGES):
            page: dict[str, Any] = dict(
                await self._calls.call(
                    "conversations.replies",
                    patience=PATIENCE_SECONDS,
                    channel=place.channel,
                    ts=place.thread,
                    limit=REPLIES_PAGE,
                    cursor=cursor,
                )
            )
            for message in page.get("messages") or ():
                if any(file.get("id") == slack_id for file in message.get("files") or ()):
                    return True
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
        return False


async def _send(url: str, name: str, data: bytes) -> None:
    """The content to the address that Slack gave; sending it again would be another upload."""
    timeout, form = aiohttp.ClientTimeout(total=UPLOAD_SECONDS), aiohttp.FormData()
    form.add_field("file", data, filename=name)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http, http.post(url, data=form) as answer:
            if answer.status >= 500:
                raise Unsure(UPLOAD, f"status {answer.status}")
            if answer.status != 200:
                raise SlackError(UPLOAD, f"status {answer.status}")
    except (TimeoutError, aiohttp.ClientError, OSError) as broken:
        raise Unsure(UPLOAD, type(broken).__name__) from broken
