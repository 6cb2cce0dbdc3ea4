"""A call is put through: attempt after attempt, each written down, then reserved, then looked at, before its buyer is
dialed.

The order is attempt, take, look. Counting when a call converts would lose counts and overshoot caps; taking before the
attempt would leave places behind; and what was taken for an attempt that has ended meanwhile is given at once.
"""

from functools import partial

from shared.bidders.buyers import LEAST_SECONDS
from shared.domain import keys, reservations, schedule
from shared.domain.calls import (
    LAST_RESORT,
    Agreed,
    Attempt,
    Call,
    Candidate,
    Dial,
    End,
    Ended,
    Facts,
    Stop,
    came_true_of_sale,
    connected_attempt,
    next_step,
    what_came_true,
)
from shared.domain.live_bids import Yes
from shared.domain.models import Buyer, DialRules, Endpoint, Lead
from shared.domain.refusals import TemporarilyUnavailable
from shared.flows.telephony import Telephony
from shared.providers import instructions
from shared.store.calls import StoredCall
from shared.store.reservations import Reserved

ASK_MS = 2500
"""Within which a live buyer has to agree to a call, since its webhook came in: the caller hears nothing meanwhile."""


def put_through(telephony: Telephony, call_id: bytes, stored: StoredCall) -> tuple[StoredCall, Dial | Stop]:
    """The call with the attempt that runs now, begun here where the one before has ended; or that nobody is dialed any
    more. The same question has one answer. Raises `TemporarilyUnavailable`: then the call goes on from what stands."""
    while True:
        now = telephony.world.now()
        step = next_step(stored.call, stored.facts, now, max_ring_seconds(telephony, stored.call))
        if isinstance(step, Stop):
            return stored, step
        if step.attempt not in stored.facts.attempts:
            begun = telephony.calls.attempt(call_id, step.attempt, Attempt(step.buyer_id, now))
            stored = begun or stored
            if begun is None:
                return stored, Stop("failed")
            continue
        after = _prepare(telephony, call_id, stored, step)
        if after is stored:
            return stored, step
        stored = after


def _prepare(telephony: Telephony, call_id: bytes, stored: StoredCall, step: Dial) -> StoredCall:
    """Reserve what a running attempt needs, and ask its live buyer. The very same call if it may be dialed; else the
    call as it is now, to be decided anew."""
    call, n = stored.call, step.attempt
    endpoint, buyer = find_buyer(telephony, call, step.buyer_id)
    if buyer is None or n in stored.facts.connected:
        return stored
    if buyer.caps:
        reserved = _reserve(telephony, call_id, stored, step, buyer)
        if reserved is Reserved.FULL:
            return _end(telephony, call_id, stored, n, "no_room")
        looked = telephony.calls.look(call_id) or stored
        if reserved is Reserved.GONE or looked.facts.settled or n in looked.facts.ended:
            if n not in looked.facts.ended and not looked.facts.settled:
                return _end(telephony, call_id, looked, n, "no_room")
            give_ended(telephony, call_id, looked, n)
            return looked
        stored = looked if looked != stored else stored
    return _ask(telephony, call_id, stored, step, endpoint, buyer)


def _reserve(telephony: Telephony, call_id: bytes, stored: StoredCall, step: Dial, buyer: Buyer) -> Reserved:
    """What the attempt needs of its buyer's caps. The sale's first call to its own buyer adopts what the sale has
    reserved; any other takes anew, but for what the sale itself has counted and keeps."""
    world, call = telephony.world, stored.call
    now = world.now()
    local = schedule.local_time(buyer.zone, now)
    until = now + buyer.dial.timeout_seconds + buyer.dial.max_call_seconds
    key, wanted = reservations.key(call_id, step.attempt), buyer.caps
    if is_own_buyer(call, step.buyer_id):
        of_sale = reservations.key(call.ping_id, call.attempt)
        adopted = world.reservations.adopt(buyer.id, of_sale, key, buyer.caps, local, until)
        if adopted is Reserved.FULL:
            give_sale(telephony, call)
        if adopted is not Reserved.GONE:
            return adopted
        kept = came_true_of_sale(buyer).kept
        wanted = tuple(cap for cap in wanted if cap.kind not in kept)
    cents = _candidate(call, buyer.id).cents
    take = partial(world.reservations.take, buyer.id, key, wanted, local, cents, until, is_shared=True)
    try:
        return take()
    except TemporarilyUnavailable as failed:
        if failed.not_done:
            raise
        return take()  # it is not given: another request of this attempt may have taken, and dialed


def _ask(
    telephony: Telephony, call_id: bytes, stored: StoredCall, step: Dial, endpoint: Endpoint, buyer: Buyer
) -> StoredCall:
    """Ask a live buyer that has not agreed to the sale. Its answer is a fact: the same question is asked once more at
    most by a webhook that comes twice, and by the same key."""
    call, n, world = stored.call, step.attempt, telephony.world
    must_agree = buyer.live and buyer.live.post and not is_own_buyer(call, buyer.id)
    if not must_agree or n in stored.facts.agreed:
        return stored
    claim = world.pings.read(call.ping_id, world.now())
    offered = claim.ping.facts.said.get(buyer.id) if claim.ping else None
    left = partial(world.seconds_left, ASK_MS)
    if claim.ping is None or not isinstance(offered, Yes) or left() < LEAST_SECONDS:
        return _end(telephony, call_id, stored, n, "declined")
    lead = Lead(claim.ping.lead | (claim.sale.posted if claim.sale else {}))
    said = world.live.agree(buyer, lead, call.ping_id, offered.reference, world.now(), left)
    cents = _candidate(call, buyer.id).cents
    if not isinstance(said, Yes) or not said.is_worth(cents):
        return _end(telephony, call_id, stored, n, "declined")
    price = cents if said.cents is None else said.cents
    number = said.over(offered).number or buyer.number
    agreed = Agreed(price, endpoint.margin.payout_cents(price), number)
    return telephony.calls.note_agreed(call_id, n, agreed) or stored


