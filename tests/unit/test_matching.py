"""Who bids on a lead, and to whom a POST may sell."""

import pytest

from shared.domain import matching
from shared.domain.matching import Rule
from shared.domain.models import TRY_ALL, Bid
from tests.build import a_buyer, an_endpoint

SEED = b"12345678"


def test_a_paused_buyer_does_not_bid() -> None:
    endpoint = an_endpoint(buyers=(a_buyer(id=1, paused=True), a_buyer(id=2)))
    assert matching.bids(endpoint, SEED) == (Bid(2, 2500),)


@pytest.mark.parametrize(("bid_cents", "bids"), [(999, ()), (1000, (Bid(1, 1000),)), (1001, (Bid(1, 1001),))])
def test_a_bid_below_the_floor_of_the_endpoint_is_none(bid_cents: int, bids: tuple[Bid, ...]) -> None:
    endpoint = an_endpoint(buyers=(a_buyer(bid_cents=bid_cents),), bid_floor_cents=1000)
    assert matching.bids(endpoint, SEED) == bids


def test_the_first_rule_that_fails_is_the_reason() -> None:
    endpoint = an_endpoint(bid_floor_cents=1000)
    assert matching.failed_rule(a_buyer(paused=True), Bid(1, 1), endpoint) is Rule.PAUSED
    assert matching.failed_rule(a_buyer(), Bid(1, 1), endpoint) is Rule.BID_FLOOR
    assert matching.failed_rule(a_buyer(), Bid(1, 1000), endpoint) is None


def test_a_post_is_sold_at_the_price_and_in_the_order_of_its_ping() -> None:
    endpoint = an_endpoint(buyers=(a_buyer(id=1, bid_cents=1), a_buyer(id=2, bid_cents=9900)))
    pinged = (Bid(1, 2500), Bid(2, 2000))
    sold = [(buyer.id, bid.cents) for buyer, bid in matching.candidates(endpoint, pinged, TRY_ALL)]
    assert sold == [(1, 2500), (2, 2000)]


def test_a_chosen_buyer_is_the_only_candidate() -> None:
    pinged = (Bid(1, 2500), Bid(2, 2000))
    assert [buyer.id for buyer, _ in matching.candidates(an_endpoint(), pinged, 2)] == [2]


def test_a_buyer_that_was_paused_or_removed_since_the_ping_is_no_candidate() -> None:
    endpoint = an_endpoint(buyers=(a_buyer(id=1, paused=True), a_buyer(id=3)))
    pinged = (Bid(1, 2500), Bid(2, 2000), Bid(3, 1000))
    assert [buyer.id for buyer, _ in matching.candidates(endpoint, pinged, TRY_ALL)] == [3]
    assert matching.candidates(endpoint, pinged, 1) == matching.candidates(endpoint, pinged, 2) == []
