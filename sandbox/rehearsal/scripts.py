"""The scripts that the rehearsal plays, chosen from the words of a prompt. Data and generators; nothing is done here.

A script yields one act after the other and is sent the act's `Result`. `turn.py` plays it with the real tools. Every
script says in its first words that no model is behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator

from sandbox.rehearsal.acts import (
    NO_MODEL,
    Act,
    Asked,
    Crash,
    Deafen,
    Edit,
    Environment,
    Plan,
    Read,
    Result,
    Run,
    Say,
    Script,
    Think,
    Write,
)
from sandbox.rehearsal.tool_scripts import ask_people, spread_the_work, take_a_report, take_an_answer, use_a_tool

SOURCE, TESTS, README = "rocket/fuel.py", "tests/test_fuel.py", "README.md"
BUG, FIX = "    return int(fuel // tank)", "    return math.ceil(fuel / tank)"
RUN_TESTS = "python3 -m unittest"
STEPS_TO_FIX = ("See which test fails", "Find the cause", "Mend the code", "Run all tests again")
COMMIT = "Count the last, partly filled tank"
LONGEST_SECONDS, LONGEST_KILOBYTES = 3600.0, 20_000.0
SLOW_PACE = 0.25


def fix_the_failing_test(asked: Asked) -> Script:
    """Mends the bug of the sample repository and commits; with "leave" in the prompt, leaves that to others."""
    yield Say(f"I will find the failing test and mend the code that it tests; the test stays as it is. {NO_MODEL}")
    failing = yield from _find_the_failing_test()
    if not failing or not (yield from _mend_the_code()):
        return
    yield Plan(STEPS_TO_FIX, 3)
    again = yield Run(RUN_TESTS, "Run all tests again")
    if again.ok and not _wants(asked, "leave"):
        yield Run(f"git commit -qam '{COMMIT}'", "Commit the change")
    yield Plan(STEPS_TO_FIX, 4)
    if again.ok:
        yield Say(
            f"Fixed: `tanks_needed` in `{SOURCE}` rounded down and so forgot the last, partly filled tank. "
            f"It now rounds up; `{failing}` and all other tests pass."
        )
    else:
        yield Say(f"I changed `tanks_needed` in `{SOURCE}`, but not all tests pass yet:\n\n{_quoted(again.text)}")


def _find_the_failing_test() -> Generator[Act, Result, str]:
    """Its name; "" if there is none, or none that this script can do anything about."""
    yield Think("First let the tests speak.")
    yield Plan(STEPS_TO_FIX, 0)
    first = yield Run(RUN_TESTS, "Run the tests")
    if first.ok:
        yield Say("All tests pass already, so I changed nothing.")
        return ""
    failing = _failing(first.text)
    yield Plan(STEPS_TO_FIX, 1)
    yield Say(f"`{failing}` fails. I look at what it expects, and at the code that it tests.")
    yield Read(TESTS)
    source = yield Read(SOURCE)
    if BUG not in source.text:
        yield Say(f"My script only knows one bug of acme/rocket, and `{SOURCE}` does not have it. I changed nothing.")
        return ""
    return failing


def _mend_the_code() -> Generator[Act, Result, bool]:
    """Whether it is mended."""
    yield Plan(STEPS_TO_FIX, 2)
    yield Think("math is imported already, so one line is enough.")
    yield Say(
        "The tanks are counted with a division that rounds down, so a tank that is only partly filled is forgotten. "
        "Rounding up counts it."
    )
    mended = yield Edit(SOURCE, BUG, FIX)
    if not mended.ok:
        yield Say(f"I could not change the file: {mended.text}")
    return mended.ok


def add_a_line(asked: Asked) -> Script:
    """Adds what the prompt says to the README and leaves it uncommitted; with "commit" in the prompt, commits it."""
    line = line_to_add(asked.words)
    steps = (f"Add the line to {README}", "Look at the result")
    yield Say(f"I will add this line to {README}: “{line}”. {NO_MODEL}")
    yield Plan(steps, 0)
    before = yield Read(README)
    text = before.text if before.ok else ""
    if line in text.splitlines():
        yield Say(f"Done: {README} has the line “{line}” already, so I did not add it again.")
        return
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    written = yield Write(README, f"{text}{gap}{line}\n")
    if not written.ok:
        yield Say(f"I could not write {README}: {written.text}")
        return
    yield Plan(steps, 1)
    yield Run(f"git diff --stat -- {README}", "Show what changed")
    if _wants(asked, "commit"):
        yield Run(f"git add {README} && git commit -qm 'Add a line to the README'", "Commit the change")
    yield Plan(steps, 2)
    yield Say(f"Done: {README} now ends with “{line}”.")


def speak_slowly(asked: Asked) -> Script:
    """Words and nothing else, for as many seconds as the prompt says."""
    count = int(_number(asked, 30, LONGEST_SECONDS) / SLOW_PACE)
    yield Say(f"I will count slowly until you stop me. {NO_MODEL}\n\n")
    yield Say(" ".join([*(f"{n}," for n in range(1, count + 1)), "done."]), SLOW_PACE)


def run_slowly(asked: Asked) -> Script:
    """A command that takes as many seconds as the prompt says, for stopping in the middle of one."""
    yield Say(f"I will wait in a command. {NO_MODEL}")
    yield Run(f"sleep {_number(asked, 30, LONGEST_SECONDS):g}", "Wait")
    yield Say("I have waited.")


def ask_back(asked: Asked) -> Script:
    """Ends the turn with a question to the person."""
    yield Say(
        f"Before I begin I need to know one thing. {NO_MODEL}\n\nShould the change go into the code or the README?"
    )


def answer(asked: Asked) -> Script:
    """Looks, answers, and changes nothing. Knows what was done earlier in the conversation."""
    yield Say(f"I will look it up and change nothing. {NO_MODEL}")
    readme = yield Read(README)
    first = next((line.strip("# ") for line in readme.text.splitlines() if line.startswith("#")), "")
    told = f"This is {first or 'a repository without a README'}; my script knows no more about it. Nothing was changed."
    if asked.earlier:
        done = "\n".join(f"- “{_short(was_asked)}”: {_short(said)}" for was_asked, said in asked.earlier[-10:])
        told = f"{told}\n\nEarlier in this conversation I was asked:\n{done}"
    yield Say(told)


def name_variables(asked: Asked) -> Script:
    """Tells the names of the environment variables that the agent sees, never their values."""
    yield Say(f"I will tell which environment variables I see. {NO_MODEL}")
    names = yield Environment()
    yield Say(f"I see these environment variables: {names.text}.")


def flood(asked: Asked) -> Script:
    """As many kilobytes of words as the prompt says, and as many again from a command."""
    kilobytes = int(_number(asked, 200, LONGEST_KILOBYTES))
    yield Say(f"I will say far too much. {NO_MODEL}\n\n")
    for row in range(kilobytes):
        yield Say(f"{row:07d} {'flood ' * 169}\n", 0.0)
    yield Run(f"yes 'flood flood flood' | head -c {kilobytes * 1000}", "Write far too much")
    yield Say("That was all.")


def crash(asked: Asked) -> Script:
    """Ends the agent's process in the middle of the turn."""
    yield Say(f"I will end in the middle of this turn. {NO_MODEL}\n\nNow.\n")
    yield Crash()


