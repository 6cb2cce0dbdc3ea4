"""What a call is worth as a function of how it was settled and of what was said of it afterwards."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.calls import Attempt, Candidate, Ended, Facts, Settled
from shared.domain.updates import Update, Worth, changes_of, expected_worth, fields_of, worth_of
from shared.store.packing import pack, unpack
from tests.build import CALLER, START
from tests.unit.test_calls import a_call

CALL = a_call(Candidate(1, 2500, 2000, "+18005550181"))
TALKED = Facts(attempts={1: Attempt(1, START)}, ended={1: Ended("completed", START + 100, seconds=90, bridged=True)})
NOTHING, OWED = Worth(), Worth(converted=True, earned=True, revenue_cents=2500, payout_cents=2000)


def settled(worth: Worth = NOTHING) -> Facts:
    return replace(
        TALKED,
        settled=Settled(
            at=START + 101,
            outcome="finished",
            buyer_id=1,
            converted=worth.converted,
            revenue_cents=worth.revenue_cents,
            payout_cents=worth.payout_cents,
            seconds=90,
        ),
    )


def said(**what: Any) -> Update:
    return Update(**{"id": b"12345678", "at": START + 200, "by": "olga", "follows": True, **what})


@pytest.mark.parametrize(
    ("was", "updates", "now"),
    [
        (NOTHING, [said(buyer_converted=True)], OWED),
        (NOTHING, [said(buyer_converted=True, follows=False)], Worth(converted=True, revenue_cents=2500)),
        (NOTHING, [said(offer_converted=True)], Worth(earned=True, payout_cents=2000)),
        (OWED, [said(buyer_converted=True)], OWED),
        (OWED, [said(buyer_converted=False)], NOTHING),
        (OWED, [said(buyer_converted=False, offer_converted=True)], Worth(earned=True, payout_cents=2000)),
        (OWED, [said(buyer_converted=False), said(buyer_converted=True)], OWED),
        (OWED, [said(revenue_cents=4000)], replace(OWED, revenue_cents=4000)),
        (OWED, [said(revenue_cents=0)], replace(OWED, revenue_cents=0)),
        (NOTHING, [said(revenue_cents=4000)], replace(OWED, revenue_cents=4000)),
        (NOTHING, [said(revenue_cents=0)], NOTHING),
        (NOTHING, [said(buyer_converted=True, revenue_cents=4000)], replace(OWED, revenue_cents=4000)),
        (OWED, [said(add_revenue_cents=500), said(add_revenue_cents=-200)], replace(OWED, revenue_cents=2800)),
        (NOTHING, [said(add_revenue_cents=500)], replace(OWED, revenue_cents=500)),
        (OWED, [said(payout_cents=100, add_payout_cents=5)], replace(OWED, payout_cents=105)),
        (OWED, [said(revenue_cents=4000), said(buyer_converted=True)], replace(OWED, revenue_cents=4000)),
        (OWED, [said(fields={"policy": "7"})], OWED),
    ],
)
def test_what_a_call_is_worth_follows_from_what_was_said(was: Worth, updates: list[Update], now: Worth) -> None:
    assert worth_of(CALL, settled(was), updates) == now


@pytest.mark.parametrize(
    ("what", "revenue", "payout"),
    [
        ({"revenue_cents": 4000}, 1500, 0),
        ({"revenue_cents": 1000}, -1500, 0),
        ({"payout_cents": 2300}, 0, 300),
        ({"buyer_converted": False}, 0, 0),
        ({"buyer_converted": True, "offer_converted": True}, 0, 0),
    ],
)
def test_a_call_whose_sale_is_paid_is_worth_what_is_said_beyond_that(what: Any, revenue: int, payout: int) -> None:
    found = worth_of(CALL, settled(Worth(converted=True)), [said(**what, sale_owes=True, sale_earns=True)])
    assert (found.revenue_cents, found.payout_cents) == (revenue, payout)


def test_an_update_before_the_call_is_settled_waits_for_that() -> None:
    updates = [said(revenue_cents=4000)]
    assert worth_of(CALL, TALKED, updates) == NOTHING
    assert [change.was for change in changes_of(CALL, TALKED, updates)] == [NOTHING]
    assert expected_worth(CALL, TALKED, updates) == worth_of(CALL, settled(), updates)


def test_a_call_that_nobody_took_is_worth_nothing_by_a_bid() -> None:
    nobody = Facts(settled=Settled(at=START, outcome="no-buyer"))
    assert worth_of(CALL, nobody, [said(buyer_converted=True)]).revenue_cents == 0


AMOUNTS = st.none() | st.integers(0, 10_000)
SAID = st.builds(
    said,
    buyer_converted=st.none() | st.booleans(),
    offer_converted=st.none() | st.booleans(),
    revenue_cents=AMOUNTS,
    payout_cents=AMOUNTS,
    add_revenue_cents=st.integers(-500, 500),
    add_payout_cents=st.integers(-500, 500),
    follows=st.booleans(),
)


@given(was=st.sampled_from([NOTHING, OWED]), updates=st.lists(SAID, max_size=8))
def test_the_sum_of_all_changes_is_what_the_call_is_worth(was: Worth, updates: list[Update]) -> None:
    facts = settled(was)
    changes = [*changes_of(CALL, facts, updates)]
    now = worth_of(CALL, facts, updates)
    assert was.revenue_cents + sum(each.now.revenue_cents - each.was.revenue_cents for each in changes) == (
        now.revenue_cents
    )
    assert was.payout_cents + sum(each.now.payout_cents - each.was.payout_cents for each in changes) == now.payout_cents
    assert was.converted + sum(each.now.converted - each.was.converted for each in changes) == now.converted


@given(updates=st.lists(SAID, max_size=4))
def test_updates_are_read_as_they_were_written(updates: list[Update]) -> None:
    assert unpack(pack(updates), list[Update]) == updates


def test_of_each_field_the_last_value_counts() -> None:
    assert fields_of([said(fields={"a": "1", "b": "2"}), said(fields={"a": "3"})]) == {"a": "3", "b": "2"}


def test_what_was_said_shows_in_no_log() -> None:
    assert "secret" not in repr(said(fields={"name": "secret"}))
    assert CALLER not in repr(said(fields={"caller": CALLER}))
