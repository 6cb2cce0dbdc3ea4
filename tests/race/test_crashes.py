"""Functions die between any two calls, requests and answers get lost, writes arrive late or twice, claims are taken
over; and what must hold, holds. That the machine would notice is shown by seeding bugs."""

import os
import re
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest

from shared.domain.leasing import Ring
from shared.domain.refusals import TemporarilyUnavailable
from shared.flows.tracking import SharedNumber
from shared.store import counters, pings
from shared.store.callers import Callers
from shared.store.rings import Rings
from shared.store.routes import Route, Routes
from tests.build import SETTINGS
from tests.race.interleavings import Machine, Mutation
from tools import engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INTERLEAVINGS = 2500
UNDER_RULES = 1500
WITH_SCARCE_NUMBERS = 500
WITH_CALLS = 120
WITH_LIVE_BUYERS = 1000
ON_STATIC_NUMBERS = 1000
ON_SHARED_NUMBERS = 1000
PROCESSES = 4
ENOUGH_TO_CATCH_A_BUG = 3000


def test_every_order_of_crash_retry_take_over_and_late_write_keeps_the_sale_whole() -> None:
    assert violated(INTERLEAVINGS) == {}


def test_caps_and_the_marks_of_callers_hold_in_every_order_too() -> None:
    assert violated(UNDER_RULES, ruled=True) == {}
    assert violated(WITH_SCARCE_NUMBERS, ruled=True, scarce=True) == {}


def test_where_calls_are_taken_caps_of_each_kind_hold_and_end_at_what_is_sold_in_every_order() -> None:
    assert violated(WITH_CALLS, ruled=True, calls=True) == {}
    assert violated(WITH_CALLS // 2, ruled=True, calls=True, static=True) == {}
    assert violated(WITH_CALLS // 2, ruled=True, calls=True, shared=True) == {}


def test_what_a_live_buyer_agreed_to_is_sold_to_it_or_written_down_in_every_order() -> None:
    assert violated(WITH_LIVE_BUYERS // 2, live=True) == {}
    assert violated(WITH_LIVE_BUYERS // 2, live=True, ruled=True) == {}


def test_a_call_to_a_static_number_leads_to_a_sale_of_its_caller_in_every_order() -> None:
    assert violated(ON_STATIC_NUMBERS, static=True) == {}


def test_a_shared_number_is_a_callers_once_at_a_time_in_every_order() -> None:
    assert violated(ON_SHARED_NUMBERS, shared=True) == {}


def violated(interleavings: int, **kind: bool) -> dict[int, list[str]]:
    """What was violated, by seed: played by several processes, each with an engine of its own. Most of the time each
    waits for its threads, so there are more of them than cores."""
    shares = [range(place, interleavings, PROCESSES) for place in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as processes:
        found = processes.map(partial(_play, kind), shares)
        return {seed: what for share in found for seed, what in share.items()}


def _play(kind: dict[str, Any], seeds: range) -> dict[int, list[str]]:
    with engine.dynoxide(None) as url, open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        client = engine.client(url)
        engine.create_tables(client, SETTINGS)
        return {seed: found for seed in seeds if (found := Machine(client, seed, **kind).run())}


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"ruled": True},
        {"ruled": True, "scarce": True},
        {"live": True},
        {"static": True},
        {"shared": True},
        {"ruled": True, "calls": True},
    ],
)
def test_the_second_engine_agrees(dynamodb_local: "DynamoDBClient", kind: dict[str, Any]) -> None:
    assert {seed: found for seed in range(50) if (found := Machine(dynamodb_local, seed, **kind).run())} == {}


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


def test_a_ping_that_is_stored_over_its_own_sale_is_caught(dynoxide: "DynamoDBClient") -> None:
    def mutate(request: dict[str, Any]) -> None:
        if "ping" in request.get("Item", {}):
            del request["ConditionExpression"]

    assert "an answer without its sale" in _caught(dynoxide, mutate)


def test_what_was_asked_that_replaces_what_was_asked_later_is_caught(dynoxide: "DynamoDBClient") -> None:
    def mutate(request: dict[str, Any]) -> None:
        if ":asks" in request.get("ExpressionAttributeValues", {}):
            request["ConditionExpression"] = "claim = :attempt"

    assert "a yes that nobody knows of" in _caught(dynoxide, mutate, first=530, live=True)  # 536 is the first


def test_places_that_are_a_pings_and_not_an_attempts_are_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "_entry", lambda ping_id, _: counters._text(ping_id))
    assert "more at once than there are places" in _caught(dynoxide, ruled=True, scarce=True)


def test_a_mark_that_a_later_attempt_has_made_and_an_earlier_one_removes_is_caught(dynoxide: "DynamoDBClient") -> None:
    def mutate(request: dict[str, Any]) -> None:
        condition = request.get("ConditionExpression", "")
        if request.get("UpdateExpression", "").startswith("REMOVE") and "#attempt0 = :attempt" in condition:
            request["ConditionExpression"] = re.sub(r" AND #attempt\d = :attempt", "", condition)
            del request["ExpressionAttributeValues"][":attempt"]

    assert "a caller sold twice" in _caught(dynoxide, mutate, first=200, ruled=True, scarce=True)  # 202 is the first


def test_a_route_that_forgets_which_it_has_replaced_is_caught(dynoxide: "DynamoDBClient") -> None:
    def mutate(request: dict[str, Any]) -> None:
        request.get("Item", {}).pop("before", None)

    assert "a sale without its route" in _caught(dynoxide, mutate, static=True)


def test_a_shared_number_that_is_leased_over_another_ping_is_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = Routes.leave
    monkeypatch.setattr(Routes, "leave", lambda self, keys, route, now, **_: leave(self, keys, route, now))
    assert "a number in two live leases of its caller" in _caught(dynoxide, shared=True)


def test_a_shared_number_that_is_leased_without_a_condition_is_caught(dynoxide: "DynamoDBClient") -> None:
    def mutate(request: dict[str, Any]) -> None:
        if "route" in request.get("Item", {}):
            for name in ("ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"):
                del request[name]

    assert "a number in two live leases of its caller" in _caught(dynoxide, mutate, shared=True)


def test_a_take_over_that_does_not_look_for_its_shared_number_is_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SharedNumber, "_leased_before", lambda *_: [])
    assert "a ping with two leases" in _caught(dynoxide, shared=True)


