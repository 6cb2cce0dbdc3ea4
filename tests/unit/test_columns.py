"""Bids and counts in columns: what is packed comes back, and a PING to many capped buyers is a small write."""

import random

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.caps import Cap
from shared.domain.models import Bid, Facts, Lead, Ping
from shared.store import columns
from shared.store.packing import MANY, pack, unpack
from tests.build import START

NUMBERS = st.integers(0, 2**40)
IDS = st.integers(1, 2**31 - 1)
BUYERS = 1000
UNITS = 8
THE_REST = 400
"""Bytes of what is stored with the packed ping."""


@given(
    st.lists(st.builds(Bid, IDS, NUMBERS, NUMBERS), unique_by=lambda bid: bid.buyer_id),
    st.dictionaries(IDS, st.dictionaries(st.integers(0, 30), st.integers(1, 2**40), min_size=1)),
)
def test_what_is_packed_comes_back(bids: list[Bid], counted: dict[int, dict[int, int]]) -> None:
    assert columns.unpack(columns.pack(bids, counted)) == (tuple(bids), counted)


def a_ping(buyers: int, first_id: int = 1) -> Ping:
    draw, hour, day = random.Random(1), Cap("sales", 500, "hour").code, Cap("sales", 5000, "day").code
    ids = range(first_id, first_id + buyers)
    prices = sorted((draw.randrange(100, 6000) for _ in ids), reverse=True)
    order = draw.sample(ids, buyers)
    return Ping(
        id=bytes(12),
        endpoint="my_endpoint",
        version=1,
        lead=Lead({f"field_{n}": "x" * 30 for n in range(10)}),
        bids=tuple(Bid(buyer, cents, cents * 4 // 5) for buyer, cents in zip(order, prices, strict=True)),
        seed=bytes(8),
        created_at=START,
        expires_at=START + 120,
        lead_until=START + 999,
        facts=Facts({buyer: {hour: draw.randrange(1, 500), day: draw.randrange(1, 5000)} for buyer in ids}),
    )


def test_a_ping_with_a_thousand_capped_buyers_is_at_most_eight_write_units() -> None:
    for first_id in (1, 70_001):
        ping = a_ping(BUYERS, first_id)
        packed = pack(ping)
        assert len(packed) <= UNITS * 1024 - THE_REST
        assert unpack(packed, Ping) == ping


def test_a_ping_is_the_same_whatever_its_number_of_buyers() -> None:
    for buyers in (0, 1, MANY // 2 - 1, MANY // 2, MANY):
        ping = a_ping(buyers)
        found = unpack(pack(ping), Ping)
        assert found == ping
        assert type(found) is Ping
