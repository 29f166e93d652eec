"""The scripts of the rehearsal that use the service's tools. Data and generators; `scripts.py` chooses among them."""

from __future__ import annotations

import json
import re
from typing import Any

from sandbox.rehearsal.acts import NO_MODEL, Asked, Read, Run, Say, Script, UseTool, Write

README, ASKED_AGAIN = "README.md", 40
TASK = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?\s*:\s*(.+)")


def use_a_tool(asked: Asked) -> Script:
    """Calls the tool that the prompt names, with the JSON object behind the name: `use tool NAME {…}`."""
    name, _, given = re.sub(r"^\W*use tool\b", "", asked.words, flags=re.IGNORECASE).strip().partition(" ")
    yield Say(f"I will use the tool {name}. {NO_MODEL}\n\n")
    result = yield UseTool(name, _object(given))
    yield Say(f"{name} says: {result.text}" if result.ok else f"{name} refused: {result.text}")


def ask_people(asked: Asked) -> Script:
    """Asks the thread the question that follows, with "A or B?" as two buttons, and writes the answer to the README."""
    found = re.search(r"\bask people\b[:,]?\s*(.+)", asked.words, re.IGNORECASE | re.DOTALL)
    question = " ".join(found[1].split()) if found else "What shall I do?"
    options = [part.strip(" ?.,") for part in re.split(r"\bor\b", question)] if " or " in question else []
    yield Say(f"I will ask you one thing and write your answer to {README}. {NO_MODEL}\n\n")
    for _ in range(ASKED_AGAIN):
        result = yield UseTool("ask_people", {"question": question, "options": [part for part in options if part]})
        if result.ok or not re.search(r"could not be called|again", result.text):
            break
        yield Run("sleep 0.5", "Wait a moment, and ask again")
    who, answered, answer = result.text.partition(" answered: ")
    if not result.ok or not answered:
        yield Say(f"I end here and wait for your answer. ({result.text})")
        return
    yield from _write_down(f"{who} chose: {answer}")


def take_an_answer(asked: Asked) -> Script:
    """Writes the answer to an earlier question to the README."""
    yield Say(f"I take your answer. {NO_MODEL}\n\n")
    yield from _write_down(f"You chose: {asked.words.splitlines()[0]}")


def _write_down(line: str) -> Script:
    before = yield Read(README)
    yield Write(README, f"{before.text}\n{' '.join(line.split())}\n")
    yield Say(f"{line}. I wrote that to {README}.")


def spread_the_work(asked: Asked) -> Script:
    """Hands on each `owner/name: task`, which are parted by semicolons or lines, to another agent, and waits for all.

    With "without waiting" in front of the first one it does not wait.
    """
    wait = "without waiting" not in asked.words.partition(":")[0].lower()
    parts = [found for part in re.split(r"[;\n]", asked.words) if (found := TASK.search(part))]
    yield Say(f"I will hand on {len(parts)} tasks, each to another agent. {NO_MODEL}\n\n")
    refused = []
    for part in parts:
        given = {"repository": part[1], "prompt": part[3].strip(), "wait": wait}
        result = yield UseTool("spawn_session", given | ({"branch": part[2]} if part[2] else {}))
        if not result.ok:
            refused.append(f"- {part[1]}: {result.text}")
    told = "They are at work, and I will go on when they report." if wait else "They are at work."
    if refused:
        told = "\n".join([f"I started {len(parts) - len(refused)} of {len(parts)}. Refused:", *refused])
    yield Say(told)


def take_a_report(asked: Asked) -> Script:
    """Says what one of them reports, and changes nothing."""
    first = asked.words.strip().partition("\n")[0]
    yield Say(f"I take note of a report. {NO_MODEL}\n\n{first[:300]}")


def _object(text: str) -> dict[str, Any]:
    """The JSON object in a prompt; an empty one where there is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
