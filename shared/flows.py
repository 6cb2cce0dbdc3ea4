"""The story, top to bottom: `ping`, `post` and `full`. Each takes a request and gives the body of its answer, or raises
the `Refusal` that says why not."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial, wraps
from typing import Literal, TypeVar

from msgspec.structs import replace

from shared.bidders.buyers import LEAST_SECONDS, LiveBuyers
from shared.domain import fields, keys, leasing, matching, schedule
from shared.domain.keys import Keys
from shared.domain.leasing import Lease, Ring
from shared.domain.live import Yes
from shared.domain.matching import Failure
from shared.domain.models import TRY_ALL, Bid, Buyer, Endpoint, Facts, Lead, Limit, Ping, RingPool, Sale, Step, User
from shared.domain.refusals import (
    BuyerMismatch,
    BuyerUnavailable,
    CallerIdRequired,
    CallerNumberSuppressed,
    DuplicateCaller,
    InvalidFields,
    NoMatchingBuyer,
    NoNumberAvailable,
    PingIdExpired,
    PingIdUnknown,
    PingIdUsed,
    RateLimited,
    Refusal,
    TemporarilyUnavailable,
    Unauthorized,
)
from shared.edge import answers, metrics
from shared.edge.requests import Request
from shared.store.callers import Callers, Known, Mark
from shared.store.compiled import Compiled, Twins
from shared.store.counters import BATCH, Counters
from shared.store.pings import CLAIM_SECONDS, Asked, Claim, Pings, Route, State
from shared.store.rings import PoolChanged, Rings
from shared.store.tallies import Tallies

OWN_SECONDS = 0.03
"""What our own work takes after live buyers have answered: it is taken off their time."""
COUNTING_SECONDS = 0.1
"""How long a request waits for what it counts once its own write is done."""
SEED_BYTES = 8
ATTEMPT_BYTES = 8
UNSOLD = {State.FREE, State.EXPIRED, State.SPENT}

Counted = Literal["pings", "posts"]
"""What a limit counts. A FULL is both, a post-only a post."""

T = TypeVar("T")
Write = Callable[[Endpoint, Ping, Buyer, str, int], bytes]
"""The body for a sale: endpoint, ping, buyer, number and the end of its hold."""


@dataclass(slots=True, frozen=True)
class World:
    """What a flow needs from outside, made anew for each request: its store calls share one deadline.

    `now` is in seconds since the epoch, `elapsed` in seconds since the request came in; `pause` waits between two looks
    at a ping that another attempt works on. What runs `beside` is waited for, `aside` is for counts: if they hang, no
    other call stands behind them.
    """

    compiled: Compiled
    pings: Pings
    rings: Rings
    counters: Counters
    callers: Callers
    live: LiveBuyers
    tallies: Tallies
    keys: Keys
    now: Callable[[], int]
    elapsed: Callable[[], float]
    random_bytes: Callable[[int], bytes]
    beside: Executor
    aside: Executor
    pause: Callable[[], None]

    def endpoint(self, vanity_uri: str) -> Endpoint:
        return self.compiled.endpoint(vanity_uri, self.now())

    def twin(self) -> "World":
        """The world of the endpoints' sandbox twins."""
        own, dynamo = keys.of_sandbox(self.keys), self.compiled.dynamo
        return dataclasses.replace(
            self,
            compiled=Twins(dynamo, self.compiled.memory, self.rings),
            callers=Callers(dynamo, own),
            live=LiveBuyers(self.live.send, self.live.secret, own),
            keys=own,
        )

    def left(self, deadline_ms: int) -> float:
        """How many seconds there are until live buyers must have answered."""
        return deadline_ms / 1000 - OWN_SECONDS - self.elapsed()

    def together(self, first: Callable[[], T], *others: Callable[[], object]) -> T:
        """Run all at once and wait for all; the first one's result."""
        running = [self.beside.submit(other) for other in others]
        try:
            return first()
        finally:
            for other in running:
                other.result()

    def counting(self, first: Callable[[], T], counts: Collection[Callable[[], None]]) -> T:
        """Run a request's own write and, beside it, what is counted: a count that takes longer ends by itself."""
        running = [self.aside.submit(count) for count in counts]
        try:
            return first()
        finally:
            for done in wait(running, COUNTING_SECONDS).done:
                done.result()

    def caller_hash(self, lead: Lead) -> bytes:
        return keys.caller_hash(self.keys, lead.caller) if lead.caller else b""


