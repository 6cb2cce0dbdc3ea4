"""The append ring: a shard of W numbers as a first-in-first-out queue of their last W leases.

Sequence numbers count the shard's leases forever, from W on; sequence s leases number s mod W. The ring holds the
last W of them, so the oldest entry, its head, is also the next number to be leased: the one that has rested longest.
Leases may have different lengths. Where the head is live and an entry behind it is over, the head is *rotated*: it goes
to the end as it is, and keeps its number, because W is added to its sequence.

An entry of the ring is a ping's id and a tag: who holds the lease, and for which caller. Ringpost counts tags, so that
nobody holds more numbers than a quota. An entry of 0.1.0 has no tag and counts for nobody.
"""

from bisect import bisect
from collections.abc import Collection, Iterable
from itertools import accumulate
from math import sqrt

from msgspec import Struct

from shared.domain.keys import HOLDER_BYTES, ID_BYTES
from shared.domain.models import Endpoint, Terms

SHARD_SIZE = 36
"""Numbers in a shard, so that DynamoDB writes its ring as one unit of 1 KB. Those of 0.1.0 have up to 44."""

PLENTY = 16
"""Free numbers in a ring from which on POSTs at once seldom meet at its end."""


HOLDER_AT = ID_BYTES
CALLER_AT = HOLDER_AT + HOLDER_BYTES


class Lease(Struct, frozen=True):
    """`number` leased to the ping of `entry` until `expires_at`, cooldown included."""

    number: str
    entry: bytes
    expires_at: int

    @property
    def ping_id(self) -> bytes:
        return self.entry[:ID_BYTES]


class Quota(Struct, frozen=True):
    """A limit: at most `most` leases have an entry with `tag` at the place `at`."""

    at: int
    tag: bytes
    most: int


class Ring(Struct, frozen=True):
    """One shard as it was seen. `entries` and `expiries` are W long, oldest first; never leased is (b"", 0). Until
    `closed_until` it leases nothing."""

    shard: int
    sequence: int
    entries: tuple[bytes, ...]
    expiries: tuple[int, ...]
    closed_until: int = 0

    @property
    def head_free_at(self) -> int:
        """When the number that is next to be leased comes free."""
        return self.expiries[0]

    @property
    def free_at(self) -> int:
        """When the first number of this shard comes free. Nothing in it is free earlier."""
        return min(self.expiries)

    def is_open(self, now: int) -> bool:
        return self.closed_until <= now

    def free(self, now: int) -> int:
        """How many numbers of the shard are free."""
        return sum(expires_at <= now for expires_at in self.expiries)

    def leases(self, numbers: tuple[str, ...]) -> list[Lease]:
        """Every number of the shard with its last lease, oldest first."""
        return [
            Lease(numbers[(self.sequence + place) % len(numbers)], entry, expires_at)
            for place, (entry, expires_at) in enumerate(zip(self.entries, self.expiries, strict=True))
        ]

    def lease_of(self, ping_id: bytes, numbers: tuple[str, ...]) -> Lease | None:
        return next((lease for lease in self.leases(numbers) if lease.ping_id == ping_id), None)

    def held(self, quota: Quota, now: int) -> list[int]:
        """The ends of the live leases that count for a quota, cooldowns included."""
        return [
            expires_at
            for entry, expires_at in zip(self.entries, self.expiries, strict=True)
            if expires_at > now and entry.startswith(quota.tag, quota.at)
        ]


def next_ring(rings: Iterable[Ring], now: int, draw: float | None) -> Ring | None:
    """The open ring to lease from; None if no head is over.

    The one whose head has been over for longest, the first of equals. But where that one has few free numbers
    and many POSTs at once would see the same, a ring is drawn by its free numbers: `draw`, from 0 to 1, chooses. It
    makes refused writes rarer and rests shorter, never the cooldown (`make bench`, section leasing).
    """
    free = [ring for ring in rings if ring.is_open(now) and ring.head_free_at <= now]
    rested = min(free, key=lambda ring: ring.head_free_at, default=None)
    if rested is None or draw is None or rested.free(now) >= PLENTY:
        return rested
    counts = [ring.free(now) for ring in free]
    return free[bisect(list(accumulate(counts)), draw * sum(counts))]


def ring_to_rotate(rings: Iterable[Ring], now: int) -> Ring | None:
    """Where no head is over: the open ring with the entry behind its head that has been over for longest."""
    free = [ring for ring in rings if ring.is_open(now) and ring.free_at <= now]
    return min(free, key=lambda ring: ring.free_at, default=None)


def quotas(endpoint: Endpoint, terms: Terms, has_user: bool) -> list[Quota]:
    """The limits for which a sale with these terms counts: the user's share of the pool or, without a user, the limits
    of the address; and the caller's. A quota of all numbers is left out: the pool is exhausted first. Terms of 0.1.0
    name nobody."""
    pool = endpoint.pool
    if pool is None or not terms.holder:
        return []
    size = sum(len(shard.numbers) for shard in pool.shards)
    found = []
    if not has_user:
        most = min(endpoint.leases_per_address, _share(pool.address_share, size))
        found.append(Quota(HOLDER_AT, terms.holder, most))
    elif endpoint.pool_is_shared:
        found.append(Quota(HOLDER_AT, terms.holder, _share(pool.pool_share, size)))
    if any(terms.caller):
        found.append(Quota(CALLER_AT, terms.caller, endpoint.leases_per_caller))
    return [quota for quota in found if quota.most < size]


def may_be_reached(quota: Quota, rings: Collection[Ring], shards: int, now: int) -> bool:
    """Whether a quota may be reached, by these rings of a pool with so many shards. A sample has to be within two
    standard deviations of it; a sample without the tag raises no suspicion, but no rings at all do."""
    if not rings:
        return True
    seen = sum(len(ring.held(quota, now)) for ring in rings)
    if len(rings) == shards or not seen:
        return seen >= quota.most
    return (seen + 2 * sqrt(seen) + 1) * shards >= quota.most * len(rings)


def _share(percent: int, size: int) -> int:
    """Rounded up."""
    return -(-size * percent // 100)


def used_percent(rings: Collection[Ring], now: int) -> float:
    """The share of their numbers that is leased or in cooldown."""
    expiries = [expires_at for ring in rings for expires_at in ring.expiries]
    return 100 * sum(expires_at > now for expires_at in expiries) / len(expiries)


def successor(rings: Iterable[tuple[Ring, tuple[str, ...]]], kept: set[str]) -> list[Lease]:
    """The last leases of the numbers that outlive closed rings, in the order of a new ring: first free first."""
    leases = [lease for ring, numbers in rings for lease in ring.leases(numbers) if lease.number in kept]
    return sorted(leases, key=lambda lease: lease.expires_at)


def shards_of(numbers: list[str]) -> list[tuple[str, ...]]:
    """Numbers cut into shards."""
    return [tuple(numbers[start : start + SHARD_SIZE]) for start in range(0, len(numbers), SHARD_SIZE)]
