"""Around every handler. If CloudFront is in front, it refuses requests that do not come from CloudFront, and gives the
others their sender's address and host back. It tells browsers to use TLS only."""

import hmac
import json
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.http import serving
from shared.settings import HOST, ORIGIN, VIEWER

Event = dict[str, Any]
Handler = Callable[[Event, LambdaContext], dict[str, Any]]

STATUS = "forbidden"
REFUSAL = {
    "success": False,
    "status": STATUS,
    "errors": ["This address is closed. Send requests to the address that your operator gave you."],
    "buyers": [],
}
ONE_YEAR = "max-age=31536000"


def guard_handler(secrets: Callable[[], Collection[str]]) -> Callable[[Handler], Handler]:
    """`secrets` gives the secrets that CloudFront may send. Without any CloudFront is not in front, and its headers are
    not read."""

    def guard(handler: Handler) -> Handler:
        function = handler.__module__.split(".")[-2]

        @wraps(handler)
        def answer(event: Event, context: LambdaContext) -> dict[str, Any]:
            known = secrets()
            inner = event_from_cloudfront(event, known) if known else event
            if inner is None:
                serving.log_request(context.aws_request_id, function, 403, STATUS, 0.0)
                return _add_headers(event, _refusal())
            return _add_headers(event, handler(inner, context))

        return answer

    return guard


def event_from_cloudfront(event: Event, secrets: Collection[str]) -> Event | None:
    """The request as its sender sent it to CloudFront; None if it does not come from CloudFront."""
    headers = {name: text for name, text in event.get("headers", {}).items() if name not in (ORIGIN, VIEWER, HOST)}
    sent = event.get("headers", {})
    shown = sent.get(ORIGIN, "").encode(errors="replace")
    matches = [hmac.compare_digest(shown, secret.encode()) for secret in secrets]
    if True not in matches:
        return None
    context = event["requestContext"]
    http_part = context["http"] | ({"sourceIp": sent[VIEWER]} if VIEWER in sent else {})
    host = {"domainName": sent[HOST]} if HOST in sent else {}
    return event | {"headers": headers, "requestContext": context | host | {"http": http_part}}


def _refusal() -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    body = json.dumps(REFUSAL, separators=(",", ":"))
    return {"statusCode": 403, "headers": headers, "body": body, "isBase64Encoded": False}


def _add_headers(event: Mapping[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with the version, and with HSTS if it goes over TLS: API Gateway always uses TLS, the local run
    never."""
    added = {"X-Ringpost-Version": serving.VERSION} if serving.VERSION else {}
    if event.get("headers", {}).get("x-forwarded-proto", "https") == "https":
        added["Strict-Transport-Security"] = ONE_YEAR
    return answer | {"headers": answer["headers"] | added}
