"""Who may buy this call: schedules, filters, caps, duplicates, suppression, limits and margins as publishers meet them,
and the reasons as operators do."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from shared.domain import filters, matching, schedule
from shared.domain.caps import Cap
from shared.domain.models import Field, Limit, Margin, User
from shared.store.callers import Callers
from shared.store.counters import BATCH
from shared.store.dynamo import Dynamo
from tests.build import (
    CALLER,
    CONTACT_FIELDS,
    KEYS,
    SETTINGS,
    START,
    Answer,
    Counting,
    Publisher,
    Stage,
    a_buyer,
    a_pool,
    an_endpoint,
)

OTHER_CALLER = "+16145550124"
OPERATOR = "an operator's token"
DAY = 24 * 3600
BY_DAY = schedule.Schedule(schedule.read_week({"daily": ["09:00-17:00"]}))  # START is midnight, UTC
CONTROLS = {"explain": "1", "auth_token": OPERATOR}


FIELDS = (*CONTACT_FIELDS, Field(name="zip"))


def a_market(stage: Stage, *buyers: Any, **overrides: Any) -> None:
    """An endpoint that an operator may ask for reasons."""
    users = (User("op", "operator"), User("acme-media", "publisher"))
    values = {"buyers": buyers or (a_buyer(),), "users": users, "pool": a_pool(50), "fields": FIELDS}
    stage.publish(an_endpoint(**values | overrides))
    stage.give_token(OPERATOR, "op")


def sell(publisher: Publisher, caller: str = CALLER, uri: str = "my_endpoint", **sent: Any) -> Answer:
    return publisher.post(uri, caller_id=caller, **sent)


def callers(n: int) -> list[str]:
    return [f"+1614555{number:04}" for number in range(200, 200 + n)]


def reasons(answer: Answer) -> dict[int, str]:
    return {reason["buyer_id"]: reason["rule"] for reason in answer.body["explain"]}


def test_the_first_rule_that_each_buyer_failed_is_its_reason(stage: Stage, publisher: Publisher) -> None:
    stage.clock.now = START + 6 * 3600
    with_everything = {
        "schedule": BY_DAY,
        "zone": "America/New_York",
        "traffic_sources": ("1023",),
        "filters": (filters.read("state in [TX, FL]"),),
    }
    a_market(
        stage,
        a_buyer(id=1, paused=True, **with_everything),
        a_buyer(id=2, **with_everything),
        a_buyer(id=3, traffic_sources=("1023",), filters=with_everything["filters"]),
        a_buyer(id=4, filters=with_everything["filters"]),
        a_buyer(id=5, caps=(Cap("sales", 0, "day"),), bid_cents=1),
        a_buyer(id=6, caps=(Cap("concurrent", 0),), bid_cents=1),
        a_buyer(id=7, bid_cents=999),
        a_buyer(id=8, bid_cents=1000),
        bid_floor_cents=1000,
    )
    answer = publisher.ping(state="OH", traffic_source_id="IW7834", **CONTROLS)
    assert [buyer["id"] for buyer in answer.body["buyers"]] == [8]
    local = "2100-01-01T01:00:00-05:00"
    utc = "2100-01-01T06:00:00+00:00"
    assert answer.body["explain"] == [
        {"buyer_id": 1, "rule": "paused", "seen": "paused", "threshold": "not paused", "local_time": local},
        {"buyer_id": 2, "rule": "schedule", "seen": "Fri 01:00", "threshold": "09:00-17:00", "local_time": local},
        {"buyer_id": 3, "rule": "traffic_source", "seen": "IW7834", "threshold": "1023", "local_time": utc},
        {"buyer_id": 4, "rule": "filter", "seen": "OH", "threshold": "state in [TX, FL]", "local_time": utc},
        {"buyer_id": 5, "rule": "cap", "seen": 0, "threshold": "0 sales a day", "local_time": utc},
        {"buyer_id": 6, "rule": "concurrency", "seen": 0, "threshold": "0 at once", "local_time": utc},
        {"buyer_id": 7, "rule": "bid_floor", "seen": 9.99, "threshold": 10.0, "local_time": utc},
    ]


def test_only_an_operator_that_asks_is_told_why(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, a_buyer(id=1, paused=True), a_buyer(id=2))
    stage.give_token("a publisher's token", "acme-media")
    assert reasons(publisher.ping(**CONTROLS)) == {1: "paused"}
    assert reasons(publisher.send("ping", query="explain=1", headers={"Authorization": f"Token {OPERATOR}"})) == {
        1: "paused"
    }
    for sent in ({"explain": "1"}, {"auth_token": OPERATOR}, {"explain": "1", "auth_token": "a publisher's token"}):
        assert "explain" not in publisher.ping(**sent).body


def test_why_nobody_bids_is_told_to_operators_and_publishers_see_no_more_than_before(
    stage: Stage, publisher: Publisher
) -> None:
    a_market(stage, a_buyer(paused=True))
    for verb in ("ping", "full"):
        assert reasons(publisher.send(verb, json_body={"caller_id": CALLER} | CONTROLS)) == {1: "paused"}
        assert publisher.send(verb, json_body={"caller_id": CALLER}).text == (
            '{"success":false,"status":"no_matching_buyer","errors":["There are no matching buyers."],"buyers":[]}'
        )


def test_a_full_says_why_beside_its_sale_and_does_not_keep_it_for_the_publisher(
    stage: Stage, publisher: Publisher
) -> None:
    a_market(stage, a_buyer(id=1, paused=True), a_buyer(id=2))
    told = publisher.full(caller_id=CALLER, **CONTROLS).body
    assert [reason["rule"] for reason in told.pop("explain")] == ["paused"]
    sale = stage.kept(told["try_all_buyers_ping_id"]).sale
    assert sale
    assert json.loads(sale.answer) == told


def test_a_buyer_that_closes_between_ping_and_post_is_unavailable(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, a_buyer(schedule=BY_DAY))
    stage.clock.now = START + 17 * 3600 - 1
    ping = publisher.ping().body["buyers"][0]["ping_id"]
    stage.clock.forward(1)
    assert sell(publisher, ping_id=ping).body["status"] == "buyer_unavailable"


def test_a_state_that_first_comes_with_the_post_meets_the_filter(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, a_buyer(filters=(filters.read("state != NY"),)))
    ping = publisher.ping(state="TX").body["buyers"][0]["ping_id"]
    assert sell(publisher, ping_id=ping, state="NY").body["status"] == "buyer_unavailable"


@pytest.mark.parametrize("verb", ["post", "full"])
def test_a_cap_sells_as_many_as_it_says_and_again_in_the_next_period(
    stage: Stage, publisher: Publisher, verb: str
) -> None:
    a_market(stage, a_buyer(caps=(Cap("sales", 2, "day"),), zone="America/New_York"))
    sold = [publisher.send(verb, json_body={"caller_id": caller}).body["success"] for caller in callers(4)]
    assert sold == [True, True, False, False]
    stage.clock.now = START + 5 * 3600 - 1  # midnight in New York
    assert publisher.ping().body["status"] == "no_matching_buyer"
    stage.clock.forward(1)
    assert publisher.send(verb, json_body={"caller_id": callers(9)[-1]}).body["success"]


def test_a_buyer_whose_cap_filled_since_the_ping_is_unavailable_and_try_all_goes_on(
    stage: Stage, publisher: Publisher
) -> None:
    a_market(stage, a_buyer(id=1, caps=(Cap("sales", 1, "total"),)), a_buyer(id=2, bid_cents=100))
    pings = [publisher.ping().body for _ in range(3)]
    assert sell(publisher, ping_id=pings[0]["buyers"][0]["ping_id"]).body["buyer_id"] == 1
    one, another = callers(2)
    assert sell(publisher, one, ping_id=pings[1]["buyers"][0]["ping_id"]).body["status"] == "buyer_unavailable"
    assert sell(publisher, another, ping_id=pings[2]["try_all_buyers_ping_id"]).body["buyer_id"] == 2


def test_revenue_is_counted_to_the_cent(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, a_buyer(bid_cents=1000, caps=(Cap("revenue", 2999, "month"),)))
    assert [sell(publisher, caller).body["success"] for caller in callers(4)] == [True, True, False, False]


def test_caps_of_an_endpoint_leave_the_others_alone(stage: Stage, publisher: Publisher) -> None:
    here = a_buyer(caps=(Cap("sales", 1, "day", "my_endpoint"), Cap("sales", 3, "day")))
    there = a_buyer(caps=(Cap("sales", 3, "day"),))
    a_market(stage, here)
    a_market(stage, there, vanity_uri="another", pool=a_pool(no=2))
    one, two, three, four, five = callers(5)
    assert sell(publisher, one).body["success"]
    assert not sell(publisher, two).body["success"]
    assert sell(publisher, three, "another").body["success"]
    assert sell(publisher, four, "another").body["success"]
    assert not sell(publisher, five, "another").body["success"]


def test_a_concurrent_place_comes_back_when_its_hold_is_over(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, a_buyer(caps=(Cap("concurrent", 1),)))
    one, two, three = callers(3)
    assert sell(publisher, one).body["success"]
    stage.clock.forward(299)
    assert not sell(publisher, two).body["success"]
    assert reasons(publisher.ping(**CONTROLS)) == {1: "concurrency"}
    stage.clock.forward(1)
    assert sell(publisher, three).body["success"]


def test_a_sale_that_got_no_number_gives_its_place_back(stage: Stage, publisher: Publisher) -> None:
    a_market(
        stage,
        a_buyer(caps=(Cap("sales", 2, "total"), Cap("concurrent", 2)), duplicate_seconds=DAY),
        pool=a_pool(1, hold_seconds=120, cooldown_seconds=0),
    )
    one, two = callers(2)
    assert sell(publisher, one).body["success"]
    for _ in range(3):
        assert sell(publisher, two).body["status"] == "no_number_available"
    stage.clock.forward(120)
    assert sell(publisher, two).body["success"]


@pytest.mark.parametrize("verb", ["post", "full"])
def test_a_retry_counts_once_and_is_no_duplicate(stage: Stage, publisher: Publisher, verb: str) -> None:
    buyer = a_buyer(caps=(Cap("sales", 1, "total"), Cap("concurrent", 1)), duplicate_seconds=DAY)
    a_market(stage, buyer, duplicate_seconds=DAY, suppression=("dnc",))
    first = publisher.send(verb, json_body={"caller_id": CALLER})
    assert first.body["success"]
    stage.clock.forward(3)
    suppress(stage, "dnc", CALLER)
    assert publisher.send(verb, json_body={"caller_id": CALLER}).text == first.text
    assert stage.world().counters.counts([(1, "")], stage.clock()) == {1: {"sales-total-0": 1, "concurrent": 1}}


def test_a_retry_by_ping_id_is_no_duplicate(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, a_buyer(caps=(Cap("sales", 1, "total"),)), duplicate_seconds=DAY)
    sent = {"ping_id": publisher.ping().body["try_all_buyers_ping_id"], "caller_id": CALLER}
    assert publisher.post(**sent).text == publisher.post(**sent).text
    assert publisher.post(**sent).body["success"]


def test_a_caller_is_sold_once_within_the_window_of_the_offer(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, duplicate_seconds=DAY)
    pinged_before = publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]
    assert sell(publisher).body["success"]
    for answer in (
        publisher.ping(caller_id=CALLER),
        publisher.full(caller_id=CALLER, zip="another lead"),
        sell(publisher, ping_id=pinged_before),
    ):
        assert (answer.code, answer.body["status"]) == (200, "duplicate_caller")
    assert publisher.ping(caller_id=OTHER_CALLER).body["success"]
    assert publisher.ping().body["success"]
    stage.clock.forward(DAY - 1)
    assert publisher.ping(caller_id=CALLER).body["status"] == "duplicate_caller"
    stage.clock.forward(1)
    assert publisher.ping(caller_id=CALLER).body["success"]


def test_another_offer_may_sell_the_same_caller(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, duplicate_seconds=DAY)
    a_market(stage, vanity_uri="another", offer="home-services", pool=a_pool(no=2), duplicate_seconds=DAY)
    assert sell(publisher).body["success"]
    assert sell(publisher, uri="another").body["success"]


def test_a_buyer_does_not_get_its_own_caller_again_and_others_do(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, a_buyer(id=1, duplicate_seconds=DAY), a_buyer(id=2, bid_cents=100))
    before = publisher.ping().body
    assert sell(publisher).body["buyer_id"] == 1
    assert reasons(publisher.ping(caller_id=CALLER, **CONTROLS)) == {1: "duplicate"}
    assert sell(publisher, ping_id=before["buyers"][0]["ping_id"]).body["status"] == "buyer_unavailable"
    assert sell(publisher, zip="30340").body["buyer_id"] == 2


def suppress(stage: Stage, name: str, *entries: str) -> None:
    """As `Callers.suppress` does for what is listed already; moto does not take its statement for what is new."""
    callers = Callers(Dynamo(stage.client, SETTINGS), KEYS)
    for entry in entries:
        callers._update({"B": callers._listed_key(entry)}, "ADD lists :name", name)


@pytest.mark.parametrize("entry", [CALLER, "+1614*", "+16145550*"])
def test_a_suppressed_caller_is_refused_on_every_way_in(stage: Stage, publisher: Publisher, entry: str) -> None:
    a_market(stage, suppression=("dnc",))
    suppress(stage, "dnc", entry)
    ping = publisher.ping().body["try_all_buyers_ping_id"]
    for answer in (
        publisher.ping(caller_id=CALLER),
        publisher.full(caller_id=CALLER),
        sell(publisher),
        sell(publisher, ping_id=ping),
    ):
        assert (answer.code, answer.body["status"]) == (200, "caller_number_suppressed")
    assert publisher.ping(caller_id="+12125550123").body["success"]


def test_a_buyers_own_list_is_its_own_reason(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, a_buyer(id=1, suppression=("customers",)), a_buyer(id=2))
    suppress(stage, "customers", CALLER)
    suppress(stage, "of-nobody", CALLER)
    [reason] = publisher.ping(caller_id=CALLER, **CONTROLS).body["explain"]
    assert (reason["rule"], reason["seen"], reason["threshold"]) == (
        "suppression",
        "customers",
        "on none of customers",
    )


@pytest.mark.parametrize("of", ["endpoint", "traffic_source", "source_address"])
def test_more_requests_a_minute_than_allowed_are_told_to_wait(stage: Stage, publisher: Publisher, of: Any) -> None:
    stage.clock.now = START + 20
    a_market(stage, limits=(Limit(of, pings=2, posts=1),))
    assert [publisher.ping(traffic_source_id="1023").code for _ in range(2)] == [200, 200]
    answer = publisher.ping(traffic_source_id="1023")
    assert (answer.code, answer.body["status"], answer.headers["Retry-After"]) == (429, "rate_limited", "40")
    assert answer.body["buyers"] == []
    assert publisher.full(traffic_source_id="1023", caller_id=CALLER).code == 429
    assert sell(publisher, traffic_source_id="1023").body["success"]
    assert sell(publisher, OTHER_CALLER, traffic_source_id="1023").code == 429
    stage.clock.forward(40)
    assert publisher.ping(traffic_source_id="1023").body["success"]


def test_a_post_that_was_one_too_many_can_be_sent_again(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, limits=(Limit("endpoint", posts=1),))
    pings = [publisher.ping().body["try_all_buyers_ping_id"] for _ in range(2)]
    first = sell(publisher, ping_id=pings[0])
    assert sell(publisher, OTHER_CALLER, ping_id=pings[1]).code == 429
    assert sell(publisher, ping_id=pings[0]).text == first.text
    stage.clock.forward(60)
    assert sell(publisher, OTHER_CALLER, ping_id=pings[1]).body["success"]


@pytest.mark.parametrize("verb", ["post", "full"])
def test_a_retry_that_is_one_too_many_gets_the_answer_of_its_sale(
    stage: Stage, publisher: Publisher, verb: str
) -> None:
    a_market(stage, limits=(Limit("endpoint", posts=1),))
    first = publisher.send(verb, json_body={"caller_id": CALLER})
    assert first.body["success"]
    assert publisher.send(verb, json_body={"caller_id": CALLER}).text == first.text
    assert publisher.send(verb, json_body={"caller_id": OTHER_CALLER}).code == 429


def test_each_traffic_source_has_its_own_limit(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, limits=(Limit("traffic_source", pings=1),))
    codes = [publisher.ping(traffic_source_id=source).code for source in ("1023", "1023", "IW7834")]
    assert codes == [200, 429, 200]


@pytest.mark.parametrize(
    ("margin", "payout"),
    [
        (Margin(), 25.01),
        (Margin(cents=500), 20.01),
        (Margin(basis_points=2000), 20.0),
        (Margin(cents=9900), 0),
        (Margin(cents=-100), 26.01),
    ],
)
def test_the_publisher_is_shown_its_payout_and_the_buyer_pays_its_bid(
    stage: Stage, publisher: Publisher, margin: Margin, payout: float
) -> None:
    columns = ("buyer_id", "bid", "bid_price", "offer_conversion_payout", "price", "payout", "ping_id")
    a_market(stage, a_buyer(bid_cents=2501), margin=margin, buyer_columns=columns, bid_floor_cents=2501)
    answer = publisher.full(caller_id=CALLER).body
    [shown] = answer["buyers"]
    assert shown == {"buyer_id": 1, "ping_id": shown["ping_id"]} | dict.fromkeys(columns[1:-1], payout)
    sale = stage.kept(answer["try_all_buyers_ping_id"]).sale
    assert sale
    assert (sale.cents, sale.payout_cents) == (2501, round(100 * payout))


def test_columns_show_windows_and_places(stage: Stage, publisher: Publisher) -> None:
    columns = ("id", "offer_conversion_duplicate_timeframe", "concurrency_cap_limit", "concurrency_cap_available")
    busy = a_buyer(id=1, caps=(Cap("concurrent", 5),), duplicate_seconds=2 * DAY)
    a_market(stage, busy, a_buyer(id=2, bid_cents=1), buyer_columns=columns, duplicate_seconds=DAY)
    sell(publisher, OTHER_CALLER)
    stage.clock.forward(5)
    shown = [list(row.values())[:-1] for row in publisher.ping().body["buyers"]]  # the last is the ping_id
    assert shown == [[1, 2 * DAY, 5, 4], [2, DAY, None, None]]


def test_what_nobody_uses_costs_nothing_and_the_rest_one_round(stage: Stage, publisher: Publisher) -> None:
    def calls(uri: str) -> int:
        counted = Counting(stage.client, SETTINGS)
        world = stage.world_over(counted)
        world.endpoint(uri)
        before = counted.calls
        assert publisher.send("ping", uri, world=world, json_body={"caller_id": CALLER}).body["success"]
        return counted.calls - before

    stage.publish(an_endpoint())
    a_market(
        stage,
        a_buyer(caps=(Cap("sales", 5, "day"),), duplicate_seconds=DAY, suppression=("dnc",)),
        vanity_uri="ruled",
        limits=(Limit("endpoint", pings=100),),
    )
    for uri in ("my_endpoint", "ruled"):
        publisher.ping(uri)
    assert calls("my_endpoint") == 1
    stage.clock.forward(3)
    assert calls("ruled") == 4  # the caller, the counts and the limit at once; then the ping


class Meeting(Counting):
    """Reads of many counts that each wait for the others."""

    met = Barrier(3)

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        if SETTINGS.leases_table in request.get("RequestItems", {}):
            self.met.wait(60)
        return super().send(method, sendings, *args, **request)


def test_the_counts_of_many_buyers_are_read_at_once(stage: Stage, publisher: Publisher) -> None:
    a_market(stage, *(a_buyer(id=n, caps=(Cap("sales", n % 2, "day"),)) for n in range(1, 2 * BATCH + 2)))
    with ThreadPoolExecutor(4) as stage.io_pool:
        world = stage.world_over(Meeting(stage.client, SETTINGS))
        answer = publisher.send("ping", world=world, json_body={"caller_id": CALLER})
    assert {buyer["id"] for buyer in answer.body["buyers"]} == {*range(1, 2 * BATCH + 2, 2)}


def test_of_many_sales_within_a_window_each_is_looked_at_once(stage: Stage, publisher: Publisher) -> None:
    buyers = [a_buyer(id=n, bid_cents=1000 - n, duplicate_seconds=DAY) for n in range(1, 4)]
    a_market(stage, *buyers, vanity_uri="by_buyer")
    assert [sell(publisher, uri="by_buyer", zip=f"3034{n}").body["buyer_id"] for n in range(3)] == [1, 2, 3]
    counted = Counting(stage.client, SETTINGS)
    answer = publisher.send("ping", "by_buyer", world=stage.world_over(counted), json_body={"caller_id": CALLER})
    assert answer.body["status"] == "no_matching_buyer"
    assert counted.calls == 1 + 3 + 1


def test_a_stored_decision_can_be_made_again(stage: Stage, publisher: Publisher) -> None:
    buyers = [a_buyer(id=n, caps=(Cap("sales", n, "day"),), tier=1, weight=n) for n in range(1, 6)]
    endpoint = an_endpoint(buyers=tuple(buyers), rank_by="tier", pool=a_pool(50))
    stage.publish(endpoint)
    for caller in callers(8):
        sell(publisher, caller)
        stage.clock.forward(3)
        kept = stage.kept(publisher.ping(state="TX").body["try_all_buyers_ping_id"]).ping
        assert kept
        passing = matching.passing(endpoint, kept.lead, kept.created_at)
        again = matching.bids(endpoint, passing, kept.lead, kept.created_at, kept.facts, kept.seed)
        assert again == kept.bids
        assert {bid.buyer_id for bid in again}.isdisjoint(
            failed.buyer_id for failed in matching.failures(endpoint, kept.lead, kept.created_at, kept.facts)
        )


def test_no_value_of_the_lead_and_no_address_reaches_the_log_or_the_callers_table(
    stage: Stage, publisher: Publisher, log: Any
) -> None:
    a_market(stage, a_buyer(duplicate_seconds=DAY), limits=(Limit("source_address", pings=9),), duplicate_seconds=DAY)
    sell(publisher, state="TX")
    publisher.ping(caller_id=CALLER, **CONTROLS)
    kept = repr(stage.client.scan(TableName=SETTINGS.callers_table)["Items"])
    for text in ("6145550123", "192.0.2.1", OPERATOR):
        assert text not in log.getvalue()
        assert text not in kept
