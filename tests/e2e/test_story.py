"""A story that is told to a running stack, as `shipmate demo --say` tells one to its own."""

import pytest

from bot.story import Story, play
from tests.e2e.people import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_story_without_a_pull_request_is_not_good_and_says_why(office: Office) -> None:
    outcome = await play(office.stack, Story(say="what is this repository?", timeout=30))
    assert not outcome.good and outcome.report["pull_request"] is None
    assert outcome.problem == f"no pull request was opened; the logs are in {office.stack.state / 'logs'}"
    with pytest.raises(ValueError, match="there is nobody called Bob here; there are ada, grace"):
        await play(office.stack, Story(say="hello", say_as="Bob"))
