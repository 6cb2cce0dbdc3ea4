"""The lease: one conditional write pops a shard's oldest lease, if it has expired, and appends a new one.

A shard's item holds the next sequence number `c` and the ring in two generations of W sequences each, g = c div W:
`p<g-1>` and `e<g-1>`, ping ids and expiries from which the oldest are popped, and `p<g>` and `e<g>`, to which the
newest are appended. `closed` says that the shard was retired. Names are short because the item must stay below 1 KB.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from shared.domain.leasing import Lease, Ring, next_ring
from shared.domain.models import RingPool, Shard
from shared.domain.refusals import NoNumberAvailable, TemporarilyUnavailable
from shared.store.dynamo import ConditionFailed, Dynamo, Item

SHARDS_DRAWN = 3
SHARDS_LOOKED_AT = 4
"""A pool of up to four shards is looked at whole; of a larger one three are drawn."""


BATCH = 100
"""The most keys that BatchGetItem takes."""


class PoolChanged(Exception):
    """A shard was retired: the configuration in memory is older than the pool."""


class Rings:
    """`free_at` is this process's memory of exhausted pools: no number of the pool comes free before that time."""

    def __init__(self, dynamo: Dynamo, free_at: dict[tuple[int, tuple[int, ...]], int]) -> None:
        self.dynamo = dynamo
        self.table = dynamo.settings.leases_table
        self.free_at = free_at

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
        keys = [_key(pool, shard) for pool, shard in wanted]
        found: dict[tuple[str, str], Item] = {}
        for start in range(0, len(keys), BATCH):
            answer = self.dynamo.call(
                self.dynamo.client.batch_get_item,
                RequestItems={self.table: {"Keys": keys[start : start + BATCH], "ConsistentRead": True}},
            )
            if answer.get("UnprocessedKeys"):
                raise TemporarilyUnavailable
            found |= {(item["pk"]["S"], item["sk"]["S"]): item for item in answer["Responses"][self.table]}
        if len(found) < len(keys):
            raise PoolChanged
        return [
            _ring(found[key["pk"]["S"], key["sk"]["S"]], shard) for key, (_, shard) in zip(keys, wanted, strict=True)
        ]

    def known_exhausted(self, pool: RingPool, now: int) -> bool:
        return self.free_at.get(_memory_key(pool), 0) > now

    def find(self, pool: RingPool, ping_id: bytes) -> Lease | None:
        """The lease that an earlier attempt at this ping made, if it made one. Looks at every shard."""
        rings = self.look(pool, pool.shards)
        found = (rings[shard.id].lease_of(ping_id, shard.numbers) for shard in pool.shards)
        return next((lease for lease in found if lease), None)

    def lease(self, pool: RingPool, ping_id: bytes, now: int, seen: dict[int, Ring]) -> Lease:
        """One number for one ping, of those longest rested, until its hold and cooldown are over. Twice for the same
        ping is the same lease. `seen` is what a look showed, of all shards or a few, or of an older pool.

        Raises `NoNumberAvailable` if, and only if, no number of the pool is free; `PoolChanged`; and
        `TemporarilyUnavailable` if it is not clear whether a number was leased.
        """
        if self.known_exhausted(pool, now):
            raise NoNumberAvailable(self.free_at[_memory_key(pool)] - now)
        expires_at = pool.lease_until(now)
        shards = {shard.id: shard for shard in pool.shards}
        draw = random.random() if len(shards) > SHARDS_LOOKED_AT else None  # noqa: S311 - it spreads load
        rings = {shard_id: ring for shard_id, ring in seen.items() if shard_id in shards}
        while True:
            ring = self._next(pool, rings, now, draw)
            shard = shards[ring.shard]
            rings[shard.id] = self._settled(pool, shard, ring, ping_id, now, expires_at)
            if lease := rings[shard.id].lease_of(ping_id, shard.numbers):
                return lease

    def see_one_free(self, pool: RingPool, now: int, seen: dict[int, Ring]) -> None:
        """Raises what `lease` would raise where no number is free now; else nothing is promised."""
        if self.known_exhausted(pool, now):
            raise NoNumberAvailable(self.free_at[_memory_key(pool)] - now)
        self._next(pool, seen, now, None)

    def _next(self, pool: RingPool, rings: dict[int, Ring], now: int, draw: float | None) -> Ring:
        """The ring to lease from. Where none of `rings` has a free number, they become all of the pool."""
        ring = next_ring(rings.values(), now, draw)
        if ring is None and len(rings) < len(pool.shards):
            rings.update(self.look(pool, pool.shards))
            ring = next_ring(rings.values(), now, draw)
        if ring is None:
            if any(ring.closed for ring in rings.values()):
                raise PoolChanged
            free_at = min(ring.free_at for ring in rings.values())
            self.free_at[_memory_key(pool)] = free_at
            raise NoNumberAvailable(free_at - now)
        return ring

    def _settled(self, pool: RingPool, shard: Shard, seen: Ring, ping_id: bytes, now: int, expires_at: int) -> Ring:
        """An unclear append is asked again of its own shard before another shard is tried: there, it can only show the
        first one's lease or make it, so a late arrival of the first can do no harm."""
        try:
            return self._append(pool, shard, seen, ping_id, now, expires_at)
        except TemporarilyUnavailable:
            return self._append(pool, shard, seen, ping_id, now, expires_at)

    def _append(self, pool: RingPool, shard: Shard, seen: Ring, ping_id: bytes, now: int, expires_at: int) -> Ring:
        """The shard as it is now: with a lease of this ping, unless something stood against it."""
        g = seen.sequence // len(shard.numbers)
        update = (
            f"SET p{g} = list_append(if_not_exists(p{g}, :empty), :ping), "
            f"e{g} = list_append(if_not_exists(e{g}, :empty), :expiry), c = c + :one "
            f"REMOVE p{g - 1}[0], e{g - 1}[0]"
        )
        the_head_is_free = f"attribute_not_exists(closed) AND e{g - 1}[0] <= :now"
        the_ping_is_new = f"NOT contains(p{g - 1}, :id) AND NOT contains(p{g}, :id)"
        condition = f"{the_head_is_free} AND {the_ping_is_new}"
        if g >= 2:
            update += f", p{g - 2}, e{g - 2}"
            condition += f" AND attribute_not_exists(p{g - 2}[0])"
        try:
            answer = self.dynamo.call(
                self.dynamo.client.update_item,
                TableName=self.table,
                Key=_key(pool, shard),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues={
                    ":empty": {"L": []},
                    ":ping": {"L": [{"B": ping_id}]},
                    ":expiry": {"L": [{"N": str(expires_at)}]},
                    ":one": {"N": "1"},
                    ":now": {"N": str(now)},
                    ":id": {"B": ping_id},
                },
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
                    "pk": {"S": f"P{pool_no}"},
                    "sk": {"S": f"R{shard_id}"},
                    "c": {"N": str(size)},
                    "p0": {"L": [{"B": lease.ping_id} for lease in leases]},
                    "e0": {"L": [{"N": str(lease.expires_at)} for lease in leases]},
                },
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ConditionFailed:
            return

    def close(self, pool_no: int, shard: Shard) -> Ring:
        """Retire a shard: it leases nothing from now on. Its final entries are answered, however often it is closed."""
        answer = self.dynamo.call(
            self.dynamo.client.update_item,
            TableName=self.table,
            Key={"pk": {"S": f"P{pool_no}"}, "sk": {"S": f"R{shard.id}"}},
            UpdateExpression="SET closed = :true",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":true": {"BOOL": True}},
            ReturnValues="ALL_NEW",
        )
        return _ring(answer["Attributes"], shard)


def _key(pool: RingPool, shard: Shard) -> dict[str, Any]:
    return {"pk": {"S": f"P{pool.no}"}, "sk": {"S": f"R{shard.id}"}}


def _memory_key(pool: RingPool) -> tuple[int, tuple[int, ...]]:
    return pool.no, tuple(shard.id for shard in pool.shards)


def _ring(item: Item, shard: Shard) -> Ring:
    sequence = int(item["c"]["N"])
    g = sequence // len(shard.numbers)

    def entries(letter: str) -> list[Any]:
        return [entry for n in (g - 1, g) for entry in item.get(f"{letter}{n}", {"L": []})["L"]]

    return Ring(
        shard=shard.id,
        sequence=sequence,
        ping_ids=tuple(entry["B"] for entry in entries("p")),
        expiries=tuple(int(entry["N"]) for entry in entries("e")),
        closed="closed" in item,
    )
