"""Attempts at a ping: claim, take-over, retry keys, and the same answer again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import NamedTuple

from msgspec.structs import replace

from shared.domain import fields, keys
from shared.domain.leasing import Ring
from shared.domain.models import (
    Endpoint,
    Lead,
    Ping,
    Sale,
    Terms,
    User,
)
from shared.domain.refusals import (
    NoNumberAvailable,
    PingIdUnknown,
    PingIdUsed,
    Refusal,
    TemporarilyUnavailable,
)
from shared.flows.pricing import find_reasons, wants_reasons
from shared.flows.tracking import number_of, release_number_on_refusal
from shared.flows.turn import Turn
from shared.flows.world import World
from shared.publishers import answers
from shared.store.pings import CLAIM_SECONDS, Claim, State
from shared.store.retries import RetryKey

ATTEMPT_BYTES = 8


def make_retry_keys(turn: Turn, verb: str, lead: Lead) -> list[RetryKey]:
    """See `keys.retry_keys`. If the lead has a caller, only the offer's fields count: others may differ."""
    who = [verb, turn.endpoint.vanity_uri, turn.user.name if turn.user else "", lead.get("traffic_source_id", "")]
    if lead.caller:
        asked_for = fields.known(turn.endpoint.fields)
        lead = Lead({name: value for name, value in lead.items() if name in asked_for})
    return keys.retry_keys(turn.world.keys, who, turn.request.idempotency_key, turn.request.buyer_id, lead)


def compared_lead(world: World, lead: Lead, unread: Lead, rest: bytes = b"") -> Lead:
    """The values that make a lead different. Without a caller these are all that were sent, also those not kept: `rest`
    is the digest of those that the PING left out."""
    left_out = rest + keys.digest(world.keys, unread)
    return lead if lead.caller or not left_out else Lead(lead | {"": left_out.hex()})


def is_of(ping: Ping, user: User | None) -> bool:
    """Whether the user may sell this ping: another publisher's is unknown to it."""
    return not ping.user or not user or ping.user == user.name


def claim_ping(world: World, ping_id: bytes, take: Callable[[int], Claim]) -> Claim:
    """Take the ping, as soon as no other attempt is working on it. Raises `TemporarilyUnavailable` at the deadline:
    with what is left of the claim that stands, or of our own where it is not clear whether it does."""
    left = 0
    try:
        claim = take(world.now())
        for looks in count():
            if claim.state is not State.CLAIMED:
                break
            left = claim.seconds_left(world.now())
            world.pause(looks)
            claim = world.pings.read(ping_id, world.now())
            if claim.state is not State.CLAIMED:
                left = 0
                claim = take(world.now())
    except TemporarilyUnavailable as failed:
        failed.retry_after_seconds = max(1, left or (0 if failed.not_done else CLAIM_SECONDS))
        raise
    return claim


def key_until(endpoint: Endpoint, now: int) -> int:
    """How long a retry key is kept: to the end of a hold that begins with the last call of this attempt."""
    return endpoint.held_until(now) + CLAIM_SECONDS


def claim_first(
    turn: Turn,
    retry: Sequence[RetryKey],
    priced: Ping,
    first: bytes,
    attempt: bytes,
    terms: Terms,
) -> tuple[Ping, Claim]:
    """The ping under which this lead is sold: claimed now, or with its sale. `first` is the ping that its key names. A
    sale whose hold is over makes way for a new one, and so does an erased ping. A key that an earlier attempt wrote has
    to outlive the sale of this one."""
    while True:
        ping = replace(priced, id=first)
        take = partial(turn.world.pings.open_and_claim, ping, turn.world.caller_hash(ping.lead), attempt, terms)
        claim = claim_ping(turn.world, first, take)
        over = claim.sale.held_until <= turn.world.now() if claim.sale else claim.state is State.SPENT
        if not over:
            break
        until = key_until(turn.endpoint, turn.world.now())
        first = turn.world.retry_keys.first_attempt(retry, priced.id, until, turn.world.now(), instead_of=first)
    if claim.state is State.FREE and first != priced.id:
        turn.world.retry_keys.first_attempt(retry, first, key_until(turn.endpoint, turn.world.now()), turn.world.now())
    return ping, claim


def find_earlier_sale(world: World, retry: Sequence[RetryKey]) -> Claim | None:
    """The sale that an earlier attempt at this lead made or is making now, while its number is held."""
    first = world.retry_keys.earlier_attempt(retry, world.now())
    if first is None:
        return None
    for looks in count():
        earlier = world.pings.read(first, world.now())
        if earlier.state is not State.CLAIMED:
            break
        world.pause(looks)
    return earlier if earlier.sale and earlier.sale.held_until > world.now() else None


