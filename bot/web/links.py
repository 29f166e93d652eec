"""Signed links to the page of a session: who holds one may look, until it expires. Pure but for the secret.

`bot/slack` makes them, `bot/web/pages.py` checks them. A link for everybody names nobody; a link for a private place
names the one person whom it is for. Everything in the address is covered by the signature.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

DAY = 86_400.0
PUBLIC_DAYS = 30
PRIVATE_SECONDS = 900.0


class BadLink(Exception):
    """The link cannot be used; the message says why and what to do."""


class ViewLinks:
    """Makes and checks links. `base_url` is how people reach the web process, without a slash at its end."""

    def __init__(self, secret: str, base_url: str, clock: Callable[[], float]) -> None:
        self._secret, self._base, self._clock = secret.encode(), base_url.rstrip("/"), clock

    def public(self, sid: str, since: float) -> str:
        """A link for everybody in a public place. Asked again with the same `since`, it is the same link: it holds for
        30 days from that day's end, so that a card with it does not change all the time."""
        return self._link(sid, "", (since // DAY + 1 + PUBLIC_DAYS) * DAY)

    def personal(self, sid: str, viewer: str) -> str:
        """A link for one person, for a quarter of an hour."""
        return self._link(sid, viewer, self._clock() + PRIVATE_SECONDS)

    def beside(self, sid: str, viewer: str) -> str:
        """A link to another session of the same place, for whoever looks at one with such a link."""
        return self.personal(sid, viewer) if viewer else self.public(sid, self._clock())

    def viewer(self, sid: str, query: Mapping[str, str]) -> str:
        """Whom the link was made for, "" for everybody. Raises `BadLink` for one that is altered or too old."""
        expires, viewer, given = query.get("expires", ""), query.get("viewer", ""), query.get("signature", "")
        right = self._signature(sid, expires, viewer)
        if not hmac.compare_digest(right.encode(), given.encode("utf-8", "surrogatepass")):
            raise BadLink("This link is incomplete or was changed. Press View in the thread for a new one.")
        if float(expires) < self._clock():
            raise BadLink("This link is too old. Press View in the thread for a new one.")
        return viewer

    def file(self, sid: str, file_id: str) -> str:
        """A link to one file, for everybody who has it and for as long as the file is kept; for public places."""
        return f"{self._base}/view/{sid}/file/{file_id}?{urlencode({'file': self._file_signature(sid, file_id)})}"

    def opens_file(self, sid: str, file_id: str, given: str) -> bool:
        """Whether this is the signature of a link to this file."""
        right = self._file_signature(sid, file_id)
        return hmac.compare_digest(right.encode(), given.encode("utf-8", "surrogatepass"))

    def _file_signature(self, sid: str, file_id: str) -> str:
        return hmac.new(self._secret, json.dumps(("file", sid, file_id)).encode(), hashlib.sha256).hexdigest()

    def _link(self, sid: str, viewer: str, expires: float) -> str:
        until = str(int(expires))
        query = {"expires": until} | ({"viewer": viewer} if viewer else {})
        return f"{self._base}/view/{sid}?{urlencode(query | {'signature': self._signature(sid, until, viewer)})}"

    def _signature(self, sid: str, expires: str, viewer: str) -> str:
        signed = json.dumps(("view", sid, expires, viewer)).encode()
        return hmac.new(self._secret, signed, hashlib.sha256).hexdigest()
