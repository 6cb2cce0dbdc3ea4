"""What a publisher sent, in all the ways in which it may be sent."""

import base64
import json
from itertools import islice, product
from string import ascii_letters
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.refusals import MalformedRequest, MethodNotAllowed, RequestTooLarge, UnknownEndpoint
from shared.edge import requests
from shared.edge.requests import Request
from tests.build import an_event

FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json"}


def read(**sent: Any) -> Request:
    return requests.read(an_event(**sent), sent.get("method", "POST"), "my_endpoint")


def lead(*names: str, **sent: Any) -> dict[str, str]:
    """The lead's parameters, on an endpoint with contact fields of these names."""
    return read(**sent).sent(names)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "sent",
    [
        {"query": "zip=30340&state=TX"},
        {"json_body": {"zip": "30340", "state": "TX"}},
        {"json_body": {"zip": 30340, "state": "TX"}},
        {"form": {"zip": "30340", "state": "TX"}},
        {"query": "zip=30340", "json_body": {"state": "TX"}},
        {"query": "zip=30340", "form": {"state": "TX"}},
        {"query": "zip=30340&state=TX", "body": b""},
        {"query": "zip=30340&state=TX", "body": b"", "headers": JSON},
        {"query": "zip=30340&state=TX", "body": b" \r\n", "headers": JSON},
        {"query": "zip=30340&state=TX", "body": b"", "headers": FORM},
        {"query": "zip=30340&state=TX", "body": b"{}"},
        {"body": b'{"zip": "30340", "state": "TX"}'},
        {"body": b'{"zip": "30340", "state": "TX"}', "headers": {"content-type": "text/plain"}},
        {"body": b'{"zip": "30340", "state": "TX"}', "headers": FORM},
        {"body": b'\xef\xbb\xbf{"zip": "30340", "state": "TX"}', "headers": JSON},
        {
            "body": b"zip=30340&state=TX",
            "headers": {"content-type": "Application/X-WWW-Form-URLEncoded; charset=UTF-8"},
        },
        {"query": "zip=%2030340%20&state=TX%0A"},
    ],
    ids=str,
)
def test_a_lead_is_the_same_however_it_is_sent(method: str, sent: dict[str, Any]) -> None:
    assert lead("zip", "state", method=method, **sent) == {"zip": "30340", "state": "TX"}


@pytest.mark.parametrize("body", [{"json_body": {"zip": "30340"}}, {"form": {"zip": "30340"}}])
def test_the_body_wins_over_the_query(body: dict[str, Any]) -> None:
    assert lead("zip", query="zip=99999", **body) == {"zip": "30340"}


@pytest.mark.parametrize("blank", ["", " ", "%20", "+", "%09%0A"])
def test_a_blank_value_is_none(blank: str) -> None:
    assert lead("zip", query=f"zip={blank}") == {}
    assert lead("zip", query=f"zip=30340&zip={blank}") == {"zip": "30340"}


@pytest.mark.parametrize("blank", ["", "  ", "\t\n", None])
def test_a_blank_value_in_the_body_leaves_what_the_query_says(blank: str | None) -> None:
    assert lead("zip", json_body={"zip": blank}) == {}
    assert lead("zip", query="zip=30340", json_body={"zip": blank}) == {"zip": "30340"}


def test_of_a_key_repeated_in_the_query_the_last_one_wins() -> None:
    assert lead("zip", query="zip=1&zip=2&zip=30340") == {"zip": "30340"}
    assert lead(body=b'{"zip": 1, "zip": 30340}') == {"zip": "30340"}


@pytest.mark.parametrize("spelling", ["zip", "ZIP", "Zip", "zIP"])
def test_names_are_matched_without_regard_to_case(spelling: str) -> None:
    assert lead("zip", query=f"{spelling}=30340") == {"zip": "30340"}
    assert lead("Zip", json_body={spelling: "30340"}) == {"Zip": "30340"}


@pytest.mark.parametrize("query", ["zip=30340&ZIP=1", "ZIP=1&zip=30340", "Zip=1&ZIP=2&zip=30340"])
def test_an_exact_name_is_preferred(query: str) -> None:
    assert lead("zip", query=query) == {"zip": "30340"}


def test_two_contact_fields_may_differ_in_case_only() -> None:
    assert lead("zip", "ZIP", query="zip=30340&ZIP=99999") == {"zip": "30340", "ZIP": "99999"}


def test_unknown_parameters_are_kept_as_they_are_spelled() -> None:
    sent = {"gclid": "x", "UTM_Source": "y", "jornaya lead id": "z", "ключ": "значение"}
    assert lead("zip", json_body=sent) == sent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1023, "1023"),
        (12.5, "12.5"),
        ("True", "True"),
        ("I agree to be called, & texted.", "I agree to be called, & texted."),
        (["a", "é"], '["a","é"]'),
        ({"a": {"b": True}}, '{"a":{"b":true}}'),
    ],
)
def test_a_json_value_is_the_text_that_a_form_would_have_sent(value: object, text: str) -> None:
    assert lead(json_body={"tcpa_opt_in": value}) == {"tcpa_opt_in": text}