def be_stubborn(asked: Asked) -> Script:
    """Hears no cancel for as many seconds as the prompt says."""
    yield Deafen(f"I will not let you stop me for a while. {NO_MODEL}\n\n", _number(asked, 30, LONGEST_SECONDS))
    yield Say("Now I listen again.")


# The first row whose pattern is found in the prompt is played. Words that set a rehearsal up count only in front.
CHOICES: tuple[tuple[str, Callable[[Asked], Script]], ...] = (
    (r"^\W*report of #\d", take_a_report),
    (r"^\W*use tool\b", use_a_tool),
    (r"\bask people\b", ask_people),
    (r"\(My answer to your question: ", take_an_answer),
    (r"^\W*spread\b", spread_the_work),
    (r"^\W*crash\b", crash),
    (r"^\W*flood\b", flood),
    (r"^\W*env\b", name_variables),
    (r"^\W*stubborn\b", be_stubborn),
    (r"\bslow(ly)? command\b", run_slowly),
    (r"\bslow(ly)?\b", speak_slowly),
    (r"\bask (me|us)\b", ask_back),
    (r"\breadme\b|\bsaying\b", add_a_line),
    (r"\b(fix|fixes|failing|fails|failed|broken|bug|mend)\b", fix_the_failing_test),
    (r"\?[\s\"'”]*$", answer),
    (r"", add_a_line),
)


def choose(asked: Asked) -> Script:
    """The script for a prompt."""
    return next(script for pattern, script in CHOICES if re.search(pattern, asked.words, re.IGNORECASE))(asked)


def line_to_add(words: str) -> str:
    """What a prompt wants to have written, in one line: what follows "saying", else what is in quotes, else all."""
    patterns = (r"\bsaying:?\s+(.+)", r"[\"“']([^\"”']{3,})[\"”']")
    found = next((match for pattern in patterns if (match := re.search(pattern, words, re.IGNORECASE))), None)
    text = found[1] if found else words
    return " ".join(text.split()).strip(" \"“”'")[:200] or "Nothing was said."


def _wants(asked: Asked, word: str) -> bool:
    """Whether a word is among those that say what to do; the line to be written is not."""
    said = re.split(r"\bsaying\b|[\"“]", asked.words, maxsplit=1, flags=re.IGNORECASE)[0]
    return re.search(rf"\b{word}\b", said, re.IGNORECASE) is not None


def _number(asked: Asked, usual: float, most: float) -> float:
    found = re.search(r"\d+(?:\.\d+)?", asked.words)
    return min(float(found[0]), most) if found else usual


def _failing(said: str) -> str:
    found = re.search(r"^(?:FAIL|ERROR): (\w+)", said, re.MULTILINE)
    return found[1] if found else "a test"


def _quoted(output: str) -> str:
    return f"```\n{output[-800:].strip()}\n```"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else line[:159].rstrip() + "…"
