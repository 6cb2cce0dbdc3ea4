"""Updates before, during and after settling, twice, at once, late and out of range, by functions that die at any of
their calls: each counts once or not at all, of a sale one call is paid, and sums of rows are what the items say."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace as changed

from shared.domain.models import CallRules, Endpoint, Pays
from shared.domain.objections import NotFound, NotValid
from shared.domain.refusals import TemporarilyUnavailable
from shared.domain.updates import MOST_UPDATES
from shared.flows.updating import Said, Teller, update_call
from shared.journal.pages import Pages
from shared.settings import Settings
from shared.store.calls import read_item
from shared.store.dynamo import Dynamo
from tests.build import BUYERS, CALLER, InTurn, Publisher, Stage, a_buyer, a_pool, an_endpoint, rows_of
from tests.phone import Phone
from tests.race.consumers import CALLS, WRITES, Died, Mutation
from tests.race.test_racing_calls import DAILY, HOLD_SECONDS, World

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROUNDS, ENOUGH_TO_CATCH_A_BUG = 4, 20
AT_ONCE = 12
TRANSACT = "transact_write_items"
YES = Said(buyer_converted=True)
OLGA, BEA = Teller("olga"), Teller("bea", (1,))
SAYS = Pays("buyer_says", within_days=7, min_cents=500, max_cents=8000)
WHAT = (
    Said(buyer_converted=True), Said(buyer_converted=False), Said(revenue_cents=4000), Said(revenue_cents=9_000_000),
    Said(revenue_cents=100), Said(add_revenue_cents=500), Said(add_revenue_cents=-500), Said(payout_cents=700),
    Said(offer_converted=False), Said(fields={"policy": "7"}),
)  # fmt: skip


class UpdatedWorld(World):
    """Beside calls that come and end, somebody says something of them, and says it again where it got no answer."""

    sales = 4

    def __init__(self, client: "DynamoDBClient", seed: int, mutate: Mutation = lambda *_: None) -> None:
        super().__init__(client, seed, mutate)
        self.mortal.calls, self.mortal.writes = (*CALLS, TRANSACT), (*WRITES, TRANSACT)
        self.unanswered: list[tuple[Phone, Teller, Said, str]] = []
        self.said = 0
        self.stage.publish(a_market())

    def consume(self) -> bool:
        if self.chance.random() < 0.5 and self.phones:
            self.say()
        return super().consume()

    def say(self) -> None:
        if self.unanswered and self.chance.random() < 0.5:
            phone, teller, said, key = self.unanswered.pop()
        else:
            self.said += 1
            phone, teller = self.chance.choice(self.phones), self.chance.choice([OLGA, BEA])
            said, key = self.chance.choice(WHAT), f"key {self.said}"
        try:
            telephony = self.stage.telephony_over(self.dynamo)
            for _ in range(self.chance.choice([1, 1, 2])):
                update_call(telephony, phone.call_id, teller, said, key)
        except (NotFound, NotValid):
            return
        except (Died, TemporarilyUnavailable):
            self.unanswered.append((phone, teller, said, key))

    def faults(self) -> list[str]:
        of = self.stage.settings
        rows = rows_of(Pages(Dynamo(self.stage.client, of), self.stage.clock, InTurn()))
        scan = self.stage.client.get_paginator("scan").paginate(TableName=of.calls_table, ConsistentRead=True)
        stored = {item["call_id"]["B"].hex(): read_item(item) for page in scan for item in page["Items"]}
        found = [each for each in super().faults() if each != "2 rows update" and "rows update" not in each]
        paid = Counter[bytes]()
        for call_id, each in stored.items():
            mine = [row for row in rows if row.call == call_id and row.kind in ("call", "update")]
            sums = (
                sum(row.converted for row in mine),
                sum(row.revenue_cents for row in mine),
                sum(row.payout_cents for row in mine),
            )
            if sums != (each.worth.converted, each.worth.revenue_cents, each.worth.payout_cents):
                found.append(f"rows say {sums}, the item {each.worth}")
            if sum(row.kind == "update" for row in mine) != len(each.updates):
                found.append("an update has no row, or two")
            if len({update.id for update in each.updates}) != len(each.updates):
                found.append("an update is there twice")
            if each.worth.revenue_cents < 0 or (each.updates and each.worth.revenue_cents > 8000):
                found.append(f"a worth that nobody may say: {each.worth.revenue_cents}")
            paid[each.call.ping_id] += each.worth.converted
        return found + ["two calls of a sale are paid"] * any(times > 1 for times in paid.values())


def a_market() -> Endpoint:
    buyers = (a_buyer(caps=DAILY, pays=SAYS), changed(BUYERS[1], caps=DAILY, pays=SAYS))
    endpoint = an_endpoint(pool=a_pool(60, hold_seconds=HOLD_SECONDS), buyers=buyers, version=2)
    return changed(endpoint, calls=CallRules("main"))


def play(client: "DynamoDBClient", seed: int, mutate: Mutation = lambda *_: None) -> UpdatedWorld:
    world = UpdatedWorld(client, seed, mutate)
    world.call()
    world.end()
    return world


def test_whatever_dies_each_update_counts_once_and_rows_are_what_items_say(client: "DynamoDBClient") -> None:
    said = 0
    for seed in range(ROUNDS):
        world = play(client, seed)
        assert world.faults() == [], seed
        said += world.said
    assert said > ROUNDS


def forget_the_version(operation: str, request: dict[str, Any]) -> None:
    """An update is written whatever was written since it was decided."""
    for write in [item["Update"] for item in request["TransactItems"]] if operation == TRANSACT else [request]:
        if "updates" in write.get("ExpressionAttributeNames", {}).values():
            write["ConditionExpression"] = f"attribute_exists(call_id) OR ({write['ConditionExpression']})"


def a_call(stage: Stage, seconds: int, **market: Any) -> Phone:
    stage.publish(changed(a_market(), **market))
    sold = Publisher(stage).full(caller_id=CALLER)
    assert sold.code == 200
    phone = Phone(stage, sold.body["forwarding_number"])
    phone.rings()
    phone.talks(seconds)
    return phone


def test_updates_at_once_are_all_counted(client: "DynamoDBClient") -> None:
    stage = UpdatedWorld(client, 0).stage
    phone = a_call(stage, 95)

    def add(n: int) -> None:
        update_call(stage.telephony(), phone.call_id, OLGA, Said(add_revenue_cents=500 + n), f"key {n}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert [*pool.map(add, [*range(AT_ONCE), *range(AT_ONCE)])]
    stored = phone.stored
    assert stored is not None
    assert len(stored.updates) == AT_ONCE
    assert stored.worth.revenue_cents == sum(500 + n for n in range(AT_ONCE))


def test_of_two_calls_of_a_sale_that_are_said_to_convert_at_once_one_is_paid(client: "DynamoDBClient") -> None:
    stage = UpdatedWorld(client, 0).stage
    buyers = (changed(a_market().buyers[0], pays=Pays("duration", 200)), a_market().buyers[1])
    first = a_call(stage, 30, buyers=buyers)
    again = Phone(stage, first.number)
    again.rings()
    again.talks(30)

    def convert(phone: Phone) -> bool:
        with suppress(NotValid):
            update_call(stage.telephony(), phone.call_id, OLGA, Said(buyer_converted=True))
            return True
        return False

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(convert, [first, again])) == [False, True]
    worths = [each.worth.revenue_cents for phone in (first, again) if (each := phone.stored)]
    assert sorted(worths) == [0, 2500]


def test_a_request_that_dies_leaves_its_sale_to_no_call_that_is_worth_nothing(client: "DynamoDBClient") -> None:
    stage = UpdatedWorld(client, 0).stage
    buyers = (changed(a_market().buyers[0], pays=Pays("duration", 200)), a_market().buyers[1])
    lived = False
    for sends in count(1):
        first = a_call(stage, 30, buyers=buyers)
        again = Phone(stage, first.number)
        again.rings()
        again.talks(30)
        with suppress(Died):
            update_call(
                stage.telephony_over(Dying(client, stage.settings, sends)), first.call_id, OLGA, YES, f"key {sends}"
            )
            lived = True
        with suppress(NotValid):
            update_call(stage.telephony(), again.call_id, OLGA, YES)
        worths = [each.worth.revenue_cents for phone in (first, again) if (each := phone.stored)]
        assert sorted(worths) == [0, 2500], sends
        if lived:
            break
        stage.clock.forward(HOLD_SECONDS)
    assert sends > 2


class Dying(Dynamo):
    """Its function dies before so many calls."""

    def __init__(self, client: "DynamoDBClient", settings: Settings, sends: int) -> None:
        super().__init__(client, settings)
        self.sends = sends

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        self.sends -= 1
        if not self.sends:
            raise Died
        return super().send(method, sendings, *args, **request)


def test_a_call_never_gets_more_than_its_updates(client: "DynamoDBClient") -> None:
    stage = UpdatedWorld(client, 0).stage
    phone = a_call(stage, 95)

    def add(n: int) -> bool:
        with suppress(NotValid):
            update_call(stage.telephony(), phone.call_id, OLGA, Said(revenue_cents=600 + n))
            return True
        return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(add, range(MOST_UPDATES + 5))) == MOST_UPDATES
    stored = phone.stored
    assert stored is not None
    assert len(stored.updates) == MOST_UPDATES


def test_a_lost_version_is_caught(dynoxide: "DynamoDBClient") -> None:
    for seed in range(ENOUGH_TO_CATCH_A_BUG):
        if play(dynoxide, seed, forget_the_version).faults():
            return
    pytest.fail("nothing is wrong")
