"""Erasing and the repair of caps on real engines: while sales are being made, and after functions have died in them."""

from threading import Lock
from typing import TYPE_CHECKING

from shared.domain.caps import Cap, key
from shared.domain.keys import ID_BYTES
from shared.domain.models import Endpoint, Sale
from shared.domain.schedule import local_time
from shared.operators.repair import QUIET_SECONDS
from shared.store.counters import Counters, items
from shared.store.dynamo import Dynamo
from shared.store.pings import Pings
from tests.build import SETTINGS, START, Publisher, Stage, a_buyer, a_pool, an_endpoint
from tests.race.crowds import at_once
from tests.race.interleavings import Machine
from tests.race.test_racing_caps import BUYER_IDS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INTERLEAVINGS = 40
CROWD = 24
ROUNDS = 3


def counted(client: "DynamoDBClient", endpoint: Endpoint, now: int) -> dict[int, dict[str, int]]:
    """What the caps on sales count, by buyer and key."""
    counting = [of for buyer in endpoint.buyers for of in items(buyer)]
    counts = Counters(Dynamo(client, SETTINGS), {}).counts(counting, now)
    return {
        buyer.id: {
            name: counts.get(buyer.id, {}).get(name, 0)
            for name in (key(cap, local_time(buyer.zone, now)) for cap in buyer.amounts)
        }
        for buyer in endpoint.buyers
    }


def sales_of(machine: Machine) -> list[Sale]:
    pings = Pings(Dynamo(machine.client, SETTINGS))
    ids = {lease.ping_id for _, lease in machine.leases}
    return [kept.sale for kept in (pings.read(ping_id, machine.clock()) for ping_id in ids) if kept.sale]


def test_after_crashes_and_the_repair_a_cap_counts_exactly_what_was_sold(dynoxide: "DynamoDBClient") -> None:
    lowered, stage = 0, Stage(dynoxide)
    for seed in range(INTERLEAVINGS):
        machine = Machine(dynoxide, seed, ruled=True)
        assert machine.run() == []
        machine.clock.forward(QUIET_SECONDS)
        stage.clock.now = machine.clock()
        lowered += len(stage.repair().repair([machine.endpoint]).repaired)
        sold = sales_of(machine)
        for buyer_id, counts in counted(dynoxide, machine.endpoint, machine.clock()).items():
            assert set(counts.values()) <= {sum(sale.buyer_id == buyer_id for sale in sold)}, seed
    assert lowered  # or nothing was tested


def test_a_repair_among_a_crowd_of_sales_never_lowers_below_what_is_sold(client: "DynamoDBClient") -> None:
    reader, one_reader = Stage(client), Lock()  # the stream has one reader

    def play() -> None:
        buyer = a_buyer(id=next(BUYER_IDS), caps=(Cap("sales", CROWD, "total"), Cap("revenue", 10**7, "day")))
        endpoint = an_endpoint(vanity_uri=f"r{buyer.id}", buyers=(buyer,), pool=a_pool(60, no=buyer.id))
        first = Stage(client)
        first.publish(endpoint)
        local = local_time(buyer.zone, START)
        for n in range(3):  # left by functions that died
            ping_id = n.to_bytes(ID_BYTES, "big")
            assert Counters(Dynamo(client, SETTINGS), {}).take(
                buyer.id, buyer.caps, local, 2500, ping_id, b"dead", START + 9, START
            )
        stages = [Stage(client) for _ in range(CROWD)]
        for stage in stages:
            stage.clock.forward(QUIET_SECONDS)

        def act(stage: Stage, place: int) -> bool:
            if place % 4 == 0:
                reader.clock.now = stage.clock()
                with one_reader:
                    reader.repair().repair([endpoint])
                return False
            sent = {"caller_id": f"+1614555{place:04}"}
            return bool(Publisher(stage).send("full", endpoint.vanity_uri, json_body=sent).body["success"])

        sold = sum(at_once(stages, act))
        now = stages[0].clock()
        sales, revenue = counted(client, endpoint, now)[buyer.id].values()
        assert sold <= sales <= CROWD
        assert revenue == 2500 * sales
        later = reader.clock
        later.now = now + QUIET_SECONDS
        reader.repair().repair([endpoint])
        assert [*counted(client, endpoint, later())[buyer.id].values()] == [sold, 2500 * sold]

    for _ in range(ROUNDS):
        play()


def test_a_caller_that_is_erased_while_it_is_being_sold_is_erased_or_reported(client: "DynamoDBClient") -> None:
    reader, one_reader = Stage(client), Lock()  # the stream has one reader

    def play() -> None:
        no = next(BUYER_IDS)
        endpoint = an_endpoint(vanity_uri=f"e{no}", pool=a_pool(60, no=no))
        stages = [Stage(client) for _ in range(CROWD)]
        stages[0].publish(endpoint)
        caller = f"+1303555{no % 10**4:04}"  # of no other test of this engine: its pings would be found, too
        pinged = [
            Publisher(stages[0]).ping(endpoint.vanity_uri, caller_id=caller).body["try_all_buyers_ping_id"]
            for _ in range(CROWD)
        ]

        def erased() -> int:
            with one_reader:
                return reader.erase(caller).pings

        def act(stage: Stage, place: int) -> int:
            if place % 6 == 0:
                return erased()
            sent = {"caller_id": caller, "ping_id": pinged[place]}
            answer = Publisher(stage).send("post", endpoint.vanity_uri, json_body=sent).body
            assert answer["success"] or answer["status"] == "ping_id_used"
            return 0

        at_once(stages, act)
        erased()  # now that all of them are done
        for ping_id in pinged:
            kept = stages[0].kept(ping_id, endpoint.vanity_uri)
            if kept.sale:
                assert kept.ping
                assert (kept.ping.lead, kept.sale.posted, kept.sale.answer) == ({}, {}, b"")
        assert erased() == 0

    for _ in range(ROUNDS):
        play()
