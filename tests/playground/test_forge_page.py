"""The forge's page of a pull request in a real browser, with the playground's own guard in front of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from bot.playground import forge_pulls
from bot.playground.server import REPOSITORY, Playground, playground
from tests.browser import visit

BRANCH = "shipmate/one"
BODY = "Nothing <!-- for\nprograms -->."


@pytest_asyncio.fixture(loop_scope="module")
async def running(tmp_path: Path) -> AsyncIterator[Playground]:
    async with playground(0, tmp_path) as found:
        yield found


async def address_of_a_pull_request(running: Playground) -> str:
    bare = running.forge.bare(REPOSITORY)
    main = await bare.resolve("main")
    assert main is not None
    tree = (await bare.git("rev-parse", "main^{tree}")).strip()
    head = await bare.commit_tree(tree, [main], "Say nothing new", "Ada", "ada@acme.example")
    await bare.point(f"refs/heads/{BRANCH}", head)
    pull = await forge_pulls.open_pull(
        running.forge, REPOSITORY, "ada", title="Say nothing new", head=BRANCH, base="main", body=BODY
    )
    return f"{running.url}/forge/{REPOSITORY}/pull/{pull.number}"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_person_approves_and_merges_in_a_browser(running: Playground, browser: Browser) -> None:
    """A browser says where a form comes from only if the page lets it, and the guard wants to know."""
    async with visit(browser, await address_of_a_pull_request(running)) as page:
        await expect(page.get_by_text("Nothing .", exact=True)).to_be_visible()
        await page.get_by_label("Acting as").select_option("grace")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.get_by_text("Grace Hopper approved these changes", exact=True)).to_be_visible()
        await page.get_by_role("button", name="Merge", exact=True).click()
        await expect(page.get_by_text("Merged by")).to_be_visible()
    (pull,) = running.forge.pull_requests(REPOSITORY)
    assert pull.verdicts == {"grace": "APPROVED"}
    assert pull.merged_by == "ada"