Flow = Callable[[World, Endpoint, Request], bytes]


def _keeping_refusals(flow: Flow) -> Flow:
    """A refusal is counted; what nobody bid on is stored, to be explained at any later time."""

    @wraps(flow)
    def kept(world: World, endpoint: Endpoint, request: Request) -> bytes:
        try:
            return flow(world, endpoint, request)
        except Refusal as refused:
            world.tallies.refused(endpoint, refused.status)
            if isinstance(refused, NoMatchingBuyer) and refused.ping:
                _opened(world, endpoint, refused.ping)
            raise

    return kept


@_keeping_refusals
def ping(world: World, endpoint: Endpoint, request: Request) -> bytes:
    user = _publisher(world, endpoint, request)
    lead = _lead(endpoint, user, request, ("ping",))
    priced = _priced(world, endpoint, user, request, lead, {"pings"})
    failures = _failures(endpoint, user, request, priced)
    if not priced.bids:
        raise NoMatchingBuyer(priced, failures)
    routes: list[Callable[[], object]] = []
    buyer = endpoint.buyer(priced.bids[0].buyer_id)
    if endpoint.static_numbers and lead.caller and buyer:
        number, held_until = lead["trackdrive_number"], endpoint.held_until(priced.created_at)
        routes.append(lambda: _left_route(world, priced, lead, number, buyer, held_until))
    _pinged(world, endpoint, priced)
    _opened(world, endpoint, priced, *routes)
    answer = answers.ping(endpoint, world.keys, priced)
    return answer if failures is None else answers.explained(answer, failures)


@_keeping_refusals
def post(world: World, endpoint: Endpoint, request: Request) -> bytes:
    def write(endpoint: Endpoint, _: Ping, buyer: Buyer, number: str, held_until: int) -> bytes:
        return answers.post(endpoint, buyer, number, held_until)

    user = _publisher(world, endpoint, request)
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
    if claim.state is State.SPENT:
        raise PingIdUsed
    if claim.ping is None:
        raise PingIdUnknown
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
                world.pings.release(ping_id, attempt, claim)
                return _answer(earlier)
        endpoint = world.compiled.at_least_as_new_as(claim.ping, endpoint, world.now())
        lead = _checked(endpoint, user, lead, problems, ("post",))
        bidders = matching.bidders(endpoint, claim.ping.bids, choice)
        facts = _facts(world, endpoint, user, request, lead, ping_id, bidders, {"posts"})
        facts = replace(facts, said=claim.ping.facts.said)
        seller = claim.ping.user or (user.name if user else "")
        selling = _Selling(claim.ping, attempt, claim, seen, lead, posted, choice, facts, seller)
        return _sold(world, endpoint, selling, write)


@_keeping_refusals
def full(world: World, endpoint: Endpoint, request: Request) -> bytes:
    def write(endpoint: Endpoint, ping: Ping, buyer: Buyer, number: str, held_until: int) -> bytes:
        return answers.full(endpoint, world.keys, ping, buyer, number, held_until)

    return _sold_at_once(world, endpoint, _publisher(world, endpoint, request), request, "full", write)


def reader(world: World, endpoint: Endpoint, request: Request) -> User | None:
    """Who reads the posting instructions. Raises `Unauthorized` where they are for users and this is none."""
    return _authenticated(world, endpoint, request, required=endpoint.instructions == "token")


