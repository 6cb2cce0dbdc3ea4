"""Whatever is sent: an answer of the contract, no failure of ours, and nothing of it in the log or in an error."""

import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import quote

import pytest
from moto import mock_aws

from shared.domain.models import Field, FieldType, User
from tests.build import CALLER, CONTACT_FIELDS, SETTINGS, Answer, Publisher, Stage, an_endpoint
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MARK = "Zq7hW2kX9"
"""Part of everything that is sent here; it must not come back nor be logged."""

TYPED = tuple(
    Field(name=kind, type=kind, choices=("Car", "RV") if kind == "choice" else ()) for kind in get_args(FieldType)
)

VALUES = {
    "text": MARK,
    "emoji": f"{MARK}👍🏽👨‍👩‍👧",
    "right to left": f"{MARK}\u202e\u200f",
    "NUL": f"{MARK}\x00",
    "control characters": MARK + "".join(map(chr, range(32))) + "\x7f\x80\x9f\u2028",
    "combining": MARK + "e" + "\u0301" * 200,
    "no character": f"{MARK}\ufffe\uffff\U0010ffff",
    "long": MARK * 300,
    "markup": f"<script>{MARK}</script>'\";--",
    "template": f"{{{{{MARK}}}}}${{{MARK}}}%s%n{{0}}",
    "path": f"../../{MARK}\r\nX-Injected: {MARK}",
    "huge integer": MARK + "9" * 5000,
}
JSON_VALUES: dict[str, Any] = {
    **VALUES,
    "list": [MARK, [MARK, {MARK: None}]],
    "object": {MARK: {MARK: MARK}},
    "nested": json.loads('{"a":' * 200 + f'"{MARK}"' + "}" * 200),
}

BODIES = {
    "null": b"null",
    "list": f'["{MARK}"]'.encode(),
    "string": f'"{MARK}"'.encode(),
    "number": b"5",
    "no JSON": f"{{'{MARK}'".encode(),
    "cut JSON": f'{{"{MARK}": "{MARK}'.encode(),
    "no UTF-8": f'{{"{MARK}": \xff}}'.encode("latin-1"),
    "UTF-16 that nobody told of": f'{{"{MARK}": 1}}'.encode("utf-16-le"),
    "surrogate": f'{{"{MARK}": "\\ud800{MARK}"}}'.encode(),
    "surrogate in a name": f'{{"\\udfff{MARK}": 1}}'.encode(),
    "surrogate as token": f'{{"auth_token": "\\udfff{MARK}"}}'.encode(),
    "surrogate as ping id": f'{{"ping_id": "\\udfff{MARK}"}}'.encode(),
    "deep list": b"[" * 64 * 1024,
    "deep object": f'{{"{MARK}":'.encode() * 4000,
    "deep and whole": f'{{"{MARK}":'.encode() + b"[" * 32_000 + b"]" * 32_000 + b"}",
    "two objects": f'{{"{MARK}": 1}}{{"{MARK}": 1}}'.encode(),
}

ROUTES = ["ping", "post", "full"]


def unmarked(answer: Answer, log: io.StringIO) -> bool:
    """Whether nothing of what was sent is to be seen."""
    return MARK not in answer.text + repr(answer.headers) + log.getvalue()


@pytest.fixture(scope="module")
def prepared(client: "DynamoDBClient") -> Iterator[Stage]:
    """For all tests of this module: none of them looks at what another one left."""
    with mock_aws():
        engine.create_tables(client, SETTINGS)
        stage = Stage(client)
        stage.publish(
            an_endpoint(fields=(*CONTACT_FIELDS, *TYPED)),
            an_endpoint(vanity_uri="strict", fields=(*CONTACT_FIELDS, *TYPED), validation="strict"),
            an_endpoint(vanity_uri="open", fields=()),
            an_endpoint(vanity_uri="closed", require_auth_token=True, users=(User("acme", "publisher"),)),
        )
        yield stage


@pytest.fixture
def stage(prepared: Stage) -> Stage:
    """At a time when every number is free again."""
    prepared.clock.forward(3600)
    return prepared


@pytest.mark.parametrize("verb", ROUTES)
@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
@pytest.mark.parametrize("content_type", ["application/json", "", "multipart/form-data; boundary=x"])
def test_a_body_that_is_no_object_is_malformed(
    publisher: Publisher, log: io.StringIO, verb: str, body: bytes, content_type: str
) -> None:
    answer = publisher.send(verb, body=body, headers={"Content-Type": content_type})
    assert answer.code == 400
    assert answer.text.startswith(
        '{"success":false,"status":"malformed_request","errors":['
        '"The body must be a JSON object, a URL-encoded form or multipart/form-data.'
    )
    assert answer.text.endswith('"],"buyers":[]}')
    assert unmarked(answer, log)


@pytest.mark.parametrize("verb", ROUTES)
@pytest.mark.parametrize("query", [f"{MARK}=%ff", f"%ff={MARK}", f"{MARK}=%ed%a0%80", f"{MARK}=%c0%80"])
def test_a_query_that_is_not_utf_8_is_read(publisher: Publisher, log: io.StringIO, verb: str, query: str) -> None:
    answer = publisher.send(verb, "open", method="GET", query=query)
    assert answer.body["success"] is True
    assert unmarked(answer, log)


