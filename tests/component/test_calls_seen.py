"""Calls as operators and publishers see them: the list, one call, the ping's page, and the same by the API."""

import csv
import io
import os
from typing import Any
from urllib.parse import quote

import pytest

from shared.domain import keys
from shared.domain.models import DAY
from shared.domain.updates import Update
from shared.journal.follow_up import WAIT_SECONDS
from shared.journal.reports import OF_CALLS
from tests.build import CALLER, START, Publisher, Stage, rows_of
from tests.configurations import a_buyer, an_endpoint, an_offer
from tests.office import Operator, as_user, opened, records
from tests.phone import Phone
from tests.watchers import Visitor, text

HOLD = 300


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
    return [each["call_id"] for each in operator.get("/call_log", query)["items"]]


def test_a_settled_call_has_a_line(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    [line] = olga.get("/call_log")["items"]
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
    [line] = olga.get("/call_log", "phase=running")["items"]
    assert (line["status"], line["buyer_id"], line["attempts"]) == ("calling-leads", None, 1)
    phone.dial_ends("busy")
    phone.leg_answers(2)
    [line] = olga.get("/call_log", "phase=running")["items"]
    assert (line["status"], line["buyer_id"], line["attempts"]) == ("established", 2, 2)
    assert olga.get(f"/call_log/{uuid_of(phone)}")["call"]["status"] == "established"
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
    page = olga.get("/call_log", "limit=1")
    assert [each["call_id"] for each in page["items"]] == [second]
    assert calls_of(olga, f"limit=1&after={page['next']}") == [first]


@pytest.mark.parametrize(
    "query",
    ["phase=over", "status=sold", "arrival=soon", "connected=1", "converted=x", "buyer=buyer", "number=12", "after=x",
     "zone=Mars", "from=yesterday", "format=xml", "limit=0", "unknown=1"],
)  # fmt: skip
def test_what_cannot_be_searched_is_named(olga: Operator, query: str) -> None:
    answer = olga.ask("GET", "/call_log", query=query)
    assert answer.code in (400, 422), answer.text


def test_a_call_opened(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    by_uuid = olga.get(f"/call_log/{uuid_of(phone)}")
    assert by_uuid == olga.get(f"/call_log/{phone.call_id.hex()}")
    busy, talked = by_uuid["dialed"]
    assert (busy["buyer_id"], busy["end"], busy["at"], busy["ended_at"]) == (1, "busy", START, START + 5)
    assert (talked["end"], talked["seconds"], talked["connected_at"]) == ("completed", 95, START + 5)
    assert (busy["name"], talked["name"]) == ("Buyer A", "Buyer B")
    assert by_uuid["settled_at"] == START + 100
    assert by_uuid["call"] == olga.get("/call_log")["items"][0]


def test_a_call_is_opened_by_its_row_when_its_item_is_gone(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    kept = olga.get(f"/call_log/{uuid_of(phone)}")
    stage = olga.stage
    stage.client.delete_item(TableName=stage.settings.calls_table, Key={"call_id": {"B": phone.call_id}})
    for query in ("", f"at={kept['call']['at']}"):
        gone = olga.get(f"/call_log/{uuid_of(phone)}", query)
        assert gone["call"] == kept["call"]
        assert [each["end"] for each in gone["dialed"]] == ["busy", "completed"]


@pytest.mark.parametrize("call_id", ["x", "0" * 24, "z" * 24, "²" * 24, "00000000-0000-8000-8000-000000000000"])
def test_no_such_call(olga: Operator, call_id: str) -> None:
    assert olga.ask("GET", f"/call_log/{quote(call_id)}").code == 404


def test_a_publisher_sees_its_own_calls_without_a_name_or_a_price(olga: Operator, publisher: Publisher) -> None:
    own = busy_then_paid(publisher, auth_token="of acme-media", traffic_source_id="1023")
    other = busy_then_paid(publisher, caller="+16145550177")
    acme = as_user(olga.stage, "acme-media")
    [line] = acme.get("/call_log")["items"]
    assert (line["call_id"], line["revenue_cents"], line["offer"]) == (uuid_of(own), None, "")
    told = acme.get(f"/call_log/{uuid_of(own)}")
    assert {each["name"] for each in told["dialed"]} == {""}
    assert acme.ask("GET", f"/call_log/{uuid_of(other)}").code == 404
    assert acme.ask("GET", "/call_log", query="buyer=Buyer").code == 422
    file = acme.ask("GET", "/call_log", query="format=csv").text
    assert "revenue" not in file
    assert "Buyer" not in file
    visitor = Visitor(olga.stage, "acme-media")
    for page in (visitor.get("/calls").text, visitor.get(f"/calls/{uuid_of(own)}").text):
        assert "Buyer B" not in page
        assert "Revenue" not in page


def test_a_call_that_is_opened_says_how_far_it_is(olga: Operator, publisher: Publisher) -> None:
    phone = phone_of(publisher)
    phone.rings()
    assert olga.get(f"/call_log/{uuid_of(phone)}")["call"]["status"] == "calling-leads"
    phone.leg_answers()
    assert olga.get(f"/call_log/{uuid_of(phone)}")["call"]["status"] == "established"
    phone.dial_ends("completed", seconds=10)
    assert olga.get(f"/call_log/{uuid_of(phone)}")["call"]["status"] == "finished"


def test_calls_as_csv(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    [line] = csv.DictReader(io.StringIO(olga.ask("GET", "/call_log", query="format=csv").text))
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
    ping_id = olga.get("/call_log")["items"][0]["ping_id"]
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
    ping_id = olga.get("/call_log")["items"][0]["ping_id"]
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


def update(phone: Phone, **said: Any) -> None:
    """As an operator or a buyer says it, written at once."""
    calls, stored = phone.stage.telephony().calls, phone.stored
    assert stored is not None
    told: dict[str, Any] = {"id": os.urandom(8), "at": phone.stage.clock(), "by": "olga", "follows": True}
    after = calls.add_update(phone.call_id, stored, Update(**told | said))
    assert after is not None
    phone.stage.bring_stream()


def test_an_update_changes_what_a_call_is_worth_wherever_it_is_counted(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher, auth_token="of acme-media", traffic_source_id="1023")
    olga.stage.clock.forward(60)
    update(phone, revenue_cents=4500, payout_cents=100)
    [line] = olga.get("/call_log")["items"]
    assert (line["converted"], line["revenue_cents"], line["payout_cents"]) == (True, 4500, 100)
    assert olga.get(f"/call_log/{uuid_of(phone)}")["call"] == line
    total = olga.get("/day")["total"]["day"]
    assert (total["sales"], total["converted"], total["revenue_cents"], total["payout_cents"]) == (1, 1, 4500, 100)
    for by in ("offer", "buyer", "source", "status", "reason"):
        [group] = [each["numbers"] for each in olga.get("/reports", f"by={by}")["items"] if each["numbers"]["sales"]]
        assert (group["sales"], group["revenue_cents"]) == (1, 0 if by == "buyer" else 4500), by
    assert olga.get("/sources")["total"]["revenue_cents"] == 4500
    [sale] = olga.get("/sales")["items"]
    assert (sale["revenue_cents"], sale["payout_cents"]) == (4500, 100)
    update(phone, buyer_converted=False)
    total = olga.get("/day")["total"]["day"]
    assert (total["converted"], total["revenue_cents"], total["payout_cents"]) == (0, 0, 0)
    assert calls_of(olga, "converted=no") == [uuid_of(phone)]
    assert calls_of(olga, "converted=yes") == []


def test_an_update_days_later_counts_with_the_sale(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    olga.stage.clock.forward(5 * DAY)
    update(phone, revenue_cents=4500)
    assert olga.get("/reports", "from=2100-01-01&to=2100-01-01")["total"]["revenue_cents"] == 4500
    assert olga.get("/reports", "range=today")["total"]["revenue_cents"] == 0
    assert olga.get("/reports", "range=today&dated_by=event")["total"]["revenue_cents"] == 2500
    [line] = olga.get("/call_log", "from=2100-01-01&to=2100-01-01")["items"]
    assert line["revenue_cents"] == 4500


def test_the_story_of_a_call_says_who_changed_what(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher, auth_token="of acme-media", traffic_source_id="1023")
    olga.stage.clock.forward(60)
    update(phone, revenue_cents=4500, fields={"policy": "77-88"})
    [told] = olga.get(f"/call_log/{uuid_of(phone)}")["updates"]
    assert told == {
        "at": START + 160, "by": "olga", "said": {"revenue": "45.00", "policy": "•••"}, "converted_was": True,
        "converted": True, "revenue_cents_was": 2000, "revenue_cents": 4500, "payout_cents_was": 2000,
        "payout_cents": 2000,
    }  # fmt: skip
    page = Visitor(olga.stage, "olga").see(f"/calls/{uuid_of(phone)}")
    assert "settled: finished, revenue 20.00, payout 20.00" in page
    assert "updated by olga (revenue 45.00, policy •••) : revenue 20.00 → 45.00, payout 20.00" in page
    of_publisher = Operator(olga.stage, records(olga.stage).tokens.issue("acme-media", "a test")[1])
    [shown] = of_publisher.get(f"/call_log/{uuid_of(phone)}")["updates"]
    assert (shown["by"], shown["said"], shown["revenue_cents"], shown["payout_cents"]) == ("", {}, None, 2000)


def test_an_update_before_the_call_is_over_counts_when_it_is_settled(olga: Operator, publisher: Publisher) -> None:
    phone = phone_of(publisher)
    phone.rings()
    phone.leg_answers()
    update(phone, revenue_cents=4500)
    assert olga.get("/day")["total"]["day"]["revenue_cents"] == 0
    phone.dial_ends("completed", 1, 95)
    total = olga.get("/day")["total"]["day"]
    assert (total["revenue_cents"], total["payout_cents"]) == (4500, 2500)
    kinds = [row.kind for row in rows_of(phone.stage.bring_stream()) if row.call]
    assert sorted(kinds) == ["arrived", "call", "update"]


def test_the_updates_of_a_call_whose_item_is_gone_are_told_by_its_rows(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    olga.stage.clock.forward(60)
    update(phone, revenue_cents=4500)
    olga.stage.clock.forward(1)
    update(phone, buyer_converted=False)
    kept = olga.get(f"/call_log/{uuid_of(phone)}")
    key = {"call_id": {"B": phone.call_id}}
    olga.stage.client.delete_item(TableName=olga.stage.settings.calls_table, Key=key)
    gone = olga.get(f"/call_log/{uuid_of(phone)}", f"at={START + 100}")
    assert gone["call"] == kept["call"]
    assert [each | {"said": {}} for each in kept["updates"]] == gone["updates"]


def test_a_call_that_comes_late_is_believed_by_its_pings_page(olga: Operator, publisher: Publisher) -> None:
    phone = phone_of(publisher)
    olga.stage.do_due(seconds=3600)
    phone.rings()
    phone.talks(10)
    ping_id = olga.get("/pings")["items"][0]["ping_id"]
    found = olga.get(f"/pings/{ping_id}")
    assert ([each["arrival"] for each in found["calls"]], found["never_called"]) == (["late"], None)
    assert "never called" not in Visitor(olga.stage, "olga").see(f"/pings/{ping_id}")


@pytest.fixture
def three_sales(olga: Operator, publisher: Publisher) -> Operator:
    """B takes a call that A does not answer, A takes one, and the third sale of A is never called."""
    stage = publisher.stage
    busy_then_paid(publisher, traffic_source_id="web")
    short = phone_of(publisher, "+16145550124", traffic_source_id="web")
    short.rings()
    short.talks(10)
    phone_of(publisher, "+16145550125", traffic_source_id="app")
    stage.do_due(seconds=HOLD + WAIT_SECONDS + 60)
    return olga


def test_reports_count_calls_in_any_groups(three_sales: Operator) -> None:
    def counted(query: str) -> dict[str, list[int]]:
        found = three_sales.get("/reports", f"range=today&{query}")
        return {
            "/".join(each["keys"].values()): [each["numbers"][name] for name in OF_CALLS] for each in found["items"]
        }

    assert counted("by=source") == {"web": [2, 2, 2, 0], "app": [0, 0, 0, 1]}
    assert counted("by=buyer") == {"1": [1, 1, 1, 1], "2": [1, 1, 1, 0]}
    assert counted("by=source,buyer")["app/1"] == [0, 0, 0, 1]
    total = three_sales.get("/reports", "range=today")["total"]
    assert [total[name] for name in ("sales", *OF_CALLS)] == [3, 2, 2, 2, 1]
    assert {three_sales.get("/reports", "range=today&numbers=counts")["total"][name] for name in OF_CALLS} == {None}


def test_pages_of_reports_sources_and_a_buyer_show_calls(three_sales: Operator) -> None:
    olga = Visitor(three_sales.stage, "olga")
    assert ">Never called</a>" in olga.get("/reports", "range=today&by=source").text
    assert ">Never called</a>" not in olga.get("/reports", "range=yesterday&by=source").text
    sources = olga.see("/sources")
    assert "web none 2 0 0 2 2 2 100.0 % 2 100.0 % 0" in sources
    assert "app none 1 0 0 1 0 0 0 1 100.0 %" in sources
    page = olga.see("/reports/buyer", "buyer=1&range=today")
    assert "Sales Connected Converted Never called Revenue" in page
    assert "3 1 1 100.0 % 1 33.3 % 25.00" in page


def test_the_page_of_a_call_has_the_bid_beside_what_is_owed(olga: Operator, publisher: Publisher) -> None:
    phone = busy_then_paid(publisher)
    found = olga.get(f"/call_log/{uuid_of(phone)}")
    assert (found["bid_cents"], found["bid_payout_cents"], found["awaits_until"]) == (2000, 2000, None)
    assert "Bid 20.00 Payout offered 20.00 Revenue 20.00" in Visitor(olga.stage, "olga").see(f"/calls/{uuid_of(phone)}")
