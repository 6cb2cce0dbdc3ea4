"""What stands around every handler: the origin's secret, the sender's address and host, and TLS forever."""

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from shared.http import front, serving
from shared.publishers import requests
from shared.settings import HOST, ORIGIN, VERSION, VIEWER
from tests.build import REQUEST_ID, an_event

SECRETS = ("first", "second")
CONTEXT: Any = SimpleNamespace(aws_request_id=REQUEST_ID)
HSTS = "Strict-Transport-Security"


def asked(event: dict[str, Any], secrets: tuple[str, ...]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The answer of a handler that is guarded, and the events that it saw."""
    seen: list[dict[str, Any]] = []

    def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
        seen.append(event)
        return {"statusCode": 200, "headers": {"Content-Type": "text/plain"}, "body": "", "isBase64Encoded": False}

    handler.__module__ = "functions.ping.handler"
    return front.guard_handler(lambda: secrets)(handler)(event, CONTEXT), seen


def sent(**headers: str) -> dict[str, Any]:
    return an_event(headers=headers)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("address", ["198.51.100.7", "2001:db8::7"])
def test_what_comes_through_cloudfront_has_its_senders_address_and_host(secret: str, address: str) -> None:
    came = sent(**{ORIGIN: secret, VIEWER: address, HOST: "calls.example.com", "authorization": "Token t"})
    answer, [event] = asked(came, SECRETS)
    assert answer["statusCode"] == 200
    assert requests.read(event, "POST", "my_endpoint").came_from == address
    assert event["requestContext"]["domainName"] == "calls.example.com"
    assert event["headers"]["authorization"] == "Token t"
    assert not {ORIGIN, VIEWER, HOST} & {*event["headers"]}  # nothing behind can show or log the secret
    assert came["headers"][ORIGIN] == secret


@pytest.mark.parametrize("shown", [None, "", "firs", "first,first", "third", "f\udc00"], ids=repr)
def test_what_comes_past_cloudfront_is_refused_and_no_handler_sees_it(shown: str | None) -> None:
    headers = {VIEWER: "198.51.100.7"} | ({} if shown is None else {ORIGIN: shown})
    answer, seen = asked(sent(**headers), SECRETS)
    assert (answer["statusCode"], seen) == (403, [])
    body = json.loads(answer["body"])
    assert (body["success"], body["status"]) == (False, "forbidden")
    assert answer["headers"][HSTS] == front.ONE_YEAR


def test_a_secret_that_was_rotated_out_opens_nothing() -> None:
    answer, _ = asked(sent(**{ORIGIN: "first"}), ("second",))
    assert answer["statusCode"] == 403


def test_where_nothing_stands_in_front_nobody_chooses_an_address() -> None:
    event = sent(**{ORIGIN: "first", VIEWER: "198.51.100.7", HOST: "elsewhere.example"})
    _, [seen] = asked(event, ())
    assert seen is event


@pytest.mark.parametrize(("scheme", "told"), [("https", True), ("http", False), (None, True)])
def test_browsers_are_told_to_come_over_tls_where_they_have(scheme: str | None, told: bool) -> None:
    answer, _ = asked(sent(**({} if scheme is None else {"x-forwarded-proto": scheme})), ())
    assert (answer["headers"].get(HSTS) == "max-age=31536000") is told
    assert answer["headers"]["Content-Type"] == "text/plain"


@pytest.mark.parametrize("secrets", [(), SECRETS], ids=["answered", "refused"])
def test_every_answer_says_the_version(monkeypatch: pytest.MonkeyPatch, secrets: tuple[str, ...]) -> None:
    monkeypatch.setattr(serving, "VERSION", "1.2.3")
    answer, _ = asked(sent(), secrets)
    assert answer["headers"]["X-Ringpost-Version"] == "1.2.3"
    monkeypatch.setattr(serving, "VERSION", "")
    answer, _ = asked(sent(), secrets)
    assert "X-Ringpost-Version" not in answer["headers"]


@pytest.mark.parametrize("version", ["1.2.3", ""])
def test_every_line_in_the_log_says_the_version(version: str) -> None:
    says = (
        "from shared.http import serving; from shared.publishers import webhooks;"
        "webhooks.log_skew(3.0); serving.log.error('keys_missing')"
    )
    environment = {VERSION: version, "POWERTOOLS_SERVICE_NAME": "ringpost"}
    done = subprocess.run([sys.executable, "-c", says], env=environment, capture_output=True, text=True, check=True)
    lines = [found for found in map(json.loads, done.stdout.splitlines()) if "message" in found]
    assert [line["message"] for line in lines] == ["clock_skew", "keys_missing"]
    assert [line.get("version", "") for line in lines] == [version, version]
