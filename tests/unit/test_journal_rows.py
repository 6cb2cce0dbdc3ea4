"""The rows of the journal: what is read of an event of the stream, and that nothing an item holds breaks it."""

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain import sandbox_endpoint
from shared.domain.live_bids import No, Yes
from shared.domain.matching import Rule
from shared.domain.models import Bid, Endpoint, Facts, Field, Lead, Ping, Sale
from shared.journal.events import LETTERS, Event, Unreadable, derive_rows, is_of_interest, read_event
from shared.journal.rows import Asked, Row, decode, encode
from shared.store.packing import pack
from shared.store.pings import Asked as AskedAt
from tests.build import CALLER, CONTACT_FIELDS, START, a_buyer, an_endpoint
from tests.golden_values import PING, SALE

ENDPOINT = an_endpoint(
    version=12,
    fields=(*CONTACT_FIELDS, Field(name="home", type="us_state")),
    buyers=(
        a_buyer(),
        a_buyer(id=2, bid_cents=2000),
        a_buyer(id=3, paused=True),
        a_buyer(id=4, traffic_sources=("9",)),
    ),
)
LEAD = Lead(caller_id=CALLER, home="TX", traffic_source_id="1023")
PRICED = replace(PING, lead=LEAD, bids=(Bid(1, 2500, 2125), Bid(2, 2000, 1700)), facts=Facts())
HASH = bytes(range(16))


def an_item(ping: Ping = PRICED, **more: Any) -> dict[str, Any]:
    stored = {"ping_id": {"B": ping.id}, "ping": {"B": pack(ping)}, "at": {"N": str(ping.created_at)}}
    return {**stored, "caller": {"B": HASH}, "milliseconds": {"N": "31"}, **more}


def a_sale(sale: Sale = SALE, **more: Any) -> dict[str, Any]:
    return an_item(sale={"B": pack(sale)}, **more)


def an_event(old: Any, new: Any) -> Event:
    return Event("e1", "pings", START + 3, old, new)


def rows(old: Any, new: Any, endpoint: Endpoint | None = ENDPOINT) -> list[Row]:
    found = derive_rows(an_event(old, new), lambda *_: endpoint)
    assert decode(encode(found)) == found
    assert not found or is_of_interest(an_event(old, new))
    return found


def test_a_new_ping_is_a_row_with_the_reasons_of_each_buyer() -> None:
    assert rows(None, an_item()) == [
        Row(
            event="e1",
            at=START,
            kind="ping",
            ping=PING.id.hex(),
            endpoint="my_endpoint",
            offer="auto-insurance",
            user="demo-publisher",
            source="1023",
            status="success",
            bids=2,
            best_bid_cents=2500,
            best_payout_cents=2125,
            expires_at=PING.expires_at,
            state="TX",
            area_code="614",
            version=12,
            reasons="..pt",
            milliseconds=31,
            caller=HASH[:8].hex(),
        )
    ]


def test_what_nobody_bids_on_and_whose_version_is_gone_has_a_row_too() -> None:
    [row] = rows(None, an_item(replace(PRICED, bids=())), endpoint=None)
    assert (row.status, row.bids, row.best_bid_cents) == ("no_matching_buyer", 0, 0)
    assert (row.reasons, row.offer, row.state) == ("", "", "")


def test_the_version_of_the_ping_is_asked_for() -> None:
    asked: list[tuple[str, int]] = []
    derive_rows(an_event(None, an_item()), lambda *of: asked.append(of))
    assert asked == [("my_endpoint", 12)]


def test_the_letters_are_those_of_all_rules() -> None:
    assert LETTERS.keys() == set(Rule)
    assert len({*LETTERS.values(), "."}) == len(Rule) + 1
    assert {len(letter) for letter in LETTERS.values()} == {1}


def test_live_buyers_have_an_outcome_and_a_time() -> None:
    said: dict[int, Yes | No] = {
        1: Yes(cents=2500),
        2: No("HTTP 409"),
        3: No("no answer within 800 ms", broken=True),
        4: No("HTTP 500", broken=True),
        5: No("it cannot be reached", unasked=True),
        6: No("skipped for 9 s more after 5 failures in a row, the last: HTTP 500", unasked=True),
        7: No("there was no time left to ask it", unasked=True),
    }
    took = {1: 20, 2: 30, 3: 800, 4: 5, 5: 6}
    [row] = rows(None, an_item(replace(PRICED, facts=Facts(said=said, took=took))))
    outcomes = [Asked(1, "bid", 20), Asked(2, "declined", 30), Asked(3, "timed_out", 800), Asked(4, "broken", 5)]
    assert row.live == (*outcomes, Asked(5, "broken", 6))
    [old] = rows(None, an_item(replace(PRICED, facts=Facts(said=said))))
    assert old.live == tuple(replace(asked, milliseconds=0) for asked in outcomes)


