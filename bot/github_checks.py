"""What the forge's webhooks say of checks of a commit. Pure; `bot/github.py` asks.

https://docs.github.com/webhooks/webhook-events-and-payloads#check_run, `#check_suite` and `#status`. A check run tells
of itself; a suite, which is all runs of one app, only where it could not even begin: then there is no run that would. A
status is the older way to say the same, and names branches where a check names one. Of neither is the number of a pull
request needed: the session knows its own. What they say is a program's, and may be anything.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.github_reviews import number_in, one_line, part, text
from jobs.commands_checks import FinishCheck
from sandbox.runner.visible import visible

EVENTS = ("check_run", "check_suite", "status")
NAME_CHARS, TITLE_CHARS, SUMMARY_CHARS, TEXT_CHARS, NOTE_CHARS, URL_CHARS = 120, 200, 1_200, 600, 300, 500
FAILED = ("failure", "timed_out", "action_required", "startup_failure", "error")
PASSED = ("success", "neutral", "skipped")  # others, such as cancelled, say neither
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ADDRESS = re.compile(r"https?://[^\s<>|\"'`\\]+")


def check_of(event: str, payload: Mapping[str, Any]) -> tuple[list[str], FinishCheck] | None:
    """The branches that a check is about, and what it came to; None if it has not ended, or says nothing to us."""
    match event, payload.get("action"):
        case "check_run", "completed":
            return _run(part(payload, "check_run"))
        case "check_suite", "completed":
            return _suite(part(payload, "check_suite"))
        case "status", None:
            return _status(payload)
    return None


def has_notes(event: str, payload: Mapping[str, Any]) -> bool:
    """Whether it is a run that says something of lines, of which a webhook has only the number."""
    return event == "check_run" and number_in(part(part(payload, "check_run"), "output"), "annotations_count") > 0


def with_notes(check: FinishCheck, notes: Sequence[str]) -> FinishCheck:
    """The check, with what it says of lines."""
    said = [check.words] * bool(check.words) + [_cut(note, NOTE_CHARS) for note in notes]
    return replace(check, words="\n".join(said))


def _run(run: Mapping[str, Any]) -> tuple[list[str], FinishCheck] | None:
    suite, name = part(run, "check_suite"), one_line(text(run, "name"))[:NAME_CHARS]
    check = f"run/{number_in(suite, 'id')}/{name}"
    url = address(text(run, "html_url")) or address(text(run, "details_url"))
    found = _finished(run, "head_sha", "conclusion", check, name, url, _output(part(run, "output")))
    return None if found is None else ([text(suite, "head_branch")], found)


def _suite(suite: Mapping[str, Any]) -> tuple[list[str], FinishCheck] | None:
    if text(suite, "conclusion") not in ("startup_failure", *PASSED):
        return None
    name = one_line(text(part(suite, "app"), "name"))[:NAME_CHARS]
    said = "Its checks could not be started: what says which there are may be wrong."
    found = _finished(suite, "head_sha", "conclusion", f"suite/{number_in(suite, 'id')}", name, "", said)
    return None if found is None else ([text(suite, "head_branch")], found)


def _status(status: Mapping[str, Any]) -> tuple[list[str], FinishCheck] | None:
    name, branches = one_line(text(status, "context"))[:NAME_CHARS], status.get("branches")
    said, url = _cut(text(status, "description"), SUMMARY_CHARS), address(text(status, "target_url"))
    found = _finished(status, "sha", "state", f"status/{name}", name, url, said)
    named = [one for one in branches if isinstance(one, dict)] if isinstance(branches, list) else []
    at_it = [text(one, "name") for one in named if text(part(one, "commit"), "sha") == text(status, "sha")]
    return None if found is None else (at_it, found)


def _finished(
    said: Mapping[str, Any], sha: str, conclusion: str, check: str, name: str, url: str, words: str
) -> FinishCheck | None:
    head, came_to = text(said, sha), text(said, conclusion)
    if not _SHA.fullmatch(head) or not name or came_to not in FAILED + PASSED:
        return None
    return FinishCheck(
        head, check, name, came_to.replace("_", " "), came_to in PASSED, number_in(said, "id"), url, words
    )  # fmt: skip


def _output(output: Mapping[str, Any]) -> str:
    limits = (("title", TITLE_CHARS), ("summary", SUMMARY_CHARS), ("text", TEXT_CHARS))
    return "\n".join(words for name, most in limits if (words := _cut(text(output, name), most)))


def _cut(words: str, most: int) -> str:
    whole = visible(words[: 4 * most]).strip()
    return whole if len(whole) <= most else whole[: most - 1] + "…"


def address(url: str) -> str:
    """An address of the web as it came; "" if it is none."""
    return url if len(url) <= URL_CHARS and _ADDRESS.fullmatch(url) and visible(url) == url else ""
