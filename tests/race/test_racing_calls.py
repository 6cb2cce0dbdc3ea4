"""The consumer of the streams and the minute function die at any of their calls, while calls come and end: in the end
rows are what the items say, and what was due is done once."""

from collections import Counter
from dataclasses import fields, replace
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec.structs import replace as changed

from shared.domain.caps import Cap
from shared.domain.models import CallRules, Endpoint
from shared.domain.refusals import TemporarilyUnavailable
from shared.flows import settling
from shared.journal.consumer import consume, remembering
from shared.journal.due import DueWork
from shared.journal.follow_up import FollowUp
from shared.journal.pages import Pages
from shared.journal.timetable import Timetable
from shared.settings import Settings
from shared.store.calls import Calls
from shared.store.compiled import Compiled, Memory
from shared.store.dynamo import Dynamo
from shared.store.reservations import Reservations
from tests.build import BUYERS, SETTINGS, START, Clock, InTurn, Publisher, Stage, a_buyer, a_pool, an_endpoint, rows_of
from tests.phone import Phone
from tests.race.consumers import CALLS, SHARE, WRITES, Died, Fate, Mortal, Mutation
from tools import engine
from tools.local.streams import Stream

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ENOUGH_TO_MEET_ALL, ENOUGH_TO_CATCH_A_BUG = 8, 20
"""Rounds."""
SALES, LONGEST_BATCH = 10, 12
HOLD_SECONDS = 120
RUNS = 4
"""Of the minute function, of which most die."""
DAILY = (Cap("sales", 99, "day"), Cap("attempts", 99, "day"), Cap("connected", 99, "day"), Cap("concurrent", 99))
"""Never full: who dies costs no sale."""

_numbers = count(1)


class World:
    """A market that takes calls, a consumer and a minute function that die, and what has to be of them in the end."""

    def __init__(self, client: "DynamoDBClient", seed: int, mutate: Mutation = lambda *_: None) -> None:
        self.chance = Random(seed)
        no = next(_numbers)
        of = {each.name: getattr(SETTINGS, each.name) for each in fields(Settings) if each.name.endswith("_table")}
        settings = replace(SETTINGS, **{name: f"{table}-{no}-of-calls" for name, table in of.items()})
        engine.create_tables(client, settings)
        self.stage = Stage(client, settings=settings, clock=Clock(START))
        self.stage.publish(a_market())
        self.mortal = Mortal(client, self.chance, mutate)
        self.dynamo = Dynamo(cast(Any, self.mortal), settings)
        self.phones: list[Phone] = []

    def call(self) -> None:
        """Sales, of which some are called; calls of which some lose their end."""
        publisher = Publisher(self.stage)
        for no in range(SALES):
            self.stage.clock.forward(self.chance.randrange(5))
            sold = publisher.full(caller_id=f"+161455501{no:02}")
            assert sold.code == 200
            fate = self.chance.choice(["no call", "talk", "busy", "hangs up", "end lost", "no end"])
            if fate != "no call":
                phone = Phone(self.stage, sold.body["forwarding_number"], f"+161455501{no:02}")
                self.phones.append(phone)
                self.ring(phone, fate)
            self.consume()

    def ring(self, phone: Phone, fate: str) -> None:
        phone.rings()
        n = 1
        if fate == "busy":
            phone.dial_ends("busy")
            n = 2
        if fate in ("talk", "busy"):
            phone.talks(5, n)
        elif fate == "hangs up":
            phone.ends(3)
            phone.dial_ends("no-answer")
        else:
            phone.leg_answers()
            if fate == "end lost":
                self.stage.clock.forward(5)
                phone.ends(5)

    def consume(self) -> bool:
        """A batch of each stream, or a part of it. False if there was none."""
        if self.mortal.late and self.chance.random() < SHARE:
            self.mortal.do_late()
        had = False
        for place, of in enumerate(self.stage.streams):
            stream = Stream(of.client, of._arn, self.stage.place / f"mortal-{place}.json")
            whole = stream.next_batch()
            if not whole:
                continue
            had = True
            batch = whole._replace(records=whole.records[: self.chance.randint(1, LONGEST_BATCH)])
            endpoint_of = remembering(Compiled(self.dynamo, Memory()), {})
            pages = Pages(self.dynamo, self.stage.clock, InTurn())
            follow = FollowUp(
                Calls(self.dynamo),
                Timetable(self.dynamo, self.stage.clock, set()),
                endpoint_of,
                lambda stored, call_id: settling.give_back(self.stage.telephony_over(self.dynamo), call_id, stored),
            )
            try:
                done = consume(batch.event, pages, endpoint_of, _refuse, follow)
                if self.chance.random() < SHARE:
                    raise Died
                stream.note_done(batch, {"batchItemFailures": [{"itemIdentifier": each} for each in done.failed]})
            except Died:
                continue
        return had

    def do_due(self) -> None:
        """A run of the minute function, which may die."""
        work = DueWork(
            Timetable(self.dynamo, self.stage.clock, set()),
            lambda call_id: settling.settle_due(self.stage.telephony_over(self.dynamo), call_id),
            Reservations(self.dynamo, {}),
            remembering(Compiled(self.dynamo, Memory()), {}),
            InTurn(),
            self.stage.clock,
        )
        try:
            work.do_all()
        except (Died, TemporarilyUnavailable):
            return

    def end(self) -> None:
        """Time passes until everything is due and done; at last nothing dies, and nothing is late."""
        for seconds in (0, 60, HOLD_SECONDS, 60, *[300] * 13):
            while self.consume():
                pass
            self.stage.clock.forward(seconds)
            for _ in range(RUNS):
                self.do_due()
        while self.mortal.late:
            self.mortal.do_late()
        self.mortal.chance = Never()
        for _ in range(4):
            while self.consume():
                pass
            self.stage.clock.forward(180)
            self.do_due()
        while self.consume():
            pass

    def faults(self) -> list[str]:
        """What is not as it has to be."""
        rows = rows_of(Pages(Dynamo(self.stage.client, self.stage.settings), self.stage.clock, InTurn()))
        found, of = Counter((row.kind, row.call or row.ping) for row in rows), self.stage.settings
        scan = self.stage.client.get_paginator("scan")
        calls, pings, caps = (
            [item for page in scan.paginate(TableName=table, ConsistentRead=True) for item in page["Items"]]
            for table in (of.calls_table, of.pings_table, of.leases_table)
        )
        faults = [f"{times} rows {kind}" for (kind, _), times in found.items() if times != 1]
        cents = {row.call: row.revenue_cents for row in rows if row.kind == "call"}
        for item in calls:
            call_id = item["call_id"]["B"].hex()
            if "settled" not in item:
                faults.append("a call is not settled")
            elif cents.get(call_id) != int(item["revenue_cents"]["N"]):
                faults.append("a row is not what its call is worth")
            if not found["arrived", call_id]:
                faults.append("no row of an arrival")
        called = {row.ping for row in rows if row.kind == "arrived"}
        for item in pings:
            ping_id = item["ping_id"]["B"].hex()
            if "sale" in item and ("called" in item) != (ping_id in called):
                faults.append("a mark is not what came")
            if "sale" in item and ("never_called" in item) != (ping_id not in called):
                faults.append("a sale is called never, and was called; or is not")
            if ("never_called" in item) != bool(found["never_called", ping_id]):
                faults.append("a row of a sale that was never called is not its item")
        held = [key for item in caps for key, value in item.get("held", {"M": {}})["M"].items() if "B" in value]
        return faults + ["something is held"] * bool(held)