def test_a_sale_is_a_row_with_what_its_post_brought() -> None:
    sale = replace(SALE, posted=Lead(caller_id="+13125550199", home="CA", traffic_source_id="7"), user="other")
    [row] = rows(an_item(), a_sale(sale, milliseconds={"N": "44"}))
    assert (row.kind, row.status, row.at, row.sold_at) == ("sale", "sold", START + 10, START + 10)
    assert (row.buyer, row.revenue_cents, row.payout_cents, row.best_bid_cents) == (2, 2500, 2125, 2400)
    assert (row.number, row.user, row.source, row.state, row.area_code) == ("+18005550100", "other", "7", "CA", "312")
    assert (row.milliseconds, row.bids, row.best_payout_cents, row.reasons) == (44, 2, 2125, "")


def test_each_refused_post_is_a_row_also_with_the_same_status_in_the_same_second() -> None:
    first = an_item(refused={"S": "invalid_fields"}, refused_at={"N": str(START + 5)}, refusals={"N": "1"})
    [row] = rows(an_item(), first)
    assert (row.kind, row.status, row.at, row.ping) == ("refused", "invalid_fields", START + 5, PING.id.hex())
    assert [row.kind for row in rows(first, first | {"refusals": {"N": "2"}})] == ["refused"]
    assert rows(first, first | {"released": {"B": b"attempt"}}) == []


def test_a_refused_request_is_a_row() -> None:
    item = {
        "ping_id": {"B": PING.id}, "kind": {"S": "refusal"}, "at": {"N": "7"}, "status": {"S": "invalid_fields"},
        "fields": {"SS": ["zip", "home"]}, "endpoint": {"S": "my_endpoint"}, "version": {"N": "12"}, "user": {"S": "u"},
        "source": {"S": "1023"}, "state": {"S": "TX"}, "area_code": {"S": "614"}, "caller_start": {"B": HASH[:8]},
        "milliseconds": {"N": "9"}, "delete_at": {"N": "8"},
    }  # fmt: skip
    [row] = rows(None, item)
    assert (row.kind, row.at, row.status, row.fields) == ("refused", 7, "invalid_fields", ("home", "zip"))
    assert (row.endpoint, row.offer, row.version, row.user, row.source) == (
        "my_endpoint", "auto-insurance", 12, "u", "1023",
    )  # fmt: skip
    assert (row.state, row.area_code, row.caller, row.milliseconds) == ("TX", "614", HASH[:8].hex(), 9)
    assert rows(item, item) == []


def test_a_ping_stored_anew_is_priced_anew_and_one_without_its_lead_is_not() -> None:
    anew = an_item(replace(PRICED, seed=bytes(8)))
    assert [row.kind for row in rows(an_item(), anew)] == ["ping"]
    bare = replace(PRICED, lead=Lead(), facts=Facts())
    assert rows(an_item(), an_item(bare, spent={"BOOL": True})) == []
    assert rows(a_sale(), an_item(bare, sale={"B": pack(replace(SALE, posted=Lead()))})) == []
    assert [row.kind for row in rows(an_item(), an_item(bare, sale={"B": pack(SALE)}))] == ["sale"]


def test_several_rows_of_one_event_have_places() -> None:
    whole = a_sale(refused={"S": "buyer_unavailable"}, refused_at={"N": str(START + 5)}, refusals={"N": "1"})
    assert [(row.kind, row.place) for row in rows(None, whole)] == [("ping", 0), ("refused", 1), ("sale", 2)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (an_item(), None),
        (None, {"ping_id": {"B": bytes(32)}, "route": {"B": b"x"}, "of": {"B": PING.id}}),
        (None, {"ping_id": {"B": bytes(32)}, "first": {"B": PING.id}}),
        (None, {"ping_id": {"B": PING.id}, "spent": {"BOOL": True}}),
        (an_item(), an_item(claim={"B": b"attempt"}, claimed_at={"N": "1"})),
    ],
    ids=["deletion", "route", "retry key", "spent mark", "claim"],
)
def test_what_makes_no_row_is_of_no_interest(old: Any, new: Any) -> None:
    assert not is_of_interest(an_event(old, new))
    assert rows(old, new) == []


def test_a_question_to_a_live_buyer_is_a_row_until_it_is_settled() -> None:
    packed = {"B": msgspec.msgpack.encode({1: AskedAt(START + 7), 2: AskedAt(START + 9)})}
    asked = an_item(asked=packed, asks={"N": "1"})
    assert [(row.kind, row.at, row.ping) for row in rows(an_item(), asked)] == [("asked", START + 9, PING.id.hex())]
    assert rows(asked, asked | {"asks": {"N": "2"}}) == []
    assert [(row.kind, row.at) for row in rows(asked, an_item())] == [("settled", START + 9)]
    assert [row.kind for row in rows(asked, a_sale())] == ["sale", "settled"]


