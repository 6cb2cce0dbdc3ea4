"""The consumer of the stream dies at any of its calls, while sales are being made on real engines: in the end the rows
are what the items say."""

from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.race.consumers import CALLS, WRITES, Consumers, Fate, a_stage, count_items, count_rows, play

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ENOUGH_TO_MEET_ALL, ENOUGH_TO_CATCH_A_BUG = 12, 60
"""Rounds."""
EVERYWHERE = {(call, fate) for call, fate in product(CALLS, Fate) if call in WRITES or fate is not Fate.IS_LATE}


def test_whenever_the_consumer_dies_the_rows_are_what_the_items_say(client: "DynamoDBClient") -> None:
    met, split, repeated = set[tuple[str, Fate]](), 0, 0
    for seed in range(ENOUGH_TO_MEET_ALL):
        stage = a_stage(client)
        consumers = Consumers(stage, Random(seed))
        play(stage, consumers)
        found = count_items(stage)
        assert count_rows(stage) == found, seed
        assert min(found) > 0
        met |= {*consumers.mortal.met}
        split, repeated = split + consumers.split, repeated + consumers.repeated
        if met == EVERYWHERE:
            break
    assert met == EVERYWHERE
    assert min(split, repeated) > 10


def write_always(operation: str, request: dict[str, Any]) -> None:
    if operation == "put_item":
        for name in ("ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"):
            del request[name]


def write_once(operation: str, request: dict[str, Any]) -> None:
    if operation == "put_item":
        request["ConditionExpression"] = "attribute_not_exists(pk)"
        del request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]


@pytest.mark.parametrize(
    "bug",
    [{"mutate": write_always}, {"mutate": write_once}, {"acknowledges_early": True}],
    ids=["a page is written over by a shorter one", "a longer page is not written", "a batch is done before its pages"],
)
def test_a_consumer_with_a_bug_is_caught(dynoxide: "DynamoDBClient", bug: dict[str, Any]) -> None:
    for seed in range(ENOUGH_TO_CATCH_A_BUG):
        stage = a_stage(dynoxide)
        play(stage, Consumers(stage, Random(seed), **bug))
        if count_rows(stage) != count_items(stage):
            return
    pytest.fail("no count differs")
