"""What a publisher sent: an API Gateway event (payload 2.0) read as one request."""

import base64
import binascii
import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

from shared.domain.refusals import MalformedRequest, MethodNotAllowed, RequestTooLarge, UnknownEndpoint

QUERY_BYTES = 8 * 1024
BODY_BYTES = 64 * 1024
CONTROLS = ("ping_id", "buyer_id", "auth_token", "explain")
"""Parameters about the request; they are no part of the lead."""

PATH = re.compile(r"/api/v1/inbound_webhooks/([a-z]+)/([A-Za-z0-9_.~-]{1,64})/?")
VERBS = ("ping", "post", "full")
SANDBOX = "/sandbox"
"""Before the path of an endpoint, it is that of the endpoint's twin."""


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
        return self._control("ping_id")

    @property
    def buyer_id(self) -> str:
        return self._control("buyer_id")

    @property
    def explain(self) -> bool:
        return self._control("explain").lower() in ("1", "true", "yes")

    @property
    def source_address(self) -> str:
        """Whose requests are counted together: of IPv6 the network of 64 bits, which one household has."""
        if ":" not in self.came_from:
            return self.came_from
        from ipaddress import IPv6Network

        return str(IPv6Network((self.came_from, 64), strict=False))

    def sent(self, names: Collection[str]) -> dict[str, str]:
        """The lead's parameters. A name is matched exactly first, then without regard to case."""
        spelled = {name.lower(): name for name in names}
        sent = {}
        for key, value in self.params.items():
            name = key if key in names else spelled.get(key.lower(), key)
            if name.lower() not in (*CONTROLS, "vanity_uri") and (name == key or name not in self.params):
                sent[name] = value
        return sent

    def _control(self, name: str) -> str:
        return _named(self.params, name)


def to_sandbox(event: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """A request to a twin as one to its endpoint, with its verb. Any other stays as it is, and leads nowhere."""
    path = event["rawPath"].removeprefix(SANDBOX)
    match = PATH.fullmatch(path)
    return ({**event, "rawPath": path}, match[1]) if match and match[1] in VERBS else ({**event}, VERBS[0])


def read_target(event: Mapping[str, Any], verb: str) -> tuple[str, str]:
    """Method and vanity URI. Raises `UnknownEndpoint` and `MethodNotAllowed`."""
    http = event["requestContext"]["http"]
    match = PATH.fullmatch(event["rawPath"])
    if match is None or match[1] != verb:
        raise UnknownEndpoint
    if http["method"] not in ("GET", "POST", "OPTIONS"):
        raise MethodNotAllowed
    return http["method"], match[2]


def read(event: Mapping[str, Any], method: str, vanity_uri: str) -> Request:
    """Raises `RequestTooLarge` and `MalformedRequest`."""
    headers = event.get("headers", {})
    try:
        params = _query(event.get("rawQueryString", "")) | _body(event, headers.get("content-type", ""))
        "".join((*params, *params.values())).encode()  # half a surrogate pair can be sent, but is no text
    except (ValueError, RecursionError):
        raise MalformedRequest from None
    return Request(
        method=method,
        vanity_uri=vanity_uri,
        params=params,
        tokens=[token for token in (_named(params, "auth_token"), *_authorization(headers)) if token],
        idempotency_key=headers.get("idempotency-key", "").strip(),
        came_from=event["requestContext"]["http"].get("sourceIp", ""),
    )


def _query(raw: str) -> dict[str, str]:
    if len(raw.encode()) > QUERY_BYTES:
        raise RequestTooLarge
    return _form(raw)


def _body(event: Mapping[str, Any], content_type: str) -> dict[str, str]:
    body = event.get("body") or ""
    raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    if len(raw) > BODY_BYTES:
        raise RequestTooLarge
    text = raw.decode().removeprefix("\ufeff").strip()
    if not text:
        return {}
    try:
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=_not_json)
    except ValueError:
        is_form = content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"
        if is_form and text[0] not in "{[":  # which a form would have encoded
            return _form(text)
        raise
    if not isinstance(found, dict):
        raise MalformedRequest
    return _with_value((key, _text(value)) for key, value in found.items())


def _form(raw: str) -> dict[str, str]:
    return _with_value(parse_qsl(raw, errors="strict", max_num_fields=BODY_BYTES))


def _with_value(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {key: stripped for key, value in pairs if (stripped := value.strip())}


def _text(value: object) -> str:
    """A JSON value as the text that a form would have sent; numbers were kept as they were written."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _named(params: Mapping[str, str], name: str) -> str:
    return params.get(name) or next((value for key, value in params.items() if key.lower() == name), "")


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
