"""A sale as an operator meets it: in the log, with its reasons, in a file, unmasked, erased."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from shared.office import dashboard
from tests.browser.conftest import Visitor
from tests.browser.test_posting_instructions import CONTRAST, CONTRASTS, NARROW, WIDE
from tests.local_service import running
from tools import stack_access
from tools.calling.local_run import find_local_run
from tools.calling.webhooks import Webhooks
from tools.target import Target

CALLER = "+16145550177"
SEEN_SECONDS = 60
"""What happens is in the log after three, on a machine that has time for it."""
NAME = dashboard.COOKIE.removeprefix("__Host-")  # as the local service has it, without TLS
LEAD = {"caller_id": CALLER, "state": "TX", "age": "41", "traffic_source_id": "1023"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watched")


@pytest.fixture(scope="module")
def service(data: Path) -> Iterator[str]:
    """A demo of its own, for what is erased here."""
    with running(data) as url:
        yield url


def signed_in(visitor: Visitor, data: Path, path: str, **context: Any) -> Page:
    """A page as the demo's operator sees it."""
    records = stack_access._open(Target(data, ""), sessions=True).records
    begun = dashboard.Session("demo-operator", records.tokens.begin_session("demo-operator"))
    cookie = {"name": NAME, "value": dashboard.session_cookie(records.keys, begun), "domain": "127.0.0.1", "path": "/"}
    return visitor.open(path, storage_state={"cookies": [cookie]}, **context)


def sell(service: str, **more: str) -> str:
    """By HTTP, as a publisher does; the id of its ping."""

    def send(verb: str, **sent: str) -> Any:
        form = urlencode(LEAD | more | sent).encode()
        with urllib.request.urlopen(f"{service}/api/v1/inbound_webhooks/{verb}/rules_endpoint", form) as answer:
            return json.load(answer)

    ping_id: str = send("ping")["try_all_buyers_ping_id"]
    assert send("post", ping_id=ping_id)["success"]
    return ping_id


def test_a_sale_is_followed_from_the_log_to_its_end(visitor: Visitor, service: str, data: Path) -> None:
    ping_id = sell(service)
    page = signed_in(visitor, data, "/dashboard/log", java_script_enabled=False)
    page.get_by_label("Outcome").select_option("sold")
    page.get_by_label("Endpoint").fill("rules_endpoint")
    began = time.monotonic()
    while not page.get_by_role("table").count():
        assert time.monotonic() - began < SEEN_SECONDS
        page.get_by_role("button", name="Search").first.click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    assert ping_id in download.value.path().read_text()

    page.get_by_role("table").get_by_role("link").first.click()
    expect(page.locator("code").first).to_have_text(ping_id)
    expect(page.get_by_role("row", name=re.compile("Buyer H"))).to_contain_text("age > 120")
    expect(page.get_by_text("+1614•••77")).to_be_visible()
    expect(page.get_by_text(CALLER)).to_have_count(0)
    page.get_by_role("button", name="Unmask").click()
    expect(page.get_by_text(CALLER)).to_be_visible()

    page.goto("/dashboard/log")
    page.get_by_label("Caller").fill("(614) 555-0177")
    page.get_by_label("Caller").press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)
    assert "0177" not in page.url
    page.get_by_role("button", name="Erase this caller").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Erase {CALLER}?")
    page.get_by_role("button", name="Erase").click()
    expect(page.get_by_role("status")).to_contain_text("Erased: 1 ping, 1 of them sold.")
    page.goto(f"/dashboard/pings/{ping_id}")
    expect(page.get_by_text("The lead is not kept any more")).to_be_visible()
    expect(page.get_by_text("+1614")).to_have_count(0)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_in_every_light_and_on_every_screen(
    visitor: Visitor, service: str, data: Path, scheme: str, size: dict[str, int]
) -> None:
    ping_id = sell(service, caller_id="+16145550178")
    page = signed_in(visitor, data, "/dashboard", color_scheme=scheme, viewport=size)
    expect(page.get_by_role("img", name="Sales by hour")).to_be_visible()
    for path in ("", "/caps", "/log", "/calls", f"/pings/{ping_id}", "/sources", "/erasing", "/ring_pools/demo"):
        page.goto(f"/dashboard{path}")
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"], path
        ratio, what = page.evaluate(CONTRASTS)
        assert ratio >= CONTRAST, (path, what)
        unlabelled = "[...document.querySelectorAll('input:not([type=hidden]), select')].filter(e => !e.labels.length)"
        assert page.evaluate(f"{unlabelled}.length") == 0, path


