"""The story, top to bottom: `ping`, `post` and `full`. Each takes a request and gives the body of its answer, or raises
the `Refusal` that says why not."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from shared.domain import fields, keys, leasing, matching
from shared.domain.keys import Keys
from shared.domain.leasing import Lease, Ring
from shared.domain.models import TRY_ALL, Buyer, Endpoint, Lead, Ping, RingPool, Sale, Step, User
from shared.domain.refusals import (
    BuyerMismatch,
    BuyerUnavailable,
    CallerIdRequired,
    InvalidFields,
    NoMatchingBuyer,
    NoNumberAvailable,
    PingIdExpired,
    PingIdUnknown,
    PingIdUsed,
    Refusal,
    TemporarilyUnavailable,
    Unauthorized,
)
from shared.edge import answers, metrics
from shared.edge.requests import Request
from shared.store.compiled import Compiled
from shared.store.pings import CLAIM_SECONDS, Claim, Pings, Route, State
from shared.store.rings import PoolChanged, Rings

SEED_BYTES = 8
ATTEMPT_BYTES = 8

T = TypeVar("T")
Write = Callable[[Endpoint, Ping, Buyer, str, int], bytes]
"""The body for a sale: endpoint, ping, buyer, number and the end of its hold."""


@dataclass(slots=True, frozen=True)
class World:
    """What a flow needs from outside, made anew for each request: its store calls share one deadline.

    `now` is in seconds since the epoch; `pause` waits between two looks at a ping that another attempt works on.
    """

    compiled: Compiled
    pings: Pings
    rings: Rings
    keys: Keys
    now: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    beside: Executor
    pause: Callable[[], None]

    def endpoint(self, vanity_uri: str) -> Endpoint:
        return self.compiled.endpoint(vanity_uri, self.now())

    def together(self, first: Callable[[], T], *others: Callable[[], object]) -> T:
        """Run all at once and wait for all; the first one's result."""
        running = [self.beside.submit(other) for other in others]
        try:
            return first()
        finally:
            for other in running:
                other.result()


def ping(world: World, endpoint: Endpoint, request: Request) -> bytes:
    user = _authenticated(world, endpoint, request)
    lead = _lead(endpoint, user, request, ("ping",))
    priced = _priced(world, endpoint, user, lead)
    if not priced.bids:
        raise NoMatchingBuyer
    beside = world.compiled.refreshing(endpoint.vanity_uri, world.now())
    if endpoint.static_numbers and lead.caller:
        buyer = matching.candidates(endpoint, priced.bids, TRY_ALL)[0][0]
        number = lead["trackdrive_number"]
        beside.append(lambda: _left_route(world, priced, lead, number, buyer, endpoint.held_until(priced.created_at)))
    world.together(lambda: world.pings.open(priced), *beside)
    metrics.pinged(len(priced.bids))
    return answers.ping(endpoint, world.keys, priced)


def post(world: World, endpoint: Endpoint, request: Request) -> bytes:
    def write(endpoint: Endpoint, _: Ping, buyer: Buyer, number: str, held_until: int) -> bytes:
        return answers.post(endpoint, buyer, number, held_until)

    user = _authenticated(world, endpoint, request)
    if not request.ping_id:
        return _sold_at_once(world, endpoint, user, request, "post", write)
    known = keys.read_ping_id(world.keys, endpoint.vanity_uri, request.ping_id)
    if known is None:
        raise PingIdUnknown
    ping_id, choice = known[0], _choice(request, known[1])
    posted, problems = _read(endpoint, request)
    if endpoint.static_numbers and not posted.caller:  # it is how the call will be told apart
        problems.setdefault("caller_id", [fields.required("caller_id", "post")])
    attempt = world.random_bytes(ATTEMPT_BYTES)
    seen: dict[int, Ring] = {}
    claim = world.together(
        lambda: _claimed(world, ping_id, partial(world.pings.claim, ping_id, attempt)),
        *_looks(world, endpoint, seen),
        *world.compiled.refreshing(endpoint.vanity_uri, world.now()),
    )
    if claim.ping is None:
        raise PingIdUsed if claim.state is State.SPENT else PingIdUnknown
    with _releasing(world, claim, claim.ping, attempt):
        if not _is_of(claim.ping, user):
            raise PingIdUnknown
        if claim.sale:
            return _answer_again(claim.ping, claim.sale, posted, choice, world.now())
        if claim.state is State.EXPIRED:
            raise PingIdExpired
        lead = Lead(claim.ping.lead | posted)
        if request.idempotency_key:
            key = keys.retry_key(world.keys, _who("post", endpoint, user, request), lead)
            if earlier := _sale_under_key(world, endpoint, key, ping_id):
                world.pings.release(ping_id, attempt, claim.taken_over)
                return earlier.answer
        endpoint = world.compiled.at_least_as_new_as(claim.ping, endpoint, world.now())
        lead = _checked(endpoint, user, lead, problems, ("post",))
        selling = _Selling(claim.ping, attempt, claim.taken_over, seen, lead, posted, choice)
        return _sold(world, endpoint, selling, write)


