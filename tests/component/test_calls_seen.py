"""Calls as operators and publishers see them: the list, one call, the ping's page, and the same by the API."""

import csv
import io
from typing import Any
from urllib.parse import quote

import pytest

from shared.domain import keys
from shared.domain.models import DAY
from tests.build import CALLER, START, Publisher, Stage
from tests.configurations import a_buyer, an_endpoint, an_offer
from tests.office import Operator, as_user, opened, records
from tests.phone import Phone
from tests.watchers import Visitor, text


@pytest.fixture
def market(stage: Stage) -> Stage:
    """Endpoint `my_endpoint` takes calls; A and B buy."""
    opened(
        stage,
        offers=[an_offer(buyers=[a_buyer(), a_buyer(id=2, name="Buyer B", bid="20.00", number="+18005550182")])],
        endpoints=[an_endpoint(calls={"provider": "main"})],
        providers=[{"name": "main", "kind": "local", "account": "AC1", "token": "{secret.local}"}],
    )
    records(stage).tokens.issue("acme-media", "a test", "of acme-media")
    return stage


@pytest.fixture
def olga(market: Stage) -> Operator:
    return as_user(market, "olga")


def phone_of(publisher: Publisher, caller: str = CALLER, **sent: Any) -> Phone:
    """A call of a caller that was just sold."""
    sold = publisher.full(caller_id=caller, **sent)
    assert sold.code == 200, sold.body
    return Phone(publisher.stage, sold.body["forwarding_number"], caller)


def busy_then_paid(publisher: Publisher, **sent: Any) -> Phone:
    """A is busy after 5 seconds, B talks for 95."""
    phone = phone_of(publisher, **sent)
    phone.rings()
    phone.stage.clock.forward(5)
    phone.dial_ends("busy")
    phone.talks(95, n=2)
    return phone


def uuid_of(phone: Phone) -> str:
    return keys.uuid(phone.stage.keys, "call", phone.call_id)


def calls_of(operator: Operator, query: str = "") -> list[str]:
    return [each["call_id"] for each in operator.get("/calls", query)["items"]]


