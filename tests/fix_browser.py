"""A real Chromium, as a person's browser; what it saw is kept in `.local/screenshots`."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.fix_stack import CHECKOUT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

SCREENSHOTS = CHECKOUT / ".local" / "screenshots"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
MILLISECONDS = 20_000


@dataclass
class Visit:
    """A page in a window of its own, with what went wrong in it and whom it asked."""

    page: Page
    problems: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(MILLISECONDS)
        self.page.on("console", self._told)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("request", lambda request: self.requests.append(request))

    def _told(self, message: ConsoleMessage) -> None:
        # A refused request is told as an error of the console by the browser itself.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def hosts(self) -> set[str]:
        """Every host that was asked; pictures from the page's own memory have none."""
        return {urlsplit(request.url).netloc for request in self.requests} - {""}

    def keep(self, name: str) -> None:
        """Take a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(
            path=SCREENSHOTS / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.png", full_page=True
        )

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(script))


MakeVisit = Callable[..., Visit]


def chromium() -> str:
    """Where Chromium is; a test is skipped where it is not."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None or not Path(found).exists():
        pytest.skip("Chromium is not installed: apt-get install chromium, or name it in CHROMIUM")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one module."""
    program = chromium()
    # Loaded by those tests only that need it.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[MakeVisit]:
    """Opens windows of a width, in light or dark; they close with the test."""
    contexts: list[BrowserContext] = []

    def make(width: int = 1280, height: int = 900, *, dark: bool = False) -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        return Visit(context.new_page())

    yield make
    for context in contexts:
        context.close()
