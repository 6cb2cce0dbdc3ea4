"""Shared numbers: a few numbers for all callers, each leased to a caller by a route."""

from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.keys import Key, route_keys
from shared.domain.models import User
from shared.domain.refusals import TemporarilyUnavailable
from shared.domain.tracking import SharedTracking
from shared.store.pings import CLAIM_SECONDS
from shared.store.routes import MARK_SECONDS
from tests.build import BUYERS, CALLER, START, Counting, Publisher, Stage, a_buyer, an_endpoint
from tests.component.test_wire_sandbox import sandbox

NUMBERS = ("+18005550101", "+18005550102", "+18005550103")
OTHER_CALLER = "+16145550124"
ORDER = SharedTracking(shared=NUMBERS).numbers_of(CALLER, 3)
"""In which the one caller gets them."""


@pytest.fixture(autouse=True)
def _a_shared_endpoint(stage: Stage) -> None:
    stage.publish(an_endpoint(shared_numbers=NUMBERS))


def pinged(publisher: Publisher, **sent: Any) -> str:
    return str(publisher.ping(**sent).body["try_all_buyers_ping_id"])


def sold_number(answer: Any) -> str:
    return f"+{answer.body['trackdrive_number']}"


def test_each_sale_of_a_caller_gets_a_number_that_the_caller_does_not_hold(stage: Stage, publisher: Publisher) -> None:
    for verb, number in zip(("post", "full", "full"), ORDER, strict=True):
        sent = {"ping_id": pinged(publisher)} if verb == "post" else {"traffic_source_id": number[-4:]}
        answer = publisher.send(verb, json_body={"caller_id": CALLER, **sent})
        assert sold_number(answer) == number
        route = stage.route(number)
        assert route
        assert (route.buyer_id, route.number, route.held_until) == (1, "+18005550181", START + 300)
    stage.clock.forward(10)
    refused = publisher.post(ping_id=pinged(publisher), caller_id=CALLER).body
    assert (refused["status"], refused["retry_after_seconds"]) == ("no_number_available", 290)
    stage.clock.forward(290)
    assert sold_number(publisher.post(ping_id=pinged(publisher), caller_id=CALLER)) == ORDER[0]


def test_a_post_without_a_ping_sells(publisher: Publisher) -> None:
    assert sold_number(publisher.post(caller_id=CALLER)) == ORDER[0]


def test_other_callers_have_the_numbers_meanwhile_and_all_are_used(stage: Stage, publisher: Publisher) -> None:
    callers = [f"+1614555{last:04}" for last in range(100, 130)]
    sold = [sold_number(publisher.full(caller_id=caller)) for caller in callers]
    assert {*sold} == {*NUMBERS}
    assert all(stage.route(number, caller) for number, caller in zip(sold, callers, strict=True))
    assert stage.route(sold[0], callers[1]) is None or sold[0] == sold[1]


def test_a_caller_holds_no_more_than_it_may(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(shared_numbers=NUMBERS, leases_per_caller=2, version=2))
    sold = [sold_number(publisher.post(ping_id=pinged(publisher), caller_id=CALLER)) for _ in range(2)]
    assert sold == ORDER[:2]
    refused = publisher.post(ping_id=pinged(publisher), caller_id=CALLER).body
    assert (refused["status"], refused["retry_after_seconds"]) == ("too_many_leases", 300)
    assert publisher.post(ping_id=pinged(publisher), caller_id=OTHER_CALLER).body["success"]


def test_a_number_more_changes_one_place_of_a_callers_order() -> None:
    more = SharedTracking(shared=(*NUMBERS, "+18005550104")).numbers_of(CALLER, 4)
    assert [number for number in more if number in NUMBERS] == ORDER


@pytest.mark.parametrize("verb", ["post", "full"])
def test_a_post_has_to_bring_the_caller(publisher: Publisher, verb: str) -> None:
    sent = {"ping_id": pinged(publisher, caller_id=CALLER)} if verb == "post" else {}
    answer = publisher.send(verb, json_body=sent)
    assert (answer.code, [*answer.body["errors"]]) == (422, ["caller_id"])


def test_a_number_that_a_lead_names_is_not_looked_at(publisher: Publisher) -> None:
    answer = publisher.full(caller_id=CALLER, trackdrive_number="+18005550199")
    assert sold_number(answer) == ORDER[0]


def test_the_same_post_has_the_same_answer_and_one_number(stage: Stage, publisher: Publisher) -> None:
    ping_id = pinged(publisher)
    first = publisher.post(ping_id=ping_id, caller_id=CALLER)
    after = stage.contents()
    assert publisher.post(ping_id=ping_id, caller_id=CALLER).text == first.text
    assert stage.contents() == after


def test_a_ping_leaves_no_route_and_a_refused_post_neither(stage: Stage, publisher: Publisher) -> None:
    ping_id = pinged(publisher, caller_id=CALLER)
    stage.publish(an_endpoint(shared_numbers=NUMBERS, version=2, buyers=tuple(a_buyer(paused=True) for _ in BUYERS)))
    stage.clock.forward(6)
    assert publisher.post(ping_id=ping_id, caller_id=CALLER).body["status"] == "no_matching_buyer"
    assert [stage.route(number) for number in NUMBERS] == [None, None, None]


