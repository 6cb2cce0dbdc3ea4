"""A hundred POSTs at once for the last numbers of a pool, and for one buyer."""

import itertools
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import mean
from threading import Barrier, Thread
from typing import TYPE_CHECKING, TypeVar

from bench.counted import Counted
from bench.report import Cell, Report
from shared.domain.leasing import Lease
from shared.domain.models import RingPool
from shared.domain.refusals import NoNumberAvailable
from shared.store.dynamo import ConditionFailed, Dynamo
from shared.store.rings import Rings
from tests.build import CALLER, SETTINGS, START, Publisher, Stage, a_buyer, a_pool, an_endpoint
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NUMBERS, AT_ONCE, ROUNDS = 1000, 100, 16
PROBES = 50
LEASE_SECONDS = 360
HEAD = ("", "leases", "refused writes", "calls", "p99", "denied", "falsely", "twice")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Try:
    number: str | None
    calls: int
    refused: int


@dataclass(frozen=True, slots=True)
class Round:
    tries: list[Try]
    free: int
    """Numbers that nobody has at the end."""


def run(report: Report) -> None:
    with engine.dynoxide(None) as url:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        report.section(
            "leasing", f"{AT_ONCE} at once, a pool of {NUMBERS}; refused writes and calls are those per lease"
        )
        pool_numbers = itertools.count(1)

        def ring(in_use: int, rounds: int, stale: bool = False) -> list[Round]:
            return [ring_round(client, next(pool_numbers), in_use, stale) for _ in range(rounds)]

        rounds = report.size(ROUNDS, 1)
        at_90, at_99 = ring(900, rounds), ring(990, rounds)
        rows = [
            ("ring, 90 % in use", *_row(at_90)),
            ("ring, 99 % in use", *_row(at_99)),
            (
                "ring, 90 %, when all have looked before the first leases",
                *_row(ring(900, report.size(ROUNDS // 2, 1), stale=True)),
            ),
            (
                f"random probing, 90 %, {PROBES} probes",
                *_row([probing_round(client, n, 900) for n in range(report.size(2, 1))]),
            ),
        ]
        report.table(HEAD, rows)
        report.goal("refused writes per lease, 90 % in use", _refused_per_lease(at_90), 0.4)
        report.goal("refused writes per lease, 99 % in use", _refused_per_lease(at_99), 0.05)
        report.goal("falsely denied", sum(row[6] for row in rows[:3]), 0)
        report.goal("leased twice", sum(row[7] for row in rows[:3]), 0)
        hot_buyer(report, client, report.size(AT_ONCE, 10))


def _row(rounds: list[Round]) -> tuple[int, float, float, int, int, int, int]:
    won = [each for played in rounds for each in played.tries if each.number]
    calls = sorted(each.calls for each in won)
    return (
        len(won),
        _refused_per_lease(rounds),
        mean(calls),
        calls[len(calls) * 99 // 100],
        sum(each.number is None for played in rounds for each in played.tries),
        sum(each.number is None for played in rounds for each in played.tries if played.free),
        sum(len(numbers) - len(set(numbers)) for numbers in ([t.number for t in p.tries if t.number] for p in rounds)),
    )


def _refused_per_lease(rounds: list[Round]) -> float:
    return mean(each.refused for played in rounds for each in played.tries if each.number)


def at_once(act: Callable[[], T], count: int = AT_ONCE) -> list[T]:
    """The results of one act in `count` threads that start together."""
    results: list[T] = []
    start = Barrier(count)

    def run() -> None:
        start.wait()
        results.append(act())

    threads = [Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count
    return results


def ring_round(client: "DynamoDBClient", no: int, in_use: int, stale: bool) -> Round:
    pool = a_pool(NUMBERS, no=no)
    _create(client, pool, in_use)
    all_have_looked = Barrier(AT_ONCE if stale else 1)

    def act() -> Try:
        counted = Counted(client, SETTINGS)
        rings = Rings(counted, {})
        seen = rings.look(pool)
        all_have_looked.wait()
        try:
            number = rings.lease(pool, pool.terms, os.urandom(12), START, seen).number
        except NoNumberAvailable:
            number = None
        return Try(number, len(counted.trace), sum(call.refused for call in counted.trace))

    tries = at_once(act)
    left = Rings(Dynamo(client, SETTINGS), {}).look(pool, pool.shards).values()
    return Round(tries, sum(end <= START for ring in left for end in ring.expiries))


def _create(client: "DynamoDBClient", pool: RingPool, in_use: int) -> None:
    taken = set(random.sample([number for shard in pool.shards for number in shard.numbers], in_use))
    for shard in pool.shards:
        ends = [random.randrange(LEASE_SECONDS) * (1 if n in taken else -1) + (n in taken) for n in shard.numbers]
        leases = [Lease(n, os.urandom(12), START + end) for n, end in zip(shard.numbers, sorted(ends), strict=True)]
        Rings(Dynamo(client, SETTINGS), {}).create(pool.no, shard.id, leases)


def probing_round(client: "DynamoDBClient", no: int, in_use: int) -> Round:
    """The same with an item per number: draw one at random and take it if it is free, until it is."""
    names = [f"{no}-{n}" for n in range(NUMBERS)]

    def take(dynamo: Dynamo, name: str, until: int) -> None:
        dynamo.call(
            client.update_item,
            TableName=SETTINGS.leases_table,
            Key={"pk": {"S": "PROBED"}, "sk": {"S": name}},
            UpdateExpression="SET leased_until = :until",
            ConditionExpression="attribute_not_exists(leased_until) OR leased_until <= :now",
            ExpressionAttributeValues={":until": {"N": str(until)}, ":now": {"N": str(START)}},
        )

    def probed(dynamo: Dynamo) -> Iterator[str]:
        for name in random.choices(names, k=PROBES):
            try:
                take(dynamo, name, START + LEASE_SECONDS)
                yield name
            except ConditionFailed:
                continue

    def act() -> Try:
        counted = Counted(client, SETTINGS)
        number = next(probed(counted), None)
        return Try(number, len(counted.trace), sum(call.refused for call in counted.trace))

    for name in random.sample(names, in_use):
        take(Dynamo(client, SETTINGS), name, START + LEASE_SECONDS)
    tries = at_once(act)
    return Round(tries, NUMBERS - in_use - sum(each.number is not None for each in tries))


def hot_buyer(report: Report, client: "DynamoDBClient", posts: int) -> None:
    """Every POST sells to the same buyer. Its calls follow each other but for the look, which is beside the claim."""
    stage = Stage(client)
    publisher = Publisher(stage)

    def sold(count: int, uri: str) -> tuple[float, set[str]]:
        """Round trips per POST, and the operations used, of `count` POSTs at once."""
        pings = [publisher.ping(uri, caller_id=CALLER).body["buyers"][0]["ping_id"] for _ in range(posts)]

        def act() -> list[str]:
            counted = Counted(client, SETTINGS)
            sent = {"ping_id": pings.pop(), "caller_id": CALLER}
            answer = publisher.send("post", uri, world=stage.world_over(counted), json_body=sent)
            assert answer.body["success"], answer.text
            return [call.method for call in counted.trace]

        used = [methods for _ in range(posts // count) for methods in at_once(act, count)]
        return mean(len(methods) - 1 for methods in used), {method for methods in used for method in methods}

    for uri, no in (("crowd", 98), ("alone", 99)):
        stage.publish(an_endpoint(vanity_uri=uri, buyers=(a_buyer(),), pool=a_pool(NUMBERS, no=no)))
    (crowd, methods), (alone, _) = sold(posts, "crowd"), sold(1, "alone")
    rows: list[tuple[Cell, ...]] = [(f"{posts} at once", crowd), ("one at a time", alone), ("ratio", crowd / alone)]
    report.table((f"{posts} POSTs to one buyer", "round trips"), rows)
    report.goal(f"one hot buyer: round trips at {posts} at once ÷ at 1", crowd / alone, 1.0)
    report.goal("one hot buyer: transactions", sum("transact" in method for method in methods), 0)