def full(world: World, endpoint: Endpoint, request: Request) -> bytes:
    def write(endpoint: Endpoint, ping: Ping, buyer: Buyer, number: str, held_until: int) -> bytes:
        return answers.full(endpoint, world.keys, ping, buyer, number, held_until)

    return _sold_at_once(world, endpoint, _authenticated(world, endpoint, request), request, "full", write)


def _sold_at_once(
    world: World, endpoint: Endpoint, user: User | None, request: Request, verb: str, write: Write
) -> bytes:
    """Find the buyers and sell in one request. The same lead again finds its first attempt by a retry key."""
    lead = _lead(endpoint, user, request, ("ping", "post"), needs_ping_id=verb == "post")
    choice = _choice(request, TRY_ALL)
    key = keys.retry_key(world.keys, _who(verb, endpoint, user, request), lead)
    priced = _priced(world, endpoint, user, lead)
    if not priced.bids:
        earlier = world.pings.earlier_attempt(key, priced.created_at)
        claim = world.pings.read(earlier, priced.created_at) if earlier else None
        if claim and claim.sale and claim.sale.held_until > priced.created_at:
            return claim.sale.answer
        raise NoMatchingBuyer
    attempt = world.random_bytes(ATTEMPT_BYTES)
    seen: dict[int, Ring] = {}
    first = world.together(
        lambda: world.pings.first_attempt(key, priced.id, _key_until(endpoint, priced.created_at), priced.created_at),
        *_looks(world, endpoint, seen),
        *world.compiled.refreshing(endpoint.vanity_uri, world.now()),
    )
    priced, claim = _claimed_first(world, endpoint, key, priced, first, attempt)
    if claim.sale:
        return claim.sale.answer
    if claim.state is not State.FREE:
        raise TemporarilyUnavailable
    metrics.pinged(len(priced.bids))
    with _releasing(world, claim, priced, attempt):
        selling = _Selling(priced, attempt, claim.taken_over, seen, lead, Lead(), choice)
        return _sold(world, endpoint, selling, write)


def _authenticated(world: World, endpoint: Endpoint, request: Request) -> User | None:
    """Who sends this, if a token says so. A request without a token costs what a wrong one costs."""
    if not request.tokens and not endpoint.require_auth_token:
        return None
    hashes = [keys.token_hash(world.keys, token) for token in request.tokens or [""]]
    name = world.compiled.user_name(hashes, world.now())
    user = next((user for user in endpoint.users if user.name == name), None)
    if endpoint.require_auth_token and (user is None or user.role == "viewer"):
        raise Unauthorized
    return user


def _lead(
    endpoint: Endpoint, user: User | None, request: Request, steps: tuple[Step, ...], needs_ping_id: bool = False
) -> Lead:
    lead, problems = _read(endpoint, request)
    if endpoint.static_numbers and needs_ping_id:
        problems["ping_id"] = [fields.required("ping_id", "post")]
    return _checked(endpoint, user, lead, problems, steps)


def _read(endpoint: Endpoint, request: Request) -> tuple[Lead, fields.Problems]:
    sent = request.sent([field.name for field in endpoint.fields])
    return fields.read(endpoint.fields, sent, endpoint.default_region)


def _checked(
    endpoint: Endpoint, user: User | None, lead: Lead, problems: fields.Problems, steps: tuple[Step, ...]
) -> Lead:
    """The whole lead with its defaults, once everything that these steps need is there and right."""
    if endpoint.require_caller_id and not lead.caller and "caller_id" not in problems:
        raise CallerIdRequired
    lead = fields.complete(endpoint.fields, lead)
    problems = fields.missing(endpoint.fields, lead, steps) | problems
    source = lead.get("traffic_source_id")
    if endpoint.static_numbers:
        bound = endpoint.static_numbers.get(lead.get("trackdrive_number", ""))
        if bound is None or source not in (None, bound):
            problems.setdefault("trackdrive_number", ["trackdrive_number must be your number on this endpoint."])
        else:
            source = lead["traffic_source_id"] = bound
    if user and user.traffic_sources and source and source not in user.traffic_sources:
        problems["traffic_source_id"] = ["traffic_source_id must be one of your traffic sources."]
    if problems:
        raise InvalidFields(problems)
    return lead