def check(world: World, endpoint: Endpoint, request: Request, verb: str) -> tuple[Lead, list[Refusal]]:
    """How a request is read, and all that would refuse it before anybody is asked. Nothing is counted, stored or sold;
    a POST's ping is only read."""
    found: list[Refusal] = []
    user: User | None = None
    try:
        user = _publisher(world, endpoint, request)
    except Unauthorized as refused:
        found.append(refused)
    lead, problems = _read(endpoint, request)
    steps: tuple[Step, ...] = ("ping",) if verb == "ping" else ("ping", "post")
    whole = lead
    if verb == "post" and request.ping_id:
        steps = ("post",)
        known = keys.read_ping_id(world.keys, endpoint.vanity_uri, request.ping_id)
        claim = world.pings.read(known[0], world.now()) if known else Claim(State.UNKNOWN)
        if known is None or claim.ping is None or not _is_of(claim.ping, user):
            return lead, [*found, PingIdUsed() if claim.state is State.SPENT else PingIdUnknown()]
        try:
            _choice(request, known[1])
        except BuyerMismatch as refused:
            found.append(refused)
        if claim.state in (State.SOLD, State.EXPIRED):
            found.append(PingIdUsed() if claim.sale else PingIdExpired())
        whole = Lead(claim.ping.lead | lead)
        if endpoint.static_numbers and not lead.caller:
            problems.setdefault("caller_id", [fields.required("caller_id", "post")])
    elif verb == "post" and endpoint.static_numbers:
        problems["ping_id"] = [fields.required("ping_id", "post")]
    try:
        _checked(endpoint, user, whole, problems, steps)
    except (CallerIdRequired, InvalidFields) as refused:
        found.append(refused)
    return lead, found


def _sold_at_once(
    world: World, endpoint: Endpoint, user: User | None, request: Request, verb: str, write: Write
) -> bytes:
    """Find the buyers and sell in one request. The same lead again finds its first attempt by a retry key."""
    lead = _lead(endpoint, user, request, ("ping", "post"), needs_ping_id=verb == "post")
    choice = _choice(request, TRY_ALL)
    key = keys.retry_key(world.keys, _who(verb, endpoint, user, request), lead)
    if endpoint.has_live_buyers and (earlier := _earlier_sale(world, key)):
        return _answer(earlier)  # nobody is asked twice
    try:
        priced = _priced(world, endpoint, user, request, lead, {"pings", "posts"} if verb == "full" else {"posts"})
        failures = _failures(endpoint, user, request, priced)
        if not priced.bids:
            raise NoMatchingBuyer(priced, failures)
    except (NoMatchingBuyer, DuplicateCaller, CallerNumberSuppressed, RateLimited):
        if earlier := _earlier_sale(world, key):
            return _answer(earlier)
        raise
    attempt = world.random_bytes(ATTEMPT_BYTES)
    seen: dict[int, Ring] = {}
    now = world.now()
    first = world.together(
        lambda: world.pings.first_attempt(key, priced.id, _key_until(endpoint, now), now),
        *_looks(world, endpoint, seen),
        *world.compiled.refreshing(endpoint.vanity_uri, world.now()),
    )
    priced, claim = _claimed_first(world, endpoint, key, priced, first, attempt)
    if claim.sale:
        return _answer(claim.sale)
    if claim.state is not State.FREE:
        raise TemporarilyUnavailable
    _pinged(world, endpoint, priced)
    with _releasing(world, claim, priced, attempt):
        selling = _Selling(priced, attempt, claim, seen, lead, Lead(), choice, priced.facts, priced.user)
        answer = _sold(world, endpoint, selling, write)
    return answer if failures is None else answers.explained(answer, failures)


def _authenticated(world: World, endpoint: Endpoint, request: Request, required: bool) -> User | None:
    """Who sends this, if a token says so. A request without a token costs what a wrong one costs."""
    if not request.tokens and not required:
        return None
    hashes = [keys.token_hash(world.keys, token) for token in request.tokens or [""]]
    name = world.compiled.user_name(hashes, world.now())
    user = next((user for user in endpoint.users if user.name == name), None)
    if required and user is None:
        raise Unauthorized
    return user


def _publisher(world: World, endpoint: Endpoint, request: Request) -> User | None:
    """Who sends a lead: viewers send none. Raises `Unauthorized`."""
    user = _authenticated(world, endpoint, request, endpoint.require_auth_token)
    if endpoint.require_auth_token and user and user.role == "viewer":
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


