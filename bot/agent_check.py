"""Whether an agent works on this machine: the real program, one turn, in a real box, behind it the scripted model.

`shipmate agents check` calls `check`. It is a small demo in a folder of its own, of which nothing is left: what is
tried is the whole way from a mention to a pull request. No real model is asked and no key is used.
"""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.stack import NotIsolated, Stack
from bot.story import Story, play
from bot.supervisor import GivenUp
from sandbox import agents

PROMPT = "fix the failing test"
SECONDS = 150.0
TOLD = ("PATH", "LANG", "HOME", "XDG_DATA_HOME", "SHIPMATE_AGENTS_DIR", "SHIPMATE_UNISOLATED", "SHIPMATE_AGENT_COMMAND")


@dataclass(frozen=True)
class Checked:
    """How it went. `problem`: a sentence with what to do; `report`: what `bot/story.py` tells of the turn."""

    good: bool
    problem: str
    report: dict[str, Any]

    @property
    def words(self) -> str:
        """What was measured, for a person."""
        told = (self.report.get("timings") or {}).get("received_to_model_request_ms")
        return f"its model was asked {told / 1000:.1f} s after the mention" if told else "no time was measured"


async def check(name: str, env: Mapping[str, str]) -> Checked:
    """Try it. Raises NotIsolated if this machine does not allow boxes."""
    told = {variable: env[variable] for variable in TOLD if env.get(variable)}
    agents.row(name)
    with _folder() as state:
        try:
            async with Stack.running(state, told, agent=name) as stack:
                outcome = await play(stack, Story(say=PROMPT, timeout=SECONDS))
                await stack.discard()
        except (GivenUp, NotIsolated, TimeoutError, ValueError) as failed:
            return Checked(False, str(failed), {})
    return Checked(outcome.good, "" if outcome.good else _why(name, outcome.report, outcome.problem), outcome.report)


def _why(name: str, report: Mapping[str, Any], problem: str) -> str:
    """What the thread says went wrong, else what the story missed; then what to do."""
    said = [line["text"] for line in report.get("thread", []) if line["who"] == "shipmate"]
    trouble = next((words for words in reversed(said) if re.search(r"could not|did not work|ended", words)), "")
    trouble = re.sub(r"<@\w+> |(I could not do this: )|(Reply here and I will try again\. ?)", "", trouble)
    what = (trouble or problem.partition("; the logs")[0]).strip().rstrip(".") + "."
    if agents.row(name).fetched:
        return f"{what} Remove its folder in SHIPMATE_AGENTS_DIR and run: shipmate agents install {name}"
    return f"{what} See SHIPMATE_AGENT_COMMAND." if name == "custom" else what


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    fresh = Path(tempfile.mkdtemp(prefix="shipmate-check-"))
    fresh.chmod(0o711)  # for root: the boxes' user must reach its own folder inside
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
