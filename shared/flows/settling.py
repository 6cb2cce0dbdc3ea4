"""A call is settled: once, by all its facts; what it is worth is paid once for a sale; what did not come true is given
back.

The ping says which call of its sale is paid, before that call is settled: after a request that died between, the next
finds its own call there and goes on.
"""

from msgspec.structs import replace

from shared.domain import calls, keys
from shared.domain.calls import Settled, Stop, connected_attempt, paid_as_sale, seconds_of
from shared.domain.models import Buyer, Endpoint
from shared.flows.dialing import find_buyer, give_attempt, give_sale, max_ring_seconds, price_of
from shared.flows.telephony import Telephony
from shared.store.calls import StoredCall

RELEASE_SECONDS = 300
"""How long a caller that was connected still finds its buyer by its route: who is cut off rings again at once."""


def settle(telephony: Telephony, call_id: bytes, stored: StoredCall, stop: Stop) -> StoredCall:
    """The settled call. Where facts are missing it stays as it is: a later webhook settles it, or the minute function
    when it is due. Raises `TemporarilyUnavailable`: then the next one settles it."""
    while not stored.facts.settled:
        settled = _worth(telephony, call_id, stored, stop)
        after = telephony.calls.settle(call_id, stored.facts, settled)
        if after is None:
            return stored
        stored = after
        if not stored.facts.settled:
            now = telephony.world.now()
            step = calls.next_step(stored.call, stored.facts, now, max_ring_seconds(telephony, stored.call))
            if not isinstance(step, Stop):
                return stored
            stop = step
    give_back(telephony, call_id, stored)
    return stored


def settle_due(telephony: Telephony, call_id: bytes) -> bool:
    """Settle a call of which nothing more will come; False if it is not due yet. One that is settled gives back once
    more: the request that settled it may have died."""
    stored, now = telephony.calls.look(call_id), telephony.world.now()
    if stored is None:
        return True
    if not stored.facts.settled and now < calls.due_at(stored.call, stored.facts):
        return False
    step = calls.next_step(stored.call, stored.facts, now, 0)
    if not isinstance(step, Stop):
        step = Stop("finished" if connected_attempt(stored.call, stored.facts) else "failed")
    settle(telephony, call_id, stored, step)
    return True


def give_back(telephony: Telephony, call_id: bytes, stored: StoredCall) -> None:
    """What a settled call held and did not use. It may be repeated, at any time."""
    call, facts = stored.call, stored.facts
    for n in facts.attempts:
        give_attempt(telephony, call_id, stored, n)
    if call.ping_id and not call.is_turned_away:
        # After its attempts: one of which the request died may not have adopted it, and now none can.
        give_sale(telephony, call)
    if connected_attempt(call, facts) and call.ping_id and call.caller:
        world = telephony.world
        route = keys.route_keys(world.keys, call.number, call.caller)
        ended = facts.settled.at if facts.settled else world.now()
        world.routes.end(route, call.ping_id, ended + RELEASE_SECONDS, world.now())


def _worth(telephony: Telephony, call_id: bytes, stored: StoredCall, stop: Stop) -> Settled:
    """How the call ended, and what is owed for it by the facts that there are."""
    call, facts, now = stored.call, stored.facts, telephony.world.now()
    settled = Settled(at=now, outcome=stop.outcome, detail=stop.detail)
    n = connected_attempt(call, facts)
    if not n:
        return settled
    buyer_id, seconds = facts.attempts[n].buyer_id, seconds_of(call, facts)
    endpoint, buyer = find_buyer(telephony, call, buyer_id)
    settled = replace(settled, buyer_id=buyer_id, seconds=seconds)
    if buyer is None or not call.ping_id:
        return settled
    converts, earns = _converts(buyer, seconds), _earns(endpoint, buyer, seconds)
    if not call.payable or not (converts or earns) or not telephony.calls.mark_paid(call.ping_id, call_id):
        telephony.calls.mark_ping(call.ping_id, "connected", call_id)
        return settled
    cents, payout_cents = price_of(call, facts, n)
    owed_already = got_already = False
    if buyer.id == call.sold_to:
        owed_already, got_already = paid_as_sale(telephony.endpoint_of(call.endpoint, call.sold_version), buyer.id)
    return replace(
        settled,
        converted=converts,
        revenue_cents=cents if converts and not owed_already else 0,
        payout_cents=payout_cents if earns and not got_already else 0,
    )


def _converts(buyer: Buyer, seconds: int) -> bool:
    """Whether the buyer pays for a call in which it was connected for so many seconds."""
    return buyer.pay_rule.on != "duration" or seconds >= buyer.pay_rule.after_seconds


def _earns(endpoint: Endpoint, buyer: Buyer, seconds: int) -> bool:
    match endpoint.earns.on:
        case "same":
            return _converts(buyer, seconds)
        case "duration":
            return seconds >= endpoint.earns.after_seconds
        case _:
            return True
