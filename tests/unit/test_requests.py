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
from shared.publishers import requests
from shared.publishers.requests import Request
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
        b"null", b"true", b"5", b"[]", b"[{}]", b'"x"', b"x", b"{", b"{zip: 1}", b"{'zip': 1}", b"<zip>30340</zip>",
        b'{"a":1}{}', b"NaN",
        b'{"a":"\\ud800"}', b'{"\\ud800":"a"}', b'{"a":["\\udfff"]}', b'{"auth_token":"\\ud800"}', b'{"a":"\\u12"}',
        '{"a":1}'.encode("utf-16-le"), b'{"a":"\x00', b'{"a":\xff}',
        b"[" * 64 * 1024, b'{"a":' * 10_000, b'{"a":' + b"[" * 32_000 + b"]" * 32_000 + b"}",
    ],
    ids=lambda body: str(body[:30]),
)  # fmt: skip
@pytest.mark.parametrize("headers", [JSON, {}], ids=["json", "no content type"])
def test_a_body_that_is_no_json_object_is_malformed(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(MalformedRequest):
        read(body=body, headers=headers)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_a_program_does_not_have_is_absent(constant: str) -> None:
    assert lead(body=f'{{"age":{constant},"zip":"30340"}}'.encode(), headers=JSON) == {"zip": "30340"}


@pytest.mark.parametrize("body", [b"[]", b"[" * 64 * 1024])
def test_a_list_is_no_form(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(body=body, headers=FORM)


@pytest.mark.parametrize(
    "sent",
    [
        {"query": "first_name=Jos%E9"},
        {"query": "first_name=Jos%C3%A9"},
        {"body": b"first_name=Jos%E9", "headers": FORM},
        {"body": b"first_name=Jos\xe9", "headers": FORM},
        {"body": b'{"first_name":"Jos\xe9"}', "headers": JSON},
        {"body": b'{"first_name":"Jos\xe9"}'},
        {"body": b'{"first_name":"Jos\xe9"}', "headers": {"content-type": "application/json; charset=utf-8"}},
        {"body": b'{"first_name":"Jos\xe9"}', "headers": {"content-type": 'application/json; charset="ISO-8859-1"'}},
        {"body": '{"first_name":"José"}'.encode("utf-16"), "headers": {"content-type": "text/json; charset=utf-16"}},
        {
            "body": '{"first_name":"José"}'.encode("utf-16-be"),
            "headers": {"content-type": "text/json;charset=UTF-16BE"},
        },
        {"body": '{"first_name":"José"}'.encode("utf-16")},
        {"body": b"\xef\xbb\xbf\xef\xbb\xbf" + '{"first_name":"José"}'.encode(), "headers": JSON},
        {"body": b"first_name=Jos%E9", "headers": {"content-type": f"{FORM['content-type']}; charset=latin1"}},
    ],
    ids=str,
)
def test_a_name_is_the_same_in_every_charset(sent: dict[str, Any]) -> None:
    assert lead(**sent) == {"first_name": "José"}


def test_a_declared_charset_is_the_one_that_counts() -> None:
    cyrillic = {"content-type": f"{FORM['content-type']}; charset=windows-1251"}
    assert lead(body=b"first_name=%C8%EB%FC%FF", headers=cyrillic) == {"first_name": "Илья"}


def test_utf_8_stays_itself_beside_a_byte_that_is_none() -> None:
    assert lead(query="a=Jos%C3%A9+%E9+%81") == {"a": "José é \x81"}


@pytest.mark.parametrize("charset", ["x-foo", "idna", "zip", "unicode_escape", "utf-7", "iso-8859-99"])
def test_a_charset_that_is_not_known_is_named(charset: str) -> None:
    with pytest.raises(MalformedRequest) as raised:
        read(body=b'{"a":1}', headers={"content-type": f"application/json; charset={charset}"})
    assert charset.replace("_", "-") in raised.value.sentences[0]
    assert read(body=b"", headers={"content-type": f"application/json; charset={charset}"}).params == {}


@pytest.mark.parametrize(
    ("body", "value"),
    [(b'{"a":"one\ntwo\tthree"}', "one\ntwo\tthree"), (b'{"a":"\r\nx\x00"}', "x\x00")],
)
def test_control_characters_in_a_json_string_are_read(body: bytes, value: str) -> None:
    assert lead(body=body, headers=JSON) == {"a": value}


@pytest.mark.parametrize("content_type", ["text/plain", "text/plain;charset=UTF-8", "application/json", "", "x"])
@pytest.mark.parametrize(
    "body",
    [b"zip=30340&state=TX", b"zip=30340&state=TX&", b"zip=30340\r\nstate=TX\r\n", b"\xef\xbb\xbfzip=30340&state=TX"],
)
def test_a_form_is_read_whatever_it_is_called(body: bytes, content_type: str) -> None:
    assert lead("zip", body=body, headers={"content-type": content_type}) == {"zip": "30340", "state": "TX"}


@pytest.mark.parametrize("content_type", ["text/plain", "text/xml", "application/octet-stream", "multipart/form-data"])
@pytest.mark.parametrize("body", [b"hello", b"<a b='c'>1</a>", b"a<b=c", b"=1", b"--", b"--x"])
def test_a_body_that_cannot_be_read_is_told_what_it_came_as(body: bytes, content_type: str) -> None:
    with pytest.raises(MalformedRequest) as raised:
        read(body=body, headers={"content-type": content_type})
    assert raised.value.sentences == [
        "The body must be a JSON object, a URL-encoded form or multipart/form-data. "
        f"It came as {content_type} and cannot be read as that."
    ]


def test_a_content_type_is_cut_and_shown_without_what_cannot_be_printed() -> None:
    with pytest.raises(MalformedRequest) as raised:
        read(body=b"hello", headers={"content-type": "x\r\n\x1b" + "y" * 5000})
    assert "It came as x" + "y" * 99 + " and" in raised.value.sentences[0]


PARTS = (
    b'--x1\r\nContent-Disposition: form-data; name="zip"\r\n\r\n30340\r\n'
    b"--x1\r\ncontent-disposition: form-data; name=state\r\nContent-Type: text/plain\r\n\r\nTX\r\n"
    b'--x1\r\nContent-Disposition: form-data; name="scan"; filename="a.txt"\r\n\r\nzip\r\n'
    b'--x1\r\nContent-Disposition: form-data; name="blank"\r\n\r\n\r\n--x1--\r\n'
)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=x1",
        'Multipart/Form-Data; charset=utf-8; boundary="x1"',
        "multipart/form-data",
        "multipart/form-data; boundary=other",
        "application/x-www-form-urlencoded",
        "",
    ],
)
@pytest.mark.parametrize(
    "body",
    [PARTS, PARTS.replace(b"\r\n", b"\n"), PARTS.removesuffix(b"--x1--\r\n"), b"\r\n" + PARTS],
    ids=["whole", "line feeds", "no end", "blank line"],
)
def test_the_text_parts_of_multipart_are_read(body: bytes, content_type: str) -> None:
    assert lead("zip", body=body, headers={"content-type": content_type}) == {"zip": "30340", "state": "TX"}


