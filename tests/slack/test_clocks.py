"""What is said while the clock is put back or differs between hosts: all of it, at once or after its usual time."""

import pytest

from bot.slack.posts import Posted, drafts, due, next_settling
from bot.view import fold_view
from tests.logs import Log

HOUR, SETTLE, EDIT, ELAPSED = 3_600.0, 20.0, 2.0, 15.0


def at(log: Log, now: float) -> list[str]:
    view = fold_view(log.events)
    assert view is not None
    return [draft.id for draft in drafts(view, now, lambda _since: "", SETTLE)]


@pytest.mark.parametrize("behind", [0.0, 0.5, HOUR])
@pytest.mark.parametrize("outcome", ["failed", "done"])
def test_the_end_of_a_turn_is_told_by_a_clock_that_is_behind(behind: float, outcome: str) -> None:
    log = Log().ask().boot().ready().work().end(outcome=outcome, commits=0, pushed=False)
    assert "end:1" in at(log, log.now - behind)


def test_an_ending_whose_pull_request_is_awaited_does_not_wait_for_the_hour() -> None:
    log = Log().ask().boot().ready().work().end()
    view = fold_view(log.events)
    assert view is not None
    assert "end:1" not in at(log, log.now + SETTLE - 1) and "end:1" in at(log, log.now + SETTLE)
    assert next_settling(view.endings, log.now + SETTLE - 1, SETTLE) == 1
    assert "end:1" in at(log, log.now - HOUR) and next_settling(view.endings, log.now - HOUR, SETTLE) is None


def test_what_does_not_change_any_more_is_rendered_once() -> None:
    log = Log().ask().boot().ready().work().end(outcome="failed", commits=0, pushed=False).ask(2).work(2)
    view = fold_view(log.events)
    assert view is not None
    earlier, later = (drafts(view, log.now + seconds, lambda _since: "", SETTLE) for seconds in (60, 120))
    changed = [one.id for one, other in zip(earlier, later, strict=True) if one is not other]
    assert changed == ["T1:C1:1.000002"], "only what it has taken until now"


def test_an_edit_comes_after_its_usual_time_when_the_clock_was_put_back() -> None:
    log = Log().ask().boot().ready().work()
    view = fold_view(log.events)
    assert view is not None
    [card] = drafts(view, log.now, lambda _since: "", SETTLE)
    for digest, seconds in (("older", EDIT), (card.digest, ELAPSED)):
        posted = Posted(state="posted", ts="1", digest=digest, mark=card.mark, at=log.now)
        found = due(card, posted, log.now - HOUR, EDIT, ELAPSED)
        assert found is not None and found.seconds == seconds
