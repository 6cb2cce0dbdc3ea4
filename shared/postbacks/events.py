"""What changes of pings and calls mean to receivers of postbacks."""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from shared.domain import sandbox_endpoint
from shared.domain.calls import connected_attempt, paid_as_sale, seconds_of, status_of
from shared.domain.models import Endpoint, Lead, Ping, Sale
from shared.domain.receivers import Happening
from shared.journal.consumer import EndpointOf
from shared.journal.events import Event, read_calls, read_sale, reading
from shared.store.calls import StoredCall
from shared.store.dynamo import Item
from shared.store.items import bytes_of, number_of, number_or
from shared.store.packing import unpack


def find_happenings(change: Event, endpoint_of: EndpointOf) -> list[Happening]:
    """Found again, they are the same. Raises `Unreadable`, and what `endpoint_of` raises."""
    if change.new is None:
        return []
    if change.table == "calls":
        return [*_of_call(change, change.new, endpoint_of)] if "call" in change.new else []
    return [*_of_sale(change, change.new, endpoint_of)]


def _of_sale(change: Event, item: Item, endpoint_of: EndpointOf) -> Iterator[Happening]:
    if sold := read_sale(change):
        ping, sale = sold
        if not sandbox_endpoint.is_of(ping.endpoint):
            yield describe_sale(ping, sale, "sale.made", sale.sold_at, endpoint_of)
    if "never_called" in item and "never_called" not in (change.old or {}) and "sale" in item:
        with reading("the item"):
            ping, sale = unpack(bytes_of(item, "ping"), Ping), unpack(bytes_of(item, "sale"), Sale)
            at = number_of(item, "never_called")
        yield describe_sale(ping, sale, "sale.never_called", at, endpoint_of)


def describe_sale(ping: Ping, sale: Sale, kind: str, at: int, endpoint_of: EndpointOf) -> Happening:
    endpoint = endpoint_of(ping.endpoint, sale.version_of(ping))
    owes, gets = paid_as_sale(endpoint, sale.buyer_id)
    return Happening(
        type=kind,
        at=at,
        ping=ping.id,
        endpoint=ping.endpoint,
        user=sale.user,
        source=Lead(ping.lead | sale.posted).source,
        number=sale.number,
        buyer_id=sale.buyer_id,
        buyer_name=_name_of(endpoint, sale.buyer_id),
        sale_revenue_cents=sale.cents if owes else 0,
        sale_payout_cents=sale.payout_cents if gets else 0,
    )


def _of_call(change: Event, item: Item, endpoint_of: EndpointOf) -> Iterator[Happening]:
    old, new = read_calls(change)
    with reading("the call"):
        call_id, was, now = bytes_of(item, "call_id"), _updates(change.old or {}), _updates(item)
    happening = describe_call(call_id, new, endpoint_of)
    facts = new.facts
    if old is None:
        yield replace(happening, type="call.arrived", at=new.call.arrived_at)
    if connected_attempt(new.call, facts) and not (old and connected_attempt(old.call, old.facts)):
        yield replace(happening, type="call.connected")
    if facts.settled and not (old and old.facts.settled):
        yield replace(happening, type="call.ended", at=facts.settled.at)
    if new.worth.converted and not (old and old.worth.converted):
        yield replace(happening, type="call.converted", at=change.at, version=now)
    if now > was:
        yield replace(happening, type="call.updated", at=change.at, version=now)


def describe_call(call_id: bytes, stored: StoredCall, endpoint_of: EndpointOf) -> Happening:
    """A call as it is, with what is owed for it."""
    call, facts, settled = stored.call, stored.facts, stored.facts.settled
    endpoint = endpoint_of(call.endpoint, call.version) if call.endpoint else None
    attempt = connected_attempt(call, facts)
    buyer_id = facts.attempts[attempt].buyer_id if attempt else 0 if settled else call.sold_to
    at = facts.connected.get(attempt) or max((each.at for each in facts.attempts.values()), default=call.arrived_at)
    owed: dict[str, Any] = {}
    if settled:
        worth = stored.worth
        owed = {
            "converted": worth.converted,
            "revenue_cents": worth.revenue_cents,
            "payout_cents": worth.payout_cents,
            "detail": settled.detail,
        }
    return Happening(
        type="call.arrived",
        at=at,
        call=call_id,
        ping=call.ping_id,
        endpoint=call.endpoint,
        user=call.user,
        source=call.source,
        number=call.number,
        buyer_id=buyer_id,
        buyer_name=_name_of(endpoint, buyer_id),
        arrival=call.arrival,
        status=status_of(call, facts),
        connected=attempt > 0,
        seconds=settled.seconds if settled else seconds_of(call, facts),
        **owed,
    )


def _updates(item: Item) -> int:
    return number_or(item, "updated", 0)


def _name_of(endpoint: Endpoint | None, buyer_id: int) -> str:
    buyer = endpoint.buyer(buyer_id) if endpoint else None
    return buyer.name if buyer else ""
