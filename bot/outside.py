"""What the gateway is given by the faces: the address of a file for people, and a way to what came with a prompt.

`bot/app.py` fills it in; a gateway without faces has `NOWHERE`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

from jobs.events import Attachment, Place
from jobs.session import Session


class NotThere(Exception):
    """What came with a prompt cannot be had; the message is a reason to show to the agent and to people."""


Pieces = AsyncIterator[bytes]
Fetch = Callable[[Place, Attachment], AbstractAsyncContextManager[Pieces]]


class Outside(NamedTuple):
    """`file_url`: where people see a file of a session, "" if only members may. `fetch`: opens what came with a prompt,
    and raises `NotThere`."""

    file_url: Callable[[Session, str], str]
    fetch: Fetch


@asynccontextmanager
async def _nothing(_place: Place, _file: Attachment) -> AsyncIterator[Pieces]:
    raise NotThere("it came from a client that this gateway does not know")
    yield


NOWHERE = Outside(lambda _session, _file: "", _nothing)