def find_sale_under_key(turn: Turn, retry: Sequence[RetryKey], ping_id: bytes) -> Sale | None:
    """The sale of this lead that an earlier POST made under the same Idempotency-Key with another ping. If there is
    none, there never will be: the other ping is spent. Then the key goes over to this ping, which is claimed."""
    until = key_until(turn.endpoint, turn.world.now())
    first = turn.world.retry_keys.first_attempt(retry, ping_id, until, turn.world.now())
    for looks in count():
        if first == ping_id:
            break
        now = turn.world.now()
        earlier = turn.world.pings.read(first, now)
        if earlier.sale and earlier.sale.held_until > now:
            return earlier.sale
        if earlier.sale or (earlier.state is not State.CLAIMED and turn.world.pings.spend(first, now)):
            first = turn.world.retry_keys.first_attempt(retry, ping_id, until, now, instead_of=first)
        else:
            turn.world.pause(looks)
    return None


def answer_at_once(turn: Turn, earlier: Claim) -> bytes:
    """The answer of the sale, to the same post-only or FULL: with its reasons, too, where an operator asks for them."""
    if earlier.ping is None or earlier.sale is None:
        raise PingIdUsed
    answer = stored_answer(earlier.sale)
    if not wants_reasons(turn):
        return answer
    as_it_was = turn.world.compiled.version(turn.endpoint.vanity_uri, earlier.ping.version)
    return answers.add_reasons(answer, find_reasons(as_it_was, earlier.ping))


def answer_again(ping: Ping, sale: Sale, posted: Lead, choice: int, now: int) -> bytes:
    """The answer of the sale, to the same POST while the number is held."""
    sold, asked = Lead(ping.lead | sale.posted), Lead(ping.lead | posted)
    if choice != sale.choice or asked.caller != sold.caller or sale.held_until <= now:
        raise PingIdUsed
    return stored_answer(sale)


def stored_answer(sale: Sale) -> bytes:
    """Raises `PingIdUsed` if it was erased with its lead."""
    if not sale.answer:
        raise PingIdUsed
    return sale.answer


@contextmanager
def release_on_refusal(
    turn: Turn, claim: Claim, ping: Ping, attempt: bytes, caller: str, seen: dict[int, Ring]
) -> Iterator[None]:
    """A claim is given back when its POST is refused; then the ping can be found by the `caller` that the POST brought.
    If the outcome is unclear, the claim stays: a number may have been leased,
    and the next attempt has to look for it. Then the publisher is told what is left of the claim."""
    world = turn.world
    try:
        yield
    except Refusal as refused:
        if claim.state is State.FREE:
            if isinstance(refused, TemporarilyUnavailable) and not refused.not_done:
                refused.retry_after_seconds = max(1, claim.seconds_left(world.now()))
            else:
                is_no_answer_to_it = isinstance(refused, TemporarilyUnavailable | PingIdUnknown)
                status = "" if is_no_answer_to_it else refused.status
                brought = keys.caller_hash(world.keys, caller) if caller and status else b""
                has_a_number = world.rings.has_appended or world.routes.has_left
                used = number_of(turn).used_percent(seen, isinstance(refused, NoNumberAvailable))
                world.pings.release(
                    ping.id, attempt, claim, has_a_number, status, world.now(), caller=brought, pool_used=used
                )
        raise


class Taken(NamedTuple):
    """A ping that an attempt has claimed, the terms of that attempt, and the rings as its look has shown them."""

    ping: Ping
    attempt: bytes
    claim: Claim
    terms: Terms
    seen: dict[int, Ring]


@contextmanager
def claimed(turn: Turn, ping_id: bytes, posted: Lead) -> Iterator[Taken]:
    """The ping of a POST, on which no other attempt works meanwhile; a refusal gives it back. Raises `PingIdUsed` and
    `PingIdUnknown`."""
    world = turn.world
    attempt, terms = world.random_bytes(ATTEMPT_BYTES), number_of(turn).propose_terms(posted.caller)
    seen: dict[int, Ring] = {}
    claim = world.in_parallel(
        lambda: claim_ping(world, ping_id, partial(world.pings.claim, ping_id, attempt, terms)),
        *number_of(turn).looks(seen),
    )
    if claim.state is State.SPENT:
        raise PingIdUsed
    if claim.ping is None:
        raise PingIdUnknown
    leads = [claim.ping.lead, Lead(claim.ping.lead | posted)]
    with (
        release_on_refusal(turn, claim, claim.ping, attempt, posted.caller, seen),
        release_number_on_refusal(turn, claim, leads, attempt),
    ):
        if not is_of(claim.ping, turn.user):
            raise PingIdUnknown
        yield Taken(claim.ping, attempt, claim, terms, seen)


def answer_under_key(turn: Turn, taken: Taken, posted: Lead, unread: Lead) -> bytes | None:
    """The answer of an earlier POST of this lead with the same Idempotency-Key: then this ping is given back."""
    if not turn.request.idempotency_key:
        return None
    world, ping = turn.world, taken.ping
    whole = compared_lead(world, Lead(ping.lead | posted), unread, ping.rest)
    earlier = find_sale_under_key(turn, make_retry_keys(turn, "post", whole), ping.id)
    if earlier is None:
        return None
    caller = world.caller_hash(posted)
    has_a_number = world.rings.has_appended or world.routes.has_left
    world.pings.release(ping.id, taken.attempt, taken.claim, has_a_number, caller=caller)
    return stored_answer(earlier)
