"""The number that the caller dials: of a ring pool, the publisher's own, or one that callers share."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from shared.domain import keys, leasing
from shared.domain.leasing import Lease, Ring
from shared.domain.live_bids import Yes
from shared.domain.models import (
    Buyer,
    Endpoint,
    Lead,
    Ping,
    RingPool,
    Terms,
)
from shared.domain.refusals import (
    NoNumberAvailable,
    PingIdExpired,
    PingIdUnknown,
    Refusal,
    TemporarilyUnavailable,
    TooManyLeases,
)
from shared.domain.tracking import PoolTracking, SharedTracking, tracking_of
from shared.flows.turn import Selling, Turn
from shared.publishers import metrics
from shared.store.pings import Claim
from shared.store.rings import PoolChanged
from shared.store.routes import Route, Seller

EXHAUSTED_PERCENT = 100
LOOKS_AT_A_CLOSED_POOL = 9
"""How often a POST looks whether an apply is done with its pool: within some four seconds of growing pauses."""


class SoldNumber(NamedTuple):
    """The number of a sale, the end of its hold, which is never after the buyer's own, whether it is the overflow
    number, and how full the pool was."""

    number: str
    held_until: int
    overflow: bool
    pool_used: int


@dataclass(slots=True, frozen=True)
class _UnpooledNumber:
    """A number that is of no ring pool: no ring is looked at, and no quota counts who holds it."""

    turn: Turn

    def looks(self, _: dict[int, Ring]) -> list[Callable[[], None]]:
        return []

    def used_percent(self, _: Mapping[int, Ring], exhausted: bool) -> None:
        """There is no pool."""

    def propose_terms(self, _: str) -> Terms:
        return Terms(self.turn.endpoint.hold_seconds, 0)

    def announce(self, _: Ping) -> list[Callable[[], None]]:
        """What is stored beside the ping for a call that comes without a POST."""
        return []

    def check_quotas(self, selling: Selling) -> None:
        """Does nothing."""


@dataclass(slots=True, frozen=True)
class StaticNumber(_UnpooledNumber):
    """A publisher's own number: its call goes where the route of the number and the caller leads."""

    def announce(self, priced: Ping) -> list[Callable[[], None]]:
        """What is stored beside the ping for a call that comes without a POST."""
        buyer = self.turn.endpoint.buyer(priced.bids[0].buyer_id)
        return [partial(self._leave_route, priced, buyer)] if priced.lead.caller and buyer else []

    def _leave_route(self, priced: Ping, buyer: Buyer) -> None:
        """Point such a call at the best buyer. Raises `NoNumberAvailable` where the POST would."""
        turn, lead, offered = self.turn, priced.lead, priced.facts.said.get(buyer.id)
        to = (offered.number if isinstance(offered, Yes) else "") or buyer.number
        held_until = turn.endpoint.held_until(priced.created_at)
        route = Route(priced.id, buyer.id, to, False, held_until, _seller_of_route(turn, priced.user, lead))
        key, now = keys.route_keys(turn.world.keys, lead["trackdrive_number"], lead.caller), turn.world.now()
        if taken_until := turn.world.routes.leave(key, route, now):
            raise NoNumberAvailable(taken_until - now)

    def check_is_free(self, selling: Selling) -> None:
        """Raises `NoNumberAvailable` where a sale could get no number."""
        _check_route(self.turn, selling, selling.lead["trackdrive_number"])

    def take(self, selling: Selling, buyer: Buyer, said: Yes) -> SoldNumber:
        """Give the sale its number. Raises `NoNumberAvailable`."""
        turn, number = self.turn, selling.lead["trackdrive_number"]
        held_until = said.until(turn.endpoint.held_until(turn.world.now()))
        if taken_until := _sell_route(turn, selling, number, buyer, held_until, said):
            raise NoNumberAvailable(taken_until - turn.world.now())
        return SoldNumber(number, held_until, False, 0)

    def release(self, claim: Claim, leads: Sequence[Lead], attempt: bytes) -> None:
        """Let the caller of a refused ping lead nowhere: not where its PING has left a route, nor where an attempt that
        died has."""
        dialed = {(lead.get("trackdrive_number", ""), lead.caller) for lead in leads}
        _withdraw_routes(self.turn, claim, dialed, attempt)