@pytest.mark.parametrize("verb", ROUTES)
@pytest.mark.parametrize(
    "sent",
    [
        {"query": f"{MARK}={'x' * 8192}"},
        {"json_body": {MARK: MARK * 100_000}},
        {"body": f"{MARK}={'x' * 65_536}".encode(), "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"json_body": {f"{MARK}{n}": n for n in range(10_000)}},
    ],
    ids=["query", "1 MB", "form", "keys"],
)
def test_what_is_too_large_is_told_so(publisher: Publisher, log: io.StringIO, verb: str, sent: dict[str, Any]) -> None:
    answer = publisher.send(verb, **sent)
    assert (answer.code, answer.body["status"]) == (413, "request_too_large")
    assert unmarked(answer, log)


@pytest.mark.parametrize("verb", ROUTES)
@pytest.mark.parametrize("value", JSON_VALUES.values(), ids=list(JSON_VALUES))
def test_a_value_of_no_type_is_a_bad_field_that_is_not_shown(
    publisher: Publisher, log: io.StringIO, verb: str, value: object
) -> None:
    sent = {field.name: value for field in (*CONTACT_FIELDS, *TYPED)}
    answer = publisher.send(verb, "strict", json_body=sent)
    assert answer.code == 422
    every = {"caller_id", "trackdrive_number", *get_args(FieldType)} - {"text"}
    assert answer.body["errors"].keys() >= every
    assert unmarked(answer, log)
    answer = publisher.send(verb, json_body=sent | {"caller_id": CALLER})
    assert answer.body["warnings"].keys() >= every - {"caller_id"}
    assert unmarked(answer, log)


@pytest.mark.parametrize("verb", ROUTES)
@pytest.mark.parametrize("value", JSON_VALUES.values(), ids=list(JSON_VALUES))
def test_an_unknown_parameter_may_hold_and_be_named_anything(
    publisher: Publisher, log: io.StringIO, verb: str, value: object
) -> None:
    name = value if isinstance(value, str) else MARK
    answer = publisher.send(verb, json_body={"caller_id": CALLER, "sent": value, name: 1})
    assert answer.body["success"] is True
    assert unmarked(answer, log)
    retry = publisher.send(verb, json_body={"caller_id": CALLER, "sent": value, name: 1})
    assert (retry.text == answer.text) is (verb != "ping")


@pytest.mark.parametrize("verb", ROUTES)
@pytest.mark.parametrize("value", [text for name, text in VALUES.items() if name != "long"])
def test_names_and_values_of_a_query_may_be_anything(
    publisher: Publisher, log: io.StringIO, verb: str, value: str
) -> None:
    short = quote(value[:700])
    answer = publisher.send(verb, "open", method="GET", query=f"{short}={short}&{short}x=1")
    assert answer.body["success"] is True
    assert unmarked(answer, log)


@pytest.mark.parametrize("value", JSON_VALUES.values(), ids=list(JSON_VALUES))
def test_control_parameters_may_be_anything(publisher: Publisher, log: io.StringIO, value: object) -> None:
    for name, status in {"ping_id": "ping_id_unknown", "buyer_id": "buyer_mismatch"}.items():
        answer = publisher.post("open", **{name: value})
        assert (answer.code, answer.body["status"]) == (200, status)
        assert unmarked(answer, log)
    answer = publisher.ping("closed", auth_token=value)
    assert (answer.code, answer.body["status"]) == (401, "unauthorized")
    assert unmarked(answer, log)


@pytest.mark.parametrize(
    "value",
    [
        MARK,
        MARK + "é",
        MARK * 500,
        f"\t{MARK},{MARK}",
        *(f"{scheme} {MARK}" for scheme in ("Token", "Basic", "Bearer")),
    ],
)
@pytest.mark.parametrize(
    "name", ["Authorization", "Idempotency-Key", "Origin", "Content-Type", "User-Agent", "X-Forwarded-For"]
)
def test_headers_may_be_anything(publisher: Publisher, log: io.StringIO, name: str, value: str) -> None:
    sent: dict[str, Any] = {"query": f"caller_id={CALLER}", "headers": {name: value}}
    is_a_wrong_token = name == "Authorization" and value.startswith("Token")
    for verb, uri in (("full", "my_endpoint"), ("ping", "closed")):
        answer = publisher.send(verb, uri, **sent)
        assert answer.code == (401 if is_a_wrong_token or uri == "closed" else 200)
        assert unmarked(answer, log)


@pytest.mark.parametrize("verb", ROUTES)
def test_a_path_that_is_no_endpoint_is_not_shown(publisher: Publisher, log: io.StringIO, verb: str) -> None:
    for path in (f"/{MARK}", f"/api/v1/inbound_webhooks/{verb}/{MARK}", f"/api/v1/inbound_webhooks/{verb}/x/{MARK}"):
        answer = publisher.send(verb, path=path)
        assert (answer.code, answer.body["status"]) == (404, "unknown_endpoint")
        assert unmarked(answer, log)


@pytest.mark.parametrize("verb", ROUTES)
def test_a_lead_that_is_sold_is_not_in_the_log(publisher: Publisher, log: io.StringIO, verb: str) -> None:
    sent = {"caller_id": CALLER, "email": f"{MARK}@example.com", "text": MARK, MARK: MARK}
    ping = publisher.ping(**sent).body["try_all_buyers_ping_id"]
    answers = [publisher.send(verb, json_body=sent), publisher.post(ping_id=ping, **sent)]
    assert [answer.body["success"] for answer in answers] == [True, True]
    for secret in (MARK, CALLER.removeprefix("+"), ping):
        assert secret not in log.getvalue()
    assert len(log.getvalue().splitlines()) == 3


def test_a_deep_but_readable_body_is_answered(publisher: Publisher) -> None:
    """At every depth: the reader and the writer of JSON give up at different ones."""
    for depth in (10, 100, 300, 500, 800, 900, 950, 980, 990, 995, 1000, 1100, 2000):
        body = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
        assert publisher.send("ping", "open", body=body).code in (200, 400)
