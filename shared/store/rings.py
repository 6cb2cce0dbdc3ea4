"""The lease: one conditional write pops a shard's oldest lease, if it has expired, and appends a new one.

A shard's item holds the next sequence number `c` and the ring in two generations of W sequences each, g = c div W:
`p<g-1>` and `e<g-1>`, entries and expiries from which the oldest are popped, and `p<g>` and `e<g>`, to which the
newest are appended. An entry is a ping's id and a tag, by which leases are counted. Names are short because the item
must stay below 1 KB.

`closed` is the time until which the shard leases nothing: an apply that takes numbers out closes it until its own lock
ends, so that the shard opens by itself if the apply dies; the transaction that makes the apply live closes it forever.
The time is only ever raised, so that a closing write that arrives late opens nothing.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from shared.domain.leasing import Lease, Quota, Ring, may_be_reached, next_ring, ring_to_rotate
from shared.domain.models import RingPool, Shard, Terms
from shared.domain.refusals import NoNumberAvailable, TemporarilyUnavailable, TooManyLeases
from shared.store.dynamo import ConditionFailed, Dynamo, Item
from shared.store.items import as_bytes, as_number, number_of, number_or, table_key, text_of
from shared.store.owners import Place

SHARDS_DRAWN = 3
SHARDS_LOOKED_AT = 4
"""A pool of up to four shards is looked at whole; of a larger one three are drawn."""


REMEMBERED_SECONDS = 5
"""How long a process remembers an exhausted pool or quota: a change may have brought numbers."""

REMEMBERED = 1000
"""Exhausted pools and quotas that are remembered before all of them are forgotten: memory is bounded."""

RELEASE_TRIES = 5
"""How often a release looks again if new leases have moved its entry meanwhile."""

FOR_EVER = 10**12
"""Later than any time: seconds."""

IT_IS_OPEN = "(attribute_not_exists(closed) OR closed <= :now)"


class PoolChanged(Exception):
    """A shard is closed or gone: the pool is being changed, or the configuration in memory is older than the pool.
    Nothing was leased. By itself the pool opens at `opens_at`, 0 where it never does."""

    def __init__(self, opens_at: int = 0) -> None:
        super().__init__()
        self.opens_at = opens_at if opens_at < FOR_EVER else 0


class Exhausted(Struct, frozen=True):
    """A pool that had no free number at `seen_at`, and none before `free_at`, and its rings; or a quota of a pool."""

    seen_at: int
    free_at: int
    rings: tuple[Ring, ...] = ()

    def holds(self, now: int) -> bool:
        return now < min(self.free_at, self.seen_at + REMEMBERED_SECONDS)


KnownExhausted = dict[tuple[int, tuple[int, ...], bytes], Exhausted]
"""Keys: the pool's number, its shards, the quota's tag (b"" for the whole pool)."""


class Rings:
    """`exhausted` is what this process remembers of pools; `has_appended` says whether a lease was asked for here."""

    def __init__(self, dynamo: Dynamo, exhausted: KnownExhausted) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.leases_table
        self.exhausted = exhausted
        self.has_appended = False

    def look(self, pool: RingPool, shards: Iterable[Shard] = ()) -> dict[int, Ring]:
        """The rings of some shards by shard id: of those given, or enough of the pool to choose well."""
        shards = list(shards) or (
            list(pool.shards) if len(pool.shards) <= SHARDS_LOOKED_AT else random.sample(pool.shards, SHARDS_DRAWN)
        )
        rings = self.look_at([(pool, shard) for shard in shards])
        random.shuffle(rings)
        return {ring.shard: ring for ring in rings}

    def look_at(self, wanted: Sequence[tuple[RingPool, Shard]]) -> list[Ring]:
        """The rings of shards of any pools, in this order."""
        keys = [_key(pool.no, shard.id) for pool, shard in wanted]
        items = self.dynamo.batch_get(self.table, keys, ConsistentRead=True)
        found = {(text_of(item, "pk"), text_of(item, "sk")): item for item in items}
        if len(found) < len(keys):
            raise PoolChanged
        return [
            _ring(found[key["pk"]["S"], key["sk"]["S"]], shard) for key, (_, shard) in zip(keys, wanted, strict=True)
        ]

    def last_lease(self, place: Place, number: str) -> Lease | None:
        """The last lease of the number at this place; None if its ring is gone or closed forever: then the number is
        at another place, or none of ours."""
        item = self.dynamo.get(self.table, _key(place.pool, place.shard))
        shard = Shard(place.shard, tuple(number if here == place.place else "" for here in range(place.size)))
        ring = _ring(item, shard) if item else None
        if ring is None or ring.closed_until >= FOR_EVER:
            return None
        return next(lease for lease in ring.leases(shard.numbers) if lease.number == number)

    def known_exhausted(self, pool: RingPool, now: int, tag: bytes = b"") -> Exhausted | None:
        """What this process remembers of the pool or of one of its quotas, if that still holds."""
        known = self.exhausted.get(_memory_key(pool, tag))
        return known if known and known.holds(now) else None

    def _remember(self, pool: RingPool, tag: bytes, exhausted: Exhausted) -> None:
        if len(self.exhausted) >= REMEMBERED:
            self.exhausted.clear()
        self.exhausted[_memory_key(pool, tag)] = exhausted

    def _check_known(self, pool: RingPool, now: int) -> None:
        if known := self.known_exhausted(pool, now):
            raise NoNumberAvailable(known.free_at - now)

    def check_quotas(self, pool: RingPool, quotas: Sequence[Quota], now: int, seen: dict[int, Ring]) -> None:
        """Raises `TooManyLeases` if one more lease would be above a quota, and `PoolChanged`. `seen` has the rings of a
        look. If a sample raises a suspicion, `seen` gets all rings of the pool."""
        refused = [known for quota in quotas if (known := self.known_exhausted(pool, now, quota.tag))]
        rings = [seen[shard.id] for shard in pool.shards if shard.id in seen]
        suspected = [quota for quota in quotas if may_be_reached(quota, rings, len(pool.shards), now)]
        if suspected and not refused:
            if len(rings) < len(pool.shards):
                seen.update(self.look(pool, pool.shards))
                rings = [seen[shard.id] for shard in pool.shards]
            for quota in suspected:
                ends = [end for ring in rings for end in ring.held(quota, now)]
                if len(ends) >= quota.most:
                    refused.append(Exhausted(now, min(ends)))
                    self._remember(pool, quota.tag, refused[-1])
        if refused:
            raise TooManyLeases(max(known.free_at for known in refused) - now)

    def find(self, pool: RingPool, ping_id: bytes) -> Lease | None:
        """The lease that an earlier attempt at this ping made, if it made one. Looks at every shard."""
        rings = self.look(pool, pool.shards)
        found = (rings[shard.id].lease_of(ping_id, shard.numbers) for shard in pool.shards)
        return next((lease for lease in found if lease), None)

    def lease(self, pool: RingPool, terms: Terms, ping_id: bytes, now: int, seen: dict[int, Ring]) -> Lease:
        """One number for one ping, of those longest rested, until its hold and cooldown are over. Twice for the same
        ping is the same lease. `seen` is what a look showed, of all shards or a few, or of an older pool.

        Raises `NoNumberAvailable` if, and only if, no number of the pool is free; `PoolChanged`; and
        `TemporarilyUnavailable` if it is not clear whether a number was leased.
        """
        self._check_known(pool, now)
        expires_at, entry = terms.lease_until(now), ping_id + terms.tag
        shards = {shard.id: shard for shard in pool.shards}
        draw = random.random() if len(shards) > SHARDS_LOOKED_AT else None  # noqa: S311 - it spreads load
        rings = {shard_id: ring for shard_id, ring in seen.items() if shard_id in shards}
        while True:
            ring = self._next(pool, rings, now, draw)
            shard = shards[ring.shard]
            if ring.head_free_at > now:
                rings[shard.id] = self._rotate(pool, shard, ring, now)
                continue
            rings[shard.id] = self._settled(pool, shard, ring, entry, now, expires_at)
            if lease := rings[shard.id].lease_of(ping_id, shard.numbers):
                return lease

    def see_one_free(self, pool: RingPool, now: int, seen: dict[int, Ring]) -> None:
        """Raises what `lease` would raise where no number is free now; else nothing is promised."""
        self._check_known(pool, now)
        self._next(pool, seen, now, None)

    def _next(self, pool: RingPool, rings: dict[int, Ring], now: int, draw: float | None) -> Ring:
        """The ring to lease from or, where its head is live, to rotate. Where none of `rings` has a free number, they
        become all of the pool."""
        ring = _choose(rings, now, draw)
        if ring is None and len(rings) < len(pool.shards):
            rings.update(self.look(pool, pool.shards))
            ring = _choose(rings, now, draw)
        if ring is None:
            if closed := [ring.closed_until for ring in rings.values() if not ring.is_open(now)]:
                raise PoolChanged(min(closed))
            free_at = min(ring.free_at for ring in rings.values())
            self._remember(pool, b"", Exhausted(now, free_at, tuple(rings.values())))
            raise NoNumberAvailable(free_at - now)
        return ring

    def _settled(self, pool: RingPool, shard: Shard, seen: Ring, entry: bytes, now: int, expires_at: int) -> Ring:
        """An unclear append is asked again of its own shard before another shard is tried: there, it can only show the
        first one's lease or make it."""
        try:
            return self._append(pool, shard, seen, entry, now, expires_at)
        except TemporarilyUnavailable as failed:
            if failed.not_done:
                raise
        try:
            return self._append(pool, shard, seen, entry, now, expires_at)
        except TemporarilyUnavailable as failed:
            raise TemporarilyUnavailable from failed

    def _append(self, pool: RingPool, shard: Shard, seen: Ring, entry: bytes, now: int, expires_at: int) -> Ring:
        """The shard as it is now: with a lease of this ping, unless something stood against it."""
        g = seen.sequence // len(shard.numbers)
        the_head_is_free = f"e{g - 1}[0] <= :now"
        the_ping_is_new = f"NOT contains(p{g - 1}, :entry) AND NOT contains(p{g}, :entry)"
        values = {":entry": as_bytes(entry)}
        self.has_appended = True
        return self._push(pool, shard, g, entry, expires_at, now, f"{the_head_is_free} AND {the_ping_is_new}", values)

    def _rotate(self, pool: RingPool, shard: Shard, seen: Ring, now: int) -> Ring:
        """The shard as it is now: with the live head that was seen at its end, unless it is no more the head. Refused
        or done, it leases nothing, so an unclear outcome does not matter."""
        g, head, ends = seen.sequence // len(shard.numbers), seen.entries[0], seen.head_free_at
        it_is_as_seen = f"c = :c AND p{g - 1}[0] = :head AND e{g - 1}[0] = :ends AND e{g - 1}[0] > :now"
        values = {":c": as_number(seen.sequence), ":head": as_bytes(head), ":ends": as_number(ends)}
        try:
            return self._push(pool, shard, g, head, ends, now, it_is_as_seen, values)
        except TemporarilyUnavailable as failed:
            raise TemporarilyUnavailable(not_done=True) from failed

    def _push(
        self,
        pool: RingPool,
        shard: Shard,
        g: int,
        entry: bytes,
        expires_at: int,
        now: int,
        condition: str,
        values: dict[str, Any],
    ) -> Ring:
        """Take the head off an open shard and put an entry at its end, on a condition: the shard as it is now."""
        update = (
            f"SET p{g} = list_append(if_not_exists(p{g}, :empty), :new), "
            f"e{g} = list_append(if_not_exists(e{g}, :empty), :expiry), c = c + :one "
            f"REMOVE p{g - 1}[0], e{g - 1}[0]"
        )
        if g >= 2:
            update += f", p{g - 2}, e{g - 2}"
            condition += f" AND attribute_not_exists(p{g - 2}[0])"
        return self._update(
            pool.no,
            shard,
            update,
            f"{IT_IS_OPEN} AND {condition}",
            {
                ":empty": {"L": []},
                ":new": {"L": [as_bytes(entry)]},
                ":expiry": {"L": [as_number(expires_at)]},
                ":one": as_number(1),
                ":now": as_number(now),
                **values,
            },
        )

    def release(self, pool: RingPool, shard: Shard, lease: Lease, ends_at: int, now: int) -> bool:
        """Let a lease end earlier, if nobody has changed it. Late or twice, this changes no later lease. Raises
        `PoolChanged`."""
        for _ in range(RELEASE_TRIES):
            ring = self.look(pool, [shard])[shard.id]
            if not ring.is_open(now):
                raise PoolChanged(ring.closed_until)
            leases = ring.leases(shard.numbers)
            if lease not in leases:
                return False
            ring = self._end_earlier(pool, shard, ring, leases.index(lease), ends_at, now)
            if Lease(lease.number, lease.entry, ends_at) in ring.leases(shard.numbers):
                return True
        raise TemporarilyUnavailable(not_done=True)

    def _end_earlier(self, pool: RingPool, shard: Shard, seen: Ring, place: int, ends_at: int, now: int) -> Ring:
        """The shard as it is now: with another end of the entry at this place, unless others have moved it."""
        g, appended = divmod(seen.sequence, len(shard.numbers))
        older = len(shard.numbers) - appended
        n, at = (g - 1, place) if place < older else (g, place - older)
        values = {
            ":now": as_number(now),
            ":entry": as_bytes(seen.entries[place]),
            ":ends": as_number(seen.expiries[place]),
            ":ends_at": as_number(ends_at),
        }
        it_is_as_seen = f"{IT_IS_OPEN} AND p{n}[{at}] = :entry AND e{n}[{at}] = :ends"
        return self._update(pool.no, shard, f"SET e{n}[{at}] = :ends_at", it_is_as_seen, values)

    def _update(self, pool_no: int, shard: Shard, update: str, condition: str, values: dict[str, Any]) -> Ring:
        """The shard as it is after the write, or as it was where the condition refused it. Raises `PoolChanged`."""
        try:
            answer = self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=_key(pool_no, shard.id),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as met:
            if met.item is None:
                raise PoolChanged from None
            return _ring(met.item, shard)
        return _ring(answer["Attributes"], shard)

    def create(self, pool_no: int, shard_id: int, leases: list[Lease]) -> None:
        """Start a ring from the last leases of its numbers, first free first; never leased is (b"", 0). A ring that
        exists stays as it is."""
        size = len(leases)
        try:
            self.dynamo.call(
                self.dynamo.client.put_item,
                TableName=self.table,
                Item={
                    **_key(pool_no, shard_id),
                    "c": as_number(size),
                    "p0": {"L": [as_bytes(lease.entry) for lease in leases]},
                    "e0": {"L": [as_number(lease.expires_at) for lease in leases]},
                },
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ConditionFailed:
            return

    def close(self, pool_no: int, shard: Shard, until: int) -> Ring:
        """Let a shard lease nothing until then, or as long as it is closed already. Its entries at that moment are
        answered, which are its last ones as long as it is closed."""
        it_closes_it_for_longer = "attribute_exists(pk) AND (attribute_not_exists(closed) OR closed < :until)"
        values = {":until": as_number(until)}
        return self._update(pool_no, shard, "SET closed = :until", it_closes_it_for_longer, values)

    def closing_for_ever(self, pool_no: int, ring: Ring) -> dict[str, Any]:
        """As a part of a transaction: close a shard forever, if it still is as `close` left it."""
        return {
            "Update": {
                "TableName": self.table,
                "Key": _key(pool_no, ring.shard),
                "UpdateExpression": "SET closed = :for_ever",
                "ConditionExpression": "closed = :until AND c = :c",
                "ExpressionAttributeValues": {
                    ":for_ever": as_number(FOR_EVER),
                    ":until": as_number(ring.closed_until),
                    ":c": as_number(ring.sequence),
                },
            }
        }


def _key(pool_no: int, shard_id: int) -> dict[str, Any]:
    return table_key(f"P{pool_no}", f"R{shard_id}")


def _choose(rings: dict[int, Ring], now: int, draw: float | None) -> Ring | None:
    return next_ring(rings.values(), now, draw) or ring_to_rotate(rings.values(), now)


def _memory_key(pool: RingPool, tag: bytes) -> tuple[int, tuple[int, ...], bytes]:
    return pool.no, tuple(shard.id for shard in pool.shards), tag


def _ring(item: Item, shard: Shard) -> Ring:
    sequence = number_of(item, "c")
    g = sequence // len(shard.numbers)

    def both(letter: str) -> list[Any]:
        return [value for n in (g - 1, g) for value in item.get(f"{letter}{n}", {"L": []})["L"]]

    return Ring(
        shard=shard.id,
        sequence=sequence,
        entries=tuple(value["B"] for value in both("p")),
        expiries=tuple(int(value["N"]) for value in both("e")),
        closed_until=number_or(item, "closed", 0),
    )