def test_a_sale_is_called_and_its_call_followed_to_the_money(visitor: Visitor, service: str, data: Path) -> None:
    caller = "+16145550180"
    form = urlencode({"caller_id": caller, "traffic_source_id": "1023"}).encode()
    with urllib.request.urlopen(f"{service}/api/v1/inbound_webhooks/full/my_endpoint", form) as answer:
        assert json.load(answer)["success"]
    page = signed_in(visitor, data, "/dashboard/log?outcome=sold&endpoint=my_endpoint", java_script_enabled=False)
    wait_for_rows(page)
    page.get_by_role("table").get_by_role("link").first.click()
    page.get_by_role("button", name="Unmask").click()
    expect(page.get_by_label("Caller")).to_have_value(caller)
    page.get_by_label("What happens").fill("busy 1")
    page.get_by_role("button", name="Call it").click()
    expect(page.locator("pre").first).to_contain_text("They talked for 95 s.")

    page.get_by_role("link", name="Back to the sale").click()
    wait_for_rows(page, "table.calls")
    page.locator("table.calls").get_by_role("link").first.click()
    expect(page.get_by_role("row", name=re.compile("Buyer A"))).to_contain_text("busy")
    expect(page.get_by_role("row", name=re.compile("Buyer B"))).to_contain_text("talked 95 s")
    page.goto("/dashboard")
    expect(page.get_by_role("img", name="Calls by hour")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]


def test_what_publishers_callers_and_providers_send_is_shown_as_text(
    visitor: Visitor, service: str, data: Path
) -> None:
    hostile = "<script>document.body.remove()</script>📞"
    page = signed_in(visitor, data, "/dashboard/buyers/1", viewport=NARROW)
    page.get_by_label("Name", exact=True).fill(f"Buyer A {hostile}")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved.")
    form = urlencode({"caller_id": "+16145550181", "traffic_source_id": hostile}).encode()
    with urllib.request.urlopen(f"{service}/api/v1/inbound_webhooks/full/my_endpoint", form) as answer:
        number = f"+{json.load(answer)['trackdrive_number']}"
    run = find_local_run(data)
    with Webhooks(run.url, run.key) as telephone:
        shown = hostile.encode("ascii", "ignore").decode()  # a caller id of other letters ends the call
        call = {"CallSid": f"CA{1:032x}", "From": shown, "To": number, "CallStatus": "ringing"}
        voice = telephone.send("voice", call)
        leg = {"ParentCallSid": call["CallSid"], "CallSid": f"CA{2:032x}", "CallStatus": "in-progress"}
        talks = telephone.send("leg?n=1", leg | {"SipResponseCode": hostile, "From": hostile}, voice.url)
    assert [each.code for each in (voice, talks)] == [200, 200]

    page.goto(f"/dashboard/calls?{urlencode({'source': hostile})}")
    wait_for_rows(page)
    expect(page.get_by_role("row", name=re.compile("talks"))).to_contain_text(f"Buyer A {hostile}")
    paths = [page.url, "/dashboard"]
    for link in ("table.calls a", "dl a[href*='/pings/']"):
        page.locator(link).first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Call" if "calls" in link else "Ping")
        paths.append(page.url)
    for path in paths:
        page.goto(path)
        expect(page.get_by_text(hostile).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"], path


def wait_for_rows(page: Page, table: str = "table") -> None:
    """Until the journal has what the page is to show."""
    began = time.monotonic()
    while not page.locator(table).count():
        assert time.monotonic() - began < SEEN_SECONDS
        page.reload()


def test_the_numbers_of_a_plot_are_a_table_beside_it(visitor: Visitor, service: str, data: Path) -> None:
    sell(service, caller_id="+16145550179")
    page = signed_in(visitor, data, "/dashboard")
    sales = page.locator("figure", has=page.get_by_role("img", name="Sales by hour"))
    expect(sales.get_by_role("table")).to_be_hidden()
    sales.get_by_text("The numbers").press("Enter")
    expect(sales.get_by_role("row")).to_have_count(25)
