"""Signing in to the dashboard and out of it, in a browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests import fake_cognito
from tests.browser.conftest import Visitor
from tests.local_service import started

SIGNED_OUT = re.compile("/dashboard/signed_out$")


@pytest.fixture
def local(browser: Browser, tmp_path: Path) -> Iterator[tuple[Visitor, str]]:
    """A visitor of a service of its own, and the link that it printed."""
    with started(["tools.local", "--port", "0", "--data", str(tmp_path)]) as service:
        said = service.process.stdout
        assert said
        link = next(found[0] for line in said if (found := re.search(r"/dashboard/sign_in\?code=\S+", line)))
        visitor = Visitor(browser, service.url)
        yield visitor, link
        for context in visitor.contexts:
            context.close()
        assert visitor.complaints == []


def test_the_printed_link_signs_in_once_until_one_signs_out(local: tuple[Visitor, str]) -> None:
    visitor, link = local
    page = visitor.open(link)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/dashboard$"))
    expect(page.get_by_text("demo-operator · operator")).to_be_visible()
    page.goto("/dashboard/sign_in")
    page.goto("/dashboard")
    expect(page.get_by_role("heading", level=1, name="Today")).to_be_visible()

    stranger = visitor.open(link)
    stranger.get_by_role("button", name="Sign in").click()
    expect(stranger.get_by_role("alert")).to_have_text("This link was used before, or is over.")
    stranger.goto("/dashboard")
    expect(stranger.get_by_role("heading", level=1, name="Sign in")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(SIGNED_OUT)
    page.goto("/dashboard")
    expect(page).to_have_url(re.compile("/dashboard/sign_in"))


@pytest.fixture
def deployed(browser: Browser, tmp_path: Path) -> Iterator[Visitor]:
    """A visitor of a service that has a Cognito."""
    with fake_cognito.running() as fake:
        fake.user = "demo-operator"
        environment = {
            "RINGPOST_COGNITO_URL": fake.url,
            "RINGPOST_COGNITO_ISSUER": fake.issuer,
            "RINGPOST_COGNITO_CLIENT_ID": fake_cognito.CLIENT_ID,
            "RINGPOST_COGNITO_SECRET": fake_cognito.SECRET,
        }
        with started(["tools.local", "--port", "0", "--data", str(tmp_path)], environment) as service:
            visitor = Visitor(browser, service.url)
            yield visitor
            for context in visitor.contexts:
                context.close()
            assert visitor.complaints == []


def test_one_comes_back_from_cognito_and_leaves_it_too(deployed: Visitor) -> None:
    page = deployed.open("/dashboard?from=a+bookmark")
    expect(page).to_have_url(re.compile(r"/dashboard\?from=a\+bookmark$"))
    expect(page.get_by_text("demo-operator · operator")).to_be_visible()
    # The browser looks whether the page lets its form lead to Cognito.
    with page.expect_request(lambda request: "/logout?" in request.url):
        page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(SIGNED_OUT)
    expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_text("demo-operator · operator")).to_be_visible()
