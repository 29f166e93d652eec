"""What is wrong with the workspace just now. Tests set the fields, or `POST /playground/faults` with a JSON object.

Counts go down as they are met, so that a fault ends by itself. Faults of the Web API meet apps only: people's own
clients, by which tests speak, go on working.
"""

import dataclasses
from dataclasses import dataclass, field

from bot.playground.workspace_records import Json


@dataclass
class Faults:
    """Every knob. Zero, False or empty: nothing is wrong."""

    duplicate: int = 0  # so many deliveries are made twice
    reorder: int = 0  # so many deliveries are held until all of them are there, and then made last first
    delay: float = 0.0  # seconds before each delivery
    drop_acks: int = 0  # so many acknowledgements are not heard, and Slack delivers again
    drop_mentions: int = 0  # so many app_mention events never come
    drop_messages: int = 0  # so many events about a written message never come
    rate_limit: int = 0  # so many calls of an app are answered with 429
    retry_after: int = 1  # and told to wait so many seconds
    fail: int = 0  # so many calls of an app are answered with 503, and not done
    fail_after: int = 0  # so many calls of an app are done, and answered with 503
    poison: list[str] = field(default_factory=list)  # calls with one of these texts are answered with 503, and not done
    slow: float = 0.0  # seconds before every answer to an app
    methods: list[str] = field(default_factory=list)  # these calls only; empty: all
    down: bool = False  # everything that an app asks is answered with 503, sockets are shut
    no_agent_sessions: bool = False  # agents.sessions.* answer feature_disabled
    unlimited: bool = False  # the methods' own rate limits are off

    def meets(self, method: str) -> bool:
        """Whether faults of the Web API are meant for this method."""
        return not self.methods or method in self.methods

    def take(self, name: str) -> bool:
        """Whether this fault is met now; if so, there is one fewer of it."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0

    def set(self, wish: Json) -> None:
        """Change the fields that are named. Raises ValueError, in words, and changes nothing, if one cannot be."""
        known = {each.name: each for each in dataclasses.fields(self)}
        unknown = sorted(set(wish) - set(known))
        if unknown:
            raise ValueError(f"There is no fault called {unknown[0]}; there are {', '.join(known)}.")
        checked = {name: _checked(name, value, getattr(Faults(), name)) for name, value in wish.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def show(self) -> Json:
        """All of them, as they are."""
        return dataclasses.asdict(self)


def _checked(name: str, value: object, example: object) -> object:
    if isinstance(example, list):
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            return value
        raise ValueError(f"{name}: a list of words, please.")
    if isinstance(example, bool):
        if isinstance(value, bool):
            return value
        raise ValueError(f"{name}: true or false, please.")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6:
        return float(value) if isinstance(example, float) else int(value)
    raise ValueError(f"{name}: a number from 0 up, please.")
