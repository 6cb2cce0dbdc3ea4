"""The compatible addresses under anything that may be sent: an answer in their form each time, never a failure, and
nothing done that was refused; and each takes little CPU."""

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from functions.api import call_updates
from shared.office.call_requests import BODY_BYTES, QUERY_BYTES
from shared.store.dynamo import Dynamo
from tests.build import REQUEST_ID, SETTINGS, Publisher, Stage, an_event
from tests.component.test_call_updates import Client, client, open_market, talk, uuid_of
from tests.component.test_cpu import Event, filled, slow
from tests.office import Operator
from tests.phone import Phone
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CODES = {200, 400, 401, 403, 404, 405, 413, 422, 429}
NAMES = st.sampled_from(
    ["buyer_converted", "offer_converted", "revenue", "payout", "add_revenue", "add_payout", "post_call_tokens", "call",
     "call[revenue]", "call[post_call_tokens][a]", "call[", "a][b", "auth_token", "columns", "cursor", "per_page",
     "created_at_from", "created_at_to", "status", "buyer", "buyer_id", "uuid", "caller_number", ""]
) | st.text(max_size=8)  # fmt: skip
VALUES = st.sampled_from(
    ["1", "yes", "off", "45.00", "-5", "1e308", "NaN", "1e999999999", "9" * 400, "$1,000.00", "1,0", ".", "1e", "null",
     "{}", "{\"a\": {\"b\": 1}}", "2100-01-01", "2100-01-01T00:00:00Z", "9999-12-31T23:59:59+00:01",
     "\ud800", "\x00", "é"]
) | st.text(max_size=8)  # fmt: skip
JSONS = st.recursive(
    VALUES | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(NAMES, inside, max_size=4),
    max_leaves=10,
)
PATHS = ("/calls", "/calls/{}", "/calls/update_call/{}", "/calls/update_by_caller_id/{}", "/secure/{}/calls/{}")


@pytest.fixture(scope="module")
def sold(client: "DynamoDBClient") -> Iterator[Phone]:
    with mock_aws():
        engine.create_tables(client, SETTINGS)
        stage = Stage(client)
        open_market(stage)
        yield talk(Publisher(stage))


@pytest.fixture(scope="module")
def tokens(sold: Phone) -> list[str]:
    return [client(sold.stage, name).token for name in ("olga", "bea", "bob", "vera")]


def encode(body: Any) -> bytes:
    return json.dumps(body).encode()


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_whatever_is_sent_is_answered_in_one_form(sold: Phone, tokens: list[str], data: st.DataObject) -> None:
    stage = sold.stage
    stage.clock.forward(60)
    steps = st.sampled_from([uuid_of(sold), "6145550123", "0" * 40, "%", "é", "x" * 99, uuid_of(sold).upper()])
    path = data.draw(st.sampled_from(PATHS)).replace("{}", "{0}").format(data.draw(steps))
    body = data.draw(st.one_of(st.builds(encode, JSONS), st.binary(max_size=60), st.just(b"")))
    query = data.draw(
        st.sampled_from(["", "revenue=1", "call[revenue]=x", "%ff", "a=%00", "per_page=1", "cursor=gA=="])
    )
    token = data.draw(st.sampled_from(tokens))
    headers = {"Authorization": data.draw(st.sampled_from([f"Token {token}", f"Basic {token}", "Basic %", "Token é"]))}
    if data.draw(st.booleans()):
        headers["Idempotency-Key"] = data.draw(st.text(max_size=10))
    before = sold.stored
    event = an_event(
        method=data.draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"])),
        path=f"/api/v1{path}", query=query, body=body, headers=headers,
    )  # fmt: skip
    operator = Operator(stage, "")
    office = operator.office(Dynamo(stage.client, stage.settings))
    found = call_updates.serve(event, REQUEST_ID, lambda: office, stage.telephony)
    assert found is not None
    assert found["statusCode"] in CODES, found["body"]
    said = json.loads(found["body"])
    assert said["status"] == found["statusCode"]
    assert said["success"] is (found["statusCode"] == 200)
    assert bool(said["errors"]) is not said["success"]
    if found["statusCode"] != 200:
        assert sold.stored == before


@pytest.mark.parametrize("who", ["", "bea"])
def test_whatever_is_sent_takes_little_cpu(sold: Phone, who: str) -> None:
    stage = sold.stage
    caller = client(stage, who) if who else Client(stage)

    def answer(event: Event) -> Any:
        stage.clock.forward(60)
        if who:
            event = event | {"headers": event["headers"] | {"authorization": f"Token {caller.token}"}}
        operator = Operator(stage, "")
        office = operator.office(Dynamo(stage.client, stage.settings))
        return call_updates.serve(event, REQUEST_ID, lambda: office, stage.telephony)

    path = f"/api/v1/calls/update_call/{uuid_of(sold)}"
    bodies = [
        filled(BODY_BYTES, start, piece, end)
        for start, piece, end in (
            ("", "a%n=1&", ""), ("", "call[a%n]=1&", ""), ("", "[", ""), ("{", '"a%n":1,', '"z":1}'),
            ("", '{"a":', ""), ("", "[]", ""), ('{"revenue":"', "9", '"}'), ('{"revenue":"', "1,000", '"}'),
            ("a", "[b]", "=1"), ("a[", "[", "]=1"), ('{"call":', '{"call":', "1"), ("call=", "{", ""), ("a=", "%", ""),
            ('{"post_call_tokens":{', '"a%n":"x",', '"z":1}}'), ("é", "é", ""),
        )
    ]  # fmt: skip
    events = [an_event(path=path, body=body) for body in [*bodies, b"a" * 4_000_000]]
    events += [
        an_event(path=path, query=filled(QUERY_BYTES, "", piece).decode()) for piece in ("a%n=1&", "a[b%n]=", "%")
    ]
    deep = base64.b64encode(b":" * 4000).decode()
    events += [an_event(path=path, headers={"authorization": f"Basic {deep}"})]
    events += [an_event(path="/api/v1/calls/" + piece * 4000) for piece in ("a", "a/", "%25", ".json")]
    assert not slow(lambda event: answer(event) or {"statusCode": 404}, events)
