"""The scripts that the model plays: what it says and which tools it calls, step by step, for a kind of prompt.

A script is a generator: it yields a `Step` and is sent what the tool returned. `play` replays it from the beginning
with the results that a request carries, so nothing is remembered between requests. `model.py` calls `play` and `title`.
Every script says in its first words that it is one.
"""

import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass

from bot.playground.model_talk import Reply, Talk
from bot.playground.model_tools import Deed, call_for, edit, plan, read, run, tool, write

SLOW_SECONDS = 30
SLOW_PACE = 0.25
SOURCE, TESTS, README = "rocket/fuel.py", "tests/test_fuel.py", "README.md"
BUG, FIX = "    return int(fuel // tank)", "    return math.ceil(fuel / tank)"
RUN_TESTS = "python3 -m unittest"
REMEMBER = r"\bwhat (did you do|was done|was asked)\b"
NOT_A_MODEL = "(I am the playground's script, not a model.)"


@dataclass(frozen=True)
class Step:
    """Words, then perhaps a deed. Without a deed the turn is over."""

    words: str = ""
    deed: Deed | None = None
    thought: str = ""
    pace: float | None = None


Script = Generator[Step, str, None]


def fix_the_failing_test(prompt: str) -> Script:
    """Mends the bug of the sample repository; with "commit" in the prompt, commits it as well."""
    steps = ["See which test fails", "Find the cause", "Mend the code", "Run all tests again"]
    files = yield Step(
        f"I will find the failing test and mend the code that it tests; the test stays as it is. {NOT_A_MODEL}",
        run("git ls-files", "Lists the files of the repository"),
        thought="First see what is here, then let the tests speak.",
    )
    yield Step("", plan(steps, 0))
    said = yield Step("Let the tests speak first.", run(RUN_TESTS, "Runs the tests"))
    if _passed(said):
        yield Step("All tests pass already, so I changed nothing.")
        return
    if SOURCE not in files:
        yield Step(
            f"My script only knows the repository acme/rocket, and there is no `{SOURCE}` here. I changed nothing."
        )
        return
    failing = _failing(said)
    yield Step(f"`{failing}` fails. I look at what it expects.", read(TESTS))
    yield Step("And at the code that it tests.", read(SOURCE))
    yield Step("", plan(steps, 2))
    yield Step(
        "The tanks are counted with a division that rounds down, so a tank that is only partly filled is forgotten. "
        "Rounding up counts it.",
        edit(SOURCE, BUG, FIX),
        thought="math is imported already, so one line is enough.",
    )
    again = yield Step("Now all tests again.", run(RUN_TESTS, "Runs the tests again"))
    if re.search(r"\bcommit\b", prompt, re.IGNORECASE):
        yield Step("", run('git commit -qam "Count the last, partly filled tank"', "Commits the change"))
    yield Step("", plan(steps, len(steps)))
    if _passed(again):
        yield Step(
            f"Fixed: `tanks_needed` in `{SOURCE}` rounded down and so forgot the last, partly filled tank. "
            f"It now rounds up; `{failing}` and all other tests pass."
        )
    else:
        yield Step(f"I changed `tanks_needed` in `{SOURCE}`, but not all tests pass yet:\n\n```\n{again[-800:]}\n```")


def add_a_line(prompt: str) -> Script:
    """Adds what the prompt says to the README: the words after "saying", else those in quotes, else all of it."""
    line = line_to_add(prompt)
    readme = yield Step(
        f"I will add this line to {README}: “{line}”. {NOT_A_MODEL}", run(f"cat {README}", "Shows the README")
    )
    yield Step("", plan([f"Add the line to {README}", "Look at the result"], 0))
    if "No such file" in readme:
        yield Step("There is none yet, so I begin one.", write(README, line + "\n"))
    else:
        quoted = "'" + line.replace("'", "'\\''") + "'"
        yield Step("It goes to the end.", run(f"printf '\\n%s\\n' {quoted} >> {README}", "Adds the line"))
    diff = yield Step("", run("git diff --stat; tail -n 3 README.md", "Shows what changed"))
    yield Step("", plan([f"Add the line to {README}", "Look at the result"], 2))
    if line in diff:
        yield Step(f"Done: {README} now ends with “{line}”.")
    else:
        yield Step(f"I could not add the line; the last command said:\n\n```\n{diff[-800:]}\n```")


def speak_slowly(prompt: str) -> Script:
    """Words and nothing else, for as many seconds as the prompt's first number says (30 if there is none)."""
    count = int(_seconds(prompt) / SLOW_PACE)
    counted = " ".join(f"{n}," for n in range(1, count + 1))
    yield Step(f"I will count slowly until you stop me. {NOT_A_MODEL} {counted} done.", pace=SLOW_PACE)


def run_slowly(prompt: str) -> Script:
    """A command that takes as many seconds as the prompt says, for stopping in the middle of one.

    It does not begin with `sleep`: Claude Code refuses that.
    """
    yield Step(f"I will wait in a command. {NOT_A_MODEL}", run(f"date; sleep {_seconds(prompt)}", "Waits"))
    yield Step("I have waited.")


def _seconds(prompt: str) -> int:
    number = re.search(r"\d+", prompt)
    return min(int(number[0]), 600) if number else SLOW_SECONDS


def ask_back(prompt: str) -> Script:
    """Ends the turn with a question to the person."""
    yield Step(
        f"Before I begin I need to know one thing: should the change go into the code or into the README? {NOT_A_MODEL}"
    )


