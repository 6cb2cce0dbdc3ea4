"""Who bids on a lead, and to whom a POST may sell."""

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain import filters, matching, schedule
from shared.domain.caps import Cap
from shared.domain.live_bids import Exchange, LiveBuyer, No, Yes
from shared.domain.matching import Rule
from shared.domain.models import TRY_ALL, Bid, Buyer, Endpoint, Facts, Lead
from tests.build import START, a_buyer, an_endpoint

SEED = b"12345678"
NOTHING_KNOWN = Facts()
FOR_EVER, AT_ONCE = Cap("sales", 5, "total"), Cap("concurrent", 1)
DAY = 24 * 3600


def bids(endpoint: Endpoint, lead: Lead | None = None, facts: Facts = NOTHING_KNOWN) -> list[tuple[int, int]]:
    lead = lead or Lead()
    passing = matching.passing(endpoint, lead, START)
    return [(bid.buyer_id, bid.cents) for bid in matching.bids(endpoint, passing, lead, START, facts, SEED)]


def candidates(
    endpoint: Endpoint, pinged: Iterable[tuple[int, int]], choice: int = TRY_ALL, facts: Facts = NOTHING_KNOWN
) -> list[tuple[int, int]]:
    offered = [Bid(buyer_id, cents, cents) for buyer_id, cents in pinged]
    found = matching.candidates(endpoint, offered, choice, Lead(), START, facts)
    return [(buyer.id, bid.cents) for buyer, bid in found]


def test_a_paused_buyer_does_not_bid() -> None:
    assert bids(an_endpoint(buyers=(a_buyer(id=1, paused=True), a_buyer(id=2)))) == [(2, 2500)]


@pytest.mark.parametrize(("bid_cents", "found"), [(999, []), (1000, [(1, 1000)]), (1001, [(1, 1001)])])
def test_a_bid_below_the_floor_of_the_endpoint_is_none(bid_cents: int, found: list[tuple[int, int]]) -> None:
    assert bids(an_endpoint(buyers=(a_buyer(bid_cents=bid_cents),), bid_floor_cents=1000)) == found


NEVER = schedule.Schedule(schedule.read_week({}))
EVERYTHING_WRONG: dict[Rule, dict[str, Any]] = {
    Rule.PAUSED: {"paused": True},
    Rule.SCHEDULE: {"schedule": NEVER},
    Rule.TRAFFIC_SOURCE: {"traffic_sources": ("1023",)},
    Rule.FILTER: {"filters": (filters.read("state == TX"),)},
    Rule.SUPPRESSION: {"suppression": ("dnc", "customers")},
    Rule.DUPLICATE: {"duplicate_seconds": DAY},
    Rule.CAP: {"caps": (Cap("sales", 5, "total"), Cap("concurrent", 1))},
    Rule.CONCURRENCY: {"caps": (Cap("sales", 6, "total"), Cap("concurrent", 1))},
    Rule.NO_BID: {"live": LiveBuyer(ping=Exchange(url="https://buyer.example/ping"))},
    Rule.BID_FLOOR: {"bid_cents": 1},
}
FACTS = Facts(counted={1: {FOR_EVER.code: 5, AT_ONCE.code: 1}}, listed=("dnc",), sold={"buyer#1": START - DAY + 1})


@pytest.mark.parametrize("rule", Rule)
def test_the_first_rule_that_fails_is_the_reason(rule: Rule) -> None:
    wrong = [EVERYTHING_WRONG[other] for other in list(Rule)[list(Rule).index(rule) :]]
    overrides = {key: value for later in reversed(wrong) for key, value in later.items()}
    endpoint = an_endpoint(buyers=(a_buyer(**overrides),), bid_floor_cents=1000)
    assert bids(endpoint, Lead(state="OH"), FACTS) == []
    [failure] = matching.failures(endpoint, Lead(state="OH"), START, FACTS)
    assert failure.rule == rule


LIVE = a_buyer(id=1, bid_cents=0, live=EVERYTHING_WRONG[Rule.NO_BID]["live"])


def test_a_live_buyer_bids_what_it_said() -> None:
    endpoint = an_endpoint(buyers=(LIVE, a_buyer(id=2, bid_cents=3000)), bid_floor_cents=1000)
    assert bids(endpoint, facts=Facts(said={1: Yes(cents=4000)})) == [(1, 4000), (2, 3000)]
    assert bids(endpoint, facts=Facts(said={1: Yes(cents=999)})) == [(2, 3000)]
    assert bids(endpoint, facts=Facts(said={1: No("full")})) == [(2, 3000)]
    assert bids(endpoint) == [(2, 3000)]