def _end(telephony: Telephony, call_id: bytes, stored: StoredCall, n: int, end: End) -> StoredCall:
    """An attempt ends before its buyer was dialed."""
    ended = telephony.calls.note_ended(call_id, n, Ended(end, telephony.world.now())) or stored
    give_attempt(telephony, call_id, ended, n)
    return ended


def give_ended(telephony: Telephony, call_id: bytes, stored: StoredCall, n: int) -> None:
    """Give back what an attempt that has ended held; but of a buyer that was connected only once it is known what that
    was worth."""
    if stored.facts.settled or connected_attempt(stored.call, stored.facts) != n:
        give_attempt(telephony, call_id, stored, n)


def give_attempt(telephony: Telephony, call_id: bytes, stored: StoredCall, n: int) -> None:
    """Give back what did not come true of an attempt that has ended, or whose call is settled. It may be repeated."""
    world, call, facts = telephony.world, stored.call, stored.facts
    attempt = facts.attempts.get(n)
    _, buyer = find_buyer(telephony, call, attempt.buyer_id if attempt else LAST_RESORT)
    if buyer is None or not buyer.caps:
        return
    came_true = what_came_true(call, facts, n, buyer)
    local = schedule.local_time(buyer.zone, world.now())
    world.reservations.give(buyer.id, reservations.key(call_id, n), buyer.counted_in, came_true, local)


def free_place(telephony: Telephony, call_id: bytes, stored: StoredCall) -> None:
    """The caller of a running attempt is gone: its buyer has room for another one, whatever the provider says of it
    later. It may be repeated."""
    n = stored.facts.last
    _, buyer = find_buyer(telephony, stored.call, stored.facts.attempts[n].buyer_id)
    if buyer and buyer.places:
        telephony.world.reservations.free_places(buyer.id, reservations.key(call_id, n), buyer.counted_in)


def give_sale(telephony: Telephony, call: Call) -> None:
    """Give back what a sale has reserved that its own buyer will not be dialed for. It may be repeated."""
    world = telephony.world
    _, buyer = find_buyer(telephony, call, call.sold_to)
    if buyer:
        world.reservations.give_sale(buyer, call.ping_id, call.attempt, world.now())


def is_own_buyer(call: Call, buyer_id: int) -> bool:
    """Whether it is the buyer of the call's sale: the first candidate, unless it may not be dialed any more."""
    return buyer_id == call.sold_to != LAST_RESORT


def find_buyer(telephony: Telephony, call: Call, buyer_id: int) -> tuple[Endpoint, Buyer | None]:
    """The endpoint as the call met it, and a buyer there; None for the last resort."""
    endpoint = telephony.endpoint_of(call.endpoint, call.version)
    return endpoint, endpoint.buyer(buyer_id)


def dial_rules(buyer: Buyer | None) -> DialRules:
    return buyer.dial if buyer else DialRules()


def max_ring_seconds(telephony: Telephony, call: Call) -> int:
    if call.refused:
        return 0
    endpoint = telephony.endpoint_of(call.endpoint, call.version)
    return endpoint.calls.max_ring_seconds if endpoint.calls else 0


def _candidate(call: Call, buyer_id: int) -> Candidate:
    return next(candidate for candidate in call.candidates if candidate.buyer_id == buyer_id)


def price_of(call: Call, facts: Facts, n: int) -> tuple[int, int]:
    """What the buyer of an attempt pays, and what the publisher gets, in cents."""
    agreed = facts.agreed.get(n)
    found = agreed or _candidate(call, facts.attempts[n].buyer_id)
    return found.cents, found.payout_cents


def instruct_to_dial(telephony: Telephony, call_id: bytes, stored: StoredCall, step: Dial) -> instructions.Dial:
    """What the provider is told: a function of the call and of its endpoint's version alone."""
    call, facts, n = stored.call, stored.facts, step.attempt
    _, buyer = find_buyer(telephony, call, step.buyer_id)
    rules = dial_rules(buyer)
    agreed = facts.agreed.get(n)
    number = agreed.number if agreed else _candidate(call, step.buyer_id).number
    uuid = keys.uuid(telephony.world.keys, "call", call_id)

    def address(name: str) -> str:
        return f"/calls/{call.provider}/{name}?n={n}"

    return instructions.Dial(
        action=address("dial"),
        timeout_seconds=max(1, min(rules.timeout_seconds, step.ring_seconds)),
        limit_seconds=rules.max_call_seconds,
        caller_id=call.caller or call.number,
        number="" if rules.sip else number,
        sip=rules.sip.replace("{number}", number),
        headers={"X-PH-td_uuid": uuid} if rules.sip else {},
        leg=address("leg"),
        whisper=address("whisper") if rules.say or rules.press else "",
        recording=address("recording") if rules.record else "",
    )
