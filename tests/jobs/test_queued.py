"""What people asked waits in the order in which it came, whichever process has it on record first."""

import pytest

from jobs import commands as c
from jobs.events import Prompt
from tests.jobs.shop import ON_ROCKET
from tests.jobs.test_commands import working
from tests.logs import GRACE, PLACE, SID, Log

CAME = {
    "as they came": ([10.0, 10.2, 10.4], [10.0, 10.2, 10.4]),
    "the first one last": ([10.2, 10.4, 10.0], [10.0, 10.2, 10.4]),
    "at the same moment": ([10.2, 10.2], [10.2, 10.2]),
    "of a process whose clock is far behind": ([10.0, 2.0], [10.0, 2.0]),
    "nobody knows when": ([10.0, 0.0, 9.9], [10.0, 0.0, 9.9]),
}


def submitted(log: Log, at: float) -> Log:
    prompt = Prompt(id=f"T1:C1:{len(log.events)}", author=GRACE, text="Go on", received_at=at)
    return log.do(c.Submit(SID, PLACE, prompt, ON_ROCKET, "rehearsal"))


@pytest.mark.parametrize("case", CAME)
def test_what_came_first_waits_in_front(case: str) -> None:
    recorded, waiting = CAME[case]
    log = working()
    for at in recorded:
        submitted(log, at)
    assert log.session is not None and [prompt.received_at for prompt in log.session.queue] == waiting


def test_nothing_comes_before_what_is_begun_once_more() -> None:
    log = submitted(Log(), 10.2).boot().ready().do(c.LoseBox(1, "it died"))
    submitted(log, 10.0)
    assert log.session is not None and [prompt.received_at for prompt in log.session.queue] == [10.2, 10.0]
