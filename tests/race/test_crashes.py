"""Functions die between any two calls, answers get lost, claims are taken over; and what must hold, holds. That the
machine would notice is shown by seeding bugs."""

from typing import TYPE_CHECKING, Any

import pytest

from shared.domain.leasing import Ring
from shared.domain.refusals import TemporarilyUnavailable
from shared.store import pings
from shared.store.callers import Callers
from shared.store.rings import Rings
from tests.race.interleavings import Machine, Mutation

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INTERLEAVINGS = 800
UNDER_RULES = 400
WITH_LIVE_BUYERS = 300
ENOUGH_TO_CATCH_A_BUG = 3000


def test_every_order_of_crash_retry_and_take_over_keeps_the_sale_whole(dynoxide: "DynamoDBClient") -> None:
    violated = {seed: found for seed in range(INTERLEAVINGS) if (found := Machine(dynoxide, seed).run())}
    assert violated == {}


def test_caps_and_the_marks_of_callers_hold_in_every_order_too(dynoxide: "DynamoDBClient") -> None:
    violated = {seed: found for seed in range(UNDER_RULES) if (found := Machine(dynoxide, seed, ruled=True).run())}
    assert violated == {}


def test_what_a_live_buyer_agreed_to_is_sold_to_it_or_written_down_in_every_order(dynoxide: "DynamoDBClient") -> None:
    violated = {
        seed: found
        for seed in range(WITH_LIVE_BUYERS)
        if (found := Machine(dynoxide, seed, ruled=seed % 2 == 0, live=True).run())
    }
    assert violated == {}


@pytest.mark.parametrize("kind", [{}, {"ruled": True}, {"live": True}])
def test_the_second_engine_agrees(dynamodb_local: "DynamoDBClient", kind: dict[str, Any]) -> None:
    violated = {seed: found for seed in range(50) if (found := Machine(dynamodb_local, seed, **kind).run())}
    assert violated == {}


def test_a_live_buyer_that_is_asked_before_that_is_written_down_is_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pings.Pings, "ask", lambda *_: None)
    assert "a yes that nobody knows of" in _caught(dynoxide, live=True)


def test_a_sale_that_does_not_mark_its_caller_is_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Callers, "mark", lambda *_, **__: {})
    assert "a caller sold twice" in _caught(dynoxide, ruled=True)


def _caught(client: "DynamoDBClient", mutation: Mutation = lambda _: None, **kind: Any) -> set[str]:
    for seed in range(ENOUGH_TO_CATCH_A_BUG):
        if found := Machine(client, seed, mutation, **kind).run():
            return set(found)
    return set()


def test_an_answer_that_leaves_before_its_sale_is_recorded_is_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pings.Pings, "record", lambda *_: None)
    assert "an answer without its sale" in _caught(dynoxide)


def test_a_lease_that_does_not_ask_whether_the_head_is_free_is_caught(dynoxide: "DynamoDBClient") -> None:
    def mutate(request: dict[str, Any]) -> None:
        if ":expiry" in request.get("ExpressionAttributeValues", {}):
            request["ExpressionAttributeValues"][":now"] = {"N": str(10**11)}

    assert "a number in two live leases" in _caught(dynoxide, mutate)


def test_a_lease_that_does_not_ask_whether_the_ping_has_one_is_caught(dynoxide: "DynamoDBClient") -> None:
    def mutate(request: dict[str, Any]) -> None:
        condition = request.get("ConditionExpression", "")
        if "NOT contains" in condition:
            request["ConditionExpression"] = condition.replace(", :id", ", :never")
            request["ExpressionAttributeValues"][":never"] = {"B": b"nobody"}
            del request["ExpressionAttributeValues"][":id"]

    assert "a ping with two leases" in _caught(dynoxide, mutate)


def test_a_take_over_before_the_function_is_dead_is_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pings, "CLAIM_SECONDS", 0)
    assert _caught(dynoxide, ruled=True)


def test_a_take_over_that_does_not_look_for_the_lease_is_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rings, "find", lambda *_: None)
    assert "a ping with two leases" in _caught(dynoxide)


def test_an_unclear_lease_that_is_not_settled_is_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Rings._append

    def unsettled(self: Rings, pool: Any, shard: Any, seen: Ring, *rest: Any) -> Ring:
        try:
            return append(self, pool, shard, seen, *rest)
        except TemporarilyUnavailable:
            return Ring(seen.shard, seen.sequence, seen.ping_ids, tuple(2 * at + 10**11 for at in seen.expiries))

    monkeypatch.setattr(Rings, "_settled", unsettled)
    assert _caught(dynoxide)