def answer(prompt: str) -> Script:
    """Looks, answers, and changes nothing."""
    readme = yield Step(f"I will look it up and change nothing. {NOT_A_MODEL}", read(README))
    first = next(
        (line.strip("# ") for line in re.sub(r"(?m)^\s*\d+[:|]\s?", "", readme).splitlines() if "#" in line), ""
    )
    yield Step(
        f"This is {first or 'a repository without a README'}; my script knows no more about it. Nothing was changed."
    )


def use_a_tool(prompt: str) -> Script:
    """Calls the tool that the prompt names, with the JSON object behind the name: `use tool NAME {…}`."""
    name, _, given = re.sub(r"^\W*use tool\b", "", prompt, flags=re.IGNORECASE).strip().partition(" ")
    try:
        arguments = json.loads(given)
    except ValueError:
        arguments = {}
    said = yield Step(f"I will use the tool {name}. {NOT_A_MODEL}", tool(name, arguments))
    yield Step(f"{name} says: {said}")


def spread_the_work(prompt: str) -> Script:
    """Starts a session for each `owner/name: task`, parted by semicolons or lines, and ends its turn to wait."""
    tasks = [
        found for part in re.split(r"[;\n]", prompt) if (found := re.search(r"([\w.-]+/[\w.-]+)\s*:\s*(.+)", part))
    ]
    words = f"I will start a session for each of {len(tasks)} tasks. {NOT_A_MODEL}"
    for task in tasks:
        given = {"repository": task[1], "prompt": task[2].strip()}
        yield Step(words, tool("spawn_session", given))
        words = ""
    yield Step("They work now, and I will go on when they report.")


def take_a_report(prompt: str) -> Script:
    """Says what a session that it had started reports."""
    yield Step(f"I take note of a report. {NOT_A_MODEL} {' '.join(prompt.split())[:300]}")


# The first line whose words are in the prompt is played.
CHOICES: tuple[tuple[str, Callable[[str], Script]], ...] = (
    (r"^\W*report of #\d", take_a_report),
    (r"^\W*use tool\b", use_a_tool),
    (r"^\W*spread\b", spread_the_work),
    (r"\bslow(ly)? command\b", run_slowly),
    (r"\bslow(ly)?\b", speak_slowly),
    (r"\bask (me|us)\b", ask_back),
    (r"\breadme\b|\bsaying\b", add_a_line),
    (r"\b(fix|fixes|failing|fails|failed|broken|bug|mend)\b", fix_the_failing_test),
    (r"\?[\s\"'”]*$", answer),
    (r"", add_a_line),
)


NAMED: dict[str, Callable[[str], Script]] = {
    script.__name__.replace("_", "-"): script
    for script in (fix_the_failing_test, add_a_line, speak_slowly, run_slowly, ask_back, answer)
}


def named(prompt: str) -> Callable[[str], Script] | None:
    """The script that a prompt asks for by its name, as in `script: speak-slowly`; None if it names none."""
    found = re.search(r"\bscript:\s*([a-z-]+)", prompt, re.IGNORECASE)
    return NAMED.get(found[1].lower()) if found else None


def play(talk: Talk) -> Reply:
    """The next step of the script that the prompt asks for, given what its tools have returned so far."""
    chosen = named(talk.prompt) or next(
        script for pattern, script in CHOICES if re.search(pattern, talk.prompt, re.IGNORECASE)
    )
    if chosen is answer and re.search(REMEMBER, talk.prompt, re.IGNORECASE):
        return remembered(talk)
    script, results, words = chosen(talk.prompt), list(talk.results), ""
    step = next(script)
    while True:
        call = call_for(step.deed, talk.tools) if step.deed else None
        words = f"{words} {step.words}".strip()
        if step.deed is None or (call is not None and not results):
            return Reply(words, call, step.thought, step.pace)
        if call is not None:
            words = ""  # said in an earlier request
        # A deed that no offered tool can do is left out.
        step = script.send(results.pop(0) if call is not None else "")


def remembered(talk: Talk) -> Reply:
    """What was asked before in this conversation: whether an agent goes on with one, or began anew."""
    told = "; ".join(f"“{' '.join(prompt.split())[:100]}”" for prompt in talk.earlier) or "nothing"
    return Reply(f"Earlier in this conversation I was asked {told}. {NOT_A_MODEL}")


def title(talk: Talk) -> Reply:
    """A few words for a request without tools: agents ask so for a conversation's title."""
    last = next((line for line in reversed(talk.prompt.splitlines()) if line.strip()), "A conversation")
    words = " ".join(re.sub(r"[^\w\s'/.-]", " ", last).split()[:7])
    return Reply(words[:1].upper() + words[1:] or "A conversation")


def line_to_add(prompt: str) -> str:
    """What a prompt wants to have written, in one line."""
    patterns = (r"\bsaying:?\s+(.+)", r"[\"“']([^\"”']{3,})[\"”']")
    found = next((match for pattern in patterns if (match := re.search(pattern, prompt, re.IGNORECASE))), None)
    text = found[1] if found else prompt
    return " ".join(text.split()).strip(" \"“”'")[:200] or "Nothing was said."


def _passed(said: str) -> bool:
    return re.search(r"^OK\b", said, re.MULTILINE) is not None and "FAILED" not in said


def _failing(said: str) -> str:
    found = re.search(r"^(?:FAIL|ERROR): (\w+)", said, re.MULTILINE)
    return found[1] if found else "a test"
