"""Who goes first: by bid, or by tier and weight; and one seed, one order."""

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.models import Bid, Buyer
from shared.domain.ranking import rank
from tests.build import a_buyer

DRAWS = 20_000


def seeds() -> list[bytes]:
    return [n.to_bytes(8, "big") for n in range(DRAWS)]


def order(buyers: list[Buyer], rank_by: str, seed: bytes = b"seed") -> tuple[int, ...]:
    """The buyers' ids, best first."""
    return tuple(
        bid.buyer_id
        for bid in rank([(buyer, Bid(buyer.id, buyer.bid_cents, buyer.bid_cents)) for buyer in buyers], rank_by, seed)
    )


@st.composite
def offers(draw: st.DrawFn) -> list[Buyer]:
    cents, weights, tiers = st.integers(0, 5), st.integers(1, 1000), st.integers(1, 3)
    ids = draw(st.lists(st.integers(1, 2**63), unique=True, max_size=8))
    return [a_buyer(id=n, bid_cents=draw(cents), weight=draw(weights), tier=draw(tiers)) for n in ids]


def test_the_highest_bid_goes_first() -> None:
    buyers = [a_buyer(id=1, bid_cents=2000), a_buyer(id=2, bid_cents=2500), a_buyer(id=3, bid_cents=1999)]
    assert order(buyers, "bid") == (2, 1, 3)


def test_a_better_tier_goes_before_a_higher_bid() -> None:
    buyers = [a_buyer(id=1, tier=2, bid_cents=9900), a_buyer(id=2, tier=1), a_buyer(id=3, tier=10)]
    assert order(buyers, "tier") == (2, 1, 3)


@given(offers(), st.binary(min_size=1, max_size=8))
def test_bids_are_always_in_falling_order_and_all_there(buyers: list[Buyer], seed: bytes) -> None:
    cents = {buyer.id: buyer.bid_cents for buyer in buyers}
    ranked = order(buyers, "bid", seed)
    assert sorted(ranked) == sorted(cents)
    assert [cents[n] for n in ranked] == sorted(cents.values(), reverse=True)


@given(offers(), st.binary(min_size=1, max_size=8))
def test_tiers_are_always_in_rising_order_and_all_there(buyers: list[Buyer], seed: bytes) -> None:
    tiers = {buyer.id: buyer.tier for buyer in buyers}
    ranked = order(buyers, "tier", seed)
    assert sorted(ranked) == sorted(tiers)
    assert [tiers[n] for n in ranked] == sorted(tiers.values())


@given(offers(), st.sampled_from(["bid", "tier"]), st.binary(min_size=1, max_size=8), st.randoms())
def test_one_seed_always_gives_one_order(buyers: list[Buyer], rank_by: str, seed: bytes, random: "object") -> None:
    shuffled = list(buyers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert order(buyers, rank_by, seed) == order(shuffled, rank_by, seed)


@pytest.mark.parametrize("weights", [(100, 100), (90, 10), (1, 2, 3), (1, 1000)])
def test_the_share_of_first_places_is_the_share_of_the_weight(weights: tuple[int, ...]) -> None:
    buyers = [a_buyer(id=n, weight=weight) for n, weight in enumerate(weights, 1)]
    firsts = Counter(order(buyers, "tier", seed)[0] for seed in seeds())
    for buyer in buyers:
        share = buyer.weight / sum(weights)
        four_sigma = 4 * (DRAWS * share * (1 - share)) ** 0.5
        assert firsts[buyer.id] == pytest.approx(DRAWS * share, abs=four_sigma)


def test_the_draw_goes_on_without_whoever_was_drawn() -> None:
    weights = {1: 60, 2: 30, 3: 10}
    seen = Counter(
        order([a_buyer(id=n, weight=weight) for n, weight in weights.items()], "tier", seed) for seed in seeds()
    )
    for first, second, third in permutations(weights):
        rest = weights[second] + weights[third]
        share = weights[first] / 100 * weights[second] / rest
        four_sigma = 4 * (DRAWS * share * (1 - share)) ** 0.5
        assert seen[first, second, third] == pytest.approx(DRAWS * share, abs=four_sigma)


def test_equal_bids_are_drawn_by_weight() -> None:
    buyers = [a_buyer(id=1, weight=300), a_buyer(id=2, weight=100)]
    firsts = Counter(order(buyers, "bid", seed)[0] for seed in seeds())
    assert firsts[1] == pytest.approx(DRAWS * 0.75, abs=4 * (DRAWS * 0.75 * 0.25) ** 0.5)


def test_weight_plays_no_part_between_tiers() -> None:
    buyers = [a_buyer(id=1, tier=1, weight=1), a_buyer(id=2, tier=2, weight=1000)]
    assert {order(buyers, "tier", seed) for seed in seeds()[:1000]} == {(1, 2)}
