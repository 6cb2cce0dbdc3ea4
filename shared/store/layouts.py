"""The rings of ring pools, laid out for a new version: which shards stay, which are closed because a number leaves
them, and the shards that take their place. Items of the config table, by `pk` and `sk`:

    POOL               COUNTER      the last pool number that was given out
    POOL#auto-us       SHARDS       the pool's number, and the shard id that comes next

Pool numbers and shard ids are never used twice.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from shared import configuration
from shared.configuration import Configuration
from shared.domain.leasing import Lease, Ring, shards_of, successor
from shared.domain.models import RingPool, Shard
from shared.domain.objections import Refused
from shared.store.items import as_number, number_of, table_key
from shared.store.owners import Place, places
from shared.store.rings import PoolChanged, Rings
from shared.store.versions import CurrentVersion, GivenUp, Versions

CLOSED_SECONDS = 20
"""How long rings of which numbers are taken stand still at most: until the switch, or until they open by themselves."""
UNKNOWN = -1
"""A shard id that no shard has."""


class Plan(Struct, frozen=True):
    """What becomes of a ring pool: shards that stay as they are, shards to close because a number of them leaves, and
    numbers that are new to it."""

    name: str
    wanted: configuration.RingPool | None
    was: RingPool | None
    kept: tuple[Shard, ...]
    closing: tuple[Shard, ...]
    new: list[str]
    numbers: set[str]
    rings: Collection[Ring] = ()

    def sentences(self, now: int) -> Iterator[str]:
        """What the rings say that the configuration does not."""
        if closed := [ring.closed_until for ring in self.rings if not ring.is_open(now)]:
            until = clock_time(max(closed))
            yield f"Sales through ring pool {self.name} stand still until {until}: an apply ended half way."
        leased = [end for ring in self.rings for end in ring.expiries if end > now]
        if leased and self.was and self.wanted and _lease_times(self.wanted) != _lease_times(self.was):
            keep = "number keeps its lease" if len(leased) == 1 else "numbers keep their leases"
            until = clock_time(max(leased))
            yield f"Ring pool {self.name}: {len(leased)} {keep} by the old times, until {until} at the latest."


class Progress(Struct):
    """How far an apply is: the rings that it has closed, by their pool's number, of the pools with these names."""

    closed: list[tuple[int, Ring]] = []
    pools: set[str] = set()
    closed_until: int = 0
    is_switching: bool = False
    is_live: bool = False

    def sales(self, now: int) -> str:
        if self.is_live or not self.pools or self.closed_until <= now:
            return "Sales go on."
        pools = ", ".join(sorted(self.pools))
        return f"Sales through ring pool {pools} stand still until {clock_time(self.closed_until)}, then they go on."


class LaidOut(Struct):
    """The pools with their rings, the numbers that leave them, and where numbers stand that have moved."""

    pools: dict[str, RingPool] = {}
    given_up: list[GivenUp] = []
    moved: dict[str, Place] = {}


Started = tuple[int, tuple[Shard, ...]]
"""A pool's number, and shards of it whose rings were started."""


