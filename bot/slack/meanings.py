"""What an event of Slack's may mean for us, as small records. Pure.

`intake.py` makes them of payloads, `desk.py` acts on them. The identity of a prompt is its message's: workspace,
channel and ts, so that an `app_mention` and a `message` about one post, and every redelivery of both, are the same
prompt.
"""

from dataclasses import dataclass

from jobs.events import Attachment

CLIENT = "slack"  # in a session's place


@dataclass(frozen=True)
class Me:
    """Who we are in this workspace. `url` is the workspace's own, such as `https://acme.slack.com/`."""

    team: str
    user: str
    bot: str
    url: str = ""

    def link(self, channel: str, ts: str) -> str:
        """The address of a message, "" if we do not know the workspace's own."""
        return f"{self.url}archives/{channel}/p{ts.replace('.', '')}" if self.url else ""


@dataclass(frozen=True)
class Post:
    """A message. `text` is plain, without our mention; `private` None: the event does not say."""

    team: str
    channel: str
    ts: str
    thread: str
    user: str
    text: str
    files: tuple[Attachment, ...] = ()
    private: bool | None = None
    bot: str = ""

    @property
    def prompt_id(self) -> str:
        """The identity of the prompt that this message is."""
        return prompt_id(self.team, self.channel, self.ts)


@dataclass(frozen=True)
class Mention:
    """Somebody asks us. An empty one, or the word, asks for help."""

    post: Post


@dataclass(frozen=True)
class Reply:
    """Somebody says something in a thread, not to us by name: ours if the thread has a session."""

    post: Post


@dataclass(frozen=True)
class Edited:
    """The text of a message is another one now, `post.text`. `at`: the ts of the edit; `aside`: not for us any more."""

    post: Post
    mentions_us: bool
    at: str = ""
    aside: bool = False


@dataclass(frozen=True)
class Deleted:
    """A message is gone."""

    team: str
    channel: str
    ts: str
    thread: str

    @property
    def prompt_id(self) -> str:
        """The identity of the prompt that this message was."""
        return prompt_id(self.team, self.channel, self.ts)


@dataclass(frozen=True)
class StopAsked:
    """Somebody wants the thread's work, or one prompt of it, to stop. `once`: the ts of what said so, which may be
    delivered again; `mention`: said to us by name; `session`: one that an agent started, instead of the thread's;
    `said`: the reply that says so, which the agent may have asked for."""

    team: str
    channel: str
    thread: str
    user: str
    prompt_id: str | None = None
    once: str = ""
    mention: bool = False
    session: str = ""
    said: Post | None = None


@dataclass(frozen=True)
class StopAllAsked:
    """Somebody wants every session to stop that this one has started."""

    team: str
    channel: str
    thread: str
    user: str
    session: str


@dataclass(frozen=True)
class SteerAsked:
    """Somebody wants to say something to this session alone. `trigger`: lets us show a form, for a few seconds."""

    team: str
    channel: str
    thread: str
    user: str
    session: str
    trigger: str


@dataclass(frozen=True)
class FixAsked:
    """Somebody wants this session to see to what checks found of its commit `head`."""

    team: str
    channel: str
    thread: str
    user: str
    session: str
    head: str


@dataclass(frozen=True)
class Steered:
    """Somebody has said it. `said`: what tells this form from all others."""

    team: str
    channel: str
    thread: str
    user: str
    session: str
    text: str
    said: str


@dataclass(frozen=True)
class Chosen:
    """Somebody pressed a repository's button."""

    team: str
    channel: str
    thread: str
    user: str
    repository: str


@dataclass(frozen=True)
class BudgetAnswered:
    """Somebody pressed a button under a question for money: event number `asked` of the session's log."""

    team: str
    channel: str
    thread: str
    user: str
    asked: int
    more: bool


@dataclass(frozen=True)
class Answered:
    """Somebody pressed an answer to a question of the agent's: option number `option` of `question` of `session`."""

    team: str
    channel: str
    thread: str
    user: str
    session: str
    question: str
    option: int


@dataclass(frozen=True)
class ViewAsked:
    """Somebody in a private place wants to look at the session; at the thread's own if `session` is empty."""

    team: str
    channel: str
    thread: str
    user: str
    session: str = ""


@dataclass(frozen=True)
class Refused:
    """Somebody from outside the workspace spoke to us. `mention`: by name; else only a thread of ours is concerned."""

    team: str
    channel: str
    thread: str
    user: str
    mention: bool


@dataclass(frozen=True)
class Overheard:
    """People talk to each other in a thread."""

    team: str
    channel: str
    thread: str


@dataclass(frozen=True)
class Ignored:
    """Nothing for us, and why."""

    reason: str


Pressed = StopAsked | StopAllAsked | SteerAsked | FixAsked | Chosen | BudgetAnswered | Answered | ViewAsked
Meaning = Mention | Reply | Edited | Deleted | Pressed | Steered | Overheard | Refused | Ignored


def prompt_id(team: str, channel: str, ts: str) -> str:
    """`team:channel:ts`."""
    return f"{team}:{channel}:{ts}"
