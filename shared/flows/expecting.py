"""Whom a call would reach first if it came now. Nothing is written, and no live buyer is asked."""

from msgspec import Struct

from shared.domain.calls import Arrival, Call
from shared.domain.models import Endpoint
from shared.flows.arriving import dialed_after, find_objection, number_to_dial
from shared.flows.resolving import Destination


class Expected(Struct, frozen=True):
    """How a call would come, and the buyer to dial at `number`; 0 where none is known before the call is sold. Until
    `until` the number is held for the sale, or its ping can be sold."""

    arrival: Arrival
    endpoint: str
    buyer_id: int = 0
    name: str = ""
    number: str = ""
    until: int = 0


def expect_call(found: Destination, endpoint: Endpoint, number: str, caller: str, now: int) -> Expected:
    """Of a call to a number of ours. Caps and filters may still turn it to another buyer."""
    rules, ping, sale, arrival = endpoint.calls, found.ping, found.sale, found.arrival(now)
    by_lease = found.owner.kind == "ring_pool"
    refused = Expected("refused", endpoint.vanity_uri)
    if rules is None:
        return _expect_held(found, endpoint, now) or refused
    if ping and sale:
        call = Call(
            provider="", account="", provider_id="", number=number, caller=caller, arrived_at=now, arrival=arrival
        )
        if find_objection(rules, call, ping, sale, by_lease):
            return refused
        for buyer_id in (sale.buyer_id, *(bid.buyer_id for bid in dialed_after(rules, call, ping, sale))):
            if buyer := endpoint.buyer(buyer_id):
                to = sale.number_of_buyer(buyer) if buyer_id == sale.buyer_id else buyer.number
                return Expected(arrival, endpoint.vanity_uri, buyer.id, buyer.name, to, sale.held_until)
        return refused
    if by_lease or (not caller and rules.anonymous == "reject"):
        return refused
    if ping and ping.bids:
        buyer = endpoint.buyer(ping.bids[0].buyer_id)
        if buyer:
            to = number_to_dial(buyer, ping.facts.said.get(buyer.id))
            return Expected(arrival, endpoint.vanity_uri, buyer.id, buyer.name, to, ping.expires_at)
    return Expected(arrival, endpoint.vanity_uri) if ping or rules.unannounced == "sell" else refused


def _expect_held(found: Destination, endpoint: Endpoint, now: int) -> Expected | None:
    """At an endpoint that takes no calls: the buyer that the operator's own telephony dials, as long as the lease or
    route is held."""
    ping, sale = found.ping, found.sale
    if ping is None or found.until <= now or not (sale or ping.bids):
        return None
    buyer = endpoint.buyer(sale.buyer_id if sale else ping.bids[0].buyer_id)
    if buyer is None:
        return None
    to = sale.number_of_buyer(buyer) if sale else number_to_dial(buyer, ping.facts.said.get(buyer.id))
    return Expected("in_time", endpoint.vanity_uri, buyer.id, buyer.name, to, found.until)
