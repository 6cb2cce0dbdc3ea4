"""The posting instructions as a publisher's developer meets them."""

import json
import re
from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor

PAGE = "/posting_instructions/my_endpoint"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
CONTRAST = 4.5
"""Of text against what is behind it: WCAG 2.2, 1.4.3."""

CONTRASTS = r"""() => {
  const channel = v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 };
  const light = color => {
    const [r, g, b] = color.match(/[\d.]+/g).map(Number).map(channel);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = element => {
    const color = element ? getComputedStyle(element).backgroundColor : 'rgb(255, 255, 255)';
    return /, 0\)$/.test(color) ? behind(element.parentElement) : color;
  };
  const contrast = element => {
    const [more, less] = [getComputedStyle(element).color, behind(element)].map(light).sort((x, y) => y - x);
    return [(more + .05) / (less + .05), element.tagName + ' ' + element.textContent.trim().slice(0, 40)];
  };
  const says = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  const shown = [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && says(e));
  return shown.map(contrast).sort((x, y) => x[0] - y[0])[0];
}"""
"""The text that stands out least, and by how much."""


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_every_light_and_on_every_screen(visitor: Visitor, scheme: str, size: dict[str, int]) -> None:
    page = visitor.open(PAGE, color_scheme=scheme, viewport=size)
    expect(page.get_by_role("heading", level=1)).to_have_text("Posting instructions: my_endpoint")
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    ratio, what = page.evaluate(CONTRASTS)
    assert ratio >= CONTRAST, what


def test_copy_puts_the_example_on_the_clipboard(visitor: Visitor) -> None:
    page = visitor.open(PAGE)
    page.get_by_role("button", name="Copy PING in curl").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl -X POST http://127.0.0.1:")
    assert '"zip": "30340"' in copied
    page.get_by_text("Python", exact=True).first.click()
    page.get_by_role("button", name="Copy PING in Python").click()
    assert "import requests" in page.evaluate("navigator.clipboard.readText()")


def test_try_it_sends_a_ping_then_a_post_and_shows_both(visitor: Visitor) -> None:
    page = visitor.open(PAGE)
    page.get_by_label(re.compile("^caller_id")).fill("614-555-0123")
    page.get_by_role("button", name="Send PING").click()
    expect(page.get_by_role("heading", name="PING answer")).to_be_visible()
    page.get_by_role("button", name="POST: Buyer B").click()
    expect(page.get_by_role("heading", name="POST answer")).to_be_visible()
    answer = page.locator("#try-shown pre").last
    expect(answer).to_contain_text('"buyer_name": "Buyer B"')
    sold = json.loads(answer.inner_text().partition("\n\n")[2])
    assert sold["sandbox"] is True
    assert sold["trackdrive_number"].startswith("155555501")
    expect(page.locator("#try-shown pre").first).to_contain_text('"caller_id": "614-555-0123"')


def test_try_it_shows_which_value_was_left_out(visitor: Visitor) -> None:
    page = visitor.open(PAGE)
    page.get_by_label("zip").fill("abc")
    page.get_by_role("button", name="Send PING").click()
    expect(page.locator("#try-shown")).to_contain_text("zip must be a US ZIP code of five digits")
    expect(page.get_by_role("button", name="POST: Buyer B")).to_be_visible()


def test_try_it_works_for_static_numbers_and_live_buyers(visitor: Visitor) -> None:
    page = visitor.open("/posting_instructions/static_endpoint?traffic_source_id=1023")
    expect(page.get_by_label(re.compile("^trackdrive_number"))).to_have_value("+18005550170")
    page.get_by_role("button", name="Send PING").click()
    page.get_by_role("button", name="POST: try all buyers").click()
    expect(page.locator("#try-shown pre").last).to_contain_text('"trackdrive_number": "18005550170"')
    page = visitor.open("/posting_instructions/live_endpoint")
    page.get_by_role("button", name="Send PING").click()
    expect(page.get_by_role("button", name="POST: Sandbox Buyer")).to_be_visible()


def test_check_tells_what_is_wrong_without_javascript(visitor: Visitor) -> None:
    page = visitor.open(PAGE, java_script_enabled=False)
    expect(page.locator("#try-form")).to_be_hidden()
    expect(page.get_by_text("The form needs JavaScript.")).to_be_visible()
    url = page.locator("#addresses ~ .scroll td code").first.inner_text()
    page.get_by_label("Request").fill(f"curl {url} -d zip=1")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("status")).to_contain_text("zip must be a US ZIP code")
    expect(page.get_by_label("Request")).to_have_value(f"curl {url} -d zip=1")
    page.get_by_label("Request").fill(f"curl {url} -d zip=30340")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("status")).to_contain_text("Nothing is wrong with it")


def test_the_keyboard_alone_is_enough(visitor: Visitor) -> None:
    page = visitor.open(PAGE)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Addresses")).to_be_focused()
    reached = _tabbed(page, 120)
    assert {"Send PING", "Check", "Copy"} <= reached
    assert any("Python" in name for name in reached)
    page.get_by_role("button", name="Send PING").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="PING answer")).to_be_visible()


def _tabbed(page: Page, times: int) -> set[str]:
    """What the focus came to."""
    reached = set()
    for _ in range(times):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.innerText.trim()"))
    return reached


def test_everything_that_is_asked_for_has_a_label(visitor: Visitor) -> None:
    page = visitor.open("/posting_instructions/strict_endpoint")
    assert page.evaluate("[...document.querySelectorAll('input, select, textarea')].every(e => e.labels.length)")
    assert page.evaluate("document.documentElement.lang") == "en"
    headings = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(e => Number(e.tagName[1]))")
    assert headings[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))


def test_on_paper_every_example_is_there_and_no_form(visitor: Visitor) -> None:
    page = visitor.open(PAGE)
    page.emulate_media(media="print")
    expect(page.get_by_text("import requests").first).to_be_visible()
    expect(page.get_by_role("button", name="Send PING")).to_be_hidden()


def test_the_same_page_is_not_sent_twice(visitor: Visitor) -> None:
    page = visitor.open(PAGE)
    etag = page.request.get(PAGE).headers["etag"]
    assert page.request.get(PAGE, headers={"If-None-Match": etag}).status == 304