def test_a_settled_call_has_a_line(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    [line] = olga.get("/calls")["items"]
    assert line["call_id"] == uuid_of(phone)
    assert (line["phase"], line["status"], line["arrival"]) == ("settled", "finished", "in_time")
    assert (line["arrived_at"], line["at"], line["attempts"]) == (START, START + 100, 2)
    assert (line["buyer_id"], line["seconds"], line["converted"]) == (2, 95, True)
    assert (line["number"], line["endpoint"], line["area_code"]) == (f"+{phone.number}", "my_endpoint", "614")


def test_a_call_that_runs_is_found_until_it_is_settled(olga: Operator, publisher: Publisher) -> None:
    phone = phone_of(publisher)
    phone.rings()
    assert calls_of(olga) == []
    assert calls_of(olga, "phase=running") == [uuid_of(phone)]
    phone.talks(10)
    assert calls_of(olga, "phase=running") == []
    assert calls_of(olga) == [uuid_of(phone)]


def test_a_call_that_runs_is_shown_as_it_is_now(olga: Operator, publisher: Publisher) -> None:
    phone = phone_of(publisher)
    phone.rings()
    [line] = olga.get("/calls", "phase=running")["items"]
    assert (line["status"], line["buyer_id"], line["attempts"]) == ("calling-leads", None, 1)
    phone.dial_ends("busy")
    phone.leg_answers(2)
    [line] = olga.get("/calls", "phase=running")["items"]
    assert (line["status"], line["buyer_id"], line["attempts"]) == ("established", 2, 2)
    assert olga.get(f"/calls/{uuid_of(phone)}")["call"]["status"] == "established"
    for query in ("connected=yes", "buyer=2", "status=established"):
        assert calls_of(olga, f"phase=running&{query}") == [uuid_of(phone)], query
    for query in ("connected=no", "buyer=1", "status=calling-leads", "source=7"):
        assert calls_of(olga, f"phase=running&{query}") == [], query


def test_a_call_of_more_than_four_hours_ago_runs_no_more(olga: Operator, publisher: Publisher) -> None:
    phone_of(publisher).rings()
    olga.stage.clock.forward(4 * 3600 + 1)
    assert calls_of(olga, "phase=running") == []


def test_calls_are_searched_by_everything_they_show(olga: Operator, publisher: Publisher) -> None:
    of_b = busy_then_paid(publisher, auth_token="of acme-media", traffic_source_id="1023")
    olga.stage.clock.forward(1)
    nobody = phone_of(publisher, "+16145550177")
    nobody.rings()
    nobody.dial_ends("busy")
    nobody.dial_ends("no-answer", 2)
    first, second = uuid_of(of_b), uuid_of(nobody)
    found = {
        "": [second, first],
        "endpoint=my_endpoint": [second, first],
        "endpoint=other": [],
        "source=1023": [first],
        "user=acme-media": [first],
        "buyer=2": [first],
        "buyer=buyer b": [first],
        "buyer=1": [],
        "status=no-answer": [second],
        "status=finished": [first],
        "arrival=in_time": [second, first],
        "arrival=late": [],
        "connected=yes": [first],
        "connected=no": [second],
        "converted=yes": [first],
        "converted=no": [second],
        f"number={nobody.number}": [second],
        "from=2099-12-31&to=2099-12-31": [],
        "from=2100-01-01T00:00&to=2100-01-01T00:00": [],
    }
    for query, expected in found.items():
        assert calls_of(olga, quote(query, safe="=&")) == expected, query
    page = olga.get("/calls", "limit=1")
    assert [each["call_id"] for each in page["items"]] == [second]
    assert calls_of(olga, f"limit=1&after={page['next']}") == [first]


@pytest.mark.parametrize(
    "query",
    ["phase=over", "status=sold", "arrival=soon", "connected=1", "converted=x", "buyer=buyer", "number=12", "after=x",
     "zone=Mars", "from=yesterday", "format=xml", "limit=0", "unknown=1"],
)  # fmt: skip
def test_what_cannot_be_searched_is_named(olga: Operator, query: str) -> None:
    answer = olga.ask("GET", "/calls", query=query)
    assert answer.code in (400, 422), answer.text


def test_a_call_opened(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    by_uuid = olga.get(f"/calls/{uuid_of(phone)}")
    assert by_uuid == olga.get(f"/calls/{phone.call_id.hex()}")
    busy, talked = by_uuid["dialed"]
    assert (busy["buyer_id"], busy["end"], busy["at"], busy["ended_at"]) == (1, "busy", START, START + 5)
    assert (talked["end"], talked["seconds"], talked["connected_at"]) == ("completed", 95, START + 5)
    assert (busy["name"], talked["name"]) == ("Buyer A", "Buyer B")
    assert by_uuid["settled_at"] == START + 100
    assert by_uuid["call"] == olga.get("/calls")["items"][0]


def test_a_call_is_opened_by_its_row_when_its_item_is_gone(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    kept = olga.get(f"/calls/{uuid_of(phone)}")
    stage = olga.stage
    stage.client.delete_item(TableName=stage.settings.calls_table, Key={"call_id": {"B": phone.call_id}})
    for query in ("", f"at={kept['call']['at']}"):
        gone = olga.get(f"/calls/{uuid_of(phone)}", query)
        assert gone["call"] == kept["call"]
        assert [each["end"] for each in gone["dialed"]] == ["busy", "completed"]


@pytest.mark.parametrize("call_id", ["x", "0" * 24, "z" * 24, "²" * 24, "00000000-0000-8000-8000-000000000000"])
def test_no_such_call(olga: Operator, call_id: str) -> None:
    assert olga.ask("GET", f"/calls/{quote(call_id)}").code == 404


def test_a_publisher_sees_its_own_calls_without_a_name_or_a_price(olga: Operator, publisher: Publisher) -> None:
    own = busy_then_paid(publisher, auth_token="of acme-media", traffic_source_id="1023")
    other = busy_then_paid(publisher, caller="+16145550177")
    acme = as_user(olga.stage, "acme-media")
    [line] = acme.get("/calls")["items"]
    assert (line["call_id"], line["revenue_cents"], line["offer"]) == (uuid_of(own), None, "")
    told = acme.get(f"/calls/{uuid_of(own)}")
    assert {each["name"] for each in told["dialed"]} == {""}
    assert acme.ask("GET", f"/calls/{uuid_of(other)}").code == 404
    assert acme.ask("GET", "/calls", query="buyer=Buyer").code == 422
    file = acme.ask("GET", "/calls", query="format=csv").text
    assert "revenue" not in file
    assert "Buyer" not in file
    visitor = Visitor(olga.stage, "acme-media")
    for page in (visitor.get("/calls").text, visitor.get(f"/calls/{uuid_of(own)}").text):
        assert "Buyer B" not in page
        assert "Revenue" not in page


def test_a_call_that_is_opened_says_how_far_it_is(olga: Operator, publisher: Publisher) -> None:
    phone = phone_of(publisher)
    phone.rings()
    assert olga.get(f"/calls/{uuid_of(phone)}")["call"]["status"] == "calling-leads"
    phone.leg_answers()
    assert olga.get(f"/calls/{uuid_of(phone)}")["call"]["status"] == "established"
    phone.dial_ends("completed", seconds=10)
    assert olga.get(f"/calls/{uuid_of(phone)}")["call"]["status"] == "finished"


def test_calls_as_csv(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    [line] = csv.DictReader(io.StringIO(olga.ask("GET", "/calls", query="format=csv").text))
    assert (line["call_id"], line["buyer_name"], line["seconds"]) == (uuid_of(phone), "Buyer B", "95")
    assert line["arrived"] == "2100-01-01T00:00:00+00:00"


def test_the_page_of_calls_has_those_that_run_on_top(olga: Operator, publisher: Publisher) -> None:
    busy_then_paid(publisher)
    phone_of(publisher, "+16145550177").rings()
    visitor = Visitor(olga.stage, "olga")
    page = visitor.see("/calls")
    assert page.index("Calls that run now") < page.index("rings in time") < page.index("Calls that were settled today")
    assert "finished in time my_endpoint" in page
    assert "Buyer B 2 95 yes" in page
    assert "Calls" in page.split("Sources")[0]
    file = visitor.get("/calls", "as=csv")
    assert file.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "Buyer B" in file.text


def test_a_page_without_calls_says_what_to_do(olga: Operator) -> None:
    visitor = Visitor(olga.stage, "olga")
    assert "make call ARGS=" in visitor.see("/calls")
    assert "Choose more days, or fewer conditions." in visitor.see("/calls", "arrival=late")
    wrong = visitor.get("/calls", "arrival=soon")
    assert (wrong.code, "Arrival must be one of" in wrong.text) == (422, True)


def test_a_calls_page_tells_what_happened(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    visitor = Visitor(olga.stage, "olga")
    answer = visitor.get(f"/calls/{uuid_of(phone)}")
    page = text(answer)
    assert "2100-01-01 00:00:00 arrived 2100-01-01 00:00:00 dialed Buyer A 1 : busy after 5 s" in page
    assert "2100-01-01 00:00:05 dialed Buyer B 2 : talked 95 s" in page
    assert "2100-01-01 00:01:40 settled: finished, revenue" in page
    ping_id = olga.get("/calls")["items"][0]["ping_id"]
    assert f'href="/dashboard/pings/{ping_id}"' in answer.text
    assert 'href="/dashboard/buyers/2"' in answer.text
    assert visitor.get("/buyers/2").code == 200
    assert visitor.get("/calls/x").code == 404


def test_a_calls_page_while_it_runs(olga: Operator, publisher: Publisher) -> None:
    phone = phone_of(publisher)
    phone.rings()
    visitor = Visitor(olga.stage, "olga")
    assert "dialed Buyer A 1 : rings" in visitor.see(f"/calls/{uuid_of(phone)}")
    phone.leg_answers()
    assert "dialed Buyer A 1 : talks since" in visitor.see(f"/calls/{uuid_of(phone)}")


def test_a_pings_page_has_its_calls(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    ping_id = olga.get("/calls")["items"][0]["ping_id"]
    assert [each["call_id"] for each in olga.get(f"/pings/{ping_id}")["calls"]] == [uuid_of(phone)]
    answer = Visitor(olga.stage, "olga").get(f"/pings/{ping_id}")
    assert f'href="/dashboard/calls/{uuid_of(phone)}' in answer.text
    assert "never called" not in answer.text


def test_a_pings_page_says_that_it_was_never_called(olga: Operator, publisher: Publisher) -> None:
    phone_of(publisher)
    olga.stage.do_due(seconds=DAY // 2)
    ping_id = olga.get("/pings")["items"][0]["ping_id"]
    assert olga.get(f"/pings/{ping_id}")["never_called"]
    assert "never called : until" in Visitor(olga.stage, "olga").see(f"/pings/{ping_id}")


def test_a_call_that_comes_late_is_believed_by_its_pings_page(olga: Operator, publisher: Publisher) -> None:
    phone = phone_of(publisher)
    olga.stage.do_due(seconds=3600)
    phone.rings()
    phone.talks(10)
    ping_id = olga.get("/pings")["items"][0]["ping_id"]
    found = olga.get(f"/pings/{ping_id}")
    assert ([each["arrival"] for each in found["calls"]], found["never_called"]) == (["late"], None)
    assert "never called" not in Visitor(olga.stage, "olga").see(f"/pings/{ping_id}")