def _priced(world: World, endpoint: Endpoint, user: User | None, lead: Lead) -> Ping:
    now, seed = world.now(), world.random_bytes(SEED_BYTES)
    return Ping(
        id=world.random_bytes(keys.ID_BYTES),
        endpoint=endpoint.vanity_uri,
        version=endpoint.version,
        lead=lead,
        bids=matching.bids(endpoint, seed),
        seed=seed,
        created_at=now,
        expires_at=now + endpoint.ping_ttl_seconds,
        user=user.name if user else "",
    )


def _who(verb: str, endpoint: Endpoint, user: User | None, request: Request) -> list[str]:
    return [verb, endpoint.vanity_uri, user.name if user else "", request.idempotency_key]


def _is_of(ping: Ping, user: User | None) -> bool:
    """Whether the user may sell this ping: another publisher's is unknown to it."""
    return not ping.user or not user or ping.user == user.name


def _choice(request: Request, choice: int) -> int:
    """Which buyer is wanted: the ping id's, or the one that `buyer_id` names. Raises `BuyerMismatch` if they differ."""
    if not request.buyer_id:
        return choice
    named = int(request.buyer_id) if request.buyer_id.isdecimal() and len(request.buyer_id) < 12 else TRY_ALL
    if named == TRY_ALL or choice not in (TRY_ALL, named):
        raise BuyerMismatch
    return named


def _looks(world: World, endpoint: Endpoint, seen: dict[int, Ring]) -> list[Callable[[], None]]:
    """A look at the pool's rings, to be run beside the claim; none where there is no pool or nothing to be seen."""
    pool = endpoint.pool
    if pool is None or world.rings.known_exhausted(pool, world.now()):
        return []

    def look() -> None:
        try:
            seen.update(world.rings.look(pool))
        except (PoolChanged, TemporarilyUnavailable):
            return  # the lease looks again

    return [look]


def _claimed(world: World, ping_id: bytes, take: Callable[[int], Claim]) -> Claim:
    """Take the ping, as soon as no other attempt is working on it. Raises `TemporarilyUnavailable` at the deadline."""
    claim = take(world.now())
    while claim.state is State.CLAIMED:
        world.pause()
        if world.pings.read(ping_id, world.now()).state is not State.CLAIMED:
            claim = take(world.now())
    return claim


def _key_until(endpoint: Endpoint, now: int) -> int:
    """How long a retry key is kept: to the end of a hold that begins with the last call of this attempt."""
    return endpoint.held_until(now) + CLAIM_SECONDS


def _claimed_first(
    world: World, endpoint: Endpoint, key: bytes, priced: Ping, first: bytes, attempt: bytes
) -> tuple[Ping, Claim]:
    """The ping under which this lead is sold, claimed, or its sale: `first` is what its key names. A sale whose hold is
    over makes way for a new one. A key that was written by an earlier attempt has to outlive the sale of this one."""
    while True:
        ping = replace(priced, id=first)
        claim = _claimed(world, first, partial(world.pings.open_and_claim, ping, attempt))
        if claim.sale is None or claim.sale.held_until > world.now():
            break
        until = _key_until(endpoint, world.now())
        first = world.pings.first_attempt(key, priced.id, until, world.now(), instead_of=first)
    if claim.state is State.FREE and first != priced.id:
        world.pings.first_attempt(key, first, _key_until(endpoint, world.now()), world.now())
    return ping, claim


def _sale_under_key(world: World, endpoint: Endpoint, key: bytes, ping_id: bytes) -> Sale | None:
    """The sale of this lead that an earlier POST made under the same Idempotency-Key with another ping. If there is
    none there never will be: the other ping is spent, and the key goes over to this one, which is claimed already."""
    until = _key_until(endpoint, world.now())
    first = world.pings.first_attempt(key, ping_id, until, world.now())
    while first != ping_id:
        now = world.now()
        earlier = world.pings.read(first, now)
        if earlier.sale and earlier.sale.held_until > now:
            return earlier.sale
        if earlier.sale or (earlier.state is not State.CLAIMED and world.pings.spend(first, now)):
            first = world.pings.first_attempt(key, ping_id, until, now, instead_of=first)
        else:
            world.pause()
    return None


def _answer_again(ping: Ping, sale: Sale, posted: Lead, choice: int, now: int) -> bytes:
    """The answer of the sale, to the same POST while the number is held."""
    sold, asked = Lead(ping.lead | sale.posted), Lead(ping.lead | posted)
    if choice != sale.choice or asked.caller != sold.caller or sale.held_until <= now:
        raise PingIdUsed
    return sale.answer