def test_a_caller_that_a_post_brought_without_being_refused_is_a_row() -> None:
    bare = {name: value for name, value in an_item(claimed_at={"N": str(START + 3)}).items() if name != "caller"}
    [row] = rows(bare, an_item())
    assert (row.kind, row.at, row.caller) == ("caller", START + 3, HASH[:8].hex())
    refused = an_item(refused={"S": "buyer_unavailable"}, refused_at={"N": str(START + 5)}, refusals={"N": "1"})
    assert [(row.kind, row.caller) for row in rows(bare, refused)] == [("refused", HASH[:8].hex())]


def test_a_sandbox_makes_no_rows() -> None:
    assert rows(None, an_item(replace(PRICED, endpoint=f"{sandbox_endpoint.PREFIX}my_endpoint"))) == []


def test_what_the_lookup_of_an_endpoint_raises_is_not_the_items_fault() -> None:
    def fail(*_: object) -> Endpoint:
        raise KeyError

    with pytest.raises(KeyError):
        derive_rows(an_event(None, an_item()), fail)


def as_lambda_gets_it(image: Any) -> Any:
    """An image with its bytes as base64."""
    return image and {
        name: {letter: base64.b64encode(value).decode() if isinstance(value, bytes) else value}
        for name, attribute in image.items()
        for letter, value in attribute.items()
    }


def a_record(old: Any, new: Any) -> dict[str, Any]:
    images = {"OldImage": as_lambda_gets_it(old), "NewImage": as_lambda_gets_it(new)}
    change = {"ApproximateCreationDateTime": START + 3.0, **{name: image for name, image in images.items() if image}}
    return {"eventID": "e1", "eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": change}


def test_a_record_is_read_as_the_items_were() -> None:
    old, new = an_item(), a_sale(deep={"L": [{"M": {"a": {"NULL": True}}}]})
    assert read_event(a_record(old, new)) == an_event(old, new)
    assert read_event(a_record(None, new)) == an_event(None, new)
    assert read_event(a_record(old, None)) == an_event(old, None)
    sets = a_record(None, None)
    sets["dynamodb"]["NewImage"] = {"some": {"BS": ["AA=="]}, "names": {"SS": ["a"]}, "list": {"L": [{"B": "AQ=="}]}}
    assert read_event(sets).new == {"some": {"BS": [b"\0"]}, "names": {"SS": ["a"]}, "list": {"L": [{"B": b"\1"}]}}


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.binary(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = st.sampled_from(
    ["ping_id", "ping", "sale", "kind", "at", "status", "fields", "caller", "refused", "refused_at", "refusals",
     "milliseconds", "endpoint", "version", "user", "caller_start", "area_code", "spent"]
)  # fmt: skip
VALUES = st.one_of(
    st.fixed_dictionaries({"S": st.text(max_size=6)}),
    st.fixed_dictionaries({"S": st.just("refusal")}),
    st.fixed_dictionaries({"N": st.integers().map(str) | st.text(max_size=6)}),
    st.fixed_dictionaries({"B": st.binary(max_size=9)}),
    st.sampled_from([{"B": pack(PRICED)}, {"B": pack(SALE)}, {"B": pack(PRICED)[:40]}, {"B": b"x\x9c"}]),
    st.builds(
        lambda at, source: {"B": pack(replace(PRICED, created_at=at, lead=Lead(traffic_source_id=source)))},
        st.integers(-(2**63), 2**63 - 1),
        st.text(max_size=6),
    ),
    JUNK,
)
IMAGES = st.none() | st.dictionaries(ATTRIBUTES, VALUES, max_size=8)


@given(IMAGES, IMAGES)
def test_no_item_raises_anything_but_unreadable(old: Any, new: Any) -> None:
    try:
        found = derive_rows(an_event(old, new), lambda *_: ENDPOINT)
    except Unreadable:
        return
    assert decode(encode(found)) == found
    assert not found or is_of_interest(an_event(old, new))


@given(st.dictionaries(st.sampled_from(["eventID", "dynamodb", "x"]), JUNK) | JUNK)
def test_no_record_raises_anything_but_unreadable(record: Any) -> None:
    with pytest.raises(Unreadable):
        read_event(record)


@given(st.dictionaries(st.text(max_size=4), JUNK, max_size=3), JUNK)
def test_no_image_in_a_record_raises_anything_but_unreadable(image: Any, at: Any) -> None:
    try:
        event = read_event({"eventID": "e", "dynamodb": {"ApproximateCreationDateTime": at, "NewImage": image}})
    except Unreadable:
        return
    assert isinstance(event.at, int)
    assert is_of_interest(event) in (True, False)