@pytest.mark.parametrize("number", ["6145550123", "1e400", "-0.10", "9" * 5000, "0.1000000000000000055511151231257827"])
def test_a_json_number_is_kept_as_it_was_written(number: str) -> None:
    assert lead(body=f'{{"sent": {number}}}'.encode()) == {"sent": number}


@pytest.mark.parametrize(
    "name", ["ping_id", "buyer_id", "auth_token", "explain", "vanity_uri", "PING_ID", "Auth_Token"]
)
def test_control_parameters_are_no_part_of_the_lead(name: str) -> None:
    assert lead("zip", query=f"{name}=1&zip=30340") == {"zip": "30340"}
    assert lead("zip", json_body={name: "1", "zip": "30340"}) == {"zip": "30340"}


def test_control_parameters_are_read_like_others() -> None:
    request = read(query="PING_ID=pg_1&Buyer_Id=9", json_body={"buyer_id": 2})
    assert (request.ping_id, request.buyer_id) == ("pg_1", "2")


def test_the_path_says_which_endpoint_is_meant() -> None:
    assert read(query="vanity_uri=other", json_body={"vanity_uri": "another"}).vanity_uri == "my_endpoint"


@pytest.mark.parametrize(
    ("sent", "key"), [({"Idempotency-Key": " key-1 "}, "key-1"), ({"idempotency-key": ""}, ""), ({}, "")]
)
def test_the_idempotency_key_is_a_header(sent: dict[str, str], key: str) -> None:
    assert read(headers=sent).idempotency_key == key


def basic(credentials: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}


@pytest.mark.parametrize(
    ("sent", "tokens"),
    [
        ({}, []),
        ({"query": "auth_token=secret"}, ["secret"]),
        ({"query": "AUTH_TOKEN=secret"}, ["secret"]),
        ({"json_body": {"auth_token": "secret"}}, ["secret"]),
        ({"form": {"auth_token": "secret"}}, ["secret"]),
        ({"headers": {"Authorization": "Token secret"}}, ["secret"]),
        ({"headers": {"Authorization": "token  secret "}}, ["secret"]),
        ({"headers": basic("secret:")}, ["secret"]),
        ({"headers": basic("secret")}, ["secret"]),
        ({"headers": basic(":secret")}, ["secret"]),
        ({"headers": basic("acme:secret")}, ["acme", "secret"]),
        ({"headers": basic("acme:sec:ret")}, ["acme", "sec:ret"]),
        ({"query": "auth_token=secret", "headers": {"Authorization": "Token other"}}, ["secret", "other"]),
        ({"query": "auth_token="}, []),
        ({"headers": {"Authorization": "Token"}}, []),
        ({"headers": {"Authorization": "Bearer secret"}}, []),
        ({"headers": {"Authorization": "Basic !"}}, []),
        ({"headers": {"Authorization": "Basic é"}}, []),
        ({"headers": {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()}}, []),
    ],
    ids=str,
)
def test_a_token_is_found_wherever_it_may_be(sent: dict[str, Any], tokens: list[str]) -> None:
    assert read(**sent).tokens == tokens


QUERY_8_KB = "a=" + "x" * (8 * 1024 - 2)
FORM_64_KB = b"a=" + b"x" * (64 * 1024 - 2)
JSON_64_KB = b'{"a":"' + b"x" * (64 * 1024 - 8) + b'"}'


def test_a_query_of_8_kb_and_a_body_of_64_kb_are_read() -> None:
    assert len(read(query=QUERY_8_KB).params["a"]) == 8 * 1024 - 2
    assert len(read(body=FORM_64_KB, headers=FORM).params["a"]) == 64 * 1024 - 2
    assert len(read(body=JSON_64_KB, headers=JSON).params["a"]) == 64 * 1024 - 8


@pytest.mark.parametrize(
    "sent",
    [
        {"query": QUERY_8_KB + "x"},
        {"query": "é" * 4097},
        {"body": FORM_64_KB + b"x", "headers": FORM},
        {"body": JSON_64_KB + b" ", "headers": JSON},
        {"body": b" " * (64 * 1024 + 1)},
        {"body": b"\xff" * (64 * 1024 + 1), "headers": JSON},
        {"json_body": {"a": "x" * 1024 * 1024}},
    ],
    ids=["query", "query in bytes", "form", "json", "blank", "no text", "1 MB"],
)
def test_one_byte_more_is_too_large(sent: dict[str, Any]) -> None:
    with pytest.raises(RequestTooLarge):
        read(**sent)


