"""What one request costs at the store, by kind of request."""

import os
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from bench.counted import Counted, round_trips
from bench.report import Report
from shared.domain.caps import Cap
from shared.domain.leasing import Lease
from shared.domain.models import Endpoint, Limit
from shared.store.compiled import ENDPOINT_SECONDS
from shared.store.dynamo import Dynamo
from shared.store.rings import Rings
from tests.build import SETTINGS, START, Publisher, Stage, a_pool, an_endpoint
from tools import engine

SECONDS = 0.02
"""How long a call waits before it is sent; longer than threads take to start on a busy machine."""
REPEATS = 5
NUMBERS = 1000
STATIC_NUMBER = "+18005559999"
CAPS = (Cap("sales", 10**6, "hour"), Cap("sales", 10**6, "day"), Cap("revenue", 10**9, "month"), Cap("concurrent", 50))
REFUSED = {"exhausted": "no_number_available", "empty": "no_matching_buyer"}
HEAD = ("", "calls", "to leases", "round trips", "writes", "write units", "read units", "refused")
USUAL, LARGE = 20, 50
"""Random bytes in each of a lead's fields: it takes about 460 bytes once it is compressed, or 1 KB."""


class Cost(NamedTuple):
    """A row of the table; its numbers are in the order of its columns."""

    calls: int
    to_leases: int
    round_trips: int
    writes: int
    write_units: float
    read_units: float
    refused: int


class Sent(NamedTuple):
    verb: str
    uri: str
    params: dict[str, str]


def run(report: Report) -> None:
    packed = len(zlib.compress(msgspec.msgpack.encode(a_lead())))
    report.section("counts", f"one request each, warm configuration, a pool of {NUMBERS}, a lead of {packed} bytes")
    with a_market() as stage:
        costs = {name: cost(stage, made, report.size(REPEATS, 1)) for name, made in requests(Publisher(stage)).items()}
    report.table(HEAD, [(name, *found) for name, found in costs.items()])

    def reads(name: str) -> int:
        return costs[name].calls - costs[name].writes

    ping, static, post = costs["PING"], costs["PING, static"], costs["POST by ping_id"]
    report.goal("PING: reads", reads("PING"), 0)
    report.goal("PING, 5 s later: reads", reads("PING, 5 s later"), 1)
    report.goal("PING: writes", ping.writes, 1)
    report.goal("PING: round trips", ping.round_trips, 1)
    report.goal("PING, static: reads", reads("PING, static"), 0)
    report.goal("PING, static: writes", static.writes, 2)
    report.goal("PING, static: round trips", static.round_trips, 1)
    report.goal("PING: write units", ping.write_units, 1)
    for name in ("POST by ping_id", "POST, static"):
        report.goal(f"{name}: round trips", costs[name].round_trips, 3)
        report.goal(f"{name}: write units", costs[name].write_units, 3)
    report.goal("POST, caps: write units", costs["POST, caps"].write_units, 4)
    report.goal("POST by ping_id: refused", post.refused, 0)
    report.goal("PING, nobody bids: writes", costs["PING, nobody bids"].writes, 1)
    report.goal("PING, nobody bids: round trips", costs["PING, nobody bids"].round_trips, 1)
    report.goal("PING, caps: writes", costs["PING, caps"].writes, 1)
    report.goal("PING, every rule: round trips", costs["PING, every rule"].round_trips, 2)
    report.goal("POST, caps: round trips", costs["POST, caps"].round_trips, 4)
    for name in ("retry of it",):
        report.goal(f"{name}: round trips", costs[name].round_trips, 1)
    report.goal("POST on an exhausted pool, cold: calls to leases", costs["POST, exhausted, cold"].to_leases, 2)
    report.goal("POST on an exhausted pool, warm: calls to leases", costs["POST, exhausted, warm"].to_leases, 0)


@contextmanager
def a_market() -> Iterator[Stage]:
    """An engine with endpoints of all kinds."""
    with engine.dynoxide(None) as url, ThreadPoolExecutor(6) as io_pool:
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        stage = Stage(client, io_pool=io_pool)
        publish(stage)
        yield stage


