"""Files: `files.*`, the address that a file is sent to, and the one that it is read from.

A file is announced, sent to its upload address, and then shared as a message. It is read with a token; without a good
one, an HTML page comes back with 200, as Slack answers.
"""

import mimetypes
import secrets
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

from aiohttp import BodyPartReader, web

from bot.playground import workspace_shapes as shapes
from bot.playground.workspace import Workspace
from bot.playground.workspace_arguments import Arguments
from bot.playground.workspace_asked import Asked, Method, caller_of
from bot.playground.workspace_limits import TIER_4
from bot.playground.workspace_records import File, Json, Message, Refusal

MOST, CHUNK = 20 << 20, 1 << 16
FILES = 20
LOGIN = "<!DOCTYPE html><html><head><title>Sign in | Acme</title></head><body>Sign in to see this file.</body></html>"
SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp", "text/plain")


def _announce(asked: Asked) -> Json:
    name, length = Path(asked.arguments.needed("filename")).name, asked.arguments.text("length")
    if name in ("", ".."):
        raise Refusal("invalid_arguments")
    if not length.isdigit() or not 0 < int(length) <= MOST:
        raise Refusal("file_upload_size_restricted" if length.isdigit() and int(length) > MOST else "invalid_arguments")
    file = File(
        id="F0" + secrets.token_hex(5).upper(),
        name=name[:255],
        title=name[:255],
        mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream",
        size=int(length),
        user=asked.me,
        created=asked.workspace.clock(),
    )
    asked.workspace.keep(file)
    return {"upload_url": f"{asked.workspace.state.base_url}/upload/v1/{file.id}", "file_id": file.id}


def _complete(asked: Asked) -> Json:
    wanted = asked.arguments.structure("files")
    if not isinstance(wanted, list) or not 0 < len(wanted) <= FILES:
        raise Refusal("invalid_arguments")
    files = [_sent(asked, each) for each in wanted]
    if target := asked.arguments.text("channel_id"):
        channel = asked.workspace.state.open_for(asked.me, target)
        files = [file.model_copy(update={"channels": (channel.id,)}) for file in files]
    for file in files:
        asked.workspace.keep(file)
    if target:
        asked.workspace.post(
            Message(
                channel=channel.id,
                ts="",
                user=asked.me,
                text=asked.arguments.text("initial_comment"),
                thread_ts=asked.arguments.text("thread_ts"),
                subtype="file_share",
                bot_id=asked.caller.account.bot_id,
                files=tuple(file.id for file in files),
            )
        )
    return {"files": [shapes.file(asked.workspace.state, file) for file in files]}


def _sent(asked: Asked, wanted: object) -> File:
    """A file of the caller's whose content is here, under the title that it shall have."""
    name = wanted.get("id") if isinstance(wanted, dict) else None
    file = asked.workspace.state.files.get(name) if isinstance(name, str) else None
    if file is None or file.user != asked.me or not _content(asked.workspace, file).exists():
        raise Refusal("file_not_found")
    title = wanted.get("title") if isinstance(wanted, dict) else None
    return file.model_copy(update={"complete": True, "title": str(title or file.title)[:255]})


def _info(asked: Asked) -> Json:
    file = asked.workspace.state.file_for(asked.me, asked.arguments.needed("file"))
    return {"file": shapes.file(asked.workspace.state, file), "comments": [], "response_metadata": {"next_cursor": ""}}


METHODS = {
    "files.getUploadURLExternal": Method(_announce, ("files:write",), TIER_4),
    "files.completeUploadExternal": Method(_complete, ("files:write",), TIER_4),
    "files.info": Method(_info, ("files:read",), TIER_4),
}


def _content(workspace: Workspace, file: File) -> Path:
    return workspace.folder / "files" / file.id


class FileServer:
    """The two addresses of a file's content."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def take(self, request: web.Request) -> web.Response:
        """POST /upload/v1/{file}: its content, raw or as a form. The address is the permission."""
        file = self._workspace.state.files.get(request.match_info["file"])
        if file is None or file.complete:
            raise web.HTTPNotFound(text="There is no such upload.\n")
        content = await self._sent(request)
        if len(content) != file.size:
            raise web.HTTPBadRequest(text=f"{file.size} bytes were announced, {len(content)} came.\n")
        path = _content(self._workspace, file)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return web.Response(text=f"OK - {len(content)}")

    async def _sent(self, request: web.Request) -> bytes:
        if request.content_type != "multipart/form-data":
            return await _whole(request.content.iter_chunked(CHUNK))
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.filename:
                return await _whole(_chunks(part))
        raise web.HTTPBadRequest(text="The form has no file.\n")

    async def give(self, request: web.Request) -> web.StreamResponse:
        """GET a file's `url_private`: its content, for whoever may see it. `?token=` serves a page's images."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token if scheme.lower() == "bearer" else request.query.get("token", "")
        try:
            caller = caller_of(self._workspace, token)
            Asked(self._workspace, caller, Arguments({})).require("files:read")
            file = self._workspace.state.file_for(caller.account.id, request.match_info["file"])
        except Refusal:
            return web.Response(text=LOGIN, content_type="text/html")
        how = "inline" if file.mimetype in SHOWN and "download" not in request.match_info else "attachment"
        headers = {
            "Content-Type": file.mimetype,
            "Content-Disposition": how,
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
        }
        return web.FileResponse(_content(self._workspace, file), headers=headers)


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(CHUNK):
        yield chunk


async def _whole(chunks: AsyncIterable[bytes]) -> bytes:
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > MOST:
            raise web.HTTPRequestEntityTooLarge(MOST, len(content))
    return bytes(content)