def test_a_shared_number_that_is_tried_while_it_is_unclear_whether_another_was_leased_is_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = Routes.leave

    def unsettled(self: Routes, keys: Any, route: Route, now: int, *, alone: bool = False) -> int:
        try:
            return leave(self, keys, route, now, alone=alone)
        except TemporarilyUnavailable:
            return now + 1

    monkeypatch.setattr(Routes, "leave", unsettled)
    assert "a ping with two leases" in _caught(dynoxide, shared=True)


def test_a_caller_that_is_offered_every_shared_number_is_caught(
    dynoxide: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SharedNumber, "_numbers_of", lambda self, _: list(self.tracking.shared))
    assert "a caller with more numbers than it may hold" in _caught(dynoxide, shared=True)


def _caught(client: "DynamoDBClient", mutation: Mutation = lambda _: None, first: int = 0, **kind: Any) -> set[str]:
    for seed in range(first, first + ENOUGH_TO_CATCH_A_BUG):
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
        if "NOT contains" in request.get("ConditionExpression", ""):
            request["ExpressionAttributeValues"][":now"] = {"N": str(10**11)}

    assert "a number in two live leases" in _caught(dynoxide, mutate)


def test_a_lease_that_does_not_ask_whether_the_ping_has_one_is_caught(dynoxide: "DynamoDBClient") -> None:
    def mutate(request: dict[str, Any]) -> None:
        condition = request.get("ConditionExpression", "")
        if "NOT contains" in condition:
            request["ConditionExpression"] = condition.replace(", :entry", ", :never")
            request["ExpressionAttributeValues"][":never"] = {"B": b"nobody"}
            del request["ExpressionAttributeValues"][":entry"]

    assert "a ping with two leases" in _caught(dynoxide, mutate)


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
            return Ring(seen.shard, seen.sequence, seen.entries, tuple(2 * at + 10**11 for at in seen.expiries))

    monkeypatch.setattr(Rings, "_settled", unsettled)
    assert _caught(dynoxide)
