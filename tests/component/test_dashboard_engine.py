"""The dashboard over a real engine: what its pages cost at the size of a large marketplace (1,000 buyers, 50 endpoints
and 10,000 numbers), and what moto does not take."""

from collections.abc import Iterator

import pytest

from tests.build import SETTINGS, Stage
from tests.large import marketplace
from tests.office import opened
from tests.visits import Guest
from tools import engine

CALLS = 8
PAGES = [
    "/offers", "/offers/offer-7", "/offers?new", "/buyers", "/buyers?search=9&paused=false", "/buyers/7", "/buyers?new",
    "/endpoints", "/endpoints/endpoint-7", "/ring_pools", "/ring_pools/auto-us", "/ring_pools/b", "/users",
    "/users/olga", "/suppression_lists", "/changes", "/changes/1", "/configuration", "/configuration/export",
]  # fmt: skip


@pytest.fixture(scope="module")
def large() -> Iterator[Stage]:
    with marketplace() as stage:
        yield stage


@pytest.mark.parametrize("address", PAGES)
def test_a_page_takes_few_calls_and_scans_nothing(large: Stage, address: str) -> None:
    olga = Guest(large, "olga")
    path, _, query = address.partition("?")
    scans: list[str] = []
    events = large.client.meta.events
    events.register("before-call.dynamodb.Scan", lambda **_: scans.append(path), unique_id="scans")
    page = olga.open(path, query)
    events.unregister("before-call.dynamodb.Scan", unique_id="scans")
    assert page.code == 200, page.text
    assert (olga.visitor.calls <= CALLS, scans) == (True, []), olga.visitor.calls


@pytest.fixture
def olga() -> Iterator[Guest]:
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        stage = Stage(client)
        opened(stage, account={"suppression": ["tcpa"]})
        yield Guest(stage, "olga")


def test_numbers_are_looked_up_put_on_a_list_and_taken_off(olga: Guest) -> None:
    page = olga.send(
        olga.open("/suppression_lists"), "/suppression_lists", entries="614-555-0123\r\n\r\n212*", where="on"
    )
    assert "1 numbers and 1 prefixes are on tcpa now." in page.text
    page = olga.send(page, "/suppression_lists/lookup", number="(614) 555-0123")
    assert "+16145550123 is on tcpa" in page.text
    assert olga.send(page, "/suppression_lists/lookup", number="x").code == 422
    wrong = olga.send(page, "/suppression_lists", entries="614-555-0123\nnobody", where="on")
    assert (wrong.code, "`nobody` must be a telephone number" in wrong.text) == (422, True)
    assert dict(wrong.form("/dashboard/suppression_lists").values)["entries"] == "614-555-0123\nnobody"
    assert olga.send(page, "/suppression_lists", entries="", where="on").code == 422
    assert olga.send(page, "/suppression_lists", entries="212*", name="other").code == 422
    page = olga.send(page, "/suppression_lists", entries="614-555-0123", where="off")
    assert "are off tcpa now." in page.text
    assert "is on no list" in olga.send(page, "/suppression_lists/lookup", number="6145550123").text
