"""A call is settled: once, by all its facts; what it is worth is paid once for a sale; what did not come true is given
back.

The ping says which call of its sale is paid, before that call is settled: after a request that died between, the next
finds its own call there and goes on.
"""

from collections.abc import Callable

from msgspec.structs import replace

from shared.domain import calls, keys, reservations, schedule
from shared.domain.calls import Booked, Settled, Stop, connected_attempt, paid_as_sale, price_of, seconds_of, word_of
from shared.domain.models import Buyer, Endpoint
from shared.flows.dialing import find_buyer, give_attempt, give_sale, is_own_buyer, max_ring_seconds
from shared.flows.telephony import Telephony
from shared.store.calls import StoredCall

BOOKED_KINDS = ("converted", "revenue")
"""What caps count of what a call is worth."""
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


Worth = tuple[bool, int]
"""Whether a call has converted, and how many cents its buyer owes for it."""


def book(telephony: Telephony, call_id: bytes, worth_of: Callable[[StoredCall], Worth]) -> None:
    """Let its buyer's caps count what a settled call is worth by now, though it had given back what had not come true:
    whether there is room or not. `worth_of` says it of the call as it is stored.

    Each change is noted with the call before it is counted, and as done after that. So whoever comes next, also after a
    request that died, counts the one that was noted, which counts once, before there is another. It may be repeated, at
    any time. Raises `TemporarilyUnavailable`.
    """
    while (stored := telephony.calls.look(call_id)) and (settled := stored.facts.settled):
        buyer, booked = find_buyer(telephony, stored.call, settled.buyer_id)[1], stored.booked
        if buyer is None or not any(cap.kind in BOOKED_KINDS for cap in buyer.amounts):
            return
        if booked and not booked.done:
            _count_booked(telephony, call_id, stored, buyer, booked)
            continue
        was = (booked.converted, booked.revenue_cents) if booked else (settled.converted, settled.revenue_cents)
        worth = worth_of(stored)
        if worth == was:
            return
        times = booked.times + 1 if booked else 1
        telephony.calls.note_booked(call_id, booked, Booked(times, *worth, *was))


def _count_booked(telephony: Telephony, call_id: bytes, stored: StoredCall, buyer: Buyer, booked: Booked) -> None:
    """In the periods of the sale, or of the attempt where another buyer took the call."""
    call, world = stored.call, telephony.world
    attempt = stored.facts.attempts[connected_attempt(call, stored.facts)]
    sold_at = call.sold_at if is_own_buyer(call, buyer.id) else attempt.at
    key = reservations.book_key(call_id, booked.times)
    wanted = [cap for cap in buyer.amounts if cap.kind in BOOKED_KINDS]
    changes = {
        "converted": int(booked.converted) - int(booked.was_converted),
        "revenue": booked.revenue_cents - booked.was_revenue_cents,
    }
    now = world.now()
    world.reservations.book(buyer.id, key, wanted, schedule.local_time(buyer.zone, sold_at), changes, now)
    telephony.calls.note_booked(call_id, booked, replace(booked, done=True))
    world.reservations.close_book(buyer.id, key, {cap.endpoint for cap in wanted}, now)


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
    word = word_of(call, buyer)
    may_be_paid = call.payable and (converts or earns or word is not None)
    if not may_be_paid or not telephony.calls.mark_paid(call.ping_id, call_id, converts):
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
        awaits_until=word.until if word else 0,
    )


def _converts(buyer: Buyer, seconds: int) -> bool:
    """Whether the buyer pays for a call in which it was connected for so many seconds, whatever it says of it."""
    rule = buyer.pay_rule
    return rule.on in ("sale", "answered") or (rule.on == "duration" and seconds >= rule.after_seconds)


def _earns(endpoint: Endpoint, buyer: Buyer, seconds: int) -> bool:
    match endpoint.earns.on:
        case "same":
            return _converts(buyer, seconds)
        case "duration":
            return seconds >= endpoint.earns.after_seconds
        case _:
            return True
