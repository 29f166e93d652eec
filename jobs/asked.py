"""What a session remembers of what its agent asked of people: questions, files, the words of the pull request. Pure.

`jobs/session.py` keeps these records, `jobs/fold_tools.py` makes them of events, `jobs/decide_tools.py` goes by them.
"""

import hashlib
import json

from jobs.events import Author, Frozen

OPEN_MOST = 5  # questions of one request that wait for an answer, each a message that mentions somebody
REMEMBERED = 12  # questions of a session, the settled ones forgotten first
FILES_MOST, FILES_BYTES_MOST = 50, 200 << 20  # of one session, in all
FILE_BYTES_MOST = 10 << 20
DESCRIBED_MOST = 20


class Inquiry(Frozen):
    """A question of the agent's. `prompt_id`: what it worked on; `said`: the message that answered; `taken`: the agent
    was given the answer, or nobody waits for it any more."""

    id: str
    prompt_id: str
    question: str
    options: tuple[str, ...] = ()
    answer: str | None = None
    by: Author | None = None
    said: str = ""
    taken: bool = False

    @property
    def open(self) -> bool:
        """Whether somebody may still answer."""
        return self.answer is None and not self.taken


class Wanted(Frozen):
    """A file that the runner was asked for and has not sent yet."""

    id: str
    path: str
    title: str


class Kept(Frozen):
    """A file that is kept for this session."""

    id: str
    name: str
    mimetype: str
    bytes: int
    digest: str


class Description(Frozen):
    """That the agent has said what the pull request is to be; the words are in the log. `number` counts how often it
    said so, `digest` stands for the last words."""

    number: int
    digest: str


def remembered(inquiries: tuple[Inquiry, ...]) -> tuple[Inquiry, ...]:
    """As many as are remembered: those that are open or wait to be given to the agent, and then the newest."""
    waiting = [i for i in inquiries if not i.taken][-REMEMBERED:]
    room = REMEMBERED - len(waiting)
    settled = [i for i in inquiries if i.taken][-room:] if room else []
    return tuple(i for i in inquiries if i in waiting or i in settled)


def digest_of(title: str, body: str, draft: bool) -> str:
    """The same for two descriptions that say the same."""
    return hashlib.sha256(json.dumps((title, body, draft)).encode()).hexdigest()[:16]


def inquiry_of(inquiries: tuple[Inquiry, ...], inquiry_id: str) -> Inquiry | None:
    """The question of this id, if it is remembered."""
    return next((i for i in inquiries if i.id == inquiry_id), None)


class Pause(Frozen):
    """The budget is reached and people are asked for `more` dollars: nothing is delivered until somebody has answered.
    `asked`: the number of the event, which tells one question from the next."""

    asked: int
    used: float
    limit: float
    more: float


def answered_by_reply(inquiries: tuple[Inquiry, ...], prompt_id: str) -> Inquiry | None:
    """Which question of the turn on this prompt a reply in the thread answers: the only one that waits; of several, the
    newest that has no buttons."""
    waiting = [i for i in inquiries if i.open and i.prompt_id == prompt_id]
    if len(waiting) == 1:
        return waiting[0]
    return next((i for i in reversed(waiting) if not i.options), None)
