"""The HTTP of PING, POST and FULL: what a publisher sends as a request, and what it gets as a response."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from shared.domain.models import Endpoint
from shared.domain.refusals import MethodNotAllowed, RateLimited, Refusal, TemporarilyUnavailable
from shared.http import serving
from shared.http.serving import Facts, RawResponse
from shared.publishers import answers, metrics, requests
from shared.publishers.requests import Request

HEADERS = ("Authorization", "Content-Type", "Idempotency-Key")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
LOCATION = re.compile(r"/[A-Za-z0-9_.~-][!-~]*")
WANTED = 1024
"""What is looked at of the headers that a preflight asks for."""


def serve(
    event: Mapping[str, Any],
    request_id: str,
    verb: str,
    find: Callable[[str], Endpoint],
    flow: Callable[[Endpoint, Request], bytes],
) -> RawResponse:
    """Answer one event. `find` gives the endpoint of a vanity URI, `flow` the body for a request to it."""
    endpoint: Endpoint | None = None

    def respond(facts: Facts) -> RawResponse:
        nonlocal endpoint
        facts["endpoint"] = None
        method, vanity_uri = requests.read_target(event, verb)
        endpoint = find(vanity_uri)
        facts["endpoint"] = endpoint.vanity_uri
        if method == "OPTIONS":
            facts["status"] = "preflight"
            return _response(event, endpoint, 204, b"")
        return _response(event, endpoint, 200, flow(endpoint, requests.read(event, method, vanity_uri)))

    def refuse(refused: Refusal) -> RawResponse:
        metrics.count_refusal(refused.status)
        wait = refused.retry_after_seconds if isinstance(refused, TemporarilyUnavailable | RateLimited) else 0
        body = answers.refusal(refused, endpoint, request_id)
        return _response(event, endpoint, answers.HTTP_STATUS[type(refused)], body, wait)

    ended = partial(metrics.write_line, verb)
    return serving.serve(event, request_id, verb, respond, refuse, (Refusal,), compressed=False, ended=ended)


def redirect(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """From a path with doubled slashes, by which API Gateway has found the wrong function, to that with single ones.
    None if it has none."""
    path, query = requests.path(event), event.get("rawQueryString", "")
    location = f"{path}?{query}" if query else path
    if path == event["rawPath"] or not LOCATION.fullmatch(location):
        return None
    headers = {"Location": location, "Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"}
    return {"statusCode": 308, "headers": headers, "body": "", "isBase64Encoded": False}


def log_skew(seconds: float) -> None:
    """A line and a metric of a function whose clock is wrong."""
    serving.log.warning("clock_skew", extra={"seconds": round(seconds, 1)})
    metrics.count_clock_skew()


def _response(
    event: Mapping[str, Any], endpoint: Endpoint | None, code: int, body: bytes, wait_seconds: int = 0
) -> RawResponse:
    headers = _headers(endpoint, event.get("headers", {}), code, wait_seconds)
    return {"statusCode": code, "headers": headers, "body": body.decode(), "isBase64Encoded": False}


def _headers(endpoint: Endpoint | None, asked: Mapping[str, str], code: int, wait_seconds: int) -> dict[str, str]:
    origin = asked.get("origin", "")
    headers = {"Cache-Control": "no-store", "Access-Control-Expose-Headers": "Retry-After"}
    allowed = endpoint.allowed_origins if endpoint else ("*",)
    if "*" in allowed:
        headers["Access-Control-Allow-Origin"] = "*"
    else:
        headers["Access-Control-Allow-Origin"] = origin if origin in allowed else allowed[0]
        headers["Vary"] = "Origin"
    if code == 204:
        headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
        headers["Access-Control-Allow-Headers"] = _allowed(asked.get("access-control-request-headers", ""))
        headers["Access-Control-Max-Age"] = "86400"
    else:
        headers["Content-Type"] = "application/json"
    if code == answers.HTTP_STATUS[MethodNotAllowed]:
        headers["Allow"] = "GET, POST, OPTIONS"
    if wait_seconds:
        headers["Retry-After"] = str(wait_seconds)
    return headers


def _allowed(wanted: str) -> str:
    """Our headers, and those that a browser asks for: frameworks of web pages add their own."""
    ours = {name.lower() for name in HEADERS}
    names = (name.strip() for name in wanted[:WANTED].split(","))
    return ", ".join((*HEADERS, *dict.fromkeys(n for n in names if HEADER.fullmatch(n) and n.lower() not in ours)))
