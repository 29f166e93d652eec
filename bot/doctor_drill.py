"""What `shipmate doctor` says of one real life of a box (`sandbox/drill.py`): a line for each step, with its time.

`doctor.py` calls it for each place far away where boxes are to be, and with `--drill` for this machine. It is the only
check that does something: it makes two boxes and a snapshot, and takes them away again.
"""

import secrets
from collections.abc import Sequence

from bot.findings import Finding
from sandbox.drill import Step, drill
from sandbox.provider import Provider
from sandbox.side_by_side import named

ANNOUNCED = "A box is made at {place}, used, kept, restored and ended. The very first one may take some minutes."
MENDS = {
    "create": "see the sentence, and docs/modal.md for what boxes need there; once more if only time ran out",
    "exec": "the box was made but its runner does not answer: see the base image, and the box's own log",
    "snapshot": "sessions would lose what they did when their box ends; see the place's own limits and status page",
    "restore": "sleeping sessions would not come back; see the place's own limits and status page",
    "terminate": "end it by hand: boxes that live on cost money",
    "take away": "end them by hand: boxes that live on cost money",
}


async def drilled(provider: Provider, place: str) -> list[Finding]:
    """Run the drill there; a finding for each step. `place`: its name for people."""
    return findings(place, await drill(provider, named(place, f"drill-{secrets.token_hex(6)}")))


def findings(place: str, steps: Sequence[Step]) -> list[Finding]:
    """The steps as lines, and how long they took in all."""
    said = [_line(place, step) for step in steps]
    if all(one.well for one in said):
        whole = sum(step.seconds for step in steps)
        said.append(Finding(f"{place} drill", f"a box was made, used, kept, restored and ended in {_time(whole)}"))
    return said


def _line(place: str, step: Step) -> Finding:
    if not step.trouble:
        return Finding(f"{place} {step.name}", _time(step.seconds))
    return Finding(f"{place} {step.name}", f"after {_time(step.seconds)}: {step.trouble}", MENDS[step.name])


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