class Layouts:
    def __init__(self, versions: Versions, rings: Rings) -> None:
        self.versions = versions
        self.dynamo = versions.dynamo
        self.table = versions.table
        self.now = versions.now
        self.rings = rings

    def plans(self, wanted: Configuration, live: CurrentVersion) -> list[Plan]:
        pools = {pool.name: pool for pool in wanted.ring_pools}
        return [self._plan(name, pools.get(name), live.pools.get(name)) for name in {**pools, **live.pools}]

    def _plan(self, name: str, wanted: configuration.RingPool | None, was: RingPool | None) -> Plan:
        numbers = configuration.expand_numbers(wanted.numbers) if wanted else []
        if was is None:
            return Plan(name, wanted, None, (), (), numbers, set(numbers))
        try:
            rings = self.rings.look(was, was.shards).values()
        except PoolChanged:
            raise Refused(f"Rings of ring pool {name} are gone from the table {self.rings.table}.") from None
        kept = [shard for shard in was.shards if set(numbers).issuperset(shard.numbers)]
        closing = [shard for shard in was.shards if shard not in kept]
        had = {number for shard in was.shards for number in shard.numbers}
        new = [number for number in numbers if number not in had]
        return Plan(name, wanted, was, tuple(kept), tuple(closing), new, set(numbers), rings)

    def draft(self, plan: Plan) -> RingPool:
        """The pool as it will be, but for the ids of new shards: it shows what has to be switched, before any write."""
        rebuilt = [number for shard in plan.closing for number in shard.numbers if number in plan.numbers]
        drafted = [Shard(UNKNOWN, numbers) for numbers in (*shards_of(rebuilt), *shards_of(plan.new))]
        return self._pool(plan, plan.was.no if plan.was else 0, (*plan.kept, *drafted))

    def _pool(self, plan: Plan, no: int, shards: tuple[Shard, ...]) -> RingPool:
        if plan.wanted is None:
            raise LookupError("a ring pool that nobody wants")
        return RingPool(
            no=no,
            name=plan.name,
            hold_seconds=plan.wanted.hold_seconds,
            cooldown_seconds=plan.wanted.cooldown_seconds,
            shards=shards,
            overflow_number=plan.wanted.overflow_number or "",
            pool_share=plan.wanted.pool_share,
            address_share=plan.wanted.address_share,
        )

    def start(self, plans: list[Plan], known: Mapping[str, Lease]) -> list[Started]:
        """Rings of the numbers that are new, for each plan. `known` are the leases of numbers that come back."""
        started = []
        for plan in plans:
            leases = [known.get(number, Lease(number, b"", 0)) for number in plan.new]
            started.append(self._start(plan, sorted(leases, key=lambda lease: lease.expires_at)))
        return started

    def lay_out(self, plans: list[Plan], started: list[Started], progress: Progress) -> LaidOut:
        """From the first closing on, POSTs wait for the switch."""
        if any(plan.closing for plan in plans):
            progress.closed_until = self.now() + CLOSED_SECONDS
            ends = time.monotonic() + CLOSED_SECONDS - self.dynamo.attempt_seconds
            self.dynamo.deadline = min(self.dynamo.deadline, ends)
        laid_out = LaidOut()
        for plan, (no, new) in zip(plans, started, strict=True):
            closed = []
            for shard in plan.closing:
                progress.pools.add(plan.name)
                ring = self.rings.close(no, shard, progress.closed_until)
                progress.closed.append((no, ring))
                closed.append((ring, shard.numbers))
            gone = {number for shard in plan.closing for number in shard.numbers} - plan.numbers
            laid_out.given_up += [
                GivenUp(lease.number, f"ring pool {plan.name}", free_at=lease.expires_at, entry=lease.entry)
                for lease in successor(closed, gone)
            ]
            _, rebuilt = self._start(plan, successor(closed, plan.numbers))
            laid_out.moved |= places(no, rebuilt)
            if plan.wanted:
                laid_out.pools[plan.name] = self._pool(plan, no, (*plan.kept, *rebuilt, *new))
        return laid_out

    def _start(self, plan: Plan, leases: list[Lease]) -> Started:
        """The pool's number, and new shards whose rings hold these leases, first free first."""
        last = {lease.number: lease for lease in leases}
        lists = shards_of(list(last))
        if plan.was and not lists:
            return plan.was.no, ()
        no, next_id = self._reserve(plan.name, len(lists))
        shards = tuple(Shard(next_id + place, numbers) for place, numbers in enumerate(lists))
        for shard in shards:
            self.rings.create(no, shard.id, [last[number] for number in shard.numbers])
        return no, shards

    def _reserve(self, pool: str, count: int) -> tuple[int, int]:
        """The pool's number and the first of `count` shard ids; nobody else gets them, ever."""

        known = self.dynamo.get(self.table, table_key(f"POOL#{pool}", "SHARDS"))
        no = number_of(known, "no") if known else self.versions.next_number("POOL")
        item = self.dynamo.call(
            self.dynamo.client.update_item,
            TableName=self.table,
            Key=table_key(f"POOL#{pool}", "SHARDS"),
            UpdateExpression="SET #no = if_not_exists(#no, :no) ADD next_shard :count",
            ExpressionAttributeNames={"#no": "no"},
            ExpressionAttributeValues={":no": as_number(no), ":count": as_number(count)},
            ReturnValues="ALL_NEW",
        )["Attributes"]
        return number_of(item, "no"), number_of(item, "next_shard") - count


def _lease_times(pool: RingPool | configuration.RingPool) -> tuple[int, int]:
    return pool.hold_seconds, pool.cooldown_seconds


def clock_time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
