"""The addresses at which buyers' systems say what a call is worth, and read calls: the same paths, methods, names of
values and answers as in the API that operators come from."""

import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from shared.domain import keys as signing
from shared.domain.models import Role, User
from shared.domain.objections import MethodUnknown, NotAllowed, NotFound, NotValid, Objection, TokenUnknown, TooOften
from shared.domain.readers import reader_of
from shared.domain.refusals import InternalError, TemporarilyUnavailable
from shared.domain.updates import buyer_of
from shared.flows.telephony import Telephony
from shared.flows.updating import Said, Teller, look_at, update_call
from shared.http import serving
from shared.http.serving import Facts, RawResponse
from shared.office import rest
from shared.office.call_requests import Sent, read_request, read_said
from shared.operators import log, original_calls
from shared.operators.access import ANYBODY, Office, admit_any
from shared.operators.original_calls import WantedCalls
from shared.store.calls import StoredCall

TELLERS: tuple[Role, ...] = ("operator", "buyer")
"""Who says what a call is worth."""
OF_BUYERS = ("buyer_converted", "revenue")
"""What a buyer may say, beside fields of its own."""
WITH_ITS_KEY_A_MINUTE = 60
"""Requests about one call by its own address."""
METADATA = {"root": "call"}


class Exchange(Struct, frozen=True):
    """One request, and what it works on. `path` are the parameters in its address."""

    office: Office
    telephony: Callable[[], Telephony]
    sent: Sent
    path: dict[str, str]
    facts: Facts

    def admit(self, *, writes: bool) -> User:
        """Raises `TokenUnknown`, `NotAllowed` and `TooOften`."""
        user = admit_any(self.office, self.sent.tokens, TELLERS if writes else ANYBODY, writes=writes)
        self.facts["user"] = user.name
        return user

    def call_id(self) -> bytes:
        """Raises `NotFound`."""
        found = signing.read_uuid(self.office.records.keys, "call", self.path["uuid"])
        if found is None:
            raise NotFound("There is no such call, or it is not yours.")
        return found


class Address(Struct, frozen=True):
    """`pattern` is below the API's root."""

    pattern: str
    methods: tuple[str, ...]
    answer: Callable[[Exchange], dict[str, Any]]


def serve(
    event: Mapping[str, Any], request_id: str, office: Callable[[], Office], telephony: Callable[[], Telephony]
) -> RawResponse | None:
    """Answer one event; None for any other address."""
    found = _find(event)
    if found is None:
        return None
    address, path = found

    def respond(facts: Facts) -> RawResponse:
        method = event["requestContext"]["http"]["method"]
        facts |= {"operation": f"{method} {address.pattern}", "user": None}
        if method not in address.methods:
            raise MethodUnknown(address.methods)
        exchange = Exchange(office(), telephony, read_request(event), path, facts)
        return _response(200, address.answer(exchange))

    def refuse(refused: Objection | TemporarilyUnavailable | InternalError) -> RawResponse:
        return _refusal(refused, request_id)

    return serving.serve(event, request_id, "api", respond, refuse, rest.EXPECTED)


def _find(event: Mapping[str, Any]) -> tuple[Address, dict[str, str]] | None:
    path = event["rawPath"].removesuffix("/").removesuffix(".json")
    if path.startswith(rest.ROOT):
        for address in ADDRESSES:
            if match := re.fullmatch(address.pattern, path.removeprefix(rest.ROOT)):
                return address, {name: unquote(text) for name, text in match.groupdict().items()}
    return None


def _list(exchange: Exchange) -> dict[str, Any]:
    reader = reader_of(exchange.admit(writes=False))
    values = exchange.sent.values
    known = {name: values[name] for name in WantedCalls.__struct_fields__ if name in values}
    found = original_calls.list_calls(exchange.office, reader, WantedCalls(**known))
    return {"calls": found.calls, "metadata": {"next_cursor": found.next_cursor or None, "root": "calls"}}


def _by_uuid(exchange: Exchange) -> dict[str, Any]:
    user = exchange.admit(writes=exchange.sent.says_something)
    if exchange.sent.says_something:
        return _update(exchange, user, exchange.call_id(), read_said(exchange.sent))
    call = original_calls.open_call(exchange.office, reader_of(user), exchange.call_id())
    return {"call": call, "metadata": METADATA}


