"""What a publisher sent: an API Gateway event (payload 2.0) read as one request."""

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from shared.domain import values
from shared.domain.refusals import MalformedRequest, MethodNotAllowed, RequestTooLarge, UnknownEndpoint
from shared.publishers import bodies

QUERY_BYTES = 8 * 1024
BODY_BYTES = 64 * 1024
CONTROLS = ("ping_id", "buyer_id", "auth_token", "explain")
"""Parameters about the request; they are no part of the lead."""

PATH = re.compile(r"/api/v1/inbound_webhooks/([a-z]+)/([A-Za-z0-9_.~-]{1,64})/?")
SLASHES = re.compile(r"/{2,}")
VERBS = ("ping", "post", "full")
SANDBOX = "/sandbox"
"""Before the path of an endpoint, it is that of the endpoint's sandbox."""


class Request(Struct, frozen=True):
    """`params` holds every parameter with a value, as stripped text; `tokens` what might be its auth token; `came_from`
    the address of the sender."""

    method: str
    vanity_uri: str
    params: dict[str, str]
    tokens: list[str]
    idempotency_key: str
    came_from: str = ""

    def __repr__(self) -> str:
        return f"Request({self.method} {self.vanity_uri})"

    @property
    def ping_id(self) -> str:
        return _control(self.params, "ping_id")

    @property
    def buyer_id(self) -> str:
        return _control(self.params, "buyer_id")

    @property
    def explain(self) -> bool:
        return _control(self.params, "explain").lower() in ("1", "true", "yes")

    @property
    def source_address(self) -> str:
        return counted_address(self.came_from)

    def sent(self, names: Collection[str]) -> dict[str, str]:
        """The lead's parameters. A name is matched exactly first, then without regard to case."""
        spelled = {name.lower(): name for name in names}
        sent = {}
        for key, value in self.params.items():
            name = key if key in names else spelled.get(key.lower(), key)
            if name.lower() not in (*CONTROLS, "vanity_uri") and (name == key or name not in self.params):
                sent[name] = value
        return sent


def counted_address(address: str) -> str:
    """The address under which requests are counted: for IPv6 its network of 64 bits, because a household has one."""
    if ":" not in address:
        return address
    from ipaddress import IPv6Network

    return str(IPv6Network((address, 64), strict=False))


def path(event: Mapping[str, Any]) -> str:
    """With one slash where an address and a path that were put together have two."""
    return SLASHES.sub("/", event["rawPath"])


def verb(event: Mapping[str, Any]) -> str | None:
    """What is asked for; None on any other path."""
    match = PATH.fullmatch(path(event))
    return match[1] if match and match[1] in VERBS else None


def to_sandbox(event: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """A request to a sandbox as one to its endpoint, with its verb. Any other stays as it is, and leads nowhere."""
    of_endpoint = {**event, "rawPath": path(event).removeprefix(SANDBOX)}
    return of_endpoint, verb(of_endpoint) or VERBS[0]


def read_target(event: Mapping[str, Any], verb: str) -> tuple[str, str]:
    """Method and vanity URI. Raises `UnknownEndpoint` and `MethodNotAllowed`."""
    http = event["requestContext"]["http"]
    match = PATH.fullmatch(path(event))
    if match is None or match[1] != verb:
        raise UnknownEndpoint
    if http["method"] not in ("GET", "POST", "OPTIONS"):
        raise MethodNotAllowed
    return http["method"], match[2]


def read(event: Mapping[str, Any], method: str, vanity_uri: str) -> Request:
    """Raises `RequestTooLarge` and `MalformedRequest`."""
    headers = event.get("headers", {})
    content_type = headers.get("content-type", "")
    try:
        params = _query(event.get("rawQueryString", "")) | _body(event, content_type)
        "".join((*params, *params.values())).encode()  # half a surrogate pair can be sent, but is no text
    except (ValueError, RecursionError):
        raise MalformedRequest(bodies.sentence_on_type(content_type)) from None
    return Request(
        method=method,
        vanity_uri=vanity_uri,
        params=params,
        tokens=[token for token in (_control(params, "auth_token"), *_authorization(headers)) if token],
        idempotency_key=_control(headers, "idempotency-key"),
        came_from=event["requestContext"]["http"].get("sourceIp", ""),
    )


def _query(raw: str) -> dict[str, str]:
    if len(raw.encode()) > QUERY_BYTES:
        raise RequestTooLarge
    return bodies.form(raw)


def _body(event: Mapping[str, Any], content_type: str) -> dict[str, str]:
    body = event.get("body") or ""
    raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    if len(raw) > BODY_BYTES:
        raise RequestTooLarge
    return bodies.read(raw, content_type)


def _control(params: Mapping[str, str], name: str) -> str:
    """A parameter about the request; empty where it says that there is none."""
    found = params.get(name) or next((value for key, value in params.items() if key.lower() == name), "")
    return "" if values.is_nothing(found) else found.strip()


def _authorization(headers: Mapping[str, str]) -> list[str]:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "token":
        return [credentials.strip()]
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return []
        return [user, password]
    return []
