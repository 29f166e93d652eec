"""The whole way of a person in a browser: type the command, fill in its form, find the session at home."""

from playwright.async_api import expect

from tests.browser import browsing
from tests.playground.windows import composer, messages, window
from tests.slack.scene import Scene, until
from tests.slack.scene import office as office
from tests.slack.scene import scene as scene


async def test_the_command_its_form_and_the_home_tab_work_in_a_browser(office: Scene) -> None:
    async with browsing() as browser, window(browser, office.served, at="#/dev") as page:
        await composer(page).fill("/shipmate fix the fuel test")
        await composer(page).press("Enter")
        form = page.get_by_role("dialog", name="New session")
        task = form.get_by_label("What should be done?")
        await expect(task).to_have_value("fix the fuel test")
        await form.get_by_label("Repository").select_option("acme/site")
        await task.press_sequentially(" now")
        await form.get_by_role("button", name="Start").click()
        await expect(form).to_have_count(0)
        await expect(messages(page).filter(has_text="asks for work on acme/site")).to_have_count(1)

        async def wished() -> list[str]:
            return [repository for repository, _ in office.warmed]

        assert "acme/site" in await until(wished, lambda all_: "acme/site" in all_)
        await page.get_by_role("navigation", name="Channels").get_by_text("shipmate").click()
        await page.get_by_role("main").get_by_role("button", name="Home").click()
        home = page.get_by_role("dialog", name="Home")
        await expect(home).to_contain_text("acme/site · Waiting for a box")
