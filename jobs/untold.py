"""What goes to the agent with the next prompt, because none has taken it there yet. Pure; the folds call it.

It is what a prompt had with it that was withdrawn: what people had said before they turned to us stands above the next
prompt as well. One that was given up, though nobody took it back, is told itself, with what people have answered
meanwhile: who replies "again" means that. What reviewers say waits in `reviews.py`.
"""

from collections.abc import Iterator

from jobs.event_parts import Prompt
from jobs.session import Session, Status

EACH, ALL = 2_200, 20_000  # characters: the session has them with it until somebody asks for something
CUT = " … (this message is longer: ask for the rest if you need it)"
LEFT_OUT = "(more was said than there is room for here: ask if you need it) "


def with_more(s: Session, *lines: str) -> tuple[str, ...]:
    """What is untold, these lines among it: as many of the newest as there is room for. What is not whole says so."""
    all_of_it = [*(line.removeprefix(LEFT_OUT) for line in s.untold), *map(_bounded, lines)]
    room, kept = ALL, list[str]()
    for line in reversed(all_of_it):
        room -= len(line)
        if room < 0:
            break
        kept.append(line)
    if len(kept) < len(all_of_it) or any(line.startswith(LEFT_OUT) for line in s.untold):
        kept[-1] = LEFT_OUT + kept[-1]
    return tuple(reversed(kept))


def _bounded(line: str) -> str:
    return line if len(line) <= EACH else line[: EACH - len(CUT)] + CUT


def after_withdrawal(s: Session, prompt: Prompt | None) -> tuple[str, ...]:
    """What is untold once this prompt is withdrawn."""
    if prompt is None:
        return s.untold
    if s.status is not Status.FAILED:
        return with_more(s, *prompt.before)
    asked = () if prompt.report_of else (f"{prompt.author.name}: {prompt.text}",)
    return with_more(s, *prompt.before, *asked, *_answers(s, prompt))


def _answers(s: Session, prompt: Prompt) -> Iterator[str]:
    """What people have answered while its agent worked on this prompt, and it was not given yet."""
    for one in s.inquiries:
        if one.prompt_id == prompt.id and one.by is not None and not one.taken:
            yield f"{one.by.name}: {one.answer} (the answer to: {one.question})"
