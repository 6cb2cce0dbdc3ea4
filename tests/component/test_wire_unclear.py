"""Sales while DynamoDB throttles or does not answer: what is not done, or unclear, is never taken for a full cap, and
what an attempt that died left stands in nobody's way."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from shared.domain.caps import Cap
from shared.domain.models import DAY
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.dynamo import Dynamo
from shared.store.pings import CLAIM_SECONDS
from tests.build import CALLER, SETTINGS, Answer, Publisher, Stage, a_buyer, a_pool, an_endpoint

Wanted = Callable[[dict[str, Any]], bool]


class Failing(Dynamo):
    """The writes that are `wanted` come to nothing: surely (`not_done`), or until they are delivered."""

    def __init__(self, stage: Stage, wanted: Wanted, not_done: bool = False) -> None:
        super().__init__(stage.client, SETTINGS)
        self.wanted, self.not_done = wanted, not_done
        self.late: list[Callable[[], Any]] = []

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        if method.__name__ == "update_item" and self.wanted(request):
            self.late.append(partial(method, **request))
            raise TemporarilyUnavailable(not_done=self.not_done)
        return super().send(method, sendings, *args, **request)


class Twice(Failing):
    """What goes through arrives once more with the rest: all that was asked of the ping, in its order."""

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        if request.get("TableName") == SETTINGS.pings_table and "UpdateExpression" in request:
            self.late.append(partial(method, **request))
        return super().send(method, sendings, *args, **request)


def counts_of(*buyer_ids: int) -> Wanted:
    keys = [{"S": f"B{buyer_id}"} for buyer_id in buyer_ids]
    return lambda request: request["Key"].get("pk") in keys


def records(request: dict[str, Any]) -> bool:
    return ":sale" in request.get("ExpressionAttributeValues", {})


CAPS = (Cap("sales", 9, "total"), Cap("concurrent", 9, endpoint="my_endpoint"))


def two_buyers(stage: Stage, **second: Any) -> None:
    buyers = (a_buyer(id=1, caps=CAPS), a_buyer(**{"id": 2, "bid_cents": 100} | second))
    stage.publish(an_endpoint(buyers=buyers, pool=a_pool(20)))


def post(publisher: Publisher, dynamo: Dynamo, **sent: Any) -> Answer:
    return publisher.send("post", world=publisher.stage.world_over(dynamo), json_body={"caller_id": CALLER} | sent)


@pytest.mark.parametrize("named", [True, False])
def test_a_count_that_is_not_done_is_no_full_cap(stage: Stage, publisher: Publisher, named: bool) -> None:
    """It sold to the lower bidder, or said `buyer_unavailable` for good."""
    two_buyers(stage)
    ping = publisher.ping().body
    ping_id = ping["buyers"][0]["ping_id"] if named else ping["try_all_buyers_ping_id"]
    answer = post(publisher, Failing(stage, counts_of(1), not_done=True), ping_id=ping_id)
    assert (answer.code, answer.body["status"]) == (503, "temporarily_unavailable")
    stage.clock.forward(CLAIM_SECONDS)
    assert publisher.post(ping_id=ping_id, caller_id=CALLER).body["buyer_id"] == 1


def test_an_unclear_count_means_no_place_among_several_buyers(stage: Stage, publisher: Publisher) -> None:
    two_buyers(stage)
    ping_id = publisher.ping().body["try_all_buyers_ping_id"]
    assert post(publisher, Failing(stage, counts_of(1)), ping_id=ping_id).body["buyer_id"] == 2


@pytest.mark.parametrize("at_once", [True, False])
def test_where_the_only_buyers_count_is_unclear_nothing_final_is_said(
    stage: Stage, publisher: Publisher, at_once: bool
) -> None:
    two_buyers(stage, caps=CAPS)
    ping = publisher.ping().body
    named, failing = {"ping_id": ping["buyers"][0]["ping_id"]}, Failing(stage, counts_of(1, 2))
    answer = post(publisher, failing, **({} if at_once else named))
    assert (answer.code, answer.body["status"]) == (503, "temporarily_unavailable")
    stage.clock.forward(CLAIM_SECONDS)
    assert post(publisher, Dynamo(stage.client, SETTINGS), **({} if at_once else named)).body["buyer_id"] == 1


@pytest.mark.parametrize("not_done", [True, False])
def test_where_the_endpoints_count_fails_the_buyers_own_is_given_back(
    stage: Stage, publisher: Publisher, not_done: bool
) -> None:
    two_buyers(stage)
    named = publisher.ping().body["buyers"][0]["ping_id"]
    here = {"S": "CAPS@my_endpoint"}
    failing = Failing(stage, lambda request: request["Key"].get("sk") == here, not_done)
    assert post(publisher, failing, ping_id=named).code == 503
    assert stage.world().counters.counts([(1, "")], stage.clock() + 2) == {1: {"sales-total-0": 0}}


@pytest.mark.parametrize("not_done", [True, False])
def test_what_was_counted_is_given_back_where_the_caller_cannot_be_marked(
    stage: Stage, publisher: Publisher, not_done: bool
) -> None:
    stage.publish(an_endpoint(buyers=(a_buyer(caps=CAPS),), duplicate_seconds=DAY))
    ping_id = publisher.ping().body["try_all_buyers_ping_id"]
    failing = Failing(stage, lambda request: request["TableName"] == SETTINGS.callers_table, not_done)
    assert post(publisher, failing, ping_id=ping_id).code == 503
    counted = stage.world().counters.counts([(1, ""), (1, "my_endpoint")], stage.clock() + 2)
    assert counted == {1: {"sales-total-0": 0, "concurrent@my_endpoint": 0}}


@pytest.mark.parametrize("not_done", [True, False])
def test_what_was_counted_is_given_back_only_where_the_sale_is_surely_not_recorded(
    stage: Stage, publisher: Publisher, not_done: bool
) -> None:
    stage.publish(an_endpoint(buyers=(a_buyer(caps=CAPS),), duplicate_seconds=DAY))
    ping_id = publisher.ping().body["try_all_buyers_ping_id"]
    assert post(publisher, Failing(stage, records, not_done), ping_id=ping_id).code == 503
    counted = stage.world().counters.counts([(1, "")], stage.clock() + 2)
    assert counted == {1: {"sales-total-0": 0 if not_done else 1}}


def test_a_sale_that_is_recorded_late_is_none_once_its_caller_was_sold_by_another_ping(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint(duplicate_seconds=DAY))
    died, sold = (publisher.ping().body["try_all_buyers_ping_id"] for _ in range(2))
    failing = Twice(stage, records)
    assert post(publisher, failing, ping_id=died).code == 503
    stage.clock.forward(CLAIM_SECONDS + 1)
    assert publisher.post(ping_id=sold, caller_id=CALLER).body["success"]
    assert len(failing.late) > 1
    for arrives in failing.late:
        with suppress(stage.client.exceptions.ConditionalCheckFailedException):
            arrives()
    assert stage.kept(died).sale is None
    assert publisher.post(ping_id=died, caller_id=CALLER).body["status"] == "duplicate_caller"


def test_an_attempt_that_died_is_not_abandoned_while_it_may_live_or_once_it_sold(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint())
    ping_id, pings = publisher.ping().body["try_all_buyers_ping_id"], stage.world().pings
    [item] = stage.client.scan(TableName="pings")["Items"]
    key, now = item["ping_id"]["B"], stage.clock()
    assert pings.abandon(key, now).name == "FREE"  # nobody ever worked on it, nor is it marked
    assert "claim" not in stage.client.get_item(TableName="pings", Key={"ping_id": {"B": key}})["Item"]
    assert pings.claim(key, b"an attempt", a_pool().terms, now).state.name == "FREE"
    assert pings.abandon(key, now + CLAIM_SECONDS - 1).name == "CLAIMED"
    assert pings.abandon(key, now + CLAIM_SECONDS).name == "FREE"
    assert pings.claim(key, b"another one", a_pool().terms, now + CLAIM_SECONDS).taken_over
    stage.clock.forward(2 * CLAIM_SECONDS)
    assert publisher.post(ping_id=ping_id, caller_id=CALLER).body["success"]
    assert pings.abandon(key, stage.clock()).name == "SOLD"
    assert pings.abandon(b"unknown", now).name == "UNKNOWN"
