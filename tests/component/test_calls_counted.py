"""Calls as Today, the page of a ring pool, reports and the log count them."""

import json
from collections.abc import Callable
from dataclasses import replace as with_
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain import keys
from shared.journal.fetching import Sources
from shared.journal.rows import Row, encode
from shared.operators import journal_rows, pools
from tests.build import CALLER, KEYS, START, Publisher, Stage
from tests.configurations import a_buyer, a_ring_pool, an_endpoint, an_offer
from tests.office import Operator, as_user, opened, records
from tests.watchers import Visitor, text

Tell = Callable[..., None]
NUMBER, OTHERS = "+18005550100", "+18005550190"
HOUR = 3600
SALE = Row(
    event="", at=START, sold_at=START, kind="sale", status="sold", ping="", endpoint="my_endpoint",
    offer="auto-insurance", user="acme-media", source="1023", buyer=1, number=NUMBER,
)  # fmt: skip


def sale(n: int, **more: Any) -> Row:
    return replace(SALE, **{"event": f"s{n}", "ping": f"{n:024x}", **more})


def arrived(of: Row, wait: int, **more: Any) -> Row:
    """The first row of a call for a sale."""
    at = of.sold_at + wait
    named = {"event": f"{of.event}a", "call": of.ping, "kind": "arrived", "status": "initiated", "buyer": 0}
    return replace(of, **{**named, "at": at, "arrived_at": at, "arrival": "in_time", **more})


def settled(of: Row, wait: int, **more: Any) -> Row:
    """And its last, 100 seconds later: buyer 1 has it, and owes 25 dollars."""
    came = arrived(of, wait)
    known = {"event": f"{of.event}c", "kind": "call", "at": came.at + 100, "status": "finished", "buyer": 1}
    worth = {"connected_at": came.at + 5, "seconds": 95, "converted": 1, "revenue_cents": 2500, "payout_cents": 2000}
    return replace(came, **{**known, **worth, **more})


def nobody(of: Row, wait: int, **more: Any) -> Row:
    """A call that no buyer took."""
    nothing = {"connected_at": 0, "seconds": 0, "converted": 0, "revenue_cents": 0, "payout_cents": 0}
    return settled(of, wait, **{"buyer": 0, "status": "busy", **nothing, **more})


def uncalled(of: Row) -> Row:
    return replace(of, event=f"{of.event}n", kind="never_called", at=of.sold_at + 330, status="")


