"""What a page posts to the playground's own addresses, and how that is refused. The rooms of the page use it."""

from aiohttp import web

from bot.playground.workspace_arguments import Arguments, from_json
from bot.playground.workspace_records import Json, Refusal


async def posted(request: web.Request) -> Json:
    """The JSON object that was posted. Another site's page cannot send one unasked."""
    if request.content_type != "application/json":
        raise Refusal("json_only")
    found = from_json(await request.read())
    if not isinstance(found, dict):
        raise Refusal("json_not_object")
    return found


async def arguments(request: web.Request) -> Arguments:
    """The same, to be asked for by name."""
    return Arguments(await posted(request))


def refused_answer(refused: Refusal) -> web.Response:
    """Slack's form of a refusal."""
    return web.json_response({"ok": False, "error": refused.error, **refused.more}, status=400)