def publish(stage: Stage) -> None:
    full = an_endpoint(vanity_uri="exhausted", pool=a_pool(NUMBERS, no=2))
    assert full.pool
    for shard in full.pool.shards:
        leases = [Lease(number, os.urandom(12), START + 300) for number in shard.numbers]
        Rings(Dynamo(stage.client, SETTINGS), {}).create(full.pool.no, shard.id, leases)
    ring: Endpoint = an_endpoint(vanity_uri="ring", pool=a_pool(NUMBERS))
    capped = tuple(msgspec.structs.replace(buyer, caps=CAPS) for buyer in ring.buyers)
    ruled = tuple(msgspec.structs.replace(buyer, suppression=("dnc",), duplicate_seconds=3600) for buyer in capped)
    stage.publish(
        ring,
        full,
        an_endpoint(vanity_uri="static", static_numbers={STATIC_NUMBER: "1023"}),
        an_endpoint(vanity_uri="empty", buyers=()),
        an_endpoint(vanity_uri="capped", pool=a_pool(NUMBERS, no=3), buyers=capped),
        an_endpoint(
            vanity_uri="ruled",
            pool=a_pool(NUMBERS, no=4),
            buyers=ruled,
            suppression=("dnc",),
            duplicate_seconds=3600,
            limits=tuple(Limit(of, 1000, 1000) for of in ("endpoint", "traffic_source", "source_address")),
        ),
    )


def a_lead(size: int = USUAL, **more: str) -> dict[str, str]:
    """Nothing in it repeats: a random hex digit carries four bits."""
    fields = {f"field_{n:02}": os.urandom(size).hex() for n in range(16)}
    return fields | {"caller_id": f"+1614555{random.randrange(10_000):04}"} | more


def requests(publisher: Publisher) -> dict[str, Callable[[], Sent]]:
    """By name what makes one request ready to be sent."""

    def post(uri: str = "ring", size: int = USUAL, **more: str) -> Sent:
        lead = a_lead(size, **more)
        bid = publisher.ping(uri, **lead).body["buyers"][0]
        return Sent("post", uri, {"ping_id": bid["ping_id"], "caller_id": lead["caller_id"], **more})

    def again(sent: Sent) -> Sent:
        assert publisher.send(sent.verb, sent.uri, json_body=sent.params).body["success"]
        return sent

    def cold(sent: Sent) -> Sent:
        publisher.stage.exhausted.clear()
        return sent

    def later(sent: Sent) -> Sent:
        publisher.stage.clock.forward(ENDPOINT_SECONDS)
        return sent

    return {
        "PING": lambda: Sent("ping", "ring", a_lead()),
        "PING, large lead": lambda: Sent("ping", "ring", a_lead(LARGE)),
        "PING, static": lambda: Sent("ping", "static", a_lead(trackdrive_number=STATIC_NUMBER)),
        "PING, nobody bids": lambda: Sent("ping", "empty", a_lead()),
        "PING, caps": lambda: Sent("ping", "capped", a_lead()),
        "PING, every rule": lambda: Sent("ping", "ruled", a_lead(traffic_source_id="1023")),
        "POST by ping_id": post,
        "POST, large lead": lambda: post(size=LARGE),
        "POST, static": lambda: post("static", trackdrive_number=STATIC_NUMBER),
        "POST, caps": lambda: post("capped"),
        "POST, every rule": lambda: post("ruled", traffic_source_id="1023"),
        "POST, post-only": lambda: Sent("post", "ring", a_lead()),
        "FULL": lambda: Sent("full", "ring", a_lead()),
        "retry of it": lambda: again(post()),
        "retry of a post-only": lambda: again(Sent("post", "ring", a_lead())),
        "POST, exhausted, cold": lambda: cold(post("exhausted")),
        "POST, exhausted, warm": lambda: post("exhausted"),
        "PING, 5 s later": lambda: later(Sent("ping", "ring", a_lead())),
    }


def cost(stage: Stage, made: Callable[[], Sent], repeats: int) -> Cost:
    """The usual cost of several such requests: a thread that starts late can hide that two calls overlap."""
    return Counter(_once(stage, made()) for _ in range(repeats)).most_common(1)[0][0]


def _once(stage: Stage, sent: Sent) -> Cost:
    counted = Counted(stage.client, SETTINGS, SECONDS)
    answer = Publisher(stage).send(sent.verb, sent.uri, world=stage.world_over(counted), json_body=sent.params)
    assert answer.body["status"] == REFUSED.get(sent.uri, "success"), answer.text
    trace = counted.trace
    return Cost(
        calls=len(trace),
        to_leases=sum(call.table == SETTINGS.leases_table for call in trace),
        round_trips=round_trips(trace),
        writes=sum(call.writes for call in trace),
        write_units=sum(call.units for call in trace if call.writes),
        read_units=sum(call.units for call in trace if not call.writes),
        refused=sum(call.refused for call in trace),
    )