@dataclass(slots=True, frozen=True)
class PoolNumber:
    """A number that a sale leases from a ring pool or, where none is free, the pool's overflow number, whose call goes
    by a route as that of a static number does."""

    turn: Turn
    pool: RingPool

    def looks(self, seen: dict[int, Ring]) -> list[Callable[[], None]]:
        """What is looked at beside the claim: the pool's rings, unless they are known. It is added to `seen`."""
        world, pool = self.turn.world, self.pool
        if known := world.rings.known_exhausted(pool, world.now()):
            seen.update({ring.shard: ring for ring in known.rings})
            return []

        def look() -> None:
            try:
                seen.update(world.rings.look(pool))
            except (PoolChanged, TemporarilyUnavailable):
                return  # the lease looks again

        return [look]

    def used_percent(self, seen: Mapping[int, Ring], exhausted: bool) -> int | None:
        """How full the pool is, by the rings of a look; None without one. Only a pool that is `exhausted` is full:
        others may have free numbers where nobody looked."""
        if exhausted:
            return EXHAUSTED_PERCENT
        used = leasing.used_percent(seen.values(), self.turn.world.now()) if seen else None
        return None if used is None else min(EXHAUSTED_PERCENT - 1, int(used))

    def propose_terms(self, caller: str) -> Terms:
        """The terms of this attempt, if it is the first. `caller` is the one that the POST brings."""
        turn = self.turn
        kind, name = ("user", turn.user.name) if turn.user else ("address", turn.request.source_address)
        tag = keys.caller_tag(turn.world.keys, turn.endpoint.vanity_uri, caller) if caller else b""
        return replace(self.pool.terms, holder=keys.holder_tag(turn.world.keys, kind, name), caller=tag)

    def announce(self, _: Ping) -> list[Callable[[], None]]:
        return []

    def check_quotas(self, selling: Selling) -> None:
        """Raises `TooManyLeases` before a cap is counted or a buyer is asked, also if there is an overflow number. An
        attempt that takes over may have its number already, and keeps it."""
        turn, pool, taken_over = self.turn, self.pool, selling.claim.taken_over
        with suppress(PoolChanged):  # the lease reads the configuration again
            if not (taken_over and turn.world.rings.find(pool, selling.ping.id)):
                quotas = leasing.quotas(turn.endpoint, selling.terms, has_user=turn.user is not None)
                turn.world.rings.check_quotas(pool, quotas, turn.world.now(), selling.seen)

    def check_is_free(self, selling: Selling) -> None:
        self._check_clock(self.pool)
        try:
            with suppress(PoolChanged):  # the lease reads the configuration again
                self.turn.world.rings.see_one_free(self.pool, self.turn.world.now(), selling.seen)
        except NoNumberAvailable:
            if not self.pool.overflow_number or not selling.lead.caller:
                raise
            _check_route(self.turn, selling, self.pool.overflow_number)

    def take(self, selling: Selling, buyer: Buyer, said: Yes) -> SoldNumber:
        turn = self.turn
        held_until = said.until(turn.endpoint.held_until(turn.world.now()))
        try:
            lease = self._lease_number(selling)
        except NoNumberAvailable:
            metrics.count_exhausted_pool()
            number = self.pool.overflow_number
            if not number or not selling.lead.caller or _sell_route(turn, selling, number, buyer, held_until, said):
                raise
            return SoldNumber(number, held_until, True, EXHAUSTED_PERCENT)
        held_until = said.until(selling.terms.held_until(lease.expires_at))
        if held_until <= turn.world.now():
            raise PingIdExpired
        return SoldNumber(lease.number, held_until, False, self.used_percent(selling.seen, exhausted=False) or 0)

    def _lease_number(self, selling: Selling) -> Lease:
        """A number of the pool as it is configured now. A POST that takes over from a dead attempt first looks for that
        attempt's lease, in the pool's present shards. While an apply changes the pool, the POST waits for it."""
        world, ping_id, seen, taken_over = self.turn.world, selling.ping.id, selling.seen, selling.claim.taken_over
        pool = self._present_pool() if taken_over else self.pool
        if pool and seen:
            metrics.record_pool_use(leasing.used_percent(seen.values(), world.now()))
        opens_at = 0
        for looks in range(LOOKS_AT_A_CLOSED_POOL):
            if pool is None:
                break
            self._check_clock(pool)
            try:
                lease = world.rings.find(pool, ping_id) if taken_over else None
                return lease or world.rings.lease(pool, selling.terms, ping_id, world.now(), seen)
            except PoolChanged as changed:
                opens_at = changed.opens_at
            world.pause(looks)
            pool, seen = self._present_pool(), {}
        raise TemporarilyUnavailable(opens_at - world.now(), not_done=True)

    def _present_pool(self) -> RingPool | None:
        """The endpoint's pool as it is configured now; None if it has none any more."""
        return self.turn.world.compiled.latest(self.turn.endpoint.vanity_uri, self.turn.world.now()).pool

    def _check_clock(self, pool: RingPool) -> None:
        """Raises `TemporarilyUnavailable` where a number could be leased before its hold is over by right clocks."""
        if self.turn.world.skew() > pool.cooldown_seconds:
            raise TemporarilyUnavailable(not_done=True)

    def release(self, claim: Claim, leads: Sequence[Lead], attempt: bytes) -> None:
        """A PING leaves no route: only an attempt that died can have left one, to the overflow number."""
        if claim.taken_over:
            dialed = {(self.pool.overflow_number, lead.caller) for lead in leads}
            _withdraw_routes(self.turn, claim, dialed, attempt)


