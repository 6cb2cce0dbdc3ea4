"""Live buyers in the configuration: what they are compiled to, and every mistake with its right form."""

from typing import Any

import pytest

from shared.configuration import compile_endpoints, from_records, read, records_of
from shared.domain import models
from tests.configurations import Plain, a_buyer, a_contact_field, a_document, an_endpoint, an_offer
from tests.unit.test_rules import POOL, problems

URL = "https://buyer.example/ping"
RINGPOST = {"dialect": "ringpost", "ping_url": URL, "post_url": "https://buyer.example/post"}
BID = {"bid": "$.bid"}
CUSTOM = {"dialect": "custom", "ping_url": URL, "ping": BID}


def with_live(live: Plain, **overrides: Any) -> Plain:
    fields = [a_contact_field(name="caller_id", type="phone"), a_contact_field(name="zip", type="us_zip")]
    buyer = {key: value for key, value in a_buyer(live=live, **overrides).items() if key != "bid" or "bid" in overrides}
    return a_document(offers=[an_offer(contact_fields=fields, buyers=[buyer])])


def the_buyer(live: Plain, **overrides: Any) -> models.Buyer:
    return compile_endpoints(read(with_live(live, **overrides)), {"auto-us": POOL}, 1)["my_endpoint"].buyers[0]


def test_a_live_buyer_is_compiled_to_its_exchanges() -> None:
    buyer = the_buyer(RINGPOST | {"timeout_ms": 800, "headers": {"X-Key": "{secret.k}"}}, max_bid="60.00")
    assert buyer.live
    assert (buyer.bid_cents, buyer.live.timeout_ms, buyer.live.max_bid_cents) == (0, 800, 6000)
    assert buyer.live.ping.fields == {"caller_id": "{lead.caller_id}", "zip": "{lead.zip}"}
    assert buyer.live.post
    assert buyer.live.post.url == "https://buyer.example/post"
    assert buyer.live.post.headers == {"X-Key": "{secret.k}"}
    assert the_buyer({"dialect": "ringpost", "ping_url": URL}).live.post is None  # type: ignore[union-attr]


def test_a_configuration_with_live_buyers_is_kept_as_it_was() -> None:
    wanted = read(with_live(CUSTOM | {"ping": BID | {"accepted": [{"at": "$.code", "says": 1000}]}}, max_bid="60.00"))
    assert from_records(records_of(wanted)) == wanted


def test_deadlines_are_the_endpoints() -> None:
    document = with_live(RINGPOST) | {"endpoints": [an_endpoint(ping_deadline_ms=800, post_deadline_ms=2000)]}
    endpoint = compile_endpoints(read(document), {"auto-us": POOL}, 1)["my_endpoint"]
    assert (endpoint.ping_deadline_ms, endpoint.post_deadline_ms) == (800, 2000)


AT = "offers[0].buyers[0].live"
A_URL = "must be a URL like https://buyer.example/ping, or begin with a {secret.…} and a slash"


@pytest.mark.parametrize(
    ("live", "path", "message"),
    [
        (RINGPOST | {"ping_url": "ftp://buyer.example"}, f"{AT}.ping_url", A_URL),
        (RINGPOST | {"ping_url": "https://"}, f"{AT}.ping_url", A_URL),
        (RINGPOST | {"ping_url": "https://me:pw@buyer.example/ping"}, f"{AT}.ping_url", A_URL),
        (RINGPOST | {"ping_url": "https://{lead.zip}.example/ping"}, f"{AT}.ping_url", A_URL),
        (RINGPOST | {"ping_url": "{secret.host}{lead.zip}/ping"}, f"{AT}.ping_url", A_URL),
        (RINGPOST | {"ping_url": "{lead.url}"}, f"{AT}.ping_url", A_URL),
        (RINGPOST | {"dialect": "morse"}, f"{AT}.dialect",
         "must be one of ringpost, trackdrive, ringba, retreaver, leadspedia, custom"),
        ({"dialect": "ringpost"}, f"{AT}.ping_url", "is missing"),
        (RINGPOST | {"timeout": 800}, f"{AT}.timeout", "unknown key `timeout`; did you mean `timeout_ms`?"),
        (RINGPOST | {"timeout_ms": 10}, f"{AT}.timeout_ms", "must be at least 50"),
        (RINGPOST | {"dialect": "ringba"}, AT, "must not have `post_url`: a bid of ringba is the sale"),
        ({"dialect": "leadspedia", "ping_url": URL}, AT, "must have `post_url`: leadspedia is told of the sale"),
        (RINGPOST | {"ping": BID}, AT,
         "must have `ping` and `post` only with `dialect: custom`; ringpost knows its own"),
        ({"dialect": "custom", "ping_url": URL}, AT,
         "must have `ping` with `bid`, the place of the bid: `dialect: custom` needs it"),
        (CUSTOM | {"post_url": URL}, AT, "must have both `post` and `post_url`, or neither where the bid is the sale"),
        (CUSTOM | {"post_url": URL, "post": {}}, AT, "must have `accepted` in `post`: [{at: $.success, says: true}]"),
        (CUSTOM | {"ping": {"bid": "$..bid"}}, f"{AT}.ping.bid[0]",
         "must be a JSONPath to one value, like $.buyers[0].bid"),
        (CUSTOM | {"ping": {"bid": "/(/", "answer": "text"}}, f"{AT}.ping.bid[0]", "not a regular expression of RE2"),
        (CUSTOM | {"ping": {"bid": "bid"}}, f"{AT}.ping",
         "must have places like $.bid, as `answer` is json; bid is none"),
        (CUSTOM | {"ping": BID | {"method": "GET"}}, f"{AT}.ping", "must have `format: query`, as its method is GET"),
        (CUSTOM | {"ping": BID | {"fields": {"a": {"b": "{lead.zip"}}}}, f"{AT}.ping.fields",
         "has braces that are no placeholder, like {lead.zip} or {secret.buyer_key}"),
        (CUSTOM | {"ping": BID | {"fields": {"a": "{lead.zip:upper}"}}}, f"{AT}.ping.fields",
         "has the form `upper`; forms are for {lead.…}: digits, national, hashed, area, number, boolean"),
        (RINGPOST | {"parameters": {"a": "{bid.price}"}}, f"{AT}.parameters",
         "has {bid.price}; there is {bid.reference}"),
        (RINGPOST | {"parameters": {"a": None}}, f"{AT}.parameters",
         "must hold texts, numbers, and mappings or lists of them"),
        (RINGPOST | {"headers": {"Host": "x"}}, f"{AT}.headers.Host",
         "must be the name of a header, and not of one that is ours: "
         "connection, content-length, host, idempotency-key, transfer-encoding"),
        (RINGPOST | {"caller_on_ping": "absent", "headers": {"X": "{lead.caller_id}"}}, AT,
         "must not have {lead.caller_id} in `ping_url` or `headers`: it is kept back on ping"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_by_its_path_and_by_what_would_be_right(live: Plain, path: str, message: str) -> None:
    assert problems(with_live(live)) == {path: message}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"bid": "25.00", "live": RINGPOST}, "must have `bid`, or `live` in its place: a live buyer bids itself"),
        ({"bid": None}, "must have `bid`, or `live` in its place: a live buyer bids itself"),
        ({"max_bid": "60.00"}, "must have `max_bid` only with `live`"),
    ],
)
def test_a_buyer_bids_one_way(overrides: Plain, message: str) -> None:
    document = a_document(offers=[an_offer(buyers=[a_buyer(**overrides)])])
    assert problems(document) == {"offers[0].buyers[0]": message}