def test_other_users_sales_of_a_caller_take_numbers_of_their_own(stage: Stage, publisher: Publisher) -> None:
    users = (User("acme", "publisher"), User("brook", "publisher"))
    stage.publish(an_endpoint(shared_numbers=NUMBERS, users=users, vanity_uri="other"))
    for user, number in zip(("acme", "brook"), ORDER, strict=False):
        stage.give_token(f"of {user}", user)
        answer = publisher.full("other", caller_id=CALLER, auth_token=f"of {user}")
        assert sold_number(answer) == number


def test_claim_lease_and_sale_are_three_calls(stage: Stage, publisher: Publisher) -> None:
    ping_id = pinged(publisher)
    dynamo = Counting(stage.client, stage.settings)
    publisher.send("post", json_body={"ping_id": ping_id, "caller_id": CALLER}, world=stage.world_over(dynamo))
    assert dynamo.calls == 3


class Dying(Counting):
    """Its function dies at the record of the sale."""

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        if "sale" in request.get("ExpressionAttributeNames", {}).values():
            raise TemporarilyUnavailable
        return super().send(method, sendings, *args, **request)


def test_a_take_over_keeps_the_number_of_the_dead_attempt(stage: Stage, publisher: Publisher) -> None:
    """Also where the caller's first number has come free meanwhile."""
    first = publisher.post(ping_id=pinged(publisher), caller_id=CALLER)
    assert sold_number(first) == ORDER[0]
    stage.clock.forward(290)
    ping_id = pinged(publisher)
    dying = stage.world_over(Dying(stage.client, stage.settings))
    sent = {"ping_id": ping_id, "caller_id": CALLER}
    assert publisher.send("post", json_body=sent, world=dying).code == 503
    stage.clock.forward(CLAIM_SECONDS)
    assert sold_number(publisher.post(**sent)) == ORDER[1]
    assert stage.route(ORDER[0]) is None


def test_a_refusal_after_a_take_over_gives_the_number_back(stage: Stage, publisher: Publisher) -> None:
    ping_id = pinged(publisher)
    dying = stage.world_over(Dying(stage.client, stage.settings))
    sent = {"ping_id": ping_id, "caller_id": CALLER}
    assert publisher.send("post", json_body=sent, world=dying).code == 503
    stage.publish(an_endpoint(shared_numbers=NUMBERS, version=2, buyers=tuple(a_buyer(paused=True) for _ in BUYERS)))
    stage.clock.forward(CLAIM_SECONDS)
    assert publisher.post(**sent).body["status"] == "no_matching_buyer"
    stage.publish(an_endpoint(shared_numbers=NUMBERS, version=3))
    stage.clock.forward(6)
    assert sold_number(publisher.full(caller_id=CALLER)) == ORDER[0]


def test_while_keys_rotate_no_number_is_half_leased(stage: Stage, publisher: Publisher) -> None:
    """A process that knows only the newer key has leased the first number, and then comes one that knows both."""
    [older], newer = stage.keys.sales, Key(2, b"newer")
    stage.keys = replace(stage.keys, sales=(newer,))
    assert sold_number(publisher.full(caller_id=CALLER)) == ORDER[0]
    stage.keys = replace(stage.keys, sales=(older, newer))
    assert sold_number(publisher.full(caller_id=CALLER, traffic_source_id="another")) == ORDER[1]
    stage.keys = replace(stage.keys, sales=(older,))
    assert [stage.route(number) is None for number in ORDER] == [True, False, True]


def test_a_late_call_finds_the_route_for_a_day(stage: Stage, publisher: Publisher) -> None:
    publisher.full(caller_id=CALLER)
    keys, routes = route_keys(stage.keys, ORDER[0], CALLER), stage.world().routes
    stage.clock.forward(300 + MARK_SECONDS - 1)
    assert routes.of_call(keys, stage.clock()) == []
    [route] = routes.of_call(keys, stage.clock() - MARK_SECONDS)
    assert (route.buyer_id, route.held_until) == (1, START + 300)
    stage.clock.forward(1)
    assert routes.of_call(keys, stage.clock() - MARK_SECONDS) == []


def test_a_route_ends_early_for_its_own_ping_and_never_later_than_it_was(stage: Stage, publisher: Publisher) -> None:
    publisher.full(caller_id=CALLER)
    keys, routes = route_keys(stage.keys, ORDER[0], CALLER), stage.world().routes
    [route] = routes.of_call(keys, START)
    for ping_id, until, ends in (
        (b"of another", START + 60, START + 300),
        (route.ping_id, START + 400, START + 300),
        (route.ping_id, START + 60, START + 60),
        (route.ping_id, START + 90, START + 60),
    ):
        routes.end(keys, ping_id, until, START)
        assert [route.held_until for route in routes.of_call(keys, START)] == [ends]
    stage.clock.forward(60)
    assert sold_number(publisher.full(caller_id=CALLER, traffic_source_id="another")) == ORDER[0]
    routes.end(keys, route.ping_id, START + 61, START + 60)
    [later] = routes.of_call(keys, START + 60)
    assert (later.ping_id == route.ping_id, later.held_until) == (False, START + 360)


def test_the_sandbox_leases_made_up_numbers_to_each_caller(stage: Stage) -> None:
    answers = [
        sandbox(stage, "full", caller_id=CALLER, traffic_source_id=str(place)).body for place in range(len(NUMBERS) + 1)
    ]
    assert answers[-1]["status"] == "no_number_available"
    assert {answer["trackdrive_number"] for answer in answers[:-1]} == {"15555550100", "15555550101", "15555550102"}
    assert [stage.route(number) for number in NUMBERS] == [None, None, None]
