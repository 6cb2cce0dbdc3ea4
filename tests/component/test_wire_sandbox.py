"""The sandbox: PING, POST and FULL of an endpoint's sandbox. The wire is the same, and nothing real is touched."""

from functools import partial
from typing import Any

import pytest

from shared import flows
from shared.domain.caps import Cap
from shared.domain.models import Limit, User
from shared.publishers import requests, webhooks
from tests.build import CALLER, REQUEST_ID, Answer, Publisher, Scripted, Stage, a_buyer, an_endpoint, an_event
from tests.component.test_wire_rules import suppress
from tests.unit.test_sandbox import LIVE

NUMBERS = {f"1555555{last:04}" for last in range(100, 136)}


def sandbox(stage: Stage, verb: str, uri: str = "my_endpoint", **sent: Any) -> Answer:
    """As `functions.sandbox` does."""
    outside = an_event(json_body=sent, path=f"/sandbox/api/v1/inbound_webhooks/{verb}/{uri}")
    event, asked = requests.to_sandbox(outside)
    world = stage.world().of_sandbox()
    found = webhooks.serve(event, REQUEST_ID, asked, world.endpoint, partial(getattr(flows, asked), world))
    return Answer(found["statusCode"], found["headers"], found["body"])


def test_a_sale_of_the_sandbox_is_like_a_real_one_and_marked(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    priced = sandbox(stage, "ping", caller_id=CALLER).body
    assert priced["sandbox"] is True
    sold = sandbox(stage, "post", caller_id=CALLER, ping_id=priced["buyers"][0]["ping_id"])
    real = publisher.post(caller_id=CALLER, ping_id=publisher.ping().body["buyers"][0]["ping_id"]).body
    assert sold.body.keys() == real.keys() | {"sandbox"}
    assert sold.body["trackdrive_number"] in NUMBERS
    assert sandbox(stage, "post", caller_id=CALLER, ping_id=priced["buyers"][0]["ping_id"]).text == sold.text
    refused = sandbox(stage, "post", caller_id=CALLER, ping_id=priced["try_all_buyers_ping_id"]).body
    assert (refused["status"], refused["sandbox"]) == ("ping_id_used", True)


def test_post_only_and_full_sell_in_the_sandbox(stage: Stage) -> None:
    stage.publish(an_endpoint())
    for verb, caller in (("post", "+16145550124"), ("full", "+16145550125")):
        sold = sandbox(stage, verb, caller_id=caller)
        assert sold.body["trackdrive_number"] in NUMBERS
        assert sandbox(stage, verb, caller_id=caller).text == sold.text


def test_ids_of_one_are_unknown_to_the_other(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    for_real, for_test = (
        answer.body["try_all_buyers_ping_id"] for answer in (publisher.ping(), sandbox(stage, "ping"))
    )
    assert publisher.post(caller_id=CALLER, ping_id=for_test).body["status"] == "ping_id_unknown"
    assert sandbox(stage, "post", caller_id=CALLER, ping_id=for_real).body["status"] == "ping_id_unknown"


def test_the_sandbox_leases_no_number_counts_no_cap_and_remembers_no_caller(stage: Stage, publisher: Publisher) -> None:
    capped = a_buyer(caps=(Cap("sales", 1, "total"), Cap("concurrent", 1)), duplicate_seconds=3600)
    stage.publish(an_endpoint(buyers=(capped,), duplicate_seconds=3600))
    before = stage.contents()
    for caller in (CALLER, CALLER, "+16145550124"):
        stage.clock.forward(301)
        assert sandbox(stage, "full", caller_id=caller).body["success"]
    assert stage.contents() == before
    assert stage.contents(stage.settings.of_sandbox())[stage.settings.sandbox_callers_table] == []
    assert publisher.full(caller_id=CALLER).body["success"]
    assert publisher.full(caller_id="+16145550124").body["status"] == "no_matching_buyer"


def test_the_sandbox_does_not_say_who_is_suppressed(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(suppression=("dnc",)))
    suppress(stage, "dnc", CALLER)
    assert publisher.ping(caller_id=CALLER).body["status"] == "caller_number_suppressed"
    assert sandbox(stage, "ping", caller_id=CALLER).body["success"]


def test_no_live_buyer_is_asked(stage: Stage) -> None:
    stage.send = Scripted()
    stage.publish(an_endpoint(buyers=(a_buyer(bid_cents=0, live=LIVE),)))
    assert sandbox(stage, "full", caller_id=CALLER).body["buyers"][0]["bid"] == 10.0
    assert stage.send.told == []


def test_the_route_of_a_static_number_stays_with_the_real_sale(stage: Stage) -> None:
    number = "+18005550170"
    stage.publish(an_endpoint(static_numbers={number: "1023"}))
    priced = sandbox(stage, "ping", trackdrive_number=number, caller_id=CALLER).body
    sold = sandbox(stage, "post", ping_id=priced["try_all_buyers_ping_id"], caller_id=CALLER).body
    assert sold["trackdrive_number"] == number.removeprefix("+")
    assert stage.route(number) is None


def test_a_token_is_needed_where_the_endpoint_needs_one(stage: Stage) -> None:
    stage.publish(an_endpoint(require_auth_token=True, users=(User("acme", "publisher"),)))
    stage.give_token("secret", "acme")
    assert sandbox(stage, "ping").code == 401
    assert sandbox(stage, "ping", auth_token="secret").code == 200


def test_limits_of_the_sandbox_are_counted_apart(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(limits=(Limit("endpoint", pings=1),)))
    assert [sandbox(stage, "ping").code for _ in range(2)] == [200, 429]
    assert publisher.ping().code == 200


def test_a_change_of_the_pools_times_is_another_ring(stage: Stage) -> None:
    stage.publish(an_endpoint())
    assert sandbox(stage, "full", caller_id=CALLER).body["success"]
    endpoint = an_endpoint(version=2)
    assert endpoint.pool
    stage.publish(an_endpoint(version=2, pool=type(endpoint.pool)(**{**_fields(endpoint.pool), "hold_seconds": 600})))
    stage.clock.forward(3600)
    assert sandbox(stage, "full", caller_id="+16145550124").body["success"]


def _fields(pool: Any) -> dict[str, Any]:
    return {name: getattr(pool, name) for name in pool.__struct_fields__}


@pytest.mark.parametrize("path", ["/sandbox/api/v1/inbound_webhooks/buy/my_endpoint", "/sandbox/", "/sandbox/ping"])
def test_other_paths_are_unknown(stage: Stage, path: str) -> None:
    stage.publish(an_endpoint())
    event, verb = requests.to_sandbox(an_event(path=path))
    world = stage.world().of_sandbox()
    answer = webhooks.serve(event, REQUEST_ID, verb, world.endpoint, partial(flows.ping, world))
    assert answer["statusCode"] == 404


def test_an_endpoint_that_is_not_there_has_no_twin(stage: Stage) -> None:
    assert sandbox(stage, "ping", "elsewhere").body["status"] == "unknown_endpoint"
