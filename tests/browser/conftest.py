"""A real browser, Chromium, and the whole local service behind it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.local_service import running

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
OPERATOR_TOKEN = "rp_operator"
expect.set_options(timeout=30_000)


def chromium() -> str | None:
    """Where it is. Where there is none, root has the system's installed, and others Playwright's own, which is None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=True, stdout=subprocess.DEVNULL)
        found = shutil.which("chromium")
    if found is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the demo."""
    with running(tmp_path_factory.mktemp("demo"), {"RINGPOST_DEMO_OPERATOR_TOKEN": OPERATOR_TOKEN}) as url:
        yield url


@dataclass
class Visitor:
    """Opens pages. What they complain of in the console fails the test at its end."""

    browser: Browser
    base: str
    complaints: list[str] = field(default_factory=list)
    contexts: list[Any] = field(default_factory=list)

    def open(self, path: str, **context: Any) -> Page:
        """`context` is what Playwright's `new_context` takes: a viewport, a color scheme."""
        made = self.browser.new_context(base_url=self.base, **context)
        made.grant_permissions(["clipboard-read", "clipboard-write"])
        self.contexts.append(made)
        page = made.new_page()
        page.on("console", self._complain)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(path)
        return page

    def _complain(self, said: ConsoleMessage) -> None:
        if said.type == "error" and "status of 422" not in said.text:  # which a form may well be answered
            self.complaints.append(said.text)


@pytest.fixture
def visitor(browser: Browser, service: str) -> Iterator[Visitor]:
    made = Visitor(browser, service)
    yield made
    for context in made.contexts:
        context.close()
    assert made.complaints == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Playwright's loop runs in the thread of the tests: those that need it come last."""
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)