@pytest.fixture
def olga(stage: Stage) -> Operator:
    opened(
        stage,
        offers=[an_offer(buyers=[a_buyer(), a_buyer(id=2, name="Buyer B", bid="20.00", number="+18005550182")])],
        endpoints=[an_endpoint(calls={"provider": "main"})],
        ring_pools=[a_ring_pool(numbers=["+18005550100-+18005550149"])],
        providers=[{"name": "main", "kind": "local", "account": "AC1", "token": "{secret.local}"}],
    )
    records(stage).tokens.issue("acme-media", "a test", "of acme-media")
    stage.clock.forward(12 * HOUR)
    return as_user(stage, "olga")


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Makes rows those of the journal."""

    def told(*rows: Row) -> None:
        monkeypatch.setattr(journal_rows, "read_sources", lambda *_: Sources((), encode(rows)))

    return told


FIRST, SECOND, THIRD, FOURTH = sale(1), sale(2, buyer=2), sale(3, source="77", user="bolt"), sale(4, at=START + HOUR)
DAY_OF_CALLS = [
    FIRST, arrived(FIRST, 10), settled(FIRST, 10),
    SECOND, uncalled(SECOND),
    THIRD, arrived(THIRD, 50), nobody(THIRD, 50),
    replace(FOURTH, sold_at=START + HOUR), arrived(replace(FOURTH, sold_at=START + HOUR), 5),
]  # fmt: skip


def test_the_day_counts_calls_by_when_they_came_and_their_worth_with_their_sale(olga: Operator, tell: Tell) -> None:
    tell(*DAY_OF_CALLS)
    found = olga.get("/day")
    total = found["total"]["day"]
    counted = {name: total[name] for name in ("sales", "calls", "settled", "connected", "converted", "never_called")}
    assert counted == {"sales": 4, "calls": 3, "settled": 2, "connected": 1, "converted": 1, "never_called": 1}
    assert (total["revenue_cents"], total["payout_cents"]) == (2500, 2000)
    assert [hour["count"]["calls"] for hour in found["hours"][:3]] == [2, 1, 0]
    assert found["endpoints"]["my_endpoint"]["day"]["connected"] == 1
    assert [(each["buyer_id"], each["sales"], each["revenue_cents"]) for each in found["buyers"]] == [
        (1, 3, 2500),
        (2, 1, 0),
    ]


def test_a_call_after_midnight_counts_then_and_its_worth_on_the_day_of_its_sale(olga: Operator, tell: Tell) -> None:
    late = replace(sale(1), at=START - 60, sold_at=START - 60)
    tell(late, arrived(late, 90), settled(late, 90))
    day = olga.get("/day")["total"]
    assert (day["day"]["calls"], day["day"]["revenue_cents"]) == (1, 0)
    assert (day["before"]["calls"], day["before"]["revenue_cents"]) == (0, 2500)
    yesterday = olga.get("/reports", "range=yesterday")
    assert yesterday["total"]["revenue_cents"] == 2500


def test_today_says_who_is_never_called(olga: Operator, tell: Tell) -> None:
    tell(*DAY_OF_CALLS)
    [line] = olga.get("/day")["never_called"]
    ping_id = keys.ping_id(KEYS, "my_endpoint", bytes.fromhex(SECOND.ping))
    assert line == {
        "user": "acme-media", "source": "1023", "buyer_id": 2, "name": "Buyer B", "sales": 1, "never_called": 1,
        "percent": 100.0, "last": [{"ping_id": ping_id, "sold_at": START}],
    }  # fmt: skip
    answer = Visitor(olga.stage, "olga").get("")
    page = text(answer)
    assert "Calls 3 0 the day before" in page
    assert "Connected 50.0 % – the day before" in page
    assert "Never called 1 0 the day before" in page
    assert "1023 acme-media Buyer B 2 1 1 100.0 % 00:00:00" in page
    assert f'href="/dashboard/pings/{ping_id}?at={START}"' in answer.text
    assert "Calls by hour" in page
    assert "style=" not in answer.text


def test_a_late_call_to_a_sale_that_was_given_up_makes_it_called(olga: Operator, tell: Tell) -> None:
    tell(FIRST, uncalled(FIRST), arrived(FIRST, 400), settled(FIRST, 400))
    day = olga.get("/day")
    assert (day["never_called"], day["total"]["day"]["never_called"], day["total"]["day"]["calls"]) == ([], 0, 1)
    assert sum(hour["count"]["never_called"] for hour in day["hours"]) == 0
    assert "Every sale whose hold is over was called." in Visitor(olga.stage, "olga").see("")


def test_a_day_without_calls_says_nothing_of_them(olga: Operator, tell: Tell) -> None:
    tell(FIRST)
    page = Visitor(olga.stage, "olga").see("")
    assert "Never called" not in page
    assert "Connected" not in page


def test_a_publisher_counts_its_own_calls_without_names_and_revenue(olga: Operator, tell: Tell) -> None:
    tell(*DAY_OF_CALLS)
    acme = Operator(olga.stage, "of acme-media")
    found = acme.get("/day")
    total = found["total"]["day"]
    assert (total["calls"], total["connected"], total["revenue_cents"], total["payout_cents"]) == (2, 1, None, 2000)
    assert [(line["buyer_id"], line["name"]) for line in found["never_called"]] == [(2, "")]
    page = Visitor(olga.stage, "acme-media").see("")
    assert "Buyer B" not in page
    assert "Calls 2" in page


def test_reports_and_the_log_count_what_a_call_is_worth_once(olga: Operator, tell: Tell) -> None:
    paid_as_sale = sale(5, revenue_cents=1000, payout_cents=800)
    tell(
        *DAY_OF_CALLS, paid_as_sale, arrived(paid_as_sale, 3), settled(paid_as_sale, 3, revenue_cents=0, payout_cents=0)
    )
    for by in ("", "status", "buyer", "source", "offer"):
        found = olga.get("/reports", f"range=today&by={by}")
        assert (found["total"]["sales"], found["total"]["revenue_cents"], found["total"]["payout_cents"]) == (
            5,
            3500,
            2800,
        )
        assert sum(group["numbers"]["revenue_cents"] for group in found["items"]) == 3500
    assert olga.get("/sources")["total"]["payout_cents"] == 2800
    assert olga.get("/reports/buyer", "buyer=1&range=today")["total"]["revenue_cents"] == 3500
    assert [item["keys"] for item in olga.get("/reports", "range=today&by=status")["items"]] == [{"status": "sold"}]


def test_the_log_and_a_pings_page_have_what_a_sale_and_its_call_are_worth(olga: Operator, publisher: Publisher) -> None:
    opened(
        olga.stage,
        offers=[an_offer(buyers=[a_buyer(pays={"on": "answered"})])],
        endpoints=[an_endpoint(calls={"provider": "main"})],
        providers=[{"name": "main", "kind": "local", "account": "AC1", "token": "{secret.local}"}],
    )
    publisher.full(caller_id=CALLER)
    [line] = olga.get("/sales")["items"]
    assert (line["revenue_cents"], line["payout_cents"]) == (0, 0)
    opened_ping = olga.get(f"/pings/{line['ping_id']}")
    assert opened_ping["takes_calls"]
    assert (opened_ping["ping"]["revenue_cents"], opened_ping["ping"]["payout_cents"]) == (0, 0)
    raw = keys.read_ping_id(KEYS, "my_endpoint", line["ping_id"])
    assert raw
    of = replace(SALE, event="e", ping=raw[0].hex(), at=line["sold_at"], sold_at=line["sold_at"])
    olga.stage.open_files().pages.write("calls", [arrived(of, 7), settled(of, 7)])
    olga.stage.clock.forward(200)
    [line] = olga.get("/sales")["items"]
    assert (line["revenue_cents"], line["payout_cents"]) == (2500, 2000)
    opened_ping = olga.get(f"/pings/{line['ping_id']}")
    assert (opened_ping["ping"]["revenue_cents"], opened_ping["ping"]["payout_cents"]) == (2500, 2000)
    assert [call["revenue_cents"] for call in opened_ping["calls"]] == [2500]


# The page of a ring pool


def test_a_pools_page_recommends_a_hold(olga: Operator, tell: Tell) -> None:
    sales = [sale(n, number=NUMBER) for n in range(200)]
    waits = [5 if n < 100 else 40 if n < 198 else 250 for n in range(200)]
    rows = [row for of, wait in zip(sales, waits, strict=True) for row in (of, arrived(of, wait), settled(of, wait))]
    again = replace(settled(sales[0], 900), event="again", call=f"{999:024x}")
    elsewhere = sale(300, number=OTHERS)
    tell(*rows, again, elsewhere, settled(elsewhere, 1))
    page = Visitor(olga.stage, "olga").see("/ring_pools/auto-us", "sales_per_hour=100")
    assert "Half of 200 callers called within 5 s, 99 of 100 within 40 s" in page
    assert "Recommended hold: 120 s , as long as a ping is good for; it is 300 s now." in page
    assert "For 100 sales per hour the pool then needs 11 numbers, and 18 as it is." in page
    assert "5 s 100 50.0 %" in page
    assert "45 s 198 99.0 %" in page
    assert "300 s 200 100.0 %" in page
    assert "600 s" not in page.partition("Within Calls Share")[2].partition("Of each sale")[0]


def test_a_pools_page_waits_for_enough_calls(olga: Operator, tell: Tell) -> None:
    of = sale(1)
    tell(of, arrived(of, 12))
    page = Visitor(olga.stage, "olga").see("/ring_pools/auto-us")
    assert "99 of 100 within 12 s" in page
    assert f"once there are {pools.ENOUGH_CALLS} calls" in page
    tell(of)
    assert "No call came to a number of this pool." in Visitor(olga.stage, "olga").see("/ring_pools/auto-us")


# Call it


def test_a_sale_of_the_local_run_can_be_called_from_its_page(olga: Operator, publisher: Publisher) -> None:
    caller = "+16145550177"
    number = f"+{publisher.full(caller_id=caller).body['trackdrive_number']}"
    ping_id = olga.get("/sales")["items"][0]["ping_id"]
    assert "Call it" not in Visitor(olga.stage, "olga").see(f"/pings/{ping_id}")
    local = with_(olga.stage, settings=with_(olga.stage.settings, demo=json.dumps({"my_endpoint": "a demo"})))
    visitor = Visitor(local, "olga")
    answer = visitor.get(f"/pings/{ping_id}")
    assert 'action="/local/call"' in answer.text
    assert f'name="number" value="{number}"' in answer.text
    assert f'make call ARGS="{number} from +16145550123 busy 1 talk 95"' in text(answer)
    assert caller not in answer.text
    assert f'name="caller" value="{caller}"' in visitor.send(f"/pings/{ping_id}").text
    assert "Call it" not in Visitor(local, "vera").see(f"/pings/{ping_id}")
    assert "Call it" not in Visitor(local, "acme-media").get(f"/pings/{ping_id}").text
