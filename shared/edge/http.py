"""One HTTP exchange: an API Gateway event in, its response out, one structured line in the log and one of metrics.

No exception leaves here but the one that stops the process. The line and its error have no value that a publisher sent.
"""

import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger

from shared.domain.models import Endpoint
from shared.domain.refusals import InternalError, MethodNotAllowed, RateLimited, Refusal, TemporarilyUnavailable
from shared.edge import answers, metrics, requests
from shared.edge.requests import Request

log = Logger()


def serve(
    event: Mapping[str, Any],
    request_id: str,
    verb: str,
    find: Callable[[str], Endpoint],
    flow: Callable[[Endpoint, Request], bytes],
) -> dict[str, Any]:
    """Answer one event. `find` gives the endpoint of a vanity URI, `flow` the body for a request to it."""
    started = time.perf_counter()
    endpoint: Endpoint | None = None
    facts: dict[str, Any] = {}
    wait_seconds = 0
    try:
        method, vanity_uri = requests.read_target(event, verb)
        endpoint = find(vanity_uri)
        if method == "OPTIONS":
            code, status, body = 204, "preflight", b""
        else:
            body = flow(endpoint, requests.read(event, method, vanity_uri))
            code, status = 200, "success"
    except Refusal as refused:
        code, status = answers.HTTP_STATUS[type(refused)], refused.status
        body = answers.refusal(refused, endpoint, request_id)
        metrics.refused(status)
        if isinstance(refused, TemporarilyUnavailable | RateLimited):
            wait_seconds = refused.retry_after_seconds
        if isinstance(refused, TemporarilyUnavailable):
            facts = where(refused.__cause__ or refused)
    except Exception as bug:  # noqa: BLE001 - the last one, at the edge
        code, status = 500, InternalError.status
        body = answers.refusal(InternalError(), endpoint, request_id)
        metrics.refused(status)
        facts = where(bug)
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    metrics.answered(verb, milliseconds)
    line = {
        "request_id": request_id,
        "function": verb,
        "endpoint": endpoint.vanity_uri if endpoint else None,
        "http_status": code,
        "status": status,
        "milliseconds": milliseconds,
        **facts,
    }
    (log.error if code >= 500 else log.info)("request", extra=line)
    return {
        "statusCode": code,
        "headers": _headers(endpoint, event.get("headers", {}).get("origin", ""), code, wait_seconds),
        "body": body.decode(),
        "isBase64Encoded": False,
    }


def _headers(endpoint: Endpoint | None, origin: str, code: int, wait_seconds: int) -> dict[str, str]:
    headers = {"Cache-Control": "no-store", "Access-Control-Expose-Headers": "Retry-After"}
    allowed = endpoint.allowed_origins if endpoint else ("*",)
    if "*" in allowed:
        headers["Access-Control-Allow-Origin"] = "*"
    else:
        headers["Access-Control-Allow-Origin"] = origin if origin in allowed else allowed[0]
        headers["Vary"] = "Origin"
    if code == 204:
        headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
        headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Idempotency-Key"
        headers["Access-Control-Max-Age"] = "86400"
    else:
        headers["Content-Type"] = "application/json"
    if code == answers.HTTP_STATUS[MethodNotAllowed]:
        headers["Allow"] = "GET, POST, OPTIONS"
    if wait_seconds:
        headers["Retry-After"] = str(wait_seconds)
    return headers


def where(error: BaseException) -> dict[str, Any]:
    """An error as its type and its lines of code: its message could hold what a publisher sent."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "where": [f"{frame.filename}:{frame.lineno}" for frame in frames[-8:]]}
