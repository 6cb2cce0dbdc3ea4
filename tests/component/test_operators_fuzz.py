"""The operators' API under anything that may be sent: an answer of its own each time, never a failure."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from functions.api.operations import OPERATIONS
from shared.configuration import PARTS, Account, Buyer, ContactField, Endpoint, Offer, RingPool, User
from shared.configuration.shapes import Part
from shared.office import rest
from tests.build import SETTINGS, Stage, an_event
from tests.configurations import a_buyer, a_contact_field, a_provider, a_ring_pool, a_user, an_endpoint, an_offer
from tests.office import Operator, as_user, opened
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CODES = {200, 201, 204, 400, 401, 403, 404, 405, 409, 413, 422, 428}
MODELS: list[type[Part]] = [Account, Buyer, ContactField, Endpoint, Offer, RingPool, User, *PARTS.values()]
NAMES = sorted({name for part in MODELS for name in part.model_fields} | {"version", "entries", "number", "ZZ", ""})
SOUND: list[dict[str, Any]] = [
    a_user(name="olga", role="operator"),
    a_ring_pool(),
    a_buyer(offer="auto-insurance"),
    a_contact_field(),
    an_endpoint(),
    an_offer(),
    {"suppression": ["dnc"]},
    {"margin": {"percent": "5"}},
    {"caps": {"sales": {"day": 5}, "concurrent": 3}},
    {"live": {"dialect": "ringpost", "ping_url": "https://buyer.example/ping"}, "bid": None, "max_bid": 9},
    a_provider(),
    an_endpoint(tracking="shared", calls={"provider": "main", "unannounced": "sell", "last_resort": "+18005550199"}),
    {"pays": {"on": "duration", "after_seconds": 90}, "dial": {"say": "A call", "press": "1", "record": True}},
    {"schedule": {"zone": "America/New_York", "open": {"mon-fri": ["09:00-17:00"]}}},
]
TEXTS = st.text(max_size=8) | st.sampled_from(
    ["25.00", "+18005550181", "auto-insurance", "olga", "dnc", "614*", "*", "mon", "09:00-17:00", "state in [TX]"]
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
KEYS = st.sampled_from(NAMES) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(KEYS, inside, max_size=4), max_leaves=12
)
CHANGES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
BODIES = st.one_of(st.builds(lambda part, more: {**part, **more}, st.sampled_from(SOUND), CHANGES), VALUES)
STEPS = st.sampled_from(
    ["1", "2", "99", "olga", "vera", "main", "auto-us", "auto-insurance", "my_endpoint", "dnc", "%", "é", "0" * 24,
     "00000000-0000-8000-8000-000000000000"]
)  # fmt: skip
QUERIES = st.sampled_from(
    ["", "limit=3", "after=1", "version=1", "%ff", "limit=", "paused=true", "sales_per_hour=9", "search=%C3%A9",
     "phase=running", "format=csv", "at=1", "at=9999999999", "number=%00&buyer=-1", "connected=yes&zone=UTC"]
)  # fmt: skip


@pytest.fixture(scope="module")
def olga(client: "DynamoDBClient") -> Iterator[Operator]:
    with mock_aws():
        engine.create_tables(client, SETTINGS)
        stage = Stage(client)
        opened(stage, account={"suppression": ["dnc"]}, providers=[a_provider()])
        yield as_user(stage, "olga")


def ready(operator: Operator) -> Operator:
    """Restore the role and the data that an operator's own requests may have removed."""
    operator.stage.clock.forward(3600)
    if operator.ask("GET", "/users/olga").body.get("role") != "operator":
        opened(operator.stage, account={"suppression": ["dnc"]}, providers=[a_provider()])
        operator.token = as_user(operator.stage, "olga").token
    return operator


def assert_is_an_answer(operator: Operator, event: dict[str, Any]) -> None:
    answer = operator.send(event)
    assert answer.code in CODES, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    if answer.code >= 400:
        assert {"status", "message"} <= answer.body.keys()
    if answer.code == 422:
        assert answer.body["errors"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_is_sent_to_an_operation_is_answered(olga: Operator, data: st.DataObject) -> None:
    ready(olga)
    operation = data.draw(st.sampled_from(OPERATIONS))
    path = re.sub(r"{\w+}", lambda _: data.draw(STEPS), rest.ROOT + operation.path)
    headers = {"Authorization": f"Token {olga.token}"}
    if data.draw(st.booleans()):
        found = olga.ask("GET", path.removeprefix(rest.ROOT))
        headers["If-Match"] = found.headers.get("ETag", data.draw(st.text(max_size=8)))
    body = json.dumps(data.draw(BODIES)).encode() if data.draw(st.booleans()) else data.draw(st.binary(max_size=40))
    query = data.draw(QUERIES)
    assert_is_an_answer(olga, an_event(method=operation.method, path=path, body=body, headers=headers, query=query))


@settings(max_examples=150)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]),
    path=st.text(max_size=30),
    query=st.text(max_size=30),
    token=st.text(max_size=20),
)
def test_whatever_path_and_token_are_sent_is_answered(
    olga: Operator, method: str, path: str, query: str, token: str
) -> None:
    headers = {"Authorization": token}
    event = an_event(method=method, path=f"/api/v1/{path}", query=query, headers=headers, body=b"{}")
    assert_is_an_answer(olga, event)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(part=st.sampled_from(SOUND), changes=CHANGES)
def test_whatever_is_made_of_a_buyer_is_answered(olga: Operator, part: dict[str, Any], changes: dict[str, Any]) -> None:
    seen = ready(olga).ask("GET", "/buyers/2")
    if seen.code == 404:
        seen = olga.ask("POST", "/buyers", a_buyer(id=2, offer="auto-insurance"))
    body = json.dumps({**part, "id": 2, "name": "Buyer B", **changes}).encode()
    headers = {"Authorization": f"Token {olga.token}", "If-Match": seen.headers.get("ETag", "x")}
    assert_is_an_answer(olga, an_event(method="PATCH", path="/api/v1/buyers/2", body=body, headers=headers))
