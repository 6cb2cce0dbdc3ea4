"""What publishers read: bodies, and the HTTP code of every refusal. Byte by byte a contract."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from shared.domain import refusals
from shared.domain.keys import Keys, ping_id
from shared.domain.live_bids import Yes
from shared.domain.matching import Failure
from shared.domain.models import Buyer, Endpoint, Ping
from shared.domain.refusals import InvalidFields, NoMatchingBuyer, NoNumberAvailable, Refusal, TooManyLeases
from shared.domain.tracking import tracking_of

HTTP_STATUS: dict[type[Refusal], int] = {
    refusals.NoMatchingBuyer: 200,
    refusals.CallerIdRequired: 200,
    refusals.CallerNumberSuppressed: 200,
    refusals.DuplicateCaller: 200,
    refusals.PingIdUnknown: 200,
    refusals.PingIdExpired: 200,
    refusals.PingIdUsed: 200,
    refusals.BuyerMismatch: 200,
    refusals.BuyerUnavailable: 200,
    refusals.NoNumberAvailable: 200,
    refusals.TooManyLeases: 200,
    refusals.InvalidFields: 422,
    refusals.MalformedRequest: 400,
    refusals.Unauthorized: 401,
    refusals.UnknownEndpoint: 404,
    refusals.MethodNotAllowed: 405,
    refusals.RequestTooLarge: 413,
    refusals.RateLimited: 429,
    refusals.InternalError: 500,
    refusals.TemporarilyUnavailable: 503,
}

Body = dict[str, Any]


def ping(endpoint: Endpoint, keys: Keys, ping: Ping) -> bytes:
    return encode(
        _auction(endpoint, keys, ping)
        | {"ping_ids_expiry_in_seconds": ping.expires_at - ping.created_at, "buyers": _buyers(endpoint, keys, ping)}
    )


def post(endpoint: Endpoint, buyer: Buyer, number: str, held_until: int) -> bytes:
    return encode(_success(endpoint) | _sale(buyer, number, held_until))


def full(endpoint: Endpoint, keys: Keys, ping: Ping, buyer: Buyer, number: str, held_until: int) -> bytes:
    return encode(
        _auction(endpoint, keys, ping) | {"buyers": _buyers(endpoint, keys, ping)} | _sale(buyer, number, held_until)
    )


def refusal(refused: Refusal, endpoint: Endpoint | None, request_id: str) -> bytes:
    body: Body
    by_field = endpoint is None or endpoint.field_errors == "by_field"
    if isinstance(refused, InvalidFields) and by_field:
        body = {"status": 422, "success": False, "errors": refused.problems, "metadata": {"root": None}}
        return encode(body | _marked(endpoint))
    body = {"success": False, "status": refused.status, "errors": refused.sentences, "buyers": []}
    body |= _marked(endpoint)
    if isinstance(refused, NoNumberAvailable | TooManyLeases):
        body["retry_after_seconds"] = refused.retry_after_seconds
    if isinstance(refused, NoMatchingBuyer) and refused.failures is not None:
        body["explain"] = refused.failures
    if HTTP_STATUS[type(refused)] >= 500:
        body["request_id"] = request_id
    return encode(body)


def add_reasons(answer: bytes, failures: Sequence[Failure]) -> bytes:
    """An answer with the reason why each of the other buyers does not bid."""
    return encode(msgspec.json.decode(answer) | {"explain": failures})


def add_warnings(answer: bytes, warnings: Mapping[str, Sequence[str]]) -> bytes:
    """An answer with the fields whose values were left out."""
    return encode(msgspec.json.decode(answer) | {"warnings": warnings}) if warnings else answer


def encode(body: Body) -> bytes:
    return msgspec.json.encode(body)


def _success(endpoint: Endpoint) -> Body:
    return {"success": True, "status": endpoint.success_status, "errors": []} | _marked(endpoint)


def _marked(endpoint: Endpoint | None) -> Body:
    return {"sandbox": True} if endpoint and endpoint.sandbox else {}


def _auction(endpoint: Endpoint, keys: Keys, ping: Ping) -> Body:
    try_all = ping_id(keys, endpoint.vanity_uri, ping.id)
    return _success(endpoint) | {"try_all_buyers_ping_id": try_all, "try_all_buyers": {"ping_id": try_all}}


def _buyers(endpoint: Endpoint, keys: Keys, ping: Ping) -> list[Body]:
    buyers = {buyer.id: buyer for buyer in endpoint.buyers}
    number = tracking_of(endpoint).number_of_lead(ping.lead)
    rows = []
    for bid in ping.bids:
        buyer, dollars = buyers[bid.buyer_id], bid.payout_cents / 100
        places = next((cap for cap in buyer.places if not cap.endpoint), None)
        taken = ping.facts.counted.get(buyer.id, {}).get(places.code, 0) if places else 0
        columns: Body = {
            "buyer_id": buyer.id,
            "id": buyer.id,
            "name": buyer.name,
            "bid": dollars,
            "bid_price": dollars,
            "ping_id": ping_id(keys, endpoint.vanity_uri, ping.id, buyer.id),
            "tier": buyer.tier,
            "offer_conversion_payout": dollars,
            "current_conversion_duration": _conversion_seconds(endpoint, ping, buyer),
            "forwarding_number": digits(number) if number else None,
            "price": dollars,
            "payout": dollars,
            "offer_conversion_duplicate_timeframe": max(endpoint.duplicate_seconds, buyer.duplicate_seconds),
            "concurrency_cap_limit": places and places.limit,
            "concurrency_cap_available": places and max(0, places.limit - taken),
        }
        rows.append({str(column): columns[column] for column in endpoint.columns})
    return rows


def _conversion_seconds(endpoint: Endpoint, ping: Ping, buyer: Buyer) -> int:
    """How long a call must last for the publisher to be paid: as the buyer pays, or by a rule of the offer's own."""
    if endpoint.calls and endpoint.earns.on != "same":
        return endpoint.earns.after_seconds
    said = ping.facts.said.get(buyer.id)
    seconds = said.conversion_seconds if isinstance(said, Yes) else None
    return buyer.conversion_seconds if seconds is None else seconds


def _sale(buyer: Buyer, number: str, held_until: int) -> Body:
    return {
        "trackdrive_number": digits(number),
        "forwarding_number": digits(number),
        "forwarding_number_status": "accepted",
        "buyer_name": buyer.name,
        "buyer_id": buyer.id,
        "number_expires_at": datetime.fromtimestamp(held_until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def digits(number: str) -> str:
    """A number as answers show it: without its plus sign."""
    return number.removeprefix("+")
