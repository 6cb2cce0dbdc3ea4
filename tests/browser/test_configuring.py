"""The dashboard's pages that configure, as an operator's hands and eyes meet them."""

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_posting_instructions import CONTRAST, CONTRASTS, NARROW, WIDE
from tests.local_service import Service, started

PAGES = [
    "/offers", "/offers/demo-auto-insurance", "/buyers", "/buyers/10", "/buyers?new", "/endpoints",
    "/endpoints/static_endpoint", "/ring_pools", "/ring_pools/demo-others", "/users", "/users/demo-publisher",
    "/suppression_lists", "/changes", "/configuration",
]  # fmt: skip
UNLABELLED = """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea:not([hidden])')]
  .filter(e => !e.labels.length && !e.getAttribute('aria-label')).map(e => e.name)"""
T = TypeVar("T")
CHANGED_WITHIN = 30
"""Seconds within which a change shows, for a test that waits for it; 10 are promised."""


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: what is configured here is in nobody's way."""
    data = tmp_path_factory.mktemp("configured")
    with started(["tools.local", "--port", "0", "--data", str(data)]) as service:
        yield service


@pytest.fixture(scope="module")
def state(configured: Service, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cookies of the operator who has signed in."""
    assert configured.process.stdout
    code = next(filter(None, (re.search(r"\S+/sign_in\?code=\S+", line) for line in configured.process.stdout)))[0]
    file = tmp_path_factory.mktemp("state") / "state.json"
    context = browser.new_context()
    page = context.new_page()
    page.goto(code)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    context.storage_state(path=file)
    context.close()
    return file


@pytest.fixture
def operator(browser: Browser, configured: Service, state: Path) -> Iterator["Operator"]:
    made = Operator(browser, f"{configured.url}", state=state)
    yield made
    for context in made.contexts:
        context.close()
    assert [said for said in made.complaints if "status of 409" not in said] == []


class Operator(Visitor):
    def __init__(self, browser: Browser, base: str, state: Path) -> None:
        super().__init__(browser, base)
        self.state = state

    def open(self, path: str, **context: Any) -> Page:
        return super().open(f"/dashboard{path}", storage_state=self.state, **context)


def test_an_offer_is_sold_as_it_was_clicked_together(operator: Operator) -> None:
    page = operator.open("/offers")
    page.get_by_role("link", name="New offer").click()
    page.get_by_label("Name", exact=True).fill("legal")
    page.get_by_label("Name, row 1").fill("caller_id")
    page.get_by_label("Type, row 1").select_option("phone")
    page.get_by_label("Required on, row 1 post").check()
    page.get_by_label("Example, row 1").fill("+16145550177")
    page.get_by_role("button", name="Add rows").click()
    page.get_by_label("Name, row 2").fill("zip")
    page.get_by_label("Type, row 2").select_option("us_zip")
    saved(page, "Make this offer")

    for buyer_id, name, bid in ((101, "Firm A", "40"), (102, "Firm B", "30.50")):
        page.goto("/dashboard/offers/legal")
        page.get_by_role("link", name="New buyer").click()
        page.get_by_label("Id", exact=True).fill(str(buyer_id))
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_label("Number", exact=True).fill(f"+18885550{buyer_id}")
        page.get_by_label("Bid", exact=True).fill("much" if buyer_id == 101 else bid)
        if buyer_id == 101:
            page.get_by_role("button", name="Make this buyer").click()
            expect(page.locator("[id='bid-mistake']")).to_contain_text("must be an amount like 25.00")
            expect(page.get_by_label("Name", exact=True)).to_have_value(name)
            page.get_by_label("Bid", exact=True).fill(bid)
        saved(page, "Make this buyer")

    page.goto("/dashboard/ring_pools?new")
    page.get_by_label("Name", exact=True).fill("legal-pool")
    page.get_by_label("Hold, seconds").fill("300")
    page.get_by_label("Cooldown, seconds").fill("0")
    page.get_by_label("Numbers", exact=True).fill("+18885550110-+18885550119")
    saved(page, "Make this ring pool")

    page.goto("/dashboard/endpoints?new")
    page.get_by_label("Vanity URI").fill("legal_endpoint")
    page.get_by_label("Offer", exact=True).select_option("legal")
    page.get_by_label("Tracking", exact=True).select_option("ring_pool")
    page.get_by_label("Ring pool", exact=True).select_option("legal-pool")
    page.get_by_label("A token is required").uncheck()
    saved(page, "Make this endpoint")

    page.get_by_text("A request to try").click()
    url, lead = curl(page.locator("#curl").inner_text())
    sold = until(lambda: httpx.post(url, json=lead).json(), lambda answer: answer["success"])
    assert (sold["buyer_name"], sold["trackdrive_number"][:8]) == ("Firm A", "18885550")
    page.goto("/dashboard/ring_pools/legal-pool")
    expect(page.locator("ul.numbers")).to_contain_text("leased until")

    ping = url.replace("/full/", "/ping/")

    def bidders() -> list[str]:
        return [buyer["name"] for buyer in httpx.post(ping, json={"zip": "30340"}).json().get("buyers", [])]

    page.goto("/dashboard/buyers?offer=legal")
    page.get_by_role("button", name="Pause Firm A").click()
    expect(page.get_by_role("button", name="Resume Firm A")).to_be_visible()
    until(bidders, lambda names: names == ["Firm B"])
    page.get_by_role("link", name="Changes", exact=True).click()
    expect(page.get_by_text("offers[legal].buyers[101].paused").first).to_be_visible()
    page.get_by_role("button", name=re.compile("^Undo ")).first.click()
    expect(page.get_by_role("status")).to_contain_text("is undone, by this one.")
    until(bidders, lambda names: names == ["Firm A", "Firm B"])


def saved(page: Page, button: str) -> None:
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("status").first).to_contain_text("Saved.")


def curl(command: str) -> tuple[str, Any]:
    """What a command sends, and where to."""
    words = shlex.split(command.replace("\\\n", " "))
    return words[words.index("POST") + 1], json.loads(words[words.index("-d") + 1])


def until(ask: Callable[[], T], good: Callable[[T], bool]) -> T:
    """What is answered once it is as it should be: a change shows within seconds."""
    end = time.monotonic() + CHANGED_WITHIN
    while not good(answer := ask()):
        assert time.monotonic() < end, answer
        time.sleep(0.5)
    return answer


def test_of_two_operators_the_second_is_refused_and_loses_nothing(operator: Operator) -> None:
    first, second = operator.open("/buyers/2"), operator.open("/buyers/2")
    first.get_by_label("Bid", exact=True).fill("21.00")
    saved(first, "Save")
    second.get_by_label("Weight", exact=True).fill("300")
    second.get_by_label("Bid", exact=True).fill("22.00")
    second.get_by_role("button", name="Save").click()
    alert = second.get_by_role("alert")
    expect(alert).to_contain_text("It has been changed since you saw it.")
    expect(alert.get_by_role("row", name="bid 21.00 22.00")).to_be_visible()
    expect(second.get_by_label("Weight", exact=True)).to_have_value("300")
    first.reload()
    expect(first.get_by_label("Bid", exact=True)).to_have_value("21.00")
    saved(second, "Save")
    expect(second.get_by_label("Bid", exact=True)).to_have_value("22.00")


def test_the_week_is_painted_and_written(operator: Operator) -> None:
    page = operator.open("/buyers/1")
    monday = page.get_by_label("Monday")
    cells = page.locator("table.week tbody tr").first.locator("td.hour")
    cells.nth(9).click()
    cells.nth(10).click()
    cells.nth(13).click()
    expect(monday).to_have_value("09:00-11:00, 13:00-14:00")
    cells.nth(10).click()
    expect(monday).to_have_value("09:00-10:00, 13:00-14:00")
    monday.fill("22:30-02:00")
    tuesday = page.locator("table.week tbody tr").nth(1).locator("td.hour")
    expect(tuesday.nth(1)).to_have_class("hour open")
    expect(cells.nth(22)).to_have_class("hour partly")
    page.get_by_label("Time zone").select_option("UTC")
    saved(page, "Save")
    expect(page.get_by_label("Monday")).to_have_value("22:30-02:00")
    expect(tuesday.nth(1)).to_have_class("hour open")


def test_hours_are_dragged_typed_and_copied(operator: Operator) -> None:
    page = operator.open("/buyers/5")
    week, rows = page.locator("[data-week]"), page.locator("table.week tbody tr")
    hours = [page.get_by_label(day, exact=True) for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")]
    expect(week).to_have_attribute("data-state", "always")
    expect(page.get_by_text("this buyer is always open")).to_be_visible()
    page.get_by_label("Never open").check()
    expect(page.get_by_text("This buyer is never open.")).to_be_visible()
    page.get_by_label("Never open").uncheck()
    rows.nth(0).locator("td.hour").nth(9).hover()
    page.mouse.down()
    rows.nth(2).locator("td.hour").nth(20).hover()
    rows.nth(1).locator("td.hour").nth(16).hover()
    page.mouse.up()
    rows.nth(4).locator("td.hour").nth(3).hover()
    assert [each.input_value() for each in hours] == ["09:00-17:00", "09:00-17:00", "", "", ""]
    rows.nth(0).locator("td.hour").nth(12).hover()
    page.mouse.down()
    rows.nth(1).locator("td.hour").nth(12).hover()
    page.mouse.up()
    assert [each.input_value() for each in hours[:2]] == ["09:00-12:00, 13:00-17:00"] * 2
    page.get_by_label("Saturday", exact=True).fill("9am-noon, 1:00 PM - 5:00 PM")
    expect(rows.nth(5).locator("td.hour").nth(16)).to_have_class("hour open")
    page.get_by_role("button", name="Copy Sat to the weekdays").click()
    page.get_by_label("Time zone").select_option("America/New_York")
    saved(page, "Save")
    assert [each.input_value() for each in hours] == ["09:00-12:00, 13:00-17:00"] * 5
    expect(week).to_have_attribute("data-state", "hours")


def test_rows_are_moved_and_taken_out_at_once(operator: Operator) -> None:
    page = operator.open("/offers/demo-strict")
    names = page.locator("table.edit input[name$='.name']")
    assert [each.input_value() for each in names.all()] == ["caller_id", "zip", "age", "email", ""]
    page.get_by_role("button", name="Row 3 up").click()
    page.get_by_role("button", name="Take row 4 out").click()
    assert [each.input_value() for each in names.all()] == ["caller_id", "age", "zip", ""]
    saved(page, "Save")
    assert [each.input_value() for each in names.all()] == ["caller_id", "age", "zip", ""]


def test_a_file_is_read_into_the_form(operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("users: [{name: demo-operator, role: operator}]\noffers: [{name: x, rank_by: bid}]\n")
    page = operator.open("/configuration")
    page.get_by_label("A file").set_input_files(file)
    expect(page.get_by_label("YAML", exact=True)).to_have_value(file.read_text())
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="What it would change")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(r"offers\[demo-live\]"))).to_be_visible()


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_and_has_its_labels(operator: Operator, scheme: str, size: dict[str, int]) -> None:
    page = operator.open("/offers", color_scheme=scheme, viewport=size)
    for path in PAGES:
        page.goto(f"/dashboard{path}")
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"], path
        ratio, what = page.evaluate(CONTRASTS)
        assert ratio >= CONTRAST, (path, what)
        assert page.evaluate(UNLABELLED) == [], path
        headings = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(e => Number(e.tagName[1]))")
        assert headings[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(headings))
        repeated = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(repeated) == len({*repeated}), path


def test_enter_saves(operator: Operator) -> None:
    page = operator.open("/offers/demo-live")
    page.get_by_label("Description, row 1").fill("The caller")
    page.get_by_label("Example, row 1").press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("Saved.")


def test_without_a_script_rows_are_added(operator: Operator) -> None:
    page = operator.open("/offers/demo-rules", java_script_enabled=False)
    page.get_by_role("button", name="Add rows").click()
    page.get_by_label("Name, row 6").fill("zip")
    saved(page, "Save")
    expect(page.get_by_label("Name, row 4")).to_have_value("zip")
