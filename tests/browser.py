"""A real browser for the tests of pages: Debian's or anybody's chromium, found on PATH.

A page that opens through `visit` must stay without trouble: errors of its scripts, and what its policy header
forbade, fail the test at the end of the visit.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

FLAGS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
PATIENCE_MS = 10_000
EXPECTED = ("Failed to load resource",)  # a refused request is the page's business; what it makes of it is tested


def chromium() -> str:
    """Where the browser is; without one, the test is skipped."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no chromium on PATH (apt install chromium), so pages cannot be tested in a browser")
    return found


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """A browser of this test's own."""
    program = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visit(browser: Browser, url: str, **context: Any) -> AsyncIterator[Page]:
    """A page in a window of its own, as another person would have it."""
    window = await browser.new_context(locale="en-GB", **context)
    window.set_default_timeout(PATIENCE_MS)
    page = await window.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
    page.on("dialog", lambda dialog: trouble.append(f"a dialog: {dialog.message}"))
    try:
        await page.goto(url)
        yield page
        assert [words for words in trouble if not words.startswith(EXPECTED)] == []
    finally:
        await window.close()
