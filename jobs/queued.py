"""In which order what people asked waits. Pure; `jobs/fold.py` asks.

Two web processes may take two messages of one thread at the same moment, and the one that came later may be on record
first: who somebody is took the other process longer to find out.
"""

from jobs.event_parts import Prompt
from jobs.session import Session

ABREAST_SECONDS = 5.0  # Slack has its answer after three: what comes later than that was not under way any more


def with_prompt(s: Session, prompt: Prompt) -> tuple[Prompt, ...]:
    """The queue with this prompt in it: the last one, but before those that came a moment later to another process."""
    place = len(s.queue)
    while place and _came_just_after(prompt, s.queue[place - 1]) and s.queue[place - 1].id != s.interrupted:
        place -= 1
    return (*s.queue[:place], prompt, *s.queue[place:])


def _came_just_after(one: Prompt, other: Prompt) -> bool:
    return 0 < other.received_at - one.received_at <= ABREAST_SECONDS
