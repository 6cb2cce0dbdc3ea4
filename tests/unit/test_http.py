"""One HTTP exchange: codes, headers and the line in the log, whatever the flow does."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.domain import refusals
from shared.domain.models import Endpoint
from shared.domain.refusals import Refusal, TemporarilyUnavailable, UnknownEndpoint
from shared.publishers import webhooks
from shared.publishers.answers import HTTP_STATUS
from shared.publishers.requests import Request
from tests.build import REQUEST_ID, an_endpoint, an_event

Response = dict[str, Any]
Flow = Callable[[Endpoint, Request], bytes]


def line(log: io.StringIO) -> dict[str, Any]:
    [found] = log.getvalue().splitlines()
    written: dict[str, Any] = json.loads(found)
    return written


def answered(_: Endpoint, __: Request) -> bytes:
    return b'{"success":true}'


def refusing(refusal: Refusal) -> Flow:
    def flow(_: Endpoint, __: Request) -> bytes:
        raise refusal

    return flow


def serve(flow: Flow = answered, endpoint: Endpoint | None = None, **sent: Any) -> Response:
    def find(vanity_uri: str) -> Endpoint:
        if endpoint is None and vanity_uri != "my_endpoint":
            raise UnknownEndpoint
        return endpoint or an_endpoint()

    return webhooks.serve(an_event(**sent), REQUEST_ID, "ping", find, flow)


def a_refusal(kind: type[Refusal]) -> Refusal:
    if kind is refusals.InvalidFields:
        return refusals.InvalidFields({"zip": ["zip must be a number."]})
    if kind in (refusals.NoNumberAvailable, refusals.TooManyLeases, refusals.RateLimited):
        return kind(7)
    return kind()


def every_answer() -> dict[str, Response]:
    """One answer of every kind, by its name."""
    refused = {kind.status: serve(refusing(a_refusal(kind))) for kind in HTTP_STATUS}
    return {
        **refused,
        "success": serve(),
        "a bug": serve(refusing(ValueError("x"))),  # type: ignore[arg-type]
        "too large": serve(query="x" * 8193),
        "malformed": serve(body=b"[]"),
        "wrong path": serve(path="/"),
        "wrong endpoint": serve(uri="nowhere"),
        "wrong method": serve(method="DELETE"),
    }


def test_every_answer_is_a_json_object_that_nobody_may_keep_and_any_page_may_read() -> None:
    for name, response in every_answer().items():
        headers = response["headers"]
        assert isinstance(json.loads(response["body"]), dict), name
        assert headers["Content-Type"] == "application/json", name
        assert headers["Cache-Control"] == "no-store", name
        assert headers["Access-Control-Allow-Origin"] == "*", name
        assert response["isBase64Encoded"] is False, name


@pytest.mark.parametrize("kind", HTTP_STATUS)
def test_a_refusal_is_answered_with_its_code(kind: type[Refusal]) -> None:
    response = serve(refusing(a_refusal(kind)))
    assert response["statusCode"] == HTTP_STATUS[kind]
    assert json.loads(response["body"])["success"] is False


def test_an_answer_is_sent_byte_for_byte() -> None:
    response = serve(lambda *_: '{"name":"Büro 👍"}'.encode())
    assert (response["statusCode"], response["body"]) == (200, '{"name":"Büro 👍"}')


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_preflight_is_answered_with_nothing_but_headers(verb: str, slash: str) -> None:
    event = an_event(verb, path=f"/api/v1/inbound_webhooks/{verb}/my_endpoint{slash}", method="OPTIONS")
    response = webhooks.serve(event, REQUEST_ID, verb, lambda _: an_endpoint(), refusing(refusals.InternalError()))
    assert (response["statusCode"], response["body"]) == (204, "")
    assert response["headers"] == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key",
        "Access-Control-Expose-Headers": "Retry-After",
        "Access-Control-Max-Age": "86400",
        "Cache-Control": "no-store",
    }


@pytest.mark.parametrize(
    ("wanted", "allowed"),
    [
        ("x-requested-with", ["x-requested-with"]),
        ("content-type, x-csrf-token,X-Requested-With", ["x-csrf-token", "X-Requested-With"]),
        ("authorization,idempotency-key", []),
        ("a b, x\r\nSet-Cookie: y, é, <script>, ok", ["ok"]),
        ("x-a,x-a", ["x-a"]),
        ("n" * 65, []),
        ("", []),
    ],
)
def test_a_preflight_allows_the_headers_that_it_asks_for(wanted: str, allowed: list[str]) -> None:
    headers = serve(method="OPTIONS", headers={"Access-Control-Request-Headers": wanted})["headers"]
    ours = ["Authorization", "Content-Type", "Idempotency-Key"]
    assert headers["Access-Control-Allow-Headers"] == ", ".join([*ours, *allowed])


def test_a_preflight_that_asks_for_very_many_headers_is_answered_with_some() -> None:
    wanted = ",".join(f"x-{n}" for n in range(5000))
    headers = serve(method="OPTIONS", headers={"Access-Control-Request-Headers": wanted})["headers"]
    assert len(headers["Access-Control-Allow-Headers"]) < 2048


@pytest.mark.parametrize(
    ("path", "query", "location"),
    [
        ("/api/v1//inbound_webhooks/ping/x", "zip=1&a=%20", "/api/v1/inbound_webhooks/ping/x?zip=1&a=%20"),
        ("//posting_instructions/x", "", "/posting_instructions/x"),
        ("/posting_instructions/x", "", None),
        ("//\\evil.example/x", "", None),
        ("//x\r\nSet-Cookie: a", "", None),
    ],
)
def test_a_path_with_doubled_slashes_is_redirected_within_this_host(
    path: str, query: str, location: str | None
) -> None:
    response = webhooks.redirect(an_event(path=path, query=query))
    assert (response and (response["statusCode"], response["headers"]["Location"])) == (
        (308, location) if location else None
    )


SITES = ("https://forms.example.com", "https://www.example.com")


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ({"Origin": SITES[0]}, SITES[0]),
        ({"Origin": SITES[1]}, SITES[1]),
        ({"Origin": "https://evil.example.com"}, SITES[0]),
        ({"Origin": "null"}, SITES[0]),
        ({}, SITES[0]),
    ],
)
def test_an_endpoint_may_name_the_sites_that_read_its_answers(
    method: str, origin: dict[str, str], allowed: str
) -> None:
    headers = serve(endpoint=an_endpoint(allowed_origins=SITES), method=method, headers=origin)["headers"]
    assert (headers["Access-Control-Allow-Origin"], headers["Vary"]) == (allowed, "Origin")


@pytest.mark.parametrize("origin", [{"Origin": "https://anywhere.example.com"}, {}])
def test_without_a_list_every_site_may_read_answers(origin: dict[str, str]) -> None:
    headers = serve(headers=origin)["headers"]
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in headers


def test_the_sites_of_an_endpoint_read_its_refusals_too() -> None:
    response = serve(
        refusing(refusals.Unauthorized()), an_endpoint(allowed_origins=SITES), headers={"Origin": SITES[1]}
    )
    assert response["headers"]["Access-Control-Allow-Origin"] == SITES[1]


def test_a_method_that_is_not_allowed_is_told_which_are() -> None:
    response = serve(method="PUT")
    assert (response["statusCode"], response["headers"]["Allow"]) == (405, "GET, POST, OPTIONS")


def test_a_path_is_unknown_before_its_method_is_not_allowed() -> None:
    assert serve(path="/api/v1/inbound_webhooks/ping", method="DELETE")["statusCode"] == 404


def test_who_may_not_be_served_now_is_told_when_to_come_back() -> None:
    response = serve(refusing(TemporarilyUnavailable()))
    assert (response["statusCode"], response["headers"]["Retry-After"]) == (503, "1")


def test_a_request_too_many_is_told_how_long_to_wait() -> None:
    assert serve(refusing(refusals.RateLimited(41)))["headers"]["Retry-After"] == "41"


def test_no_other_answer_tells_when_to_come_back() -> None:
    retried = {name for name, response in every_answer().items() if "Retry-After" in response["headers"]}
    assert retried <= {"temporarily_unavailable", "rate_limited"}


def test_a_bug_is_answered_without_a_detail_of_ours() -> None:
    response = serve(lambda _, request: request.params["no such key"].encode())
    assert response["statusCode"] == 500
    assert json.loads(response["body"]) == {
        "success": False,
        "status": "internal_error",
        "errors": ["Something failed on our side. Quote the request_id."],
        "buyers": [],
        "request_id": REQUEST_ID,
    }


def test_a_failure_to_find_the_endpoint_is_answered_like_any_other() -> None:
    def find(vanity_uri: str) -> Endpoint:
        raise LookupError(vanity_uri)

    assert webhooks.serve(an_event(), REQUEST_ID, "ping", find, answered)["statusCode"] == 500


@pytest.mark.parametrize("event", [{}, {"requestContext": {}}, {"requestContext": {"http": {}}, "rawPath": None}])
def test_what_is_no_event_of_api_gateway_is_answered_too(event: dict[str, Any]) -> None:
    assert webhooks.serve(event, REQUEST_ID, "ping", lambda _: an_endpoint(), answered)["statusCode"] == 500


def test_each_request_is_one_line_in_the_log(log: io.StringIO) -> None:
    serve(refusing(refusals.PingIdExpired()))
    written = line(log)
    assert written["milliseconds"] >= 0
    told = {"level", "message", "request_id", "function", "endpoint", "http_status", "status"}
    assert {name: written[name] for name in told} == {
        "level": "INFO",
        "message": "request",
        "request_id": REQUEST_ID,
        "function": "ping",
        "endpoint": "my_endpoint",
        "http_status": 200,
        "status": "ping_id_expired",
    }


@pytest.mark.parametrize("error", [KeyError("+16145550123"), TemporarilyUnavailable()])
def test_a_failure_is_logged_with_its_place_and_not_with_its_message(log: io.StringIO, error: Exception) -> None:
    def flow(_: Endpoint, __: Request) -> bytes:
        raise error

    serve(flow)
    written = line(log)
    assert (written["level"], written["error"]) == ("ERROR", type(error).__name__)
    assert any("test_http.py" in place for place in written["where"])
    assert "6145550123" not in log.getvalue()


def test_what_made_the_service_unavailable_is_logged(log: io.StringIO) -> None:
    def flow(_: Endpoint, __: Request) -> bytes:
        try:
            raise TimeoutError("6145550123")
        except TimeoutError as error:
            raise TemporarilyUnavailable from error

    serve(flow)
    assert line(log)["error"] == "TimeoutError"
    assert "6145550123" not in log.getvalue()


def test_nothing_that_was_sent_is_in_the_log(log: io.StringIO) -> None:
    mark = "6145550123"
    for flow in (answered, refusing(refusals.Unauthorized()), refusing(TemporarilyUnavailable())):
        serve(
            flow,
            query=f"a={mark}&{mark}=a",
            json_body={"b": mark, mark: "b"},
            headers={"Authorization": f"Token {mark}", "Idempotency-Key": mark, "Origin": mark, "User-Agent": mark},
        )
    serve(path=f"/api/v1/inbound_webhooks/ping/{mark}", uri=mark)
    serve(path=f"/{mark}", method=mark)
    serve(body=f"[{mark}".encode())
    assert len(log.getvalue().splitlines()) == 6
    assert mark not in log.getvalue()
