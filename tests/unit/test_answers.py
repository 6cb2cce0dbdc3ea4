"""The bodies that publishers read, byte by byte."""

import json
import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.models import Bid, Buyer, Column, Endpoint, Lead, Ping
from shared.domain.refusals import (
    CallerIdRequired,
    InternalError,
    InvalidFields,
    NoMatchingBuyer,
    NoNumberAvailable,
    RateLimited,
    Refusal,
    TemporarilyUnavailable,
    TooManyLeases,
)
from shared.publishers import answers
from tests.build import BUYERS, KEYS, REQUEST_ID, START, a_buyer, an_endpoint

TRY_ALL_ID = "pg_AAECAwQFBgcICQoLAAAAAN-jsQVuqIFk"
BUYER_A_ID = "pb_AAECAwQFBgcICQoLAAAAAd68NJeAmFDn"
NUMBER = "+18009876543"
PROBLEMS = {"zip": ["zip is required on ping. You did not send a value."], "state": ["state must be a US state."]}


def a_ping(buyers: tuple[Buyer, ...] = BUYERS, **overrides: Any) -> Ping:
    values: dict[str, Any] = {
        "id": bytes(range(12)),
        "endpoint": "my_endpoint",
        "version": 1,
        "lead": Lead(),
        "bids": tuple(Bid(buyer.id, buyer.bid_cents, buyer.bid_cents) for buyer in buyers),
        "seed": b"",
        "created_at": START,
        "expires_at": START + 120,
        "lead_until": START + 3600,
    }
    return Ping(**values | overrides)


def ping_body(endpoint: Endpoint) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answers.ping(endpoint, KEYS, a_ping(endpoint.buyers)))
    return body


def refusal_body(refused: Refusal, **overrides: Any) -> str:
    return answers.refusal(refused, an_endpoint(**overrides), REQUEST_ID).decode()


def test_a_ping_is_answered_with_every_buyer_best_first() -> None:
    endpoint = an_endpoint(buyers=(a_buyer(),))
    assert answers.ping(endpoint, KEYS, a_ping(endpoint.buyers)).decode() == (
        '{"success":true,"status":"success","errors":[],'
        f'"try_all_buyers_ping_id":"{TRY_ALL_ID}","try_all_buyers":{{"ping_id":"{TRY_ALL_ID}"}},'
        '"ping_ids_expiry_in_seconds":120,'
        '"buyers":[{"buyer_id":1,"id":1,"name":"Buyer A","bid":25.0,"bid_price":25.0,'
        f'"ping_id":"{BUYER_A_ID}"}}]}}'
    )


def test_a_post_is_answered_with_a_number_and_its_buyer() -> None:
    assert answers.post(an_endpoint(), a_buyer(), NUMBER, 1_767_225_900).decode() == (
        '{"success":true,"status":"success","errors":[],'
        '"trackdrive_number":"18009876543",'
        '"forwarding_number":"18009876543","forwarding_number_status":"accepted",'
        '"buyer_name":"Buyer A","buyer_id":1,'
        '"number_expires_at":"2026-01-01T00:05:00Z"}'
    )


def test_a_full_is_answered_with_the_auction_and_the_sale() -> None:
    endpoint = an_endpoint(buyers=(a_buyer(),))
    full = answers.full(endpoint, KEYS, a_ping(endpoint.buyers), a_buyer(), NUMBER, 1_767_225_900)
    assert full.decode() == (
        '{"success":true,"status":"success","errors":[],'
        f'"try_all_buyers_ping_id":"{TRY_ALL_ID}","try_all_buyers":{{"ping_id":"{TRY_ALL_ID}"}},'
        '"buyers":[{"buyer_id":1,"id":1,"name":"Buyer A","bid":25.0,"bid_price":25.0,'
        f'"ping_id":"{BUYER_A_ID}"}}],'
        '"trackdrive_number":"18009876543",'
        '"forwarding_number":"18009876543","forwarding_number_status":"accepted",'
        '"buyer_name":"Buyer A","buyer_id":1,'
        '"number_expires_at":"2026-01-01T00:05:00Z"}'
    )


def test_a_full_answer_is_a_ping_answer_and_a_post_answer() -> None:
    ping = json.loads(answers.ping(an_endpoint(), KEYS, a_ping()))
    post = json.loads(answers.post(an_endpoint(), a_buyer(), NUMBER, START))
    full = json.loads(answers.full(an_endpoint(), KEYS, a_ping(), a_buyer(), NUMBER, START))
    del ping["ping_ids_expiry_in_seconds"]
    assert full == ping | post


def test_a_ping_answer_has_nothing_at_the_top_that_clients_take_for_a_number_or_a_single_ping() -> None:
    assert not ping_body(an_endpoint()).keys() & {"id", "ping_id", "number", "did", "phone_number", "phoneNumber"}


@pytest.mark.parametrize("column", get_args(Column))
def test_publishers_see_the_columns_that_the_endpoint_chooses(column: Column) -> None:
    endpoint = an_endpoint(buyer_columns=("name", column))
    columns = list(dict.fromkeys(["name", column, "ping_id"]))  # without a ping_id it could not be sold to
    assert [list(buyer) for buyer in ping_body(endpoint)["buyers"]] == [columns] * 2


