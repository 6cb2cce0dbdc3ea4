"""The append ring: a shard of W numbers as a first-in-first-out queue of their last W leases.

Sequence numbers count the shard's leases for ever, from W on; sequence s leases number s mod W. The ring holds the
last W of them, so the oldest entry is also the next number to be leased: the one that has rested longest.
"""

from bisect import bisect
from collections.abc import Collection, Iterable
from itertools import accumulate

from msgspec import Struct

SHARD_SIZE = 44
"""Numbers in a shard: the largest ring that DynamoDB still writes as one unit of 1 KB."""

PLENTY = 16
"""Free numbers in a ring from which on POSTs at once seldom meet at its end."""


class Lease(Struct, frozen=True):
    """`number` leased to `ping_id` until `expires_at`, cooldown included."""

    number: str
    ping_id: bytes
    expires_at: int


class Ring(Struct, frozen=True):
    """One shard as it was seen. `ping_ids` and `expiries` are W long, oldest first; never leased is (b"", 0)."""

    shard: int
    sequence: int
    ping_ids: tuple[bytes, ...]
    expiries: tuple[int, ...]
    closed: bool = False

    @property
    def free_at(self) -> int:
        """When the next number of this shard comes free. Nothing in it is free earlier."""
        return self.expiries[0]

    def free(self, now: int) -> int:
        """How many numbers of the shard are free."""
        return sum(expires_at <= now for expires_at in self.expiries)

    def leases(self, numbers: tuple[str, ...]) -> list[Lease]:
        """Every number of the shard with its last lease, oldest first."""
        return [
            Lease(numbers[(self.sequence + place) % len(numbers)], ping_id, expires_at)
            for place, (ping_id, expires_at) in enumerate(zip(self.ping_ids, self.expiries, strict=True))
        ]

    def lease_of(self, ping_id: bytes, numbers: tuple[str, ...]) -> Lease | None:
        return next((lease for lease in self.leases(numbers) if lease.ping_id == ping_id), None)


def next_ring(rings: Iterable[Ring], now: int, draw: float | None) -> Ring | None:
    """The open ring to lease from; None if nothing is free in any.

    The one whose next number has been free for longest, the first of equals. But where that one has few free numbers
    and many POSTs at once would see the same, a ring is drawn by its free numbers: `draw`, from 0 to 1, chooses. It
    makes refused writes rarer and rests shorter, never the cooldown (`make bench`, section leasing).
    """
    free = [ring for ring in rings if not ring.closed and ring.free_at <= now]
    rested = min(free, key=lambda ring: ring.free_at, default=None)
    if rested is None or draw is None or rested.free(now) >= PLENTY:
        return rested
    counts = [ring.free(now) for ring in free]
    return free[bisect(list(accumulate(counts)), draw * sum(counts))]


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