def test_a_part_is_text_of_several_lines_in_a_charset_of_its_own() -> None:
    body = (
        b'--x1\r\nContent-Disposition: form-data; name="a"\r\n\r\none\r\n\r\ntwo --x1 three\r\n'
        b'--x1\r\nContent-Disposition: form-data; name="b"\r\nContent-Type: text/plain; charset=windows-1251\r\n\r\n'
        b"\xc8\xeb\xfc\xff\r\n--x1--"
    )
    sent = lead(body=body, headers={"content-type": "multipart/form-data; boundary=x1"})
    assert sent == {"a": "one\r\n\r\ntwo --x1 three", "b": "Илья"}


@given(st.dictionaries(st.text("abc_", min_size=1), st.text(st.characters(codec="utf-8"), max_size=20), max_size=5))
def test_what_browsers_put_into_parts_always_arrives(sent: dict[str, str]) -> None:
    pieces = [
        f'--b0undary\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in sent.items()
    ]
    body = ("".join(pieces) + "--b0undary--\r\n").encode()
    expected = {name: text.strip() for name, text in sent.items() if text.strip()}
    assert read(body=body, headers={"content-type": "multipart/form-data; boundary=b0undary"}).params == expected


@pytest.mark.parametrize("nothing", ["undefined", "null", "None", "N/A", "[ping_id]", "{{ping_id}}", "%20"])
def test_a_control_parameter_that_says_nothing_is_absent(nothing: str) -> None:
    request = read(
        query=f"ping_id={nothing}&buyer_id={nothing}&explain={nothing}&auth_token={nothing}",
        headers={"Idempotency-Key": nothing},
    )
    assert (request.ping_id, request.buyer_id, request.explain, request.tokens) == ("", "", False, [])
    assert request.idempotency_key == ("" if nothing != "%20" else "%20")


@pytest.mark.parametrize("key", ["{3F2504E0-4F89-11D3-9A0C-0305E82C3301}", "3f2504e04f8911d39a0c0305e82c3301", "no-1"])
def test_an_idempotency_key_in_braces_is_one(key: str) -> None:
    assert read(headers={"Idempotency-Key": key}).idempotency_key == key


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
@pytest.mark.parametrize("slash", ["", "/", "//"])
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
        "", "/", API, f"{API}/ping", f"{API}/ping/", f"{API}/ping/x/y", f"{API}/ping/x y",
        f"{API}/ping/{'x' * 65}", f"{API}/ping/%78", f"{API}/ping/é", f"{API}/ping/x\n", f"{API}/ping/x\x00",
        f"{API}/PING/x", f"{API}/sell/x", f"{API}/post/x", f"/prod{API}/ping/x", "/posting_instructions/x",
    ],
)  # fmt: skip
def test_any_other_path_is_unknown(method: str, path: str) -> None:
    with pytest.raises(UnknownEndpoint):
        requests.read_target(an_event(path=path, method=method), "ping")


@pytest.mark.parametrize(
    "path", [f"/{API}/post/x", f"{API}//post/x", f"{API}/post//x//", "//api//v1///inbound_webhooks/post/x"]
)
def test_doubled_slashes_are_one(path: str) -> None:
    assert requests.read_target(an_event(path=path), "post") == ("POST", "x")
    assert requests.verb(an_event(path=path)) == "post"
    event, verb = requests.to_sandbox(an_event(path=f"//sandbox/{path}"))
    assert (verb, requests.read_target(event, verb)) == ("post", ("POST", "x"))
