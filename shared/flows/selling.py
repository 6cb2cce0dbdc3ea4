"""A sale: reserve, ask the buyer, take a number, record."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from shared.bidders.buyers import LEAST_SECONDS
from shared.domain import fields, matching, reservations, schedule
from shared.domain.leasing import Ring
from shared.domain.limits import Counted
from shared.domain.live_bids import Yes
from shared.domain.matching import Failure
from shared.domain.models import (
    TRY_ALL,
    Bid,
    Buyer,
    Endpoint,
    Lead,
    Ping,
    Sale,
)
from shared.domain.refusals import (
    BuyerMismatch,
    BuyerUnavailable,
    CallerNumberSuppressed,
    DuplicateCaller,
    NoMatchingBuyer,
    RateLimited,
    Refusal,
    TemporarilyUnavailable,
)
from shared.domain.reservations import NOTHING
from shared.flows import superseding
from shared.flows.attempts import (
    ATTEMPT_BYTES,
    answer_at_once,
    claim_first,
    compared_lead,
    find_earlier_sale,
    key_until,
    make_retry_keys,
    release_on_refusal,
    stored_answer,
)
from shared.flows.intake import read_choice, read_whole_lead
from shared.flows.pricing import UNSOLD, duplicate_windows, explain_failures, find_bids, find_sales
from shared.flows.refusing import store_on_refusal
from shared.flows.tracking import (
    SoldNumber,
    check_quotas,
    number_of,
    release_number_on_refusal,
    settle_terms,
)
from shared.flows.turn import Selling, Turn
from shared.flows.world import World
from shared.publishers import answers, metrics
from shared.store.callers import Mark
from shared.store.pings import Asked, Claim, State
from shared.store.reservations import Reserved
from shared.store.retries import RetryKey

Write = Callable[[Endpoint, Ping, Buyer, str, int], bytes]
"""The body for a sale: endpoint, ping, buyer, number and the end of its hold."""


class _Wanted(NamedTuple):
    """A priced lead that is to be sold at once."""

    lead: Lead
    choice: int
    retry: list[RetryKey]
    priced: Ping
    failures: list[Failure] | None
    warnings: fields.Problems


def _price_at_once(turn: Turn, verb: str) -> _Wanted | Claim:
    """The lead with its bids, or the sale that an earlier attempt made."""
    lead, unread, warnings = read_whole_lead(turn, ("ping", "post"), needs_ping_id=verb == "post")
    choice = read_choice(turn.request, TRY_ALL)
    retry = make_retry_keys(turn, verb, compared_lead(turn.world, lead, unread))
    lead, rest = fields.keep(turn.endpoint.fields, lead, {})
    warnings |= fields.not_kept(rest)
    if turn.endpoint.has_live_buyers and (earlier := find_earlier_sale(turn.world, retry)):
        return earlier  # nobody is asked twice
    try:
        counted: set[Counted] = {"pings", "posts"} if verb == "full" else {"posts"}
        priced = find_bids(turn, lead, warnings, counted)
        failures = explain_failures(turn, priced)
        if not priced.bids:
            raise NoMatchingBuyer(priced, failures)
    except (NoMatchingBuyer, DuplicateCaller, CallerNumberSuppressed, RateLimited):
        if earlier := find_earlier_sale(turn.world, retry):
            return earlier
        raise
    return _Wanted(lead, choice, retry, priced, failures, warnings)


def sell_at_once(turn: Turn, verb: str, write: Write) -> bytes:
    """Find the buyers and sell in one request. The same lead again finds its first attempt by a retry key."""
    with store_on_refusal(turn):
        wanted = _price_at_once(turn, verb)
    if isinstance(wanted, Claim):
        return answer_at_once(turn, wanted)
    return _sell_wanted(turn, wanted, write)


def sell_call(turn: Turn, lead: Lead, write: Write) -> bytes:
    """Sell the caller of a call that has come. The same call again finds its sale by a retry key, and gets what `write`
    has made of it. Raises `NoMatchingBuyer`, and what a FULL is refused with."""
    retry = make_retry_keys(turn, "call", lead)
    if (earlier := find_earlier_sale(turn.world, retry)) and earlier.sale:
        return stored_answer(earlier.sale)
    priced = find_bids(turn, lead, (), set())
    if not priced.bids:
        raise NoMatchingBuyer(priced)
    return _sell_wanted(turn, _Wanted(lead, TRY_ALL, retry, priced, None, {}), write)


def _sell_wanted(turn: Turn, wanted: _Wanted, write: Write) -> bytes:
    lead, choice, retry, priced, failures, warnings = wanted
    attempt = turn.world.random_bytes(ATTEMPT_BYTES)
    seen: dict[int, Ring] = {}
    now = turn.world.now()
    with store_on_refusal(turn):
        first = turn.world.in_parallel(
            lambda: turn.world.retry_keys.first_attempt(retry, priced.id, key_until(turn.endpoint, now), now),
            *number_of(turn).looks(seen),
        )
    terms = number_of(turn).propose_terms(lead.caller)
    priced, claim = claim_first(turn, retry, priced, first, attempt, terms)
    if claim.sale:
        return answer_at_once(turn, claim)
    if claim.state is not State.FREE:
        raise TemporarilyUnavailable
    metrics.count_priced()
    left = [lead] if claim.taken_over else []
    with (
        release_on_refusal(turn, claim, priced, attempt, "", seen),
        release_number_on_refusal(turn, claim, left, attempt),
    ):
        terms, seller = settle_terms(turn, claim, terms), priced.user
        selling = Selling(priced, attempt, claim, seen, lead, Lead(), choice, priced.facts, seller, terms)
        answer = sell(turn, selling, with_warnings(write, warnings))
    return answer if failures is None else answers.add_reasons(answer, failures)


def with_warnings(write: Write, warnings: fields.Problems) -> Write:
    """The same bodies, with the warnings about this request."""
    return lambda *sale: answers.add_warnings(write(*sale), warnings)


def sell(turn: Turn, selling: Selling, write: Write) -> bytes:
    """Find a buyer, then a number, then record the sale; only then the answer may leave."""
    taker = _find_taker(turn, selling)
    answer = write(turn.endpoint, selling.ping, taker.buyer, taker.sold.number, taker.sold.held_until)
    sale = _make_sale(turn, selling, taker, answer)
    ping, lead, asked = selling.ping, selling.lead, selling.claim.asked
    unsettled = {buyer_id: of for buyer_id, of in asked.items() if buyer_id != sale.buyer_id}
    new_caller = turn.world.caller_hash(lead) if lead.caller != ping.lead.caller else b""
    try:
        turn.world.run_with_notes(lambda: turn.world.pings.record(ping, sale, new_caller, unsettled))
    except TemporarilyUnavailable as failed:
        if failed.not_done:
            _give_back(taker.reserved)
        raise
    superseding.mark_superseded(turn, ping)
    return answer


class _Taker(NamedTuple):
    """The buyer that takes the call, what it agreed to, the number, and what gives its reservation back."""

    buyer: Buyer
    bid: Bid
    said: Yes
    sold: SoldNumber
    reserved: list[Callable[[], None]]


def _find_taker(turn: Turn, selling: Selling) -> _Taker:
    """The first buyer that has room and takes the call, with a number."""
    ping, choice = selling.ping, selling.choice
    if choice != TRY_ALL and choice not in {bid.buyer_id for bid in ping.bids}:
        raise BuyerMismatch
    candidates = matching.candidates(turn.endpoint, ping.bids, choice, selling.lead, turn.world.now(), selling.facts)
    if candidates:
        check_quotas(turn, selling)
    # First the one that an attempt that died has asked: only its answer to the same question settles that.
    for buyer, bid in sorted(candidates, key=lambda candidate: candidate[0].id not in selling.claim.asked):
        reserved = _reserve(turn, selling, buyer, bid)
        if reserved is None:
            continue
        try:
            said = _ask_buyer(turn, selling, buyer, bid)
            if said:
                return _Taker(buyer, bid, said, number_of(turn).take(selling, buyer, said), reserved)
        except Refusal:
            _give_back(reserved)
            raise
        _give_back(reserved)
    if selling.unclear:
        raise TemporarilyUnavailable
    raise NoMatchingBuyer if choice == TRY_ALL else BuyerUnavailable


def _make_sale(turn: Turn, selling: Selling, taker: _Taker, answer: bytes) -> Sale:
    buyer, bid, said, now = taker.buyer, taker.bid, taker.said, turn.world.now()
    cents = bid.cents if said.cents is None else said.cents
    return Sale(
        attempt=selling.attempt,
        buyer_id=buyer.id,
        cents=cents,
        bid_cents=bid.cents,
        payout_cents=bid.payout_cents if cents == bid.cents else turn.endpoint.margin.payout_cents(cents),
        number=taker.sold.number,
        sold_at=now,
        held_until=taker.sold.held_until,
        destination=said.number or buyer.number,
        choice=selling.choice,
        posted=selling.posted,
        answer=answer,
        kept_until=max(selling.ping.lead_until, key_until(turn.endpoint, taker.sold.held_until)),
        user=selling.user,
        overflow=taker.sold.overflow,
        said=said if buyer.live else None,
        pool=turn.endpoint.pool.name if turn.endpoint.pool else "",
        pool_used=taker.sold.pool_used,
        version=turn.endpoint.version,
    )


def _ask_buyer(turn: Turn, selling: Selling, buyer: Buyer, bid: Bid) -> Yes | None:
    """What the buyer agrees to; None if it does not, or if that is not clear. Only a live buyer whose bid is not
    its consent has to be asked, and is only if there is a number for it. Raises `NoNumberAvailable`."""
    offered = selling.facts.said.get(buyer.id)
    if buyer.live is None or not isinstance(offered, Yes):
        return Yes()
    if buyer.live.post is None:
        return offered
    asked, now = selling.claim.asked, turn.world.now()
    if (earlier := asked.get(buyer.id)) and earlier.said and not earlier.said.is_over(now):
        return earlier.said.over(offered) if earlier.said.is_worth(bid.cents) else None
    if not selling.claim.taken_over:  # else it may have a number already
        number_of(turn).check_is_free(selling)
    left = partial(turn.world.seconds_left, turn.endpoint.post_deadline_ms)
    if left() < LEAST_SECONDS:
        return None
    asked[buyer.id] = Asked(now)
    turn.world.pings.ask(selling.ping.id, selling.attempt, selling.claim)
    said = turn.world.live.agree(buyer, selling.lead, selling.ping.id, offered.reference, now, left)
    if isinstance(said, Yes):
        asked[buyer.id] = Asked(now, said)
        return said.over(offered) if said.is_worth(bid.cents) else None
    if said.unasked and earlier:
        asked[buyer.id] = earlier
    elif not said.broken:
        del asked[buyer.id]
    return None


def _reserve(turn: Turn, selling: Selling, buyer: Buyer, bid: Bid) -> list[Callable[[], None]] | None:
    """Count a sale to this buyer and remember its caller, before there is a number. Returns what takes both back, or
    None if the buyer has no room. If it is unclear whether it has, and another buyer may be tried, it has none. Raises
    `DuplicateCaller` if another sale of this caller came first."""
    ping, caller, undo = selling.ping, selling.lead.caller, list[Callable[[], None]]()
    if buyer.caps:
        try:
            give_back = _count(turn, selling, buyer, bid)
        except TemporarilyUnavailable as failed:
            if failed.not_done or selling.choice != TRY_ALL:
                raise
            selling.unclear.add(buyer.id)
            return None
        if give_back is None:
            return None
        undo.append(give_back)
    windows = duplicate_windows(turn.endpoint, buyer)
    attempt = selling.attempt + b"%d" % buyer.id  # each buyer is tried once
    if caller and windows:
        try:
            sold = _mark_caller(turn.world, caller, windows, ping.id, attempt)
        except Refusal:
            _give_back(undo)
            raise
        if sold:
            _give_back(undo)
            if turn.endpoint.scope in sold:
                raise DuplicateCaller
            return None
        undo.append(lambda: turn.world.callers.unmark(caller, windows, ping.id, attempt))
    return undo


def _count(turn: Turn, selling: Selling, buyer: Buyer, bid: Bid) -> Callable[[], None] | None:
    """Count a sale under the buyer's caps. Returns what uncounts it, or None if a cap is full. Where calls are taken it
    is reserved, and what does not come true is given when its call is over. Raises `TemporarilyUnavailable`."""
    world, ping, attempt, now = turn.world, selling.ping, selling.attempt, turn.world.now()
    local, until = schedule.local_time(buyer.zone, now), turn.endpoint.held_until(now)
    if turn.endpoint.calls is None:
        place = world.counters.take(buyer.id, buyer.caps, local, bid.cents, ping.id, attempt, until, now)
        return None if place is None else partial(world.counters.give_back, place)
    key, is_taken_over = reservations.key(ping.id, attempt), selling.claim.taken_over

    def give() -> None:
        """What this comes too late for, or fails to do, the hourly repair does."""
        at = schedule.local_time(buyer.zone, world.now())
        with suppress(TemporarilyUnavailable):
            world.reservations.give(buyer.id, key, buyer.counted_in, NOTHING, at)

    try:
        if is_taken_over:
            reserved = world.reservations.take_over(buyer.id, ping.id, key, buyer.caps, local, bid.cents, until)
        else:
            reserved = world.reservations.take(buyer.id, key, buyer.caps, local, bid.cents, until)
    except TemporarilyUnavailable as failed:
        if is_taken_over or not failed.not_done:
            give()
        raise
    if reserved is Reserved.DONE:
        return give
    if is_taken_over:
        give()
    return None


def _give_back(reserved: list[Callable[[], None]]) -> None:
    for take_back in reserved:
        take_back()


def _mark_caller(
    world: World, caller: str, windows: Mapping[str, int], ping_id: bytes, attempt: bytes
) -> dict[str, int]:
    """Remember a sale of this caller: nothing if that is done, else the sales that stand against it. The attempts that
    left the marks of unsold pings are dead, and are made sure to sell nothing any more."""
    dead: set[Mark] = set()
    while marks := world.callers.mark(caller, windows, ping_id, attempt, world.now(), instead_of=dead):
        if sold := find_sales(world, marks, windows, ping_id):
            return sold
        dead |= {mark for mark in marks.values() if world.pings.abandon(mark.ping_id, world.now()) in UNSOLD}
    return {}


def write_post(endpoint: Endpoint, _: Ping, buyer: Buyer, number: str, held_until: int) -> bytes:
    return answers.post(endpoint, buyer, number, held_until)


def full_writer(turn: Turn) -> Write:
    def write_full(endpoint: Endpoint, ping: Ping, buyer: Buyer, number: str, held_until: int) -> bytes:
        return answers.full(endpoint, turn.world.keys, ping, buyer, number, held_until)

    return write_full