def _priced(
    world: World, endpoint: Endpoint, user: User | None, request: Request, lead: Lead, counted: Collection[Counted]
) -> Ping:
    """The lead with everybody's bid, those of live buyers too. Raises what `_facts` raises."""
    now, seed, ping_id = world.now(), world.random_bytes(SEED_BYTES), world.random_bytes(keys.ID_BYTES)
    world.tallies.asked(endpoint, user.name if user else "", lead.source)
    passing = matching.passing(endpoint, lead, now)
    capped = [buyer.id for buyer in passing if buyer.caps]
    facts = _facts(world, endpoint, user, request, lead, ping_id, passing, counted, capped)
    if asked := matching.to_ask(endpoint, passing, lead, now, facts):
        left = partial(world.left, endpoint.ping_deadline_ms)
        facts = replace(facts, said=world.live.bids(asked, lead, ping_id, now, left))
    return Ping(
        id=ping_id,
        endpoint=endpoint.vanity_uri,
        version=endpoint.version,
        lead=lead,
        bids=matching.bids(endpoint, passing, lead, now, facts, seed),
        seed=seed,
        created_at=now,
        expires_at=now + endpoint.ping_ttl_seconds,
        lead_until=now + endpoint.lead_seconds,
        user=user.name if user else "",
        facts=facts,
    )


def _facts(
    world: World,
    endpoint: Endpoint,
    user: User | None,
    request: Request,
    lead: Lead,
    ping_id: bytes,
    buyers: Collection[Buyer],
    counted: Collection[Counted],
    capped: Sequence[int] = (),
) -> Facts:
    """What the rules of these buyers ask of the store, read in one round; in it the request is counted where there are
    limits. Nothing is read that nobody asks for.

    Raises `RateLimited`, `CallerNumberSuppressed` and `DuplicateCaller`.
    """
    now, caller = world.now(), lead.caller
    windows = _windows(endpoint, *buyers)
    listed = bool(endpoint.suppression) or any(buyer.suppression for buyer in buyers)
    known: list[Known] = []
    counts: dict[int, dict[str, int]] = {}
    waits: list[int] = []
    calls: list[Callable[[], object]] = []
    if caller and (listed or windows):
        calls.append(lambda: known.append(world.callers.known(caller, listed, bool(windows))))

    def count(some: Sequence[int]) -> None:
        counts.update(world.counters.counts(some, now))

    calls += [partial(count, capped[start : start + BATCH]) for start in range(0, len(capped), BATCH)]
    calls += _counts_of_requests(world, endpoint, user, request, lead, counted, waits)
    if calls:
        world.together(*calls)
    if any(waits):
        raise RateLimited(max(waits))
    found = known[0] if known else Known()
    if not found.listed.isdisjoint(endpoint.suppression):
        raise CallerNumberSuppressed
    sold = _sales(world, found.sold, windows, ping_id)
    if endpoint.scope in sold:
        raise DuplicateCaller
    return Facts(counts, tuple(sorted(found.listed)), sold)


def _counts_of_requests(
    world: World,
    endpoint: Endpoint,
    user: User | None,
    request: Request,
    lead: Lead,
    counted: Collection[Counted],
    waits: list[int],
) -> list[Callable[[], None]]:
    """The calls that count this request against the endpoint's limits, and add to `waits` for how many seconds it is
    one too many."""
    of = {
        "endpoint": endpoint.vanity_uri,
        "traffic_source": lead.get("traffic_source_id") or (user.name if user else ""),
        "source_address": request.source_address,
    }

    def count(limit: Limit) -> None:
        limits = {"pings": limit.pings, "posts": limit.posts}
        most: dict[str, int] = {name: limits[name] for name in counted if limits[name]}
        if most:
            waits.append(world.callers.admit(limit.of, of[limit.of], most, world.now()))

    return [partial(count, limit) for limit in endpoint.limits]


def _windows(*sellers: Endpoint | Buyer) -> dict[str, int]:
    """For how many seconds after a sale the same caller is a duplicate, by scope."""
    return {seller.scope: seller.duplicate_seconds for seller in sellers if seller.duplicate_seconds}