class Never(Random):
    """Chance that lets nothing happen."""

    def random(self) -> float:
        return 1.0


def a_market() -> Endpoint:
    buyers = (a_buyer(caps=DAILY), changed(BUYERS[1], caps=DAILY))
    endpoint = an_endpoint(pool=a_pool(60, hold_seconds=HOLD_SECONDS), buyers=buyers)
    return changed(endpoint, calls=CallRules("main"))


def _refuse(_: object, error: str) -> None:
    raise AssertionError(error)


def play(client: "DynamoDBClient", seed: int, mutate: Mutation = lambda *_: None) -> World:
    world = World(client, seed, mutate)
    world.call()
    world.end()
    return world


def test_whenever_they_die_rows_equal_items_and_what_is_due_is_done_once(client: "DynamoDBClient") -> None:
    met = set[tuple[str, Fate]]()
    for seed in range(ENOUGH_TO_MEET_ALL):
        world = play(client, seed)
        assert world.faults() == [], seed
        met |= {*world.mortal.met}
    wanted = {(call, fate) for call in CALLS for fate in Fate if call in WRITES or fate is not Fate.IS_LATE}
    assert met == wanted


def forget_marks(operation: str, request: dict[str, Any]) -> None:
    """The mark `called` is refused where another mark stands."""
    if operation == "update_item" and "#mark" in request.get("ExpressionAttributeNames", {}):
        request["ConditionExpression"] = "attribute_not_exists(ping_id)"


def finish_early(operation: str, request: dict[str, Any]) -> None:
    """A minute is finished that has not come."""
    if operation == "update_item" and request.get("UpdateExpression") == "SET finished = :minute":
        request["ExpressionAttributeValues"] = {":minute": {"N": str(START + 10**6)}}


@pytest.mark.parametrize(
    "mutate", [forget_marks, finish_early], ids=["a mark is lost", "a minute is finished too early"]
)
def test_a_bug_is_caught(dynoxide: "DynamoDBClient", mutate: Mutation) -> None:
    for seed in range(ENOUGH_TO_CATCH_A_BUG):
        if play(dynoxide, seed, mutate).faults():
            return
    pytest.fail("nothing is wrong")
