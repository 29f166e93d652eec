"""The arguments of a Web API call, however a client sends them: query, form, JSON or multipart, for any verb.

`workspace_api.py` reads a request with `arguments`; the methods ask `Arguments` for what they need.
"""

import json

from aiohttp import web

from bot.playground.workspace_records import Json, Refusal


class Arguments:
    """The values of one call. What is not of the asked form is refused, as Slack refuses it."""

    def __init__(self, values: Json) -> None:
        self._values = values

    def has(self, name: str) -> bool:
        """Whether it was given at all, be it empty."""
        return self._values.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """A word."""
        value = self._values.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int | float):
            return str(value)
        raise _invalid(f"must be a string: {name}")

    def needed(self, name: str) -> str:
        """A word that must be there."""
        found = self.text(name)
        if not found:
            raise _invalid(f"missing required field: {name}")
        return found

    def flag(self, name: str, default: bool = False) -> bool:
        """Yes or no; SDKs say it as true, "true" or 1."""
        return self.text(name).lower() in ("1", "true") if self.has(name) else default

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 1 to `most`."""
        given = self.text(name)
        if not given:
            return default
        if not given.isdigit() or int(given) < 1:
            raise Refusal("invalid_limit" if name == "limit" else "invalid_arguments")
        return min(int(given), most)

    def words(self, name: str) -> list[str]:
        """A list, also as words with commas between them."""
        value = self._values.get(name)
        if isinstance(value, list):
            return [str(word) for word in value]
        return [word.strip() for word in self.text(name).split(",") if word.strip()]

    def structure(self, name: str) -> object:
        """Something of JSON, also as a string that holds it; None if it was not given."""
        value: object = self._values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        return from_json(value.encode(), "invalid_blocks_format" if name == "blocks" else "invalid_arguments")


async def arguments(request: web.Request) -> Arguments:
    """Everything that was sent with this request; what the body says wins over the address."""
    values: Json = {name: _clean(value) for name, value in request.query.items()}
    if request.content_type == "application/json":
        values |= await _json(request)
    elif request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        try:
            form = await request.post()
        except (LookupError, ValueError):
            raise Refusal("invalid_form_data") from None
        values |= {name: _clean(value) for name, value in form.items() if isinstance(value, str)}
    return Arguments(values)


def from_json(raw: bytes, error: str = "invalid_json") -> object:
    """JSON that can be kept and sent on; what cannot is refused with `error`."""
    try:
        found: object = json.loads(raw)
        json.dumps(found, ensure_ascii=False).encode()  # no half characters
    except (ValueError, RecursionError):
        raise Refusal(error) from None
    return found


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode()


async def _json(request: web.Request) -> Json:
    found = from_json(await request.read() or b"{}")
    if not isinstance(found, dict):
        raise Refusal("json_not_object")
    return found


def _invalid(words: str) -> Refusal:
    return Refusal("invalid_arguments", {"response_metadata": {"messages": [f"[ERROR] {words}"]}})
