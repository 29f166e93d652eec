"""Files that people attach to their messages, fetched from Slack for the box that works on them.

`bot/app.py` gives it to the gateway. The bot's token goes to Slack's own file host and nowhere else: a file that is
kept elsewhere (a link to somebody's drive) is not fetched, and no redirect is followed. A file is fetched
when its prompt is delivered: one that was deleted in Slack by then is only named.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp

from bot.outside import NotThere
from bot.slack.config import SlackConfig
from bot.slack.meanings import CLIENT
from jobs.events import Attachment, Place

log = logging.getLogger(__name__)
SECONDS = 30.0
MOST_BYTES = 20 << 20
API_HOSTS = {"slack.com": "files.slack.com", "slack-gov.com": "files.slack-gov.com"}
ELSEWHERE = "it is not kept in Slack itself"
NO_RIGHT = "Slack did not give it: the app may lack the scope files:read, or the file was deleted"
TOO_LARGE = f"it has more than {MOST_BYTES >> 20} MB"


class Downloads:
    """Of one workspace, as our bot."""

    def __init__(self, config: SlackConfig) -> None:
        self._token, self._origin = config.bot_token, file_origin(config.api_url)

    @asynccontextmanager
    async def fetch(self, place: Place, file: Attachment) -> AsyncIterator[AsyncIterator[bytes]]:
        """Its bytes as they come. Raises `NotThere`."""
        if place.client != CLIENT or not self._is_ours(file.url):
            raise NotThere(ELSEWHERE)
        if file.bytes > MOST_BYTES:
            raise NotThere(TOO_LARGE)
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        headers = {"Authorization": f"Bearer {self._token}", "Accept-Encoding": "identity"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers, auto_decompress=False) as http,
                http.get(file.url, allow_redirects=False) as answer,
            ):
                if answer.status != 200 or _is_login_page(answer, file):
                    log.warning("Slack answered %d (%s) for a file", answer.status, answer.content_type)
                    raise NotThere(NO_RIGHT)
                if (answer.content_length or 0) > MOST_BYTES:
                    raise NotThere(TOO_LARGE)
                yield answer.content.iter_any()
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as broken:
            raise NotThere(f"Slack could not be reached for it ({type(broken).__name__})") from broken

    def _is_ours(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            return f"{parts.scheme}://{parts.netloc}".lower() == self._origin and "\\" not in url
        except ValueError:
            return False


def file_origin(api_url: str) -> str:
    """Where this workspace keeps its files: Slack's host for them, or what stands in for all of Slack."""
    parts = urlsplit(api_url)
    host = API_HOSTS.get((parts.hostname or "").removeprefix("www."))
    return f"https://{host}" if host else f"{parts.scheme}://{parts.netloc}".lower()


def _is_login_page(answer: aiohttp.ClientResponse, file: Attachment) -> bool:
    """Slack answers a token without the right with a page, and 200."""
    return answer.content_type == "text/html" and "html" not in file.mimetype
