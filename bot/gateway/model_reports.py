"""What the model gateway tells of a box's requests: facts for its session's log, and times for its stamps.

`model.py` calls these on the way of a request, so nothing here waits: what is told is done aside.
"""

from bot.gateway.aside import Aside
from bot.gateway.model_account import Inbox
from jobs.commands import Command, SeeModelRequest, TellModelRefusal, TellModelTrouble
from jobs.events import ModelTrouble
from jobs.moments import FIRST_BYTE
from jobs.records import Grant
from jobs.store import Store

SESSIONS_MOST = 10_000


class ModelReports:
    """Tells. `aside` does what nobody waits for."""

    def __init__(self, store: Store, inbox: Inbox, aside: Aside) -> None:
        self._store, self._inbox, self._aside = store, inbox, aside
        self._begun: dict[str, None] = {}

    def asked(self, grant: Grant) -> None:
        """The box asks with tools on offer: its agent is at work."""
        self._do("note that the model was asked", grant, SeeModelRequest(grant.generation))

    def began(self, grant: Grant, at: float) -> None:
        """The first byte of an answer to such a request came. The record keeps the first of a session alone."""
        if grant.session in self._begun:
            return
        if len(self._begun) >= SESSIONS_MOST:
            del self._begun[next(iter(self._begun))]
        self._begun[grant.session] = None
        self._aside.do("stamp the first byte", self._store.stamp(grant.session, FIRST_BYTE, at))

    def refused(self, grant: Grant, note: str) -> None:
        """A provider refuses us, which only a person can mend."""
        self._do("tell of a refusal", grant, TellModelRefusal(grant.generation, note))

    def in_trouble(self, grant: Grant, trouble: ModelTrouble) -> None:
        """The provider has been in trouble for long, or is not any more."""
        self._do("tell of a model in trouble", grant, TellModelTrouble(grant.generation, trouble))

    def _do(self, what: str, grant: Grant, command: Command) -> None:
        self._aside.do(what, self._inbox.handle(grant.session, command))