@contextmanager
def _releasing(world: World, claim: Claim, ping: Ping, attempt: bytes) -> Iterator[None]:
    """A claim is given back when its POST is refused. Not when its outcome is unclear: a number may have been leased,
    and the next attempt has to look for it."""
    try:
        yield
    except Refusal as refused:
        if claim.state is State.FREE and not isinstance(refused, TemporarilyUnavailable):
            world.pings.release(ping.id, attempt, claim.taken_over)
        raise


@dataclass(slots=True, frozen=True)
class _Selling:
    """One attempt at selling a ping that it has claimed. `taken_over` says that an earlier one died at it; `seen` are
    the rings as a look has shown them; `posted` is what the POST laid over the ping's lead, `lead` the whole."""

    ping: Ping
    attempt: bytes
    taken_over: bool
    seen: dict[int, Ring]
    lead: Lead
    posted: Lead
    choice: int


def _sold(world: World, endpoint: Endpoint, selling: _Selling, write: Write) -> bytes:
    """Find a buyer, then a number, then record the sale; only then the answer may leave."""
    ping, choice = selling.ping, selling.choice
    if choice != TRY_ALL and choice not in {bid.buyer_id for bid in ping.bids}:
        raise BuyerMismatch
    candidates = matching.candidates(endpoint, ping.bids, choice)
    if not candidates:
        raise NoMatchingBuyer if choice == TRY_ALL else BuyerUnavailable
    buyer, bid = candidates[0]
    number, held_until, overflow = _number(world, endpoint, selling, buyer)
    answer = write(endpoint, ping, buyer, number, held_until)
    world.pings.record(
        ping.id,
        Sale(
            attempt=selling.attempt,
            buyer_id=buyer.id,
            cents=bid.cents,
            number=number,
            sold_at=world.now(),
            held_until=held_until,
            choice=choice,
            posted=selling.posted,
            answer=answer,
            overflow=overflow,
        ),
    )
    metrics.sold()
    return answer


def _number(world: World, endpoint: Endpoint, selling: _Selling, buyer: Buyer) -> tuple[str, int, bool]:
    """The number for a sale, the end of its hold, and whether it is the overflow number."""
    ping, lead = selling.ping, selling.lead
    held_until = endpoint.held_until(world.now())
    if endpoint.pool is None:
        number = lead["trackdrive_number"]
        if taken_until := _left_route(world, ping, lead, number, buyer, held_until, sold=True):
            raise NoNumberAvailable(taken_until - world.now())
        return number, held_until, False
    try:
        lease, pool = _leased(world, endpoint, endpoint.pool, selling)
    except NoNumberAvailable:
        metrics.pool_exhausted()
        number = endpoint.pool.overflow_number
        if not number or not lead.caller or _left_route(world, ping, lead, number, buyer, held_until, sold=True):
            raise
        return number, held_until, True
    held_until = lease.expires_at - pool.cooldown_seconds
    if held_until <= world.now():
        raise PingIdExpired
    return lease.number, held_until, False


def _leased(world: World, endpoint: Endpoint, pool: RingPool | None, selling: _Selling) -> tuple[Lease, RingPool]:
    """A number of the pool as it is configured now. Whoever takes over from an attempt that died first looks whether
    that one has leased a number, in the shards of today."""
    ping_id, seen = selling.ping.id, selling.seen
    if selling.taken_over:
        pool = world.compiled.latest(endpoint.vanity_uri, world.now()).pool
    if pool and world.rings.known_exhausted(pool, world.now()):  # so nothing was looked at
        metrics.pool_used(100)
    elif seen:
        metrics.pool_used(leasing.used_percent(seen.values(), world.now()))
    for _ in range(2):
        if pool is None:
            break
        try:
            lease = world.rings.find(pool, ping_id) if selling.taken_over else None
            return lease or world.rings.lease(pool, ping_id, world.now(), seen), pool
        except PoolChanged:
            pool, seen = world.compiled.latest(endpoint.vanity_uri, world.now()).pool, {}
    raise TemporarilyUnavailable


def _left_route(
    world: World, ping: Ping, lead: Lead, number: str, buyer: Buyer, held_until: int, sold: bool = False
) -> int:
    """See `Pings.leave_route`."""
    route = Route(ping.id, buyer.id, buyer.number, sold, held_until)
    return world.pings.leave_route(keys.route_key(world.keys, number, lead.caller), route, world.now())