@dataclass(slots=True, frozen=True)
class SharedNumber(_UnpooledNumber):
    """A number that many callers dial: a sale leases it for its caller, by a route that no other ping may replace. It
    is the first of the caller's numbers at which the caller has no live sale, so that no read has to come before."""

    tracking: SharedTracking

    def check_is_free(self, selling: Selling) -> None:
        """Raises `NoNumberAvailable` or `TooManyLeases` where a sale could get no number."""
        numbers = self._numbers_of(selling.lead.caller)
        sold = self._sold_at(numbers, selling.lead.caller)
        taken = [route.held_until for route in sold.values() if route.ping_id != selling.ping.id]
        if len(taken) == len(numbers):
            raise self._refusal(taken)

    def take(self, selling: Selling, buyer: Buyer, said: Yes) -> SoldNumber:
        """Raises `NoNumberAvailable` or `TooManyLeases`. An attempt that takes over keeps the number that the dead one
        has. If it is not clear whether a number was leased, no other is tried."""
        turn, caller = self.turn, selling.lead.caller
        held_until = said.until(turn.endpoint.held_until(turn.world.now()))
        leased = self._leased_before(selling) if selling.claim.taken_over else []
        taken = []
        for number in dict.fromkeys([*leased, *self._numbers_of(caller)]):
            taken_until = _sell_route(turn, selling, number, buyer, held_until, said, alone=True)
            if not taken_until:
                left = {(other, caller) for other in leased if other != number}
                _withdraw_routes(turn, selling.claim, left, selling.attempt)
                return SoldNumber(number, held_until, False, 0)
            taken.append(taken_until)
        raise self._refusal(taken)

    def release(self, claim: Claim, leads: Sequence[Lead], attempt: bytes) -> None:
        """Only an attempt that died can have left a route."""
        if claim.taken_over:
            dialed = {(number, lead.caller) for number in self.tracking.shared for lead in leads}
            _withdraw_routes(self.turn, claim, dialed, attempt)

    def _numbers_of(self, caller: str) -> list[str]:
        return self.tracking.numbers_of(caller, self.turn.endpoint.leases_per_caller)

    def _leased_before(self, selling: Selling) -> list[str]:
        """The numbers that an earlier attempt at this ping has."""
        sold = self._sold_at(self.tracking.shared, selling.lead.caller)
        return [number for number, route in sold.items() if route.ping_id == selling.ping.id]

    def _sold_at(self, numbers: Collection[str], caller: str) -> dict[str, Route]:
        world = self.turn.world
        places = {number: keys.route_keys(world.keys, number, caller) for number in numbers}
        return world.routes.sold_at(places, world.now())

    def _refusal(self, taken: Collection[int]) -> NoNumberAvailable | TooManyLeases:
        """Where the caller may hold no more than it does, or there are no more numbers; `taken` says until when."""
        seconds = min(taken) - self.turn.world.now()
        return TooManyLeases(seconds) if len(taken) < len(self.tracking.shared) else NoNumberAvailable(seconds)