@pytest.mark.parametrize(
    ("said", "rule", "seen", "threshold"),
    [
        ({}, Rule.NO_BID, "not asked", "a bid"),
        ({1: No("HTTP 422", words="full for today")}, Rule.NO_BID, "full for today", "a bid"),
        ({1: Yes(cents=4000, expires_at=START)}, Rule.NO_BID, "bid until 2100-01-01T00:00:00Z", "a bid that stands"),
        ({1: Yes(cents=999)}, Rule.BID_FLOOR, 9.99, 10.0),
    ],
)
def test_a_live_buyer_that_does_not_bid_has_a_reason(said: Any, rule: Rule, seen: object, threshold: object) -> None:
    endpoint = an_endpoint(buyers=(LIVE,), bid_floor_cents=1000)
    [failure] = matching.failures(endpoint, Lead(), START, Facts(said=said))
    assert (failure.rule, failure.seen, failure.threshold) == (rule, seen, threshold)


def test_only_live_buyers_that_pass_whatever_they_bid_are_asked() -> None:
    full = (Cap("sales", 5, "total"),)
    buyers = (LIVE, a_buyer(id=2), replace(LIVE, id=3, caps=full), replace(LIVE, id=4, suppression=("dnc",)))
    facts = Facts(counted={3: {FOR_EVER.code: 5}}, listed=("dnc",))
    endpoint = an_endpoint(buyers=buyers, bid_floor_cents=1000)
    assert [buyer.id for buyer in matching.to_ask(endpoint, buyers, Lead(), START, facts)] == [1]


def test_a_live_bid_above_what_revenue_has_room_for_is_none() -> None:
    endpoint = an_endpoint(buyers=(replace(LIVE, caps=(Cap("revenue", 5000, "total"),)),))
    for cents, found in ((1000, [(1, 1000)]), (1001, [])):
        counted = {1: {Cap("revenue", 0, "total").code: 4000}}
        assert bids(endpoint, facts=Facts(counted=counted, said={1: Yes(cents=cents)})) == found


def test_a_post_is_sold_only_under_live_bids_that_stand() -> None:
    endpoint = an_endpoint(buyers=(LIVE, a_buyer(id=2)))
    pinged = [(1, 4000), (2, 2500)]
    for end, found in ((0, pinged), (START + 1, pinged), (START, [(2, 2500)])):
        assert candidates(endpoint, pinged, facts=Facts(said={1: Yes(cents=4000, expires_at=end)})) == found


def test_a_buyer_that_passes_every_rule_bids() -> None:
    buyer = a_buyer(
        schedule=schedule.Schedule(schedule.read_week({"fri": ["00:00-00:01"]})),
        traffic_sources=("1023",),
        filters=(filters.read("state == TX"), filters.read("zip exists")),
        suppression=("customers",),
        duplicate_seconds=DAY - 1,
        caps=(Cap("sales", 6, "total"), Cap("revenue", 2500, "day"), Cap("concurrent", 2)),
    )
    endpoint = an_endpoint(buyers=(buyer,), bid_floor_cents=2500)
    lead = Lead(state="tx", zip="30340", traffic_source_id="1023")
    assert bids(endpoint, lead, FACTS) == [(1, 2500)]
    assert matching.failures(endpoint, lead, START, FACTS) == []


def test_a_post_is_sold_at_the_price_and_in_the_order_of_its_ping() -> None:
    endpoint = an_endpoint(buyers=(a_buyer(id=1, bid_cents=1), a_buyer(id=2, bid_cents=9900)))
    assert candidates(endpoint, [(1, 2500), (2, 2000)]) == [(1, 2500), (2, 2000)]


def test_a_chosen_buyer_is_the_only_candidate() -> None:
    assert candidates(an_endpoint(), [(1, 2500), (2, 2000)], 2) == [(2, 2000)]


def test_a_buyer_that_was_paused_or_removed_since_the_ping_is_no_candidate() -> None:
    endpoint = an_endpoint(buyers=(a_buyer(id=1, paused=True), a_buyer(id=3)))
    pinged = [(1, 2500), (2, 2000), (3, 1000)]
    assert candidates(endpoint, pinged) == [(3, 1000)]
    assert candidates(endpoint, pinged, 1) == candidates(endpoint, pinged, 2) == []


def test_what_a_ping_knew_of_counts_does_not_stop_a_post() -> None:
    buyer: Buyer = a_buyer(caps=(Cap("sales", 5, "total"),))
    assert candidates(an_endpoint(buyers=(buyer,)), [(1, 2500)], facts=FACTS) == [(1, 2500)]
    assert candidates(an_endpoint(buyers=(a_buyer(suppression=("dnc",)),)), [(1, 2500)], facts=FACTS) == []


def test_a_buyer_knows_every_rule_that_it_can_fail() -> None:
    everything = a_buyer(
        paused=True,
        schedule=schedule.Schedule(((),) * 7),
        traffic_sources=("1023",),
        filters=(filters.read("state == TX"),),
        suppression=("dnc",),
        duplicate_seconds=60,
        caps=(Cap("sales", 1, "total"), Cap("concurrent", 1)),
        live=LiveBuyer(ping=Exchange(url="https://buyer.example/ping")),
    )
    assert everything.rules == {*Rule} - {Rule.BID_FLOOR}
    assert a_buyer().rules == set()
