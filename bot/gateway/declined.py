"""A git request that is not followed, in a sentence that git shows to whoever ran it.

Raised by all of the gateway's git (`git.py` and what it uses) and answered there: git prints a plain text behind
`remote:`. 403 and 404 are for good, 503 passes; the runner in the box tells them apart.
"""

from aiohttp import web


class Declined(Exception):
    """`sentence` is for people; `status` is HTTP's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence

    def answer(self) -> web.Response:
        """As git's client understands it."""
        headers = {"Retry-After": "2"} if self.status == 503 else {}
        return web.Response(status=self.status, text=self.sentence + "\n", headers=headers)