@pytest.mark.parametrize(
    "body",
    [
        b"null", b"true", b"5", b"[]", b"[{}]", b'"x"', b"x", b"zip=30340", b"{", b"{zip: 1}", b"{'zip': 1}",
        b'{"a":1}{}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":[NaN]}', b"NaN",
        b'{"a":"\x00"}', b'{"a":"\n"}', b'{"a":"\xff"}', b'{"\xff":"a"}', b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}', b'{"\\ud800":"a"}', b'{"a":["\\udfff"]}', b'{"auth_token":"\\ud800"}', b'{"a":"\\u12"}',
        '{"a":1}'.encode("utf-16"),
        b"[" * 64 * 1024, b'{"a":' * 10_000, b'{"a":' + b"[" * 32_000 + b"]" * 32_000 + b"}",
    ],
    ids=lambda body: str(body[:30]),
)  # fmt: skip
@pytest.mark.parametrize("headers", [JSON, {}], ids=["json", "no content type"])
def test_a_body_that_is_no_json_object_is_malformed(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(MalformedRequest):
        read(body=body, headers=headers)


@pytest.mark.parametrize(
    "sent",
    [
        {"query": "zip=%ff"},
        {"query": "%ff=30340"},
        {"query": "zip=%ed%a0%80"},
        {"body": b"zip=%ff", "headers": FORM},
        {"body": b"zip=\xff", "headers": FORM},
        {"body": b"[]", "headers": FORM},
        {"body": b"[" * 64 * 1024, "headers": FORM},
    ],
    ids=str,
)
def test_what_is_not_utf_8_is_malformed(sent: dict[str, Any]) -> None:
    with pytest.raises(MalformedRequest):
        read(**sent)


@pytest.mark.parametrize("body", [b'{"zip": 30340', b"[1, 2", b"{zip=30340}"])
def test_json_that_breaks_off_is_no_form(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(body=body, headers=FORM)


def test_a_body_that_is_no_base64_is_malformed() -> None:
    with pytest.raises(MalformedRequest):
        requests.read(an_event() | {"body": "é!", "isBase64Encoded": True}, "POST", "my_endpoint")


def test_ten_thousand_keys_are_read() -> None:
    names = ["".join(letters) for letters in islice(product(ascii_letters, repeat=3), 10_000)]
    assert list(read(form=dict.fromkeys(names, "x")).params) == names
    assert list(read(body=b"{%s}" % b",".join(b'"%s":0' % n.encode() for n in names[:8000])).params) == names[:8000]


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.dictionaries(TEXT, TEXT, max_size=5))
def test_every_text_always_arrives_as_it_was_sent(sent: dict[str, str]) -> None:
    expected = {key: value.strip() for key, value in sent.items() if value.strip()}
    assert read(query=urlencode(sent)).params == expected
    assert read(form=sent).params == expected
    assert read(json_body=sent).params == expected
    assert read(body=json.dumps(sent, ensure_ascii=False).encode(), headers=JSON).params == expected


@given(st.dictionaries(TEXT, TEXT, max_size=5), st.dictionaries(TEXT, TEXT, max_size=5))
def test_query_and_body_are_always_one_set_of_parameters(query: dict[str, str], body: dict[str, str]) -> None:
    found = read(query=urlencode(query), json_body=body).params
    assert found == read(query=urlencode(query)).params | read(json_body=body).params


@given(st.binary(max_size=200), st.sampled_from([JSON, FORM, {}]))
def test_any_bytes_are_always_read_or_refused(body: bytes, headers: dict[str, str]) -> None:
    try:
        found = read(body=body, query=quote(body), headers=headers)
    except MalformedRequest:
        return
    assert all(value.strip() for value in found.params.values())


def test_a_byte_order_mark_is_no_part_of_the_body() -> None:
    assert lead("zip", body=b'\xef\xbb\xbf{"zip":"30340"}') == {"zip": "30340"}


def test_a_request_in_a_log_shows_no_value() -> None:
    request = read(query="auth_token=secret&zip=30340", headers={"Idempotency-Key": "key-1"})
    assert repr(request) == "Request(POST my_endpoint)"


API = "/api/v1/inbound_webhooks"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("verb", ["ping", "post", "full"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_route_is_a_verb_and_an_endpoint(method: str, verb: str, slash: str) -> None:
    event = an_event(verb, path=f"{API}/{verb}/My-endpoint_1.x~{slash}", method=method)
    assert requests.read_target(event, verb) == (method, "My-endpoint_1.x~")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "TRACE", "CONNECT", "get", ""])
def test_any_other_method_is_not_allowed(method: str) -> None:
    with pytest.raises(MethodNotAllowed):
        requests.read_target(an_event(method=method), "ping")


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "", "/", API, f"{API}/ping", f"{API}/ping/", f"{API}/ping/x//", f"{API}/ping/x/y", f"{API}/ping/x y",
        f"{API}/ping/{'x' * 65}", f"{API}/ping/%78", f"{API}/ping/é", f"{API}/ping/x\n", f"{API}/ping/x\x00",
        f"{API}/PING/x", f"{API}/sell/x", f"{API}/post/x", f"/prod{API}/ping/x", "/posting_instructions/x",
    ],
)  # fmt: skip
def test_any_other_path_is_unknown(method: str, path: str) -> None:
    with pytest.raises(UnknownEndpoint):
        requests.read_target(an_event(path=path, method=method), "ping")
