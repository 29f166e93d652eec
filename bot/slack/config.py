"""What the Slack client is told. Made by `bot/app.py` from the settings; nothing here looks at the environment."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class SlackConfig:
    """How to reach the workspace and whom to listen to.

    `app_token` given: Socket Mode; else signed HTTP, which needs `signing_secret`. `allowed_bots` are the ids (bot or
    user) of bots whose mentions count; each may give `bot_turns` prompts per thread and hour. People whose e-mail Slack
    does not tell get `<user id>@users.noreply.<noreply_domain>`.
    """

    bot_token: str = field(repr=False)
    app_token: str = field(default="", repr=False)
    signing_secret: str = field(default="", repr=False)
    api_url: str = "https://slack.com/api/"
    agent: str = "rehearsal"
    files_dir: Path | None = None  # where the files are that agents attach
    allowed_bots: frozenset[str] = frozenset()
    bot_turns: int = 3
    noreply_domain: str = "shipmate.invalid"
    accept_seconds: float = 2.0  # for the record, before Slack is acknowledged
    lookup_seconds: float = 0.8  # for who somebody is, the first time only; Slack waits 3 s in all
    call_seconds: float = 10.0  # for one call of the Web API
    sweep_seconds: float = 1.0  # for bells that were missed
    unsure_seconds: float = 2.0  # after a call that had no clear answer
    arrive_seconds: float = 5.0  # for a post to appear whose caller died or gave up before there was an answer
    socket_seconds: float = 5.0  # between two looks at whether the socket is still open
    edit_seconds: float = 2.0  # between two edits of a running card that are not urgent
    elapsed_seconds: float = 15.0  # between two edits that only say how long it takes
    settle_seconds: float = 20.0  # how long the end of a turn waits for its pull request
    status_seconds: float = 90.0  # between two refreshes of a status that fades by itself

    @property
    def socket_mode(self) -> bool:
        """Whether events come over a socket that we open."""
        return bool(self.app_token)
