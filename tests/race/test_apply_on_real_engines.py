"""Configurations applied while numbers are leased, on the real engines."""

import random
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import TYPE_CHECKING

import pytest

from shared import configuration
from shared.domain.leasing import Lease
from shared.domain.models import RingPool
from shared.domain.objections import Overtaken
from shared.domain.refusals import NoNumberAvailable
from shared.settings import Settings
from shared.store.compiled import Compiled, Memory
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from shared.store.rings import PoolChanged, Rings
from tests.build import KEYS, Clock
from tests.configurations import a_document, a_ring_pool, an_endpoint
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STACKS = count()
THREADS = 16
APPLIES = 12
NUMBERS = [f"+18005550{n}" for n in range(100, 180)]
TIMES = {"hold_seconds": 10, "cooldown_seconds": 2}


@dataclass
class Market:
    """A stack of its own, a clock that all threads see, and what they leased: number, from, until, by whom."""

    client: "DynamoDBClient"
    settings: Settings
    clock: Clock = field(default_factory=Clock)
    stop: threading.Event = field(default_factory=threading.Event)
    leased: dict[str, list[tuple[int, int, bytes]]] = field(default_factory=lambda: defaultdict(list))
    stale: int = 0

    @property
    def records(self) -> Records:
        return Records(Dynamo(self.client, self.settings), KEYS, self.clock)

    def apply(self, numbers: list[str]) -> None:
        wanted = a_document(
            ring_pools=[a_ring_pool(numbers=numbers, **TIMES)], endpoints=[an_endpoint(ping_ttl_seconds=10)]
        )
        self.records.applying.apply(configuration.read(wanted), "a test")

    def pool(self) -> RingPool:
        found = Compiled(Dynamo(self.client, self.settings), Memory()).latest("my_endpoint", 0).pool
        assert found
        return found

    def sell(self, thread: int) -> None:
        """Lease by the pool in memory, and read it anew only when it turns out to be old."""
        rings, pool = Rings(Dynamo(self.client, self.settings), {}), self.pool()
        for n in count():
            if self.stop.is_set():
                return
            ping_id, now = b"%d %d" % (thread, n), self.clock()
            try:
                lease = rings.lease(pool, pool.terms, ping_id, now, rings.look(pool))
                self.leased[lease.number].append((now, lease.expires_at, ping_id))
            except NoNumberAvailable:
                self.clock.forward(1)
            except PoolChanged:
                self.stale += 1
                pool = self.pool()


@pytest.fixture
def market(client: "DynamoDBClient") -> Market:
    stack = next(STACKS)
    names = Settings(
        config_table=f"applied-config{stack}",
        pings_table=f"applied-pings{stack}",
        leases_table=f"applied-leases{stack}",
        callers_table=f"applied-callers{stack}",
        journal_table=f"applied-journal{stack}",
        sandbox_pings_table=f"applied-sandbox-pings{stack}",
        sandbox_leases_table=f"applied-sandbox-leases{stack}",
        sandbox_callers_table=f"applied-sandbox-callers{stack}",
        secret="00" * 32,
    )
    engine.create_tables(client, names)
    return Market(client, names)


def test_no_number_is_leased_twice_and_no_lease_is_lost_while_pools_change(market: Market) -> None:
    numbers, draw = NUMBERS[:60], random.Random(7)
    market.apply(numbers)
    with ThreadPoolExecutor(THREADS) as threads:
        sellers = [threads.submit(market.sell, thread) for thread in range(THREADS)]
        try:
            for _ in range(APPLIES):
                wanted = draw.sample(numbers, len(numbers) - draw.randint(0, 3))
                wanted += draw.sample([number for number in NUMBERS if number not in numbers], draw.randint(0, 3))
                with suppress(Overtaken):  # the clock that sellers move was faster: its rings had opened again
                    market.apply(wanted)
                    numbers = wanted
        finally:
            market.stop.set()
        for seller in sellers:
            seller.result()

    assert market.stale > 0
    assert sum(map(len, market.leased.values())) > len(NUMBERS)
    for number, times in market.leased.items():
        times.sort()
        for (_, until, _), (start, _, _) in pairwise(times):
            assert until <= start, f"{number} was in two live leases"
    assert_last_leases(market, numbers)


def assert_last_leases(market: Market, numbers: list[str]) -> None:
    """The rings know the last lease of each number of the pool; the others come back with theirs."""
    assert set(_last_leases(market)) == set(numbers)
    market.apply(NUMBERS)
    known = _last_leases(market)
    for number, times in market.leased.items():
        _, until, ping_id = times[-1]
        if until > market.clock():
            assert known[number] == Lease(number, ping_id, until)


def _last_leases(market: Market) -> dict[str, Lease]:
    pool = market.pool()
    rings = Rings(Dynamo(market.client, market.settings), {}).look(pool, pool.shards)
    return {lease.number: lease for shard in pool.shards for lease in rings[shard.id].leases(shard.numbers)}
