"""The three routes under anything that may be sent: always an answer in the shape of the contract."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, get_args
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from shared.domain.models import Field, FieldType, User
from shared.http import serving
from tests.build import CALLER, CONTACT_FIELDS, REQUEST_ID, SETTINGS, Answer, Publisher, Stage, a_pool, an_endpoint
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")

MARK = "¤"
"""In every value that is made up here, and in nothing of ours."""

NUMBER, OVERFLOW = "+18005550101", "+18005559999"
TOKEN = f"{MARK}secret"
TYPED = tuple(
    Field(
        name=kind,
        type=kind,
        choices=("Car", "RV") if kind == "choice" else (),
        required_on=("ping",) if kind == "us_zip" else ("post",) if kind == "email" else (),
    )
    for kind in get_args(FieldType)
)
ENDPOINTS = (
    an_endpoint(),
    an_endpoint(vanity_uri="typed", fields=(*CONTACT_FIELDS, *TYPED), require_caller_id=True, pool=a_pool(2, no=2)),
    an_endpoint(vanity_uri="overflow", fields=(), pool=a_pool(1, no=3, overflow_number=OVERFLOW)),
    an_endpoint(vanity_uri="static", static_numbers={NUMBER: "1023"}, field_errors="list"),
    an_endpoint(
        vanity_uri="closed",
        require_auth_token=True,
        users=(User("acme", "publisher", ("1023",)),),
        allowed_origins=("https://forms.example.com",),
        success_status="accepted",
    ),
)
SENTENCE = re.compile(
    r"(?P<field>[a-z_]+) (is required on (ping|post)\. You did not send a value\."
    r"|must be (a telephone number, for example \+16145550123|an e-mail address, for example name@example\.com"
    r"|a US state, for example TX or Texas|a US ZIP code of five digits, for example 30340"
    r"|a date, for example 1985-03-27 or 03/27/1985|a whole number|a number|true or false|one of Car, RV"
    r"|free of control characters|at most 1000 characters long"
    r"|your number on this endpoint|one of your traffic sources)\.)"
)
"""All that is ever said about a field: with nothing of its value."""

CODES = {
    "no_matching_buyer": 200, "caller_id_required": 200, "ping_id_expired": 200, "ping_id_unknown": 200,
    "ping_id_used": 200, "buyer_mismatch": 200, "buyer_unavailable": 200, "no_number_available": 200,
    "too_many_leases": 200,
    "malformed_request": 400, "unauthorized": 401, "unknown_endpoint": 404, "method_not_allowed": 405,
    "request_too_large": 413, "invalid_fields": 422, 422: 422,
}  # fmt: skip
LOGGED = {
    "level", "location", "message", "timestamp", "service", "request_id", "function", "endpoint", "http_status",
    "status", "milliseconds",
}  # fmt: skip


@pytest.fixture(scope="module")
def stage(client: "DynamoDBClient") -> Iterator[Stage]:
    """One for all examples; what is random in it is the same in every run."""
    drawn = count()
    with mock_aws():
        engine.create_tables(client, SETTINGS)
        stage = Stage(client, random_bytes=lambda size: sha256(b"%d" % next(drawn)).digest()[:size])
        stage.publish(*ENDPOINTS)
        stage.give_token(TOKEN, "acme")
        yield stage


@pytest.fixture(scope="module")
def publisher(stage: Stage) -> Publisher:
    return Publisher(stage)


@pytest.fixture(scope="module")
def logged() -> Iterator[io.StringIO]:
    written = io.StringIO()
    handler = serving.log.registered_handler
    before = handler.setStream(written)  # type: ignore[attr-defined]
    yield written
    handler.setStream(before)  # type: ignore[attr-defined]


def assert_keeps_the_contract(answer: Answer) -> None:
    headers = answer.headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Access-Control-Allow-Origin"] in ("*", "https://forms.example.com")
    if answer.code == 204:
        assert answer.text == ""
        return
    assert headers["Content-Type"] == "application/json"
    body = answer.body
    if body["success"] is True:
        assert (answer.code, body["status"] in ("success", "accepted"), body["errors"]) == (200, True, [])
        assert "buyers" not in body or body["buyers"]
        assert body.keys() & {"trackdrive_number", "ping_ids_expiry_in_seconds"}
    else:
        assert (body["success"], CODES[body["status"]]) == (False, answer.code)
        assert_told_plainly(answer)
    assert MARK not in answer.text


def assert_told_plainly(refused: Answer) -> None:
    """Whether the errors of a refusal are sentences of ours."""
    errors = refused.body["errors"]
    if refused.body["status"] == 422:
        assert list(refused.body) == ["status", "success", "errors", "metadata"]
        for name, sentences in errors.items():
            assert [match["field"] for match in map(SENTENCE.fullmatch, sentences) if match] == [name]
        return
    assert refused.body["buyers"] == []
    if refused.code == 422:
        assert all(map(SENTENCE.fullmatch, errors))
    else:
        assert len(errors) == 1
    assert errors


def assert_nothing_is_logged(logged: io.StringIO) -> None:
    """One line a request; and in it nothing that was sent."""
    text = logged.getvalue()
    logged.seek(0)
    logged.truncate()
    for line in text.splitlines():
        written = json.loads(line)
        assert set(written) <= LOGGED
        assert (written["request_id"], written["message"]) == (REQUEST_ID, "request")
        assert written.get("endpoint") in {None, *(endpoint.vanity_uri for endpoint in ENDPOINTS)}
    assert text
    assert MARK not in text.encode().decode("unicode-escape")


def mostly(usual: st.SearchStrategy[T], odd: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """Odd in one of sixteen."""
    return st.integers(0, 15).flatmap(lambda n: usual if n else odd)


URIS = st.sampled_from([endpoint.vanity_uri for endpoint in ENDPOINTS])
VERBS = st.sampled_from(["ping", "post", "full"])
METHODS = mostly(st.sampled_from(["POST", "GET"]), st.sampled_from(["OPTIONS", "HEAD", "PUT", "DELETE", MARK]))
TEXT = st.text(st.characters(codec="utf-8"), max_size=30).map(MARK.__add__)
LATIN = st.text(st.characters(codec="latin-1"), max_size=30).map(MARK.__add__)
NAMES = st.one_of(
    TEXT,
    st.sampled_from(
        ["ping_id", "buyer_id", "auth_token", "caller_id", "explain", "PING_ID", "vanity_uri", *get_args(FieldType)]
    ),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=6)
TYPES = ["application/json", "application/x-www-form-urlencoded", "text/plain", ""]
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.one_of(st.sampled_from(TYPES), LATIN),
        "authorization": st.one_of(
            LATIN, LATIN.map("Token ".__add__), LATIN.map("Basic ".__add__), st.just(f"Token {TOKEN}")
        ),
        "idempotency-key": LATIN,
        "origin": LATIN,
        "x-forwarded-for": LATIN,
    },
)
PATHS = mostly(st.none(), st.one_of(TEXT.map("/".__add__), TEXT.map("/api/v1/inbound_webhooks/ping/".__add__)))
QUERIES = st.one_of(
    st.just(""), st.dictionaries(NAMES, TEXT, max_size=4).map(urlencode), TEXT, st.binary(max_size=30).map(str)
)
BODIES = st.one_of(
    st.none(),
    st.binary(max_size=100),
    TEXT.map(str.encode),
    JSON.map(lambda sent: json.dumps(sent).encode()),
    OBJECTS.map(lambda sent: json.dumps(sent).encode()),
    OBJECTS.map(lambda sent: json.dumps(sent, ensure_ascii=False).encode()),
    st.dictionaries(NAMES, TEXT, max_size=4).map(lambda sent: urlencode(sent).encode()),
    st.tuples(OBJECTS, st.integers(0, 60)).map(lambda cut: json.dumps(cut[0]).encode()[: cut[1]]),
)


@settings(max_examples=250)
@given(
    verb=VERBS, uri=mostly(URIS, TEXT), method=METHODS, path=PATHS, query=QUERIES, headers=HEADERS, body=BODIES
)  # fmt: skip
def test_anything_is_always_answered_by_the_contract(
    publisher: Publisher, logged: io.StringIO, verb: str, uri: str, **sent: Any
) -> None:
    assert_keeps_the_contract(publisher.send(verb, uri, **sent))
    assert_nothing_is_logged(logged)


def usually(*values: str) -> st.SearchStrategy[str]:
    return mostly(st.sampled_from(values), TEXT)


LEADS = st.fixed_dictionaries(
    {
        "caller_id": usually(CALLER, "614-555-0124"),
        "trackdrive_number": usually(NUMBER, "800-555-0101"),
        "auth_token": usually(TOKEN),
        "us_zip": usually("30340", "30340-1234"),
        "email": usually("name@example.com"),
    },
    optional={
        "traffic_source_id": usually("1023"),
        "buyer_id": usually("1", "2", "3", "0"),
        "us_state": usually("TX", "texas", "Ontario"),
        "explain": usually("1"),
        f"{MARK}unknown": TEXT,
    },
)


@dataclass(frozen=True)
class Sent:
    """One request: a lead, perhaps with one of the ping ids that were given out so far, whole or altered."""

    verb: str
    uri: str
    lead: dict[str, str]
    wait: int
    ping: int | None
    alter: int | None
    key: str
    twice: bool


REQUESTS = st.builds(
    Sent,
    verb=st.sampled_from(["ping", "post", "post", "full"]),
    uri=st.one_of(st.just("my_endpoint"), URIS),
    lead=LEADS,
    wait=st.sampled_from([0, 0, 0, 1, 59, 130, 400]),
    ping=mostly(st.integers(0, 3), st.none()),
    alter=mostly(st.none(), st.integers(0, 40)),
    key=st.sampled_from(["", "", "key-1"]),
    twice=st.booleans(),
)


@settings(max_examples=60)
@given(requests=st.lists(REQUESTS, min_size=2, max_size=6))
def test_any_run_of_nearly_valid_requests_keeps_the_contract(
    stage: Stage, publisher: Publisher, logged: io.StringIO, requests: list[Sent]
) -> None:
    given_out: list[str] = []
    for sent in requests:
        stage.clock.forward(sent.wait)
        lead = dict(sent.lead)
        if sent.ping is not None and given_out:
            lead["ping_id"] = altered(given_out[sent.ping % len(given_out)], sent.alter)
        headers = {"Idempotency-Key": sent.key} if sent.key else {}
        answer = publisher.send(sent.verb, sent.uri, json_body=lead, headers=headers)
        assert_keeps_the_contract(answer)
        if sent.alter is not None and "ping_id" in lead and sent.verb == "post" and answer.code == 200:
            assert answer.body["status"] in ("ping_id_unknown", "caller_id_required")
        if sent.twice and sent.verb != "ping" and answer.body["success"]:
            assert publisher.send(sent.verb, sent.uri, json_body=lead, headers=headers).text == answer.text
        if answer.body["success"] and "try_all_buyers_ping_id" in answer.body:
            given_out += [answer.body["try_all_buyers_ping_id"], *(row["ping_id"] for row in answer.body["buyers"])]
    assert_nothing_is_logged(logged)


def altered(ping_id: str, place: int | None) -> str:
    if place is None:
        return ping_id
    place %= len(ping_id)
    return ping_id[:place] + ("A" if ping_id[place] != "A" else "B") + ping_id[place + 1 :]
