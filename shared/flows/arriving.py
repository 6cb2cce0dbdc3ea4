"""A call that has arrived: which sale it is, whether it may be put through, and whom it may reach, in order."""

import dataclasses
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from shared.domain import fields, matching
from shared.domain.calls import LAST_RESORT, Call, Candidate, Detail, Stop
from shared.domain.live_bids import Yes
from shared.domain.models import TRY_ALL, Bid, Buyer, CallRules, Endpoint, Lead, Ping, Sale
from shared.domain.refusals import (
    CallerNumberSuppressed,
    DuplicateCaller,
    NoMatchingBuyer,
    Refusal,
    TemporarilyUnavailable,
)
from shared.flows import attempts, pricing, selling, tracking
from shared.flows.dialing import dial_rules
from shared.flows.resolving import Destination, resolve
from shared.flows.telephony import Telephony
from shared.flows.turn import Selling, Turn
from shared.providers.events import Arrived
from shared.publishers.requests import Request
from shared.store.pings import State

REJECTED = Stop("rejected")
BLOCKED = Stop("blocked")
ALL_FILTERED: Detail = "no-buyer-all-filtered"


def describe_call(telephony: Telephony, provider: str, arrived: Arrived, call_id: bytes) -> Call:
    """What is known of a call when it arrives. One for which there is no sale is sold here, where the endpoint wants
    that: the same call again finds the same sale."""
    now, number, caller = telephony.world.now(), arrived.number, arrived.caller
    found = resolve(telephony, number, caller)
    call = Call(
        provider=provider,
        account=arrived.account,
        provider_id=arrived.call_sid,
        number=number,
        caller=caller,
        arrived_at=now,
        arrival=found.arrival(now) if found else "refused",
    )
    if found is None or found.endpoint is None:
        return _refuse(call, REJECTED)
    endpoint, rules = found.endpoint, found.endpoint.calls
    call = replace(call, endpoint=endpoint.vanity_uri, version=endpoint.version)
    if rules is None or rules.provider != provider:
        return _refuse(call, REJECTED)
    turn = _turn_of(telephony, endpoint, found, number, call_id)
    try:
        if found.sale is None and _may_sell(rules, found, caller):
            if stored := telephony.calls.look(call_id):
                return stored.call
            found = _sell(turn, found, caller)
        if found.sale is None or found.ping is None:
            return _refuse(call, REJECTED)
        call = _add_sale(call, found.ping, found.sale)
        if stop := find_objection(rules, call, found.ping, found.sale, found.owner.kind == "ring_pool"):
            return _refuse(call, stop)
        return _add_candidates(turn, call, found.ping, found.sale)
    except CallerNumberSuppressed:
        return _refuse(call, BLOCKED)
    except DuplicateCaller:
        return _refuse(call, Stop("no-buyer", "no-buyer-prevent-dupes"))
    except NoMatchingBuyer as refused:
        if refused.ping:
            pricing.store_ping(telephony.world, refused.ping)
        return _hope(call, rules, Stop("no-buyer", ALL_FILTERED))
    except TemporarilyUnavailable:
        raise
    except Refusal:
        return _hope(call, rules, Stop("no-buyer", ALL_FILTERED))


def _refuse(call: Call, stop: Stop) -> Call:
    return replace(call, refused=stop, candidates=())


def _hope(call: Call, rules: CallRules, stop: Stop) -> Call:
    """A call that no buyer wants goes to the endpoint's last resort, if it has one."""
    if not rules.last_resort:
        return _refuse(call, stop)
    return _with_candidates(call, None, [_last_resort(rules)])


def _last_resort(rules: CallRules) -> Candidate:
    return Candidate(LAST_RESORT, 0, 0, rules.last_resort)


def _turn_of(telephony: Telephony, endpoint: Endpoint, found: Destination, number: str, call_id: bytes) -> Turn:
    """The turn in which a call is sold or priced: as a request of the publisher whose number or ping it is."""
    source = endpoint.static_numbers.get(number, "")
    seller = found.ping.user if found.ping else ""
    user = next(
        (
            user
            for user in endpoint.users
            if (user.name == seller if seller else source and source in user.traffic_sources)
        ),
        None,
    )
    request = Request("POST", endpoint.vanity_uri, {}, [], idempotency_key=call_id.hex())
    return Turn(telephony.world, endpoint, user, request, dialed=number)


def _may_sell(rules: CallRules, found: Destination, caller: str) -> bool:
    if found.owner.kind == "ring_pool":
        return False
    if not caller and rules.anonymous == "reject":
        return False
    return found.ping is not None or rules.unannounced == "sell"


def _sell(turn: Turn, found: Destination, caller: str) -> Destination:
    """Sell a caller now, to try all: a ping that is live under its own bids, else its lead, or what the call says of
    it, at the price of the moment."""
    world, ping = turn.world, found.ping
    if ping and found.claim.state in (State.FREE, State.CLAIMED):
        sell_ping(turn, ping.id)
        return Destination(found.owner, found.endpoint, world.pings.read(ping.id, world.now()))
    lead = Lead(ping.lead) if ping else Lead()
    if caller:
        lead["caller_id"] = caller
    if bound := turn.endpoint.static_numbers.get(turn.dialed):
        lead |= {"trackdrive_number": turn.dialed, "traffic_source_id": bound}
    lead = fields.complete(turn.endpoint.fields, lead)
    ping_id = selling.sell_call(turn, lead, _write_id)
    return Destination(found.owner, found.endpoint, world.pings.read(ping_id, world.now()))


