"""GET /view/{sid}/file/{id}: a file that an agent attached, for whoever may look at its session or has the file's link.

`bot/app.py` adds the route. A box made the file, so a browser is told to show nothing of it but ordinary pictures, and
to run nothing.
"""

from aiohttp import web
from yarl import URL

from bot.web.admission import Admission, NotShown
from jobs.shelf import Shelf

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, max-age=600",
    "X-Robots-Tag": "noindex",
}


class FilePages:
    """Gives files from the shelf."""

    def __init__(self, admission: Admission, shelf: Shelf) -> None:
        self._admission, self._shelf = admission, shelf

    @property
    def routes(self) -> list[web.RouteDef]:
        """The file's address."""
        return [web.get("/view/{sid}/file/{file}", self._give)]

    async def _give(self, request: web.Request) -> web.StreamResponse:
        sid, file_id = request.match_info["sid"], request.match_info["file"]
        try:
            session = await self._admission.to_file(sid, file_id, request.query)
        except NotShown as not_shown:
            return web.Response(
                status=not_shown.status, text=f"{not_shown.title}. {not_shown.words}\n", headers=HEADERS
            )
        file = next((file for file in session.files if file.id == file_id), None)
        if file is None or not (path := self._shelf.path(sid, file_id)).is_file():
            return web.Response(status=404, text="This file is not kept any more.\n", headers=HEADERS)
        kind = file.mimetype if file.mimetype in PICTURES else "application/octet-stream"
        how = "inline" if kind in PICTURES else "attachment"
        name = URL.build(path=file.name).raw_path
        headers = HEADERS | {"Content-Type": kind, "Content-Disposition": f"{how}; filename*=UTF-8''{name}"}
        return web.FileResponse(path, headers=headers)
