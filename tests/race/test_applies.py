"""Applies that die, are slow or arrive late, among sales. That the machine would notice is shown by seeding bugs."""

from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from shared import configuration
from shared.domain.leasing import Ring
from shared.domain.objections import Interrupted
from shared.domain.refusals import TemporarilyUnavailable
from shared.store import rings
from shared.store.dynamo import Dynamo
from shared.store.layouts import CLOSED_SECONDS
from shared.store.records import Records
from tests.build import KEYS, Publisher
from tests.race.applies import POOLS, Market
from tests.race.interleavings import Mutation

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INTERLEAVINGS = 120
ENOUGH_TO_CATCH_A_BUG = 600


def test_whatever_becomes_of_an_apply_no_number_is_leased_twice_and_every_pool_sells_again(
    dynoxide: "DynamoDBClient",
) -> None:
    violated, versions = {}, 0
    for seed in range(INTERLEAVINGS):
        market = Market(dynoxide, seed)
        if found := market.run():
            violated[seed] = found
        versions += market.records.versions.current().version
    assert violated == {}
    assert versions > 2 * INTERLEAVINGS  # or nothing was applied


def test_the_second_engine_agrees(dynamodb_local: "DynamoDBClient") -> None:
    assert {seed: found for seed in range(20) if (found := Market(dynamodb_local, seed).run())} == {}


def _caught(client: "DynamoDBClient", mutation: Mutation, first: int = 0) -> set[str]:
    for seed in range(first, first + ENOUGH_TO_CATCH_A_BUG):
        if found := Market(client, seed, mutation).run():
            return set(found)
    return set()


class Held(Dynamo):
    """Keeps the switch of an apply back, as a network may."""

    switch: Any = None

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        if any("closed" in str(item.get("Update")) for item in request.get("TransactItems", ())):
            self.switch = request
            raise TemporarilyUnavailable
        return super().send(method, sendings, *args, **request)


def _numbers(market: Market) -> list[str]:
    return [number for shard in market.records.versions.current().pools[POOLS[0]].shards for number in shard.numbers]


@pytest.mark.parametrize("looks", [True, False], ids=["as it is", "without its look at the rings"])
def test_a_switch_that_arrives_after_its_rings_have_opened_changes_nothing(
    client: "DynamoDBClient", looks: bool
) -> None:
    """Numbers that were leased meanwhile would be leased a second time from the rings that it brings."""
    market = next(found for seed in count() if len(_numbers(found := Market(client, seed))) > 1)
    wanted = configuration.document_of(market.records.versions.current().parts)
    wanted["ring_pools"][0]["numbers"] = _numbers(market)[:-1]
    held = Held(client, market.stage.settings)
    with pytest.raises(Interrupted, match="It is not known whether the configuration is live"):
        Records(held, KEYS, market.clock).applying.apply(configuration.read(wanted), "somebody")

    def sell() -> str:
        market.stage.memory.endpoints.clear()
        market.stage.exhausted.clear()
        sale = Publisher(market.stage).full(POOLS[0], caller_id=f"+1614555{next(market.callers)}").body
        return f"+{sale['trackdrive_number']}" if sale["success"] else sale["status"]

    assert sell() == "temporarily_unavailable"
    market.clock.forward(CLOSED_SECONDS)
    assert {sell() for _ in _numbers(market)} == {*_numbers(market)}
    if not looks:
        for item in held.switch["TransactItems"]:
            if update := item.get("Update"):
                update["ConditionExpression"] = "closed = :until OR NOT closed = :until OR c = :c"
    with suppress(client.exceptions.TransactionCanceledException):
        client.transact_write_items(**held.switch)
    assert sell() == ("no_number_available" if looks else _numbers(market)[0])


def test_a_lease_from_a_closed_ring_is_caught(dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "IT_IS_OPEN", "(attribute_not_exists(closed) OR NOT closed <= :now OR closed <= :now)")
    monkeypatch.setattr(Ring, "is_open", lambda *_: True)
    assert "a number in two live leases" in _caught(dynoxide, lambda _: None, first=320)  # 326 is the first


def test_rings_that_stay_closed_until_somebody_applies_again_are_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    close = rings.Rings.close
    monkeypatch.setattr(rings.Rings, "close", lambda self, no, shard, _: close(self, no, shard, rings.FOR_EVER - 1))
    assert "a pool that sells no more" in _caught(dynoxide, lambda _: None)