def sell_ping(turn: Turn, ping_id: bytes) -> None:
    """As a POST of the ping would that tries all. A ping that is sold stays so. Raises `Refusal`."""
    with attempts.claimed(turn, ping_id, Lead()) as taken:
        ping = taken.ping
        if taken.claim.sale:
            return
        newest = turn.world.compiled.at_least_as_new_as(ping, turn.endpoint, turn.world.now())
        turn = dataclasses.replace(turn, endpoint=newest)
        bidders = matching.bidders(turn.endpoint, ping.bids, TRY_ALL)
        facts = replace(pricing.gather_facts(turn, ping.lead, ping_id, bidders, set()), said=ping.facts.said)
        terms = tracking.settle_terms(turn, taken.claim, taken.terms)
        sale = Selling(
            ping, taken.attempt, taken.claim, taken.seen, ping.lead, Lead(), TRY_ALL, facts, ping.user, terms
        )
        selling.sell(turn, sale, selling.write_post)


def _write_id(_endpoint: Endpoint, ping: Ping, _buyer: Buyer, _number: str, _held_until: int) -> bytes:
    return ping.id


def _add_sale(call: Call, ping: Ping, sale: Sale) -> Call:
    return replace(
        call,
        ping_id=ping.id,
        attempt=sale.attempt,
        sold_to=sale.buyer_id,
        sold_at=sale.sold_at,
        sold_version=sale.version_of(ping),
        user=sale.user or ping.user,
        source=Lead(ping.lead | sale.posted).source,
    )


def find_objection(rules: CallRules, call: Call, ping: Ping, sale: Sale, by_lease: bool) -> Stop | None:
    """Why the endpoint does not want the call of a sale; None if it does."""
    announced = Lead(ping.lead | sale.posted).caller
    unwanted = (
        (call.arrival == "late" and rules.late_calls == "reject")
        or (call.arrival == "repeat" and rules.repeat_calls == "reject")
        or (not call.caller and rules.anonymous == "reject")
        or (by_lease and rules.caller_must_match and announced != call.caller)
    )
    return REJECTED if unwanted else None


def _add_candidates(turn: Turn, call: Call, ping: Ping, sale: Sale) -> Call:
    """The sale's buyer; then, where the POST or the endpoint says so, the ping's others. All rules are asked again.
    Raises `CallerNumberSuppressed` and `DuplicateCaller`."""
    endpoint, rules, now = turn.endpoint, turn.endpoint.calls or CallRules(""), turn.world.now()
    lead = Lead(ping.lead | sale.posted)
    own = Bid(sale.buyer_id, sale.cents, sale.payout_cents)
    bids = (own, *dialed_after(rules, call, ping, sale))
    asked = Lead(lead | {"caller_id": call.caller}) if call.caller else lead
    bidders = matching.bidders(endpoint, bids, TRY_ALL)
    facts = pricing.gather_facts(turn, asked, ping.id, bidders, set())
    agreed = sale.said or Yes(cents=sale.cents)
    said = ping.facts.said | {sale.buyer_id: replace(agreed, cents=sale.cents, expires_at=0)}
    willing = matching.candidates(endpoint, bids, TRY_ALL, lead, now, replace(facts, said=said))
    candidates = [
        Candidate(
            buyer.id,
            bid.cents,
            bid.payout_cents,
            sale.destination
            if buyer.id == sale.buyer_id and sale.destination
            else number_to_dial(buyer, said.get(buyer.id)),
            bool(buyer.dial.press),
        )
        for buyer, bid in willing
    ]
    if rules.last_resort and not _is_alone(rules, call, sale):
        candidates.append(_last_resort(rules))
    if not candidates:
        return _hope(call, rules, Stop("no-buyer", ALL_FILTERED))
    unpaid = call.arrival == "repeat" or (call.arrival == "late" and rules.late_calls == "unpaid")
    return replace(_with_candidates(call, endpoint, candidates), payable=not unpaid)


def dialed_after(rules: CallRules, call: Call, ping: Ping, sale: Sale) -> list[Bid]:
    """The ping's other bids, in whose order buyers are dialed after the sale's own."""
    if _is_alone(rules, call, sale):
        return []
    return [bid for bid in ping.bids if bid.buyer_id != sale.buyer_id]


def _is_alone(rules: CallRules, call: Call, sale: Sale) -> bool:
    """Whether nobody but the sale's buyer is dialed."""
    return call.arrival == "repeat" or (sale.choice != TRY_ALL and rules.fallback == "as_posted")


def number_to_dial(buyer: Buyer, said: object) -> str:
    return (said.number if isinstance(said, Yes) else "") or buyer.number


def _with_candidates(call: Call, endpoint: Endpoint | None, candidates: Sequence[Candidate]) -> Call:
    longest = max(_longest_seconds(endpoint, candidates))
    return replace(call, candidates=tuple(candidates), longest_seconds=longest)


def _longest_seconds(endpoint: Endpoint | None, candidates: Sequence[Candidate]) -> Iterator[int]:
    for candidate in candidates:
        buyer = endpoint.buyer(candidate.buyer_id) if endpoint else None
        dial = dial_rules(buyer)
        yield dial.timeout_seconds + dial.max_call_seconds