def _sales(world: World, marks: Mapping[str, Mark], windows: Mapping[str, int], ping_id: bytes) -> dict[str, int]:
    """When the caller was sold within these windows, by scope. A mark is none where its ping could still be sold, and
    nobody is at it: an attempt that died left it. The ping itself may be so old that it is gone."""
    now = world.now()
    within = {
        scope: mark
        for scope, mark in marks.items()
        if mark.ping_id != ping_id and mark.at > now - windows.get(scope, 0)
    }
    states: dict[bytes, State] = {}

    def look(of: bytes) -> None:
        states[of] = world.pings.read(of, now).state

    if looks := [partial(look, of) for of in {mark.ping_id for mark in within.values()}]:
        world.together(*looks)
    return {scope: mark.at for scope, mark in within.items() if states[mark.ping_id] not in UNSOLD}


def _failures(endpoint: Endpoint, user: User | None, request: Request, priced: Ping) -> list[Failure] | None:
    """The reasons, for an operator who asks."""
    if not request.explain or user is None or user.role != "operator":
        return None
    return matching.failures(endpoint, priced.lead, priced.created_at, priced.facts)


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
    over makes way for a new one, as does an erased ping. A key that was written by an earlier attempt has to outlive
    the sale of this one."""
    while True:
        ping = replace(priced, id=first)
        claim = _claimed(world, first, partial(world.pings.open_and_claim, ping, world.caller_hash(ping.lead), attempt))
        over = claim.sale.held_until <= world.now() if claim.sale else claim.state is State.SPENT
        if not over:
            break
        until = _key_until(endpoint, world.now())
        first = world.pings.first_attempt(key, priced.id, until, world.now(), instead_of=first)
    if claim.state is State.FREE and first != priced.id:
        world.pings.first_attempt(key, first, _key_until(endpoint, world.now()), world.now())
    return ping, claim


def _earlier_sale(world: World, key: bytes) -> Sale | None:
    """The sale that an earlier attempt at this lead made or is just making, while its number is held."""
    first = world.pings.earlier_attempt(key, world.now())
    if first is None:
        return None
    while (earlier := world.pings.read(first, world.now())).state is State.CLAIMED:
        world.pause()
    return earlier.sale if earlier.sale and earlier.sale.held_until > world.now() else None


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
    return _answer(sale)


def _answer(sale: Sale) -> bytes:
    """Raises `PingIdUsed` if it was erased with its lead."""
    if not sale.answer:
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
            told = "" if isinstance(refused, PingIdUnknown) else refused.status  # that was somebody else's POST
            world.pings.release(ping.id, attempt, claim, told, world.now())
        raise


@dataclass(slots=True, frozen=True)
class _Selling:
    """One attempt at selling a ping that it has claimed. `seen` are the rings as a look has shown them; `posted` is
    what the POST laid over the ping's lead, `lead` the whole; `facts` what the store knows of its caller, and what
    live buyers said to the PING; `user` whose sale it is."""

    ping: Ping
    attempt: bytes
    claim: Claim
    seen: dict[int, Ring]
    lead: Lead
    posted: Lead
    choice: int
    facts: Facts
    user: str


def _sold(world: World, endpoint: Endpoint, selling: _Selling, write: Write) -> bytes:
    """Find a buyer, then a number, then record the sale; only then the answer may leave."""
    ping, choice = selling.ping, selling.choice
    if choice != TRY_ALL and choice not in {bid.buyer_id for bid in ping.bids}:
        raise BuyerMismatch
    candidates = matching.candidates(endpoint, ping.bids, choice, selling.lead, world.now(), selling.facts)
    # First the one that an attempt that died has asked: only its answer to the same question settles that.
    for buyer, bid in sorted(candidates, key=lambda candidate: candidate[0].id not in selling.claim.asked):
        reserved = _reserved(world, endpoint, selling, buyer, bid)
        if reserved is None:
            continue
        try:
            said = _agreed(world, endpoint, selling, buyer, bid)
            if said:
                number, held_until, overflow = _number(world, endpoint, selling, buyer, said)
                break
        except Refusal:
            _give_back(reserved)
            raise
        _give_back(reserved)
    else:
        raise NoMatchingBuyer if choice == TRY_ALL else BuyerUnavailable
    answer = write(endpoint, ping, buyer, number, held_until)
    cents = bid.cents if said.cents is None else said.cents
    selling.claim.asked.pop(buyer.id, None)
    now = world.now()
    sale = Sale(
        attempt=selling.attempt,
        buyer_id=buyer.id,
        cents=cents,
        bid_cents=bid.cents,
        payout_cents=bid.payout_cents if cents == bid.cents else endpoint.margin.payout_cents(cents),
        number=number,
        sold_at=now,
        held_until=held_until,
        choice=choice,
        posted=selling.posted,
        answer=answer,
        kept_until=now + endpoint.sale_seconds,
        user=selling.user,
        overflow=overflow,
        said=said if buyer.live else None,
    )
    new_caller = world.caller_hash(selling.lead) if selling.lead.caller != ping.lead.caller else b""
    world.tallies.sold(endpoint, sale, selling.lead.source)
    world.counting(
        lambda: world.pings.record(ping, sale, new_caller, selling.claim.asked), world.tallies.due(at_once=True)
    )
    metrics.sold()
    return answer


def _opened(world: World, endpoint: Endpoint, priced: Ping, *beside: Callable[[], object]) -> None:
    """Store the ping, and do what is to be done beside it."""
    writes = (*beside, *world.compiled.refreshing(endpoint.vanity_uri, world.now()))
    world.counting(
        lambda: world.together(lambda: world.pings.open(priced, world.caller_hash(priced.lead)), *writes),
        world.tallies.due(),
    )


def _pinged(world: World, endpoint: Endpoint, priced: Ping) -> None:
    metrics.pinged(len(priced.bids))
    world.tallies.pinged(endpoint, priced)


def _agreed(world: World, endpoint: Endpoint, selling: _Selling, buyer: Buyer, bid: Bid) -> Yes | None:
    """What the buyer agrees to; None if it does not, or if that is not clear. Only a live buyer whose bid is not
    its consent has to be asked, and is only if there is a number for it. Raises `NoNumberAvailable`."""
    offered = selling.facts.said.get(buyer.id)
    if buyer.live is None or not isinstance(offered, Yes):
        return Yes()
    if buyer.live.post is None:
        return offered
    asked, now = selling.claim.asked, world.now()
    if (earlier := asked.get(buyer.id)) and earlier.said and not earlier.said.is_over(now):
        return earlier.said.over(offered) if earlier.said.is_worth(bid.cents) else None
    _see_a_number(world, endpoint, selling)
    left = partial(world.left, endpoint.post_deadline_ms)
    if left() < LEAST_SECONDS:
        return None
    asked[buyer.id] = Asked(now)
    world.pings.ask(selling.ping.id, selling.attempt, asked)
    said = world.live.agree(buyer, selling.lead, selling.ping.id, offered.reference, now, left)
    if isinstance(said, Yes):
        asked[buyer.id] = Asked(now, said)
        return said.over(offered) if said.is_worth(bid.cents) else None
    if not said.broken:
        del asked[buyer.id]
    return None


def _see_a_number(world: World, endpoint: Endpoint, selling: _Selling) -> None:
    """Raises `NoNumberAvailable` where a sale could get none: no buyer is asked for nothing. Whoever takes over may
    have a number already."""
    if selling.claim.taken_over:
        return
    pool, lead, now = endpoint.pool, selling.lead, world.now()
    if pool:
        try:
            with suppress(PoolChanged):  # the lease reads the configuration again
                world.rings.see_one_free(pool, now, selling.seen)
            return
        except NoNumberAvailable:
            if not pool.overflow_number or not lead.caller:
                raise
    number = pool.overflow_number if pool else lead["trackdrive_number"]
    route = world.pings.route(keys.route_key(world.keys, number, lead.caller), now)
    if route and route.sold and route.ping_id != selling.ping.id:
        raise NoNumberAvailable(route.held_until - now)


def _reserved(
    world: World, endpoint: Endpoint, selling: _Selling, buyer: Buyer, bid: Bid
) -> list[Callable[[], None]] | None:
    """Count a sale to this buyer and remember its caller, before there is a number: what takes it back, or None if the
    buyer has no room. Raises `DuplicateCaller` if another sale of this caller came first."""
    now, ping, caller, undo = world.now(), selling.ping, selling.lead.caller, list[Callable[[], None]]()
    if buyer.caps:
        local, held_until = schedule.local_time(buyer.zone, now), endpoint.held_until(now)
        place = world.counters.take(buyer.id, buyer.caps, local, bid.cents, ping.id, held_until, now)
        if place is None:
            return None
        undo.append(partial(world.counters.give_back, place))
    windows = _windows(endpoint, buyer)
    if caller and windows:
        try:
            sold = _marked(world, caller, windows, ping.id)
        except Refusal:
            _give_back(undo)
            raise
        if sold:
            _give_back(undo)
            if endpoint.scope in sold:
                raise DuplicateCaller
            return None
        undo.append(lambda: world.callers.unmark(caller, windows, ping.id))
    return undo


def _give_back(reserved: list[Callable[[], None]]) -> None:
    for take_back in reserved:
        take_back()


def _marked(world: World, caller: str, windows: Mapping[str, int], ping_id: bytes) -> dict[str, int]:
    """Remember a sale of this caller: nothing if that is done, else the sales that stand against it."""
    dead: set[bytes] = set()
    while marks := world.callers.mark(caller, windows, ping_id, world.now(), instead_of=dead):
        if sold := _sales(world, marks, windows, ping_id):
            return sold
        dead |= {mark.ping_id for mark in marks.values()}
    return {}


def _number(world: World, endpoint: Endpoint, selling: _Selling, buyer: Buyer, said: Yes) -> tuple[str, int, bool]:
    """The number for a sale, the end of its hold, which is never after the buyer's own, and whether it is the overflow
    number."""
    ping, lead = selling.ping, selling.lead
    held_until = said.until(endpoint.held_until(world.now()))
    if endpoint.pool is None:
        number = lead["trackdrive_number"]
        if taken_until := _left_route(world, ping, lead, number, buyer, held_until, said):
            raise NoNumberAvailable(taken_until - world.now())
        return number, held_until, False
    try:
        lease, pool = _leased(world, endpoint, endpoint.pool, selling)
    except NoNumberAvailable:
        metrics.pool_exhausted()
        world.tallies.pool_exhausted(endpoint, endpoint.pool)
        number = endpoint.pool.overflow_number
        if not number or not lead.caller or _left_route(world, ping, lead, number, buyer, held_until, said):
            raise
        return number, held_until, True
    held_until = said.until(lease.expires_at - pool.cooldown_seconds)
    if held_until <= world.now():
        raise PingIdExpired
    return lease.number, held_until, False


def _leased(world: World, endpoint: Endpoint, pool: RingPool | None, selling: _Selling) -> tuple[Lease, RingPool]:
    """A number of the pool as it is configured now. Whoever takes over from an attempt that died first looks whether
    that one has leased a number, in the shards of today."""
    ping_id, seen = selling.ping.id, selling.seen
    if selling.claim.taken_over:
        pool = world.compiled.latest(endpoint.vanity_uri, world.now()).pool
    if pool and world.rings.known_exhausted(pool, world.now()):  # so nothing was looked at
        _pool_used(world, endpoint, pool, 100)
    elif pool and seen:
        _pool_used(world, endpoint, pool, leasing.used_percent(seen.values(), world.now()))
    for _ in range(2):
        if pool is None:
            break
        try:
            lease = world.rings.find(pool, ping_id) if selling.claim.taken_over else None
            return lease or world.rings.lease(pool, ping_id, world.now(), seen), pool
        except PoolChanged:
            pool, seen = world.compiled.latest(endpoint.vanity_uri, world.now()).pool, {}
    raise TemporarilyUnavailable


def _pool_used(world: World, endpoint: Endpoint, pool: RingPool, percent: float) -> None:
    metrics.pool_used(percent)
    world.tallies.pool_used(endpoint, pool, percent)


def _left_route(
    world: World, ping: Ping, lead: Lead, number: str, buyer: Buyer, held_until: int, sold: Yes | None = None
) -> int:
    """See `Pings.leave_route`. `sold` is what the buyer agreed to, if it has bought."""
    offered = sold or ping.facts.said.get(buyer.id)
    to = (offered.number if isinstance(offered, Yes) else "") or buyer.number
    route = Route(ping.id, buyer.id, to, sold is not None, held_until)
    return world.pings.leave_route(keys.route_key(world.keys, number, lead.caller), route, world.now())
