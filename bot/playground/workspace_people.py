"""Who and what is in the workspace from its first start: accounts, channels, and the tokens that name them.

`workspace.py` begins with these. Ids are the same in every playground; tokens are made once and kept with the state.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

from bot.playground.forge_json import dumps
from bot.playground.forge_records import read_json, write_atomically
from bot.playground.workspace_records import Account, Channel

TEAM, TEAM_NAME, DOMAIN = "T0ACME", "Acme", "acme"
OTHER_TEAM = "T0ORBIT"
APP, OTHER_APP = "A0SHIPMATE", "A0ROBBIE"
ADA = Account("U0ADA", "ada", "Ada Lovelace", "ada@acme.example", TEAM)
GRACE = Account("U0GRACE", "grace", "Grace Hopper", "grace@acme.example", TEAM)
OUTSIDER = Account("U0OLGA", "olga", "Olga Orbit", "olga@orbit.example", OTHER_TEAM, stranger=True)
BOT = Account("U0SHIPMATE", "shipmate", "Shipmate", "", TEAM, bot_id="B0SHIPMATE", app_id=APP)
OTHER_BOT = Account("U0ROBBIE", "robbie", "Robbie", "", TEAM, bot_id="B0ROBBIE", app_id=OTHER_APP)
ACCOUNTS = (ADA, GRACE, OUTSIDER, BOT, OTHER_BOT)
PEOPLE = (ADA, GRACE)
_ALL = (ADA.id, GRACE.id, BOT.id, OTHER_BOT.id)
CHANNELS = (
    Channel(id="C0DEV", name="dev", creator=ADA.id, members=_ALL, topic="Where the work is done"),
    Channel(id="C0GENERAL", name="general", creator=ADA.id, members=(ADA.id, GRACE.id), topic="Without any bot"),
    Channel(id="G0SECRET", name="secret-plans", kind="group", creator=ADA.id, members=(ADA.id, BOT.id)),
    Channel(id="C0PARTNERS", name="partners", creator=ADA.id, members=(*_ALL, OUTSIDER.id), shared=True),
    Channel(id="D0ADA", name="", kind="im", creator=ADA.id, members=(ADA.id, BOT.id)),
    Channel(id="D0GRACE", name="", kind="im", creator=GRACE.id, members=(GRACE.id, BOT.id)),
)


@dataclass(frozen=True)
class Tokens:
    """Everything secret. `people`: user tokens by account id."""

    bot: str
    app: str
    other_bot: str
    signing_secret: str
    verification: str
    people: dict[str, str]

    @classmethod
    def open(cls, file: Path) -> "Tokens":
        """The tokens of last time, else new ones, kept for next time (mode 0600)."""
        kept = read_json(file)
        fresh = {
            "bot": "xoxb-1-" + secrets.token_hex(18),
            "app": f"xapp-1-{APP}-1-" + secrets.token_hex(24),
            "other_bot": "xoxb-2-" + secrets.token_hex(18),
            "signing_secret": secrets.token_hex(16),
            "verification": secrets.token_hex(12),
            **{account.id: "xoxp-" + secrets.token_hex(18) for account in (*PEOPLE, OUTSIDER)},
        }
        values = {name: str(kept.get(name) or made) for name, made in fresh.items()}
        if values != kept:
            write_atomically(file, dumps(values))
        people = {account.id: values.pop(account.id) for account in (*PEOPLE, OUTSIDER)}
        return cls(**values, people=people)

    @property
    def accounts(self) -> dict[str, str]:
        """Token -> the id of the account that it speaks for."""
        people = {token: account for account, token in self.people.items()}
        return {**people, self.bot: BOT.id, self.other_bot: OTHER_BOT.id}
