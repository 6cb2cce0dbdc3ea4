"""API Gateway's HTTP API: a request becomes an event of payload version 2.0, a function's answer becomes a response."""

import asyncio
import base64
import json
import re
import time
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from shared.functions import FALLBACK, FUNCTIONS, Route
from tools.local import asgi
from tools.local.lambda_runtime import ACCOUNT_ID, FunctionFailed, FunctionTimedOut, Runtime

BODY_BYTES = 10 * 1024 * 1024
INTEGRATION_SECONDS = 30
TEXT = re.compile(r"text/.*|application/(.+\+)?(json|xml)|application/javascript")
# What the connection needs is the server's to say.
HOP_HEADERS = {"connection", "content-length", "transfer-encoding"}


class Gateway:
    """Routes each request to its function. Where no function answers, API Gateway's own words. `pages` are the local
    run's own, by their paths."""

    def __init__(self, runtime: Runtime, pages: Mapping[str, asgi.Application]) -> None:
        self._runtime = runtime
        self._pages = pages

    async def application(self, scope: asgi.Message, receive: asgi.Receive, send: asgi.Send) -> None:
        if page := self._pages.get(scope["path"]):
            await page(scope, receive, send)
            return
        function, route = _lead(scope["path"])
        try:
            body = await asgi.body(receive, BODY_BYTES)
            invoked = self._runtime.invoke(function, event(scope, body, route))
            answer = response(await asyncio.wait_for(invoked, INTEGRATION_SECONDS))
        except asgi.ClientGone:
            return
        except asgi.BodyTooLarge:
            answer = _own(413, "Request Entity Too Large")
        except (FunctionTimedOut, TimeoutError, asyncio.CancelledError):  # the last: the server stops
            answer = _own(503, "Service Unavailable")
        except (FunctionFailed, MalformedAnswer):
            answer = _own(500, "Internal Server Error")
        await asgi.reply(send, *answer)


class Response(NamedTuple):
    status: int
    body: bytes
    headers: asgi.Headers


class MalformedAnswer(Exception):
    """What the function returned is not an HTTP response of payload version 2.0."""


def _lead(path: str) -> tuple[str, Route | None]:
    """The function of a path, and its route if it has one."""
    on = [(name, route) for name, function in FUNCTIONS.items() for route in function.routes if _is_on(route, path)]
    return max(on, key=lambda found: len(found[1].prefix), default=(FALLBACK, None))


def _is_on(route: Route, path: str) -> bool:
    return _below(route, path) != "" or (route.itself and path == route.prefix)


def _below(route: Route, path: str) -> str:
    """What `{path+}` is on the route; empty if the path is not below its prefix."""
    start = f"{route.prefix}/"
    return path.removeprefix(start) if route.below and path.startswith(start) else ""


def event(scope: asgi.Message, body: bytes, route: Route | None) -> dict[str, Any]:
    """The event as AWS makes it: keys without a value (cookies, query, body) are absent. The default route is None."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    headers["x-forwarded-proto"] = scope["scheme"]
    cookies = headers.pop("cookie", "")
    query = scope["query_string"].decode("latin-1")
    parameters: dict[str, str] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        parameters[key] = f"{parameters[key]},{text}" if key in parameters else text
    now = time.time()
    below = _below(route, scope["path"]) if route else ""
    route_key = f"ANY {route.prefix}{'/{path+}' if below else ''}" if route else "$default"
    content, is_base64 = _body(body, headers.get("content-type", ""))
    return {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": scope["path"],
        "rawQueryString": query,
        **({"cookies": [cookie.strip() for cookie in cookies.split(";")]} if cookies else {}),
        "headers": headers,
        **({"queryStringParameters": parameters} if parameters else {}),
        **({"pathParameters": {"path": below}} if below else {}),
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": "local",
            "domainName": headers.get("host", ""),
            "domainPrefix": "local",
            "http": {
                "method": scope["method"],
                "path": scope["path"],
                "protocol": f"HTTP/{scope['http_version']}",
                "sourceIp": scope["client"][0],
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": route_key,
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        **({"body": content} if content else {}),
        "isBase64Encoded": is_base64,
    }


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    # A form arrives in base64, as on AWS: application/x-www-form-urlencoded is no text there.
    if not body or TEXT.fullmatch(content_type.partition(";")[0].strip().lower()):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def response(returned: bytes) -> Response:
    """What a function returned, as JSON; without a `statusCode` it is itself the body. Raises `MalformedAnswer`."""
    try:
        answer = json.loads(returned)
        if not isinstance(answer, dict) or "statusCode" not in answer:
            return Response(200, returned, [(b"content-type", b"application/json")])
        named = {str(name).lower(): value for name, value in (answer.get("headers") or {}).items()}
        headers = [(name, _header(value)) for name, value in named.items() if name not in HOP_HEADERS]
        headers += [("set-cookie", str(cookie)) for cookie in answer.get("cookies") or []]
        body = answer.get("body") or ""
        return Response(
            HTTPStatus(int(answer["statusCode"])),
            base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode(),
            [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        )
    except (AttributeError, TypeError, ValueError) as fault:
        raise MalformedAnswer from fault


def _header(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _own(status: int, message: str) -> Response:
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    return Response(status, body, [(b"content-type", b"application/json")])
