"""Entries of reservations: what they count, in few bytes, and what a give takes back."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import caps
from shared.domain.caps import Cap
from shared.domain.reservations import (
    BITS,
    ENTRY_BYTES,
    KINDS,
    NOTHING,
    PERIODS,
    PLACE_BIT,
    CameTrue,
    entry_of,
    given_back,
    is_of,
    key,
    pack,
    read_key,
    unpack,
)
from shared.domain.schedule import local_time
from tests.build import START

ZONES = ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"]
DAY = 24 * 3600


def a_cap(kind: Any, limit: int = 10, period: Any = "", endpoint: str = "") -> Cap:
    return Cap(kind, limit, period, endpoint)


ALL = [*(a_cap(kind, period=period) for kind, period in BITS), a_cap("concurrent")]


@given(
    zone=st.sampled_from(ZONES),
    second=st.integers(1_000_000_000, START + 400 * DAY),
    some=st.sets(st.sampled_from(ALL)),
    cents=st.integers(0, 10**11),
    endpoint=st.sampled_from(["", "here"]),
)
def test_an_entry_names_the_keys_that_its_caps_have(
    zone: str, second: int, some: set[Cap], cents: int, endpoint: str
) -> None:
    local = local_time(zone, second)
    wanted = [Cap(cap.kind, cap.limit, cap.period, endpoint) for cap in some]
    packed = pack(entry_of(wanted, local, cents))
    assert len(packed) == ENTRY_BYTES
    entry = unpack(packed)
    assert entry.second == second
    assert bool(entry.bits & PLACE_BIT) == any(not cap.period for cap in wanted)
    assert entry.amounts(endpoint) == {caps.key(cap, local): cap.amount(cents) for cap in wanted if cap.period}


@pytest.mark.parametrize(
    ("came_true", "kept"),
    [
        (NOTHING, set()),
        (CameTrue(recorded=True), {"sales"}),
        (CameTrue(recorded=True, earned=True), {"sales", "revenue"}),
        (CameTrue(dialed=True), {"attempts"}),
        (CameTrue(recorded=True, dialed=True, connected=True), {"sales", "attempts", "connected"}),
        (CameTrue(recorded=True, dialed=True, connected=True, converted=True), set(KINDS)),
    ],
)
def test_a_give_takes_back_what_did_not_come_true(came_true: CameTrue, kept: set[str]) -> None:
    local = local_time("America/New_York", START)
    back = given_back(entry_of(ALL, local, 450), came_true, local)
    expected = {caps.key(a_cap(kind, period=period), local) for kind, period in BITS if kind not in kept}
    assert back.keys() == expected
    assert all(amount == (450 if name.startswith("revenue") else 1) for name, amount in back.items())


def test_a_give_leaves_the_periods_that_are_over_on_the_buyers_clock() -> None:
    zone = ZoneInfo("America/New_York")
    sold = datetime(2100, 3, 31, 23, 30, tzinfo=zone)
    entry = entry_of(ALL, sold, 0)
    periods = {
        datetime(2100, 3, 31, 23, 59, tzinfo=zone): {"hour", "day", "month", "total"},
        datetime(2100, 4, 1, 0, 30, tzinfo=zone): {"hour", "day", "month", "total"},  # they are removed one later
        datetime(2100, 4, 1, 1, 0, tzinfo=zone): {"day", "month", "total"},
        datetime(2100, 4, 2, 0, 0, tzinfo=zone): {"month", "total"},
        datetime(2100, 5, 1, 0, 0, tzinfo=zone): {"total"},
    }
    for now, open_periods in periods.items():
        assert {name.split("-")[1] for name in given_back(entry, NOTHING, now)} == open_periods


def test_revenue_of_nothing_is_not_subtracted() -> None:
    local = local_time("UTC", START)
    assert given_back(entry_of([a_cap("revenue", period="day")], local, 0), NOTHING, local) == {}


def test_a_change_of_zone_or_caps_changes_nothing_that_was_counted() -> None:
    here, there = local_time("America/New_York", START), local_time("Asia/Tokyo", START)
    entry = unpack(pack(entry_of([a_cap("converted", period="day")], here, 0)))
    assert given_back(entry, NOTHING, there) == {caps.key(a_cap("converted", period="day"), here): 1}


def test_an_entry_of_another_length_and_an_amount_that_does_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="has 21 bytes, not 3"):
        unpack(b"abc")
    with pytest.raises(OverflowError):
        pack(entry_of(ALL, local_time("UTC", START), 1 << 40))


def test_keys_name_the_ping_or_call_and_its_attempt() -> None:
    some_id = bytes(range(12))
    assert key(some_id, bytes(8)) == "AAECAwQFBgcICQoL.AAAAAAAAAAA"
    assert key(some_id, 2) == "AAECAwQFBgcICQoL.2"
    assert read_key(key(some_id, bytes(8))) == (some_id, bytes(8))
    assert read_key(key(some_id, 9)) == (some_id, 9)
    assert is_of(some_id, key(some_id, 2))
    assert not is_of(bytes(12), key(some_id, 2))


def test_stored_bits_never_change() -> None:
    assert list(BITS)[:5] == [*(("sales", period) for period in PERIODS), ("attempts", "hour")]
    assert len(BITS) == 20