def _by_caller(exchange: Exchange) -> dict[str, Any]:
    user = exchange.admit(writes=True)
    said = read_said(exchange.sent)
    try:
        caller = log.read_number(exchange.path["caller"])
    except NotValid as invalid:
        raise NotValid({"caller_id": [sentence for found in invalid.errors.values() for sentence in found]}) from None
    return _update(exchange, user, original_calls.find_latest(exchange.office, reader_of(user), caller), said)


def _by_key(exchange: Exchange) -> dict[str, Any]:
    """By the address that a call's buyer has of that call, which is its key: it needs no token."""
    office, call_id, telephony = exchange.office, exchange.call_id(), exchange.telephony()
    buyer_id = _buyer_of_key(office, telephony, call_id, exchange.path["key"])
    if wait := office.callers.count_request(
        "call", exchange.path["uuid"], {"requests": WITH_ITS_KEY_A_MINUTE}, office.records.now()
    ):
        raise TooOften(wait)
    user = User(f"buyer {buyer_id}", "buyer", buyers=(buyer_id,))
    exchange.facts["user"] = user.name
    return _update(exchange, user, call_id, read_said(exchange.sent))


def _buyer_of_key(office: Office, telephony: Telephony, call_id: bytes, key: str) -> int:
    """Raises `TokenUnknown` and `NotFound`."""
    stored = look_at(telephony, call_id, Teller(""))
    buyer_id = buyer_of(stored.call, stored.facts)
    right = signing.update_key(office.records.keys, call_id, buyer_id)
    if not buyer_id or not hmac.compare_digest(key.encode(errors="replace"), right.encode()):
        raise TokenUnknown
    return buyer_id


def _update(exchange: Exchange, user: User, call_id: bytes, said: Said) -> dict[str, Any]:
    """Raises `NotAllowed`, and what `update_call` raises."""
    if user.role == "buyer" and (others := [name for name in _names(said) if name not in OF_BUYERS]):
        raise NotAllowed(f"A buyer says {' and '.join(OF_BUYERS)}, and fields of its own; not {', '.join(others)}.")
    teller = Teller(user.name, user.buyers if user.role == "buyer" else ())
    key = exchange.sent.idempotency_key
    stored: StoredCall = update_call(exchange.telephony(), call_id, teller, said, key)
    call = original_calls.show_call(exchange.office, reader_of(user), call_id, stored)
    return {"call": call, "metadata": METADATA}


def _names(said: Said) -> list[str]:
    return [*said.of_buyer, *said.of_publisher]


ADDRESSES = (
    Address("/calls", ("GET",), _list),
    Address(r"/calls/update_by_caller_id/(?P<caller>[^/]{1,100})", ("POST", "PUT", "GET"), _by_caller),
    Address(r"/calls/(?:update_call/)?(?P<uuid>[^/]{1,100})", ("GET", "POST", "PUT", "PATCH"), _by_uuid),
    Address(r"/secure/(?P<key>[^/]{1,100})/calls/(?P<uuid>[^/]{1,100})", ("PUT", "POST"), _by_key),
)


def _refusal(refused: Objection | TemporarilyUnavailable | InternalError, request_id: str) -> RawResponse:
    headers = dict[str, str]()
    if isinstance(refused, Objection):
        code, message, headers = rest.HTTP_STATUS[type(refused)], str(refused), rest.headers_of(refused)
        errors = dict(refused.errors) if isinstance(refused, NotValid) else {"base": [message]}
    elif isinstance(refused, TemporarilyUnavailable):
        code, headers = 503, {"Retry-After": str(refused.retry_after_seconds)}
        errors = {"base": ["The tables do not answer, so it is not known whether it was done. Send it again."]}
    else:
        code, errors = 500, {"base": [f"{InternalError.sentence} {request_id}"]}
    return _response(code, {"errors": errors, "metadata": METADATA}, headers)


def _response(code: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> RawResponse:
    said = {"status": code, "success": code == 200, "errors": {}} | dict(body)
    return {
        "statusCode": code,
        "headers": {"Cache-Control": "no-store", "Content-Type": "application/json", **(headers or {})},
        "body": msgspec.json.encode(said).decode(),
        "isBase64Encoded": False,
    }
