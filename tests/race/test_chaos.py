"""Real handlers and a real engine, between which everything fails. `make chaos SECONDS=…` does it for longer."""

from collections.abc import Iterator

import pytest

from tests.race import chaos
from tests.race.proxy import SHARES, Fate, Json, Mutation

SECONDS, ON_THE_SECOND_ENGINE = 60, 20
ENOUGH_TO_CATCH_A_BUG, A_ROUND = 180, 10
MANY_ARE_LATE = SHARES | {Fate.LATE: 0.12}


@pytest.fixture(scope="module")
def play() -> Iterator[chaos.Play]:
    with chaos.running() as play:
        yield play


def test_nothing_that_is_late_throttled_or_half_done_costs_a_sale(play: chaos.Play) -> None:
    report = play(SECONDS, seed=1)
    assert not report.kinds, "\n".join([report.text, *report.stories])
    assert report.counts["sales answered"] > 100
    assert all(report.fates[fate] for fate in Fate), report.text
    assert report.counts["functions killed"]
    assert report.counts["engines killed"]


def test_the_second_engine_agrees() -> None:
    with chaos.running(chaos.ENGINES["dynamodb_local"]) as play:
        report = play(ON_THE_SECOND_ENGINE, seed=2, plan=chaos.Plan(kills_the_engine=False))
    assert not report.kinds, "\n".join([report.text, *report.stories])
    assert report.counts["sales answered"]


def put_a_ping_over_its_sale(operation: str, request: Json) -> None:
    if operation == "PutItem" and "ping" in request["Item"]:
        _let_always(request)


def lease_what_is_not_free(_: str, request: Json) -> None:
    if "list_append" in request.get("UpdateExpression", ""):
        request["ExpressionAttributeValues"][":now"] = {"N": str(10**11)}


def mark_a_caller_that_is_sold(operation: str, request: Json) -> None:
    if operation == "UpdateItem" and "caller" in request["Key"]:
        _let_always(request)


def leave_a_route_over_a_sold_one(operation: str, request: Json) -> None:
    if operation == "PutItem" and "route" in request["Item"]:
        _let_always(request)


def _let_always(request: Json) -> None:
    """The condition with all that it names, but it refuses nothing."""
    if condition := request.get("ConditionExpression"):
        [key, *_] = request.get("Key") or (name for name in request["Item"] if name in ("ping_id", "pk", "caller"))
        request["ConditionExpression"] = f"({condition}) OR attribute_exists({key}) OR attribute_not_exists({key})"


LOST = "an answered sale is not in the table"
CHANGED = "an answered sale is otherwise in the table"


@pytest.mark.parametrize(
    ("bug", "market", "kinds"),
    [
        (put_a_ping_over_its_sale, "plain", {LOST, CHANGED}),  # changed, where its publisher has asked again
        (lease_what_is_not_free, "scarce", {"a number in two live leases"}),
        (mark_a_caller_that_is_sold, "windowed", {"a caller sold twice within its window"}),
        (leave_a_route_over_a_sold_one, "static", {"a number and caller sold by two users"}),
        (leave_a_route_over_a_sold_one, "shared", {"a shared number in two live leases of its caller"}),
    ],
)
def test_a_write_without_its_condition_is_caught(play: chaos.Play, bug: Mutation, market: str, kinds: set[str]) -> None:
    report = play(
        ENOUGH_TO_CATCH_A_BUG,
        seed=3,
        plan=chaos.Plan(MANY_ARE_LATE, {market: 1}, bug),
        enough=lambda so_far: bool(kinds & {*so_far.kinds}),
        round_seconds=A_ROUND,
    )
    assert kinds & {*report.kinds}, report.text
