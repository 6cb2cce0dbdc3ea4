"""One HTTP exchange of a function: an API Gateway event in, its response out, one structured line in the log.

No exception leaves here but the one that stops the process. The line and its error have no value that anybody sent.
"""

import os
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aws_lambda_powertools import Logger

from shared import settings
from shared.domain.objections import Objection
from shared.domain.refusals import InternalError, Refusal, TemporarilyUnavailable
from shared.http.compression import compress

VERSION = os.environ.get(settings.VERSION, "")
log = Logger(version=VERSION or None)  # the logger leaves a None out

Facts = dict[str, Any]
"""What the line says of this request. Its `status` is success, unless it says another."""
RawResponse = dict[str, Any]

Expected = TypeVar("Expected", bound=Refusal | Objection)


def serve(
    event: Mapping[str, Any],
    request_id: str,
    function: str,
    respond: Callable[[Facts], RawResponse],
    refuse: Callable[[Expected | InternalError], RawResponse],
    expected: tuple[type[Expected], ...],
    *,
    compressed: bool = True,
    ended: Callable[[float], None] = lambda _: None,
) -> RawResponse:
    """Answer by `respond`, which adds to the facts, or by `refuse` if it raises one of the `expected`. Any other
    exception is an `InternalError` to `refuse`. `ended` gets the milliseconds that it took."""
    started = time.perf_counter()
    facts: Facts = {}
    try:
        response = respond(facts)
    except Exception as error:  # noqa: BLE001 - the last one, at the edge
        refused: Expected | InternalError = error if isinstance(error, expected) else InternalError()
        response = refuse(refused)
        facts["status"] = refused.status
        if isinstance(refused, TemporarilyUnavailable):
            facts |= describe_error(error.__cause__ or error)
        elif isinstance(refused, InternalError):
            facts |= describe_error(error)
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    ended(milliseconds)
    status = facts.pop("status", "success")
    log_request(request_id, function, response["statusCode"], status, milliseconds, **facts)
    return compress(event, response) if compressed else response


def log_request(request_id: str, function: str, code: int, status: str, milliseconds: float, **facts: Any) -> None:
    """The one line in the log. `facts` have no value that anybody sent."""
    line = {
        "request_id": request_id,
        "function": function,
        "http_status": code,
        "status": status,
        "milliseconds": milliseconds,
        **facts,
    }
    (log.error if code >= 500 else log.info)("request", extra=line)


def describe_error(error: BaseException) -> Mapping[str, Any]:
    """An error as its type and its lines of code: its message could hold what a publisher sent."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "where": [f"{frame.filename}:{frame.lineno}" for frame in frames[-8:]]}