def test_the_columns_hold_what_their_names_say() -> None:
    buyer = a_buyer(id=7, name="Büro 👍", bid_cents=1999, tier=3, conversion_seconds=90)
    [row] = ping_body(an_endpoint(buyers=(buyer,), buyer_columns=get_args(Column)))["buyers"]
    assert row.pop("ping_id").startswith("pb_")
    assert row == {
        "buyer_id": 7,
        "id": 7,
        "name": "Büro 👍",
        "bid": 19.99,
        "bid_price": 19.99,
        "tier": 3,
        "offer_conversion_payout": 19.99,
        "current_conversion_duration": 90,
        "forwarding_number": None,
        "price": 19.99,
        "payout": 19.99,
        "offer_conversion_duplicate_timeframe": 0,
        "concurrency_cap_limit": None,
        "concurrency_cap_available": None,
    }


def test_the_forwarding_number_of_a_static_endpoint_is_known_on_ping() -> None:
    endpoint = an_endpoint(static_numbers={NUMBER: "1023"}, buyer_columns=("forwarding_number",))
    ping = a_ping(lead=Lead(trackdrive_number=NUMBER))
    rows = json.loads(answers.ping(endpoint, KEYS, ping))["buyers"]
    assert [row["forwarding_number"] for row in rows] == ["18009876543"] * 2


@given(st.integers(0, 10**12))
def test_money_is_always_a_number_of_at_most_two_decimals(cents: int) -> None:
    endpoint = an_endpoint(buyers=(a_buyer(bid_cents=cents),), buyer_columns=("bid",))
    [text] = re.findall(rb'"bid":([^,]*),', answers.ping(endpoint, KEYS, a_ping(endpoint.buyers)))
    dollars, decimals = re.fullmatch(rb"([0-9]+)\.([0-9]{1,2})", text).groups()  # type: ignore[union-attr]
    assert int(dollars) * 100 + int(decimals.ljust(2, b"0")) == cents


@pytest.mark.parametrize("status", ["success", "accepted"])
def test_an_endpoint_chooses_the_word_for_success(status: str) -> None:
    endpoint = an_endpoint(success_status=status)
    found = [
        answers.ping(endpoint, KEYS, a_ping()),
        answers.post(endpoint, a_buyer(), NUMBER, START),
        answers.full(endpoint, KEYS, a_ping(), a_buyer(), NUMBER, START),
    ]
    assert {(json.loads(body)["success"], json.loads(body)["status"]) for body in found} == {(True, status)}


def test_nobody_bids_in_the_bytes_that_clients_compare() -> None:
    assert refusal_body(NoMatchingBuyer()) == (
        '{"success":false,"status":"no_matching_buyer","errors":["There are no matching buyers."],"buyers":[]}'
    )


def test_a_missing_caller_id_in_the_words_that_clients_compare() -> None:
    assert refusal_body(CallerIdRequired()) == (
        '{"success":false,"status":"caller_id_required",'
        '"errors":["You must submit a caller_id param since this webhook requires it."],"buyers":[]}'
    )


def test_an_exhausted_pool_says_when_a_number_comes_free() -> None:
    assert refusal_body(NoNumberAvailable(17)) == (
        '{"success":false,"status":"no_number_available","errors":["No tracking number is available now."],'
        '"buyers":[],"retry_after_seconds":17}'
    )


def test_too_many_leases_say_when_the_oldest_ends() -> None:
    assert refusal_body(TooManyLeases(17)) == (
        '{"success":false,"status":"too_many_leases",'
        '"errors":["You or this caller hold as many tracking numbers as allowed."],"buyers":[],'
        '"retry_after_seconds":17}'
    )


def test_bad_fields_are_told_by_field() -> None:
    assert refusal_body(InvalidFields({"zip": PROBLEMS["zip"]})) == (
        '{"status":422,"success":false,'
        '"errors":{"zip":["zip is required on ping. You did not send a value."]},"metadata":{"root":null}}'
    )


def test_an_endpoint_may_have_bad_fields_told_as_a_plain_list() -> None:
    assert refusal_body(InvalidFields(PROBLEMS), field_errors="list") == (
        '{"success":false,"status":"invalid_fields",'
        '"errors":["zip is required on ping. You did not send a value.","state must be a US state."],"buyers":[]}'
    )


@pytest.mark.parametrize("refused", [InternalError(), TemporarilyUnavailable()])
def test_a_failure_of_ours_has_a_request_id_to_quote(refused: Refusal) -> None:
    assert json.loads(refusal_body(refused)) == {
        "success": False,
        "status": refused.status,
        "errors": [refused.sentence],
        "buyers": [],
        "request_id": REQUEST_ID,
    }


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in answers.HTTP_STATUS
        if kind not in (InvalidFields, NoNumberAvailable, TooManyLeases, RateLimited)
    ],
)
@pytest.mark.parametrize("found", [True, False], ids=["on an endpoint", "without one"])
def test_every_other_refusal_has_one_shape(kind: type[Refusal], found: bool) -> None:
    body = json.loads(answers.refusal(kind(), an_endpoint() if found else None, REQUEST_ID))
    body.pop("request_id", None)
    assert body == {"success": False, "status": kind.status, "errors": [kind.sentence], "buyers": []}
