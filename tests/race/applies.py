"""The machine of interleavings with applies among its actors: numbers leave pools and come back while they are sold.

An apply may die between any two of its calls, take longer than its rings stay closed, or have its closing writes and
its switch arrive long after it gave up. Two processes sell, each by the configuration that it remembers.
"""

import json
import random
from collections import defaultdict
from dataclasses import dataclass
from itertools import count, pairwise
from threading import Semaphore
from typing import Any

from shared import configuration, flows
from shared.configuration import InvalidConfiguration
from shared.domain.models import Endpoint
from shared.domain.objections import Objection
from shared.publishers.requests import Request
from shared.settings import Settings
from shared.store.applying import LOCK_SECONDS
from shared.store.compiled import unpack
from shared.store.dynamo import Dynamo
from shared.store.layouts import CLOSED_SECONDS
from shared.store.records import Records
from tests.build import KEYS, Stage
from tests.configurations import a_document, a_ring_pool, an_endpoint
from tests.race.interleavings import FATES, Actor, Gate, Machine, Sent
from tools import engine

NUMBERS = [f"+18005550{n}" for n in range(100, 108)]
POOLS = ("one", "other")
STACKS = count()


class Operator(Actor):
    """One apply. It makes many calls, so each has to go on more often."""

    fates = FATES | {"goes on": 800}
    last_call_starts, lives_seconds = LOCK_SECONDS - 2, LOCK_SECONDS

    def act(self, gate: Gate) -> None:
        records = Records(gate, KEYS, self.machine.clock)
        try:
            records.applying.apply(configuration.read(json.loads(self.sent.params["document"])), "somebody")
        except (Objection, InvalidConfiguration):
            return


class Seller(Actor):
    """One FULL, in the process that its request names."""

    machine: "Market"

    def act(self, gate: Gate) -> None:
        world = self.machine.stages[int(self.sent.params["process"])].world_over(gate)
        endpoint = world.endpoint(self.sent.params["endpoint"])
        request = Request("POST", endpoint.vanity_uri, {"caller_id": self.sent.params["caller_id"]}, [], "")
        self.answer = flows.full(world, endpoint, request)


@dataclass
class Market(Machine):
    """A stack of its own, in which two pools share some numbers out anew again and again."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        random.seed(self.seed)
        stack = next(STACKS)
        kinds = (
            "config",
            "pings",
            "leases",
            "callers",
            "journal",
            "sandbox_pings",
            "sandbox_leases",
            "sandbox_callers",
        )
        names = Settings(**{f"{kind}_table": f"market-{kind}{stack}" for kind in kinds}, secret="00" * 32)
        engine.create_tables(self.client, names)
        self.stages = [Stage(self.client, settings=names, clock=self.clock) for _ in range(2)]
        self.stage = self.stages[0]
        self.ping_ids: set[bytes] = set()
        self.turn_is_over = Semaphore(0)
        self.in_flight: list[tuple[Any, dict[str, Any]]] = []
        self.a_lease_came_late = False
        self.appended: list[tuple[int, dict[str, Any]]] = []
        self.actors: list[Actor] = []
        self.callers = count(1000)
        self.records = Records(Dynamo(self.client, names), KEYS, self.clock)
        self.records.applying.apply(configuration.read(self._document()), "somebody")

    def note(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        values = request.get("ExpressionAttributeValues", {})
        if ":expiry" in values and ":c" not in values:
            self.appended.append((self.clock(), answer["Attributes"]))

    def run(self) -> list[str]:
        crowd = [self._start_one() for _ in range(self.random.choice([3, 4, 5]))]
        for _ in range(self.random.choice([4, 8, 12])):
            self._play(crowd, [])
            if self.random.random() < 0.3:
                self.clock.forward(self.random.choice([5, CLOSED_SECONDS, LOCK_SECONDS]))
            crowd = [self._start_one() for _ in range(self.random.choice([2, 3, 4]))]
        self._play(crowd, [])
        found = self._still_closed()
        while self.in_flight:
            self.deliver()
        return [*found, *self._violations()]

    def _start_one(self) -> Actor:
        if self.random.random() < 0.3:
            return self._begin(Operator(self, Sent("apply", {"document": json.dumps(self._document())})))
        return self._begin(Seller(self, self._sale()))

    def _sale(self) -> Sent:
        params = {"endpoint": self.random.choice(POOLS), "process": str(self.random.randrange(2))}
        return Sent("full", params | {"caller_id": f"+1614555{next(self.callers)}"})

    def _document(self) -> dict[str, Any]:
        """Some numbers leave their pool, some that have none come to one; leases of some length."""
        live = {
            name: [n for shard in pool.shards for n in shard.numbers]
            for name, pool in self.records.versions.current().pools.items()
        }
        placed = {number: name for name, numbers in live.items() for number in numbers}
        pools = {name: [number] for name, number in zip(POOLS, NUMBERS, strict=False)}  # one that stays in each
        for number in NUMBERS[len(POOLS) :]:
            stays = self.random.random() < 0.7
            place = placed.get(number) if stays else None if number in placed else self.random.choice(POOLS)
            if place:
                pools[place].append(number)
        times = {"hold_seconds": self.random.choice([20, 40]), "cooldown_seconds": 5}
        endpoints = [an_endpoint(vanity_uri=name, ring_pool=name, ping_ttl_seconds=10) for name in POOLS]
        ring_pools = [a_ring_pool(name=name, numbers=sorted(numbers), **times) for name, numbers in pools.items()]
        return a_document(ring_pools=ring_pools, endpoints=endpoints)

    def _still_closed(self) -> list[str]:
        """When everything is over, both pools sell again, whatever has died."""
        self.clock.forward(LOCK_SECONDS)
        sellers = []
        for name in POOLS:
            sellers.append(self._begin(Seller(self, Sent("full", {**self._sale().params, "endpoint": name}))))
            self._play(sellers[-1:], [], calm=True)
        return [] if all(seller.answer for seller in sellers) else ["a pool that sells no more"]

    def _violations(self) -> list[str]:
        found = []
        spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
        numbers = self._numbers()
        for leased_at, item in self.appended:
            shard = numbers[item["pk"]["S"], item["sk"]["S"]]
            sequence = int(item["c"]["N"]) - 1
            expiry = item[f"e{sequence // len(shard)}"]["L"][-1]["N"]
            spans[shard[sequence % len(shard)]].append((leased_at, int(expiry)))
        for leases in spans.values():
            leases.sort()
            if any(start < end for (_, end), (start, _) in pairwise(leases)):
                found.append("a number in two live leases")
        return found

    def _numbers(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Of every shard that was ever live."""
        items = self.client.scan(TableName=self.stage.settings.config_table)["Items"]
        compiled: list[Endpoint] = [unpack(item["compiled"]["B"]) for item in items if "compiled" in item]
        pools = [endpoint.pool for endpoint in compiled if endpoint.pool]
        return {(f"P{pool.no}", f"R{shard.id}"): shard.numbers for pool in pools for shard in pool.shards}
