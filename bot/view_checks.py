"""What checks found, as a thread shows it: one notice for a commit, which is kept up to date. Pure; part of
`bot/view.py`.

It offers to have the agent see to them until a prompt has taken them there, or there are newer commits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.cards import CheckLine, CommitChecks, Notice, ThreadView
from bot.view_notices import how_to_reply, notice, pull_label, pull_url
from jobs import events as e

Change = dict[str, Any]
NAMED = 12  # checks; of more there is only the number


def _finished(view: ThreadView, event: e.CheckFinished) -> Change:
    line = CheckLine(event.check, event.name, event.url, event.passed)
    known = next((one for one in view.notices if one.checks is not None and one.checks.head == event.head), None)
    if known is None or known.checks is None:
        checks = CommitChecks(event.head, (line,))
        about = _about(view, event)
        return notice(view, event.at, _text(view, checks), label=about, url=pull_url(view, event.number), checks=checks)
    others = [one for one in known.checks.lines if one.check != event.check]
    return _changed(view, known, replace(known.checks, lines=(*others, line)))


def checks_told(view: ThreadView) -> Change:
    """Nothing is offered any more for what checks found until now."""
    for known in view.notices:
        if known.checks is not None and known.checks.open:
            told = tuple(replace(line, told=True) for line in known.checks.lines)
            view = replace(view, **_changed(view, known, replace(known.checks, lines=told)))
    return {"notices": view.notices}


def said_of(checks: CommitChecks, named: Callable[[CheckLine], str]) -> str:
    """What became of them; `named`: how one is shown."""
    failed = [line for line in checks.lines if not line.passed]
    passed = [line for line in checks.lines if line.passed]
    if not failed:
        return f"passed now: {_list(passed, named)}."
    now = f" Passed now: {_list(passed, named)}." if passed else ""
    return f"failed: {_list(failed, named)}.{now}"


def _list(lines: Sequence[CheckLine], named: Callable[[CheckLine], str]) -> str:
    """Several workflows may have a check of one name; where they are shown alike, once is enough."""
    shown = list(dict.fromkeys(named(line) for line in lines))
    more = [f"{len(shown) - NAMED} more"] if len(shown) > NAMED else []
    return ", ".join([*shown[:NAMED], *more])


def _about(view: ThreadView, event: e.CheckFinished) -> str:
    if not event.number:
        return f"Checks of commit {event.head[:9]}"
    label = pull_label(view, event.number)
    return f"Checks of {label[:1].lower() + label[1:]}"


def _changed(view: ThreadView, known: Notice, checks: CommitChecks) -> Change:
    now = replace(known, text=_text(view, checks), checks=checks)
    return {"notices": tuple(now if one is known else one for one in view.notices)}


def _text(view: ThreadView, checks: CommitChecks) -> str:
    said = said_of(checks, lambda line: line.name)
    return f"{said} {how_to_reply(view.session)} and I will see to it." if checks.open else said


CHECK_CHANGES: Mapping[type[e.Fact], Callable[[ThreadView, Any], Change]] = {e.CheckFinished: _finished}