@dataclass(slots=True, frozen=True)
class DialedNumber(_UnpooledNumber):
    """The number that a call has dialed already: there is nothing to lease. A caller with a number leaves a route, so
    that its next call is one of the same sale."""

    def check_is_free(self, selling: Selling) -> None:
        """Raises `NoNumberAvailable` where another seller has the caller."""
        if selling.lead.caller:
            _check_route(self.turn, selling, self.turn.dialed)

    def take(self, selling: Selling, buyer: Buyer, said: Yes) -> SoldNumber:
        """Raises `NoNumberAvailable` where another seller has the caller."""
        turn, now = self.turn, self.turn.world.now()
        held_until = said.until(turn.endpoint.held_until(now))
        if selling.lead.caller and (taken_until := _sell_route(turn, selling, turn.dialed, buyer, held_until, said)):
            raise NoNumberAvailable(taken_until - now)
        return SoldNumber(turn.dialed, held_until, False, 0)

    def release(self, claim: Claim, leads: Sequence[Lead], attempt: bytes) -> None:
        if claim.taken_over:
            dialed = {(self.turn.dialed, lead.caller) for lead in leads}
            _withdraw_routes(self.turn, claim, dialed, attempt)


def number_of(turn: Turn, endpoint: Endpoint | None = None) -> PoolNumber | StaticNumber | SharedNumber | DialedNumber:
    """The number of the turn's endpoint, or as another version of the endpoint has it."""
    if turn.dialed:
        return DialedNumber(turn)
    tracking = tracking_of(endpoint or turn.endpoint)
    if isinstance(tracking, PoolTracking):
        return PoolNumber(turn, tracking.pool)
    return SharedNumber(turn, tracking) if isinstance(tracking, SharedTracking) else StaticNumber(turn)


def check_quotas(turn: Turn, selling: Selling) -> None:
    """See `PoolNumber.check_quotas`. An attempt that takes over looks in the pool as it is configured now."""
    taken_over = selling.claim.taken_over
    present = turn.world.compiled.latest(turn.endpoint.vanity_uri, turn.world.now()) if taken_over else None
    number_of(turn, present).check_quotas(selling)


def settle_terms(turn: Turn, claim: Claim, wanted: Terms) -> Terms:
    """The terms that the ping's first claim has fixed; with the PING's caller if the POST brought none."""
    terms = claim.terms or wanted
    if not terms.holder or terms.caller:
        return terms
    caller = claim.ping.lead.caller if claim.ping else ""
    return replace(terms, caller=keys.caller_tag(turn.world.keys, turn.endpoint.vanity_uri, caller))


@contextmanager
def release_number_on_refusal(turn: Turn, claim: Claim, leads: Sequence[Lead], attempt: bytes) -> Iterator[None]:
    """Remove the routes of a refused caller."""
    try:
        yield
    except (TemporarilyUnavailable, PingIdUnknown):  # it may be sold yet, or was somebody else's POST
        raise
    except Refusal:
        if claim.ping and not claim.sale:
            number_of(turn).release(claim, leads, attempt)
        raise


def _check_route(turn: Turn, selling: Selling, number: str) -> None:
    """Raises `NoNumberAvailable` where another seller's sale has the route."""
    key, now = keys.route_keys(turn.world.keys, number, selling.lead.caller), turn.world.now()
    seller = _seller_of_route(turn, selling.user, selling.lead)
    if taken_until := turn.world.routes.closed_until(key, selling.ping.id, seller, now):
        raise NoNumberAvailable(taken_until - now)


def _sell_route(
    turn: Turn, selling: Selling, number: str, buyer: Buyer, held_until: int, said: Yes, *, alone: bool = False
) -> int:
    """Point a call at the buyer of a sale: see `Routes.leave`."""
    lead, to, seller = selling.lead, said.number or buyer.number, _seller_of_route(turn, selling.user, selling.lead)
    route = Route(selling.ping.id, buyer.id, to, True, held_until, seller, selling.attempt)
    key = keys.route_keys(turn.world.keys, number, lead.caller)
    return turn.world.routes.leave(key, route, turn.world.now(), alone=alone)


def _withdraw_routes(turn: Turn, claim: Claim, dialed: Collection[tuple[str, str]], attempt: bytes) -> None:
    """`dialed` are numbers, each with its caller; either may be empty."""
    for number, caller in dialed:
        if claim.ping and number and caller:
            route = keys.route_keys(turn.world.keys, number, caller)
            turn.world.routes.withdraw(route, claim.ping.id, attempt, claim.taken_over, turn.world.now())


def _seller_of_route(turn: Turn, user: str, lead: Lead) -> Seller:
    return turn.endpoint.vanity_uri, user, lead.source
