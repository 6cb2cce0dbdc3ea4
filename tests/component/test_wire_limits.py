"""Limits by the minute: a user whatever source it names, a source within its user, an address only without a token."""

from functools import partial
from typing import Any

import pytest

from shared import flows
from shared.domain import limits
from shared.domain.models import Limit, LimitOf, User
from shared.publishers import webhooks
from tests.build import CALLER, REQUEST_ID, SETTINGS, Counting, Publisher, Stage, a_pool, an_endpoint, an_event

USERS = (User("acme", "publisher", ("1023", "1024")), User("bolt", "publisher"))


def a_limited(stage: Stage, *limited: Limit, **overrides: Any) -> None:
    values = {"users": USERS, "limits": limited, "pool": a_pool(36)}
    stage.publish(an_endpoint(**values | overrides))
    for user in USERS:
        stage.give_token(user.name, user.name, "post")


def codes(publisher: Publisher, uri: str = "my_endpoint", **sent: Any) -> list[int]:
    """One PING for each value of the one name that has several."""
    [(name, values)] = [(name, value) for name, value in sent.items() if isinstance(value, list)]
    others = {name: value for name, value in sent.items() if not isinstance(value, list)}
    return [publisher.ping(uri, **{name: value}, **others).code for value in values]


@pytest.mark.parametrize("of", ["user", "endpoint"])
def test_a_user_is_counted_whatever_source_it_names(stage: Stage, publisher: Publisher, of: Any) -> None:
    a_limited(stage, Limit(of, pings=2))
    assert codes(publisher, auth_token="acme", traffic_source_id=["1023", "1024", "1023", ""]) == [200, 200, 429, 429]
    assert codes(publisher, auth_token="bolt", traffic_source_id=["a", "b", "c"]) == [200, 200, 429]


def test_a_source_is_counted_within_its_user(stage: Stage, publisher: Publisher) -> None:
    a_limited(stage, Limit("user", pings=3), Limit("traffic_source", pings=1))
    sources = ["1023", "1023", "1024", "1024", "", ""]
    assert codes(publisher, auth_token="acme", traffic_source_id=sources) == [200, 429, 200, 429, 200, 429]
    stage.clock.forward(60)
    assert codes(publisher, auth_token="acme", traffic_source_id=["1023"]) == [200]


def test_what_a_source_is_refused_costs_its_user_nothing(stage: Stage, publisher: Publisher) -> None:
    a_limited(stage, Limit("user", pings=2), Limit("traffic_source", pings=1))
    assert codes(publisher, auth_token="acme", traffic_source_id=[*["1023"] * 5, "1024"])[-1] == 200


def test_a_user_without_sources_of_its_own_is_one_source(stage: Stage, publisher: Publisher) -> None:
    a_limited(stage, Limit("traffic_source", pings=1))
    assert codes(publisher, auth_token="bolt", traffic_source_id=["a", "b"]) == [200, 429]


@pytest.mark.parametrize("of", ["user", "endpoint", "traffic_source", "source_address"])
def test_nobody_uses_up_what_another_has(stage: Stage, publisher: Publisher, of: Any) -> None:
    a_limited(stage, Limit(of, pings=1))
    strangers = [publisher.ping().code for _ in range(2)]
    assert strangers == [200, 200 if of == "user" else 429]
    assert codes(publisher, auth_token=["acme", "bolt"], traffic_source_id="") == [200, 200]


@pytest.mark.parametrize("of", ["endpoint", "source_address", "traffic_source"])
def test_without_a_token_an_address_is_counted(stage: Stage, publisher: Publisher, of: Any) -> None:
    a_limited(stage, Limit(of, pings=1))

    def ping(address: str, source: str = "") -> int:
        request = {"json_body": {"traffic_source_id": source}}
        return _from(publisher, address, **request)

    assert [ping("192.0.2.1"), ping("192.0.2.1"), ping("192.0.2.2")] == [200, 429, 200]
    assert [ping("2001:db8::1"), ping("2001:db8::2"), ping("2001:db8:0:1::1")] == [200, 429, 200]
    assert ping("192.0.2.1", "another") == (200 if of == "traffic_source" else 429)


def _from(publisher: Publisher, address: str, **sent: Any) -> int:
    event = an_event("ping", **sent)
    event["requestContext"]["http"]["sourceIp"] = address
    world = publisher.stage.world()
    code: int = webhooks.serve(event, REQUEST_ID, "ping", world.endpoint, partial(flows.ping, world))["statusCode"]
    return code


def test_with_a_token_no_address_is_counted(stage: Stage, publisher: Publisher) -> None:
    a_limited(stage, Limit("source_address", pings=1))
    assert codes(publisher, auth_token=["acme"] * 4) == [200] * 4


@pytest.mark.parametrize("of", ["user", "endpoint", "traffic_source", "source_address"])
@pytest.mark.parametrize("token", ["acme", ""])
def test_each_endpoint_counts_for_itself(stage: Stage, publisher: Publisher, of: Any, token: str) -> None:
    a_limited(stage, Limit(of, pings=1))
    a_limited(stage, Limit(of, pings=1), vanity_uri="other", pool=a_pool(36, no=2))
    for uri in ("my_endpoint", "other"):
        assert publisher.ping(uri, auth_token=token).code == 200


def test_of_several_limits_of_one_kind_the_smallest_holds(stage: Stage, publisher: Publisher) -> None:
    a_limited(stage, Limit("endpoint", pings=3), Limit("user", pings=1, posts=9))
    assert codes(publisher, auth_token="acme", traffic_source_id=["1023", "1024"]) == [200, 429]
    full = {"auth_token": "bolt", "caller_id": CALLER}
    assert [publisher.full(**full).code, publisher.ping(auth_token="bolt").code] == [200, 429]


@pytest.mark.parametrize(("token", "items"), [("acme", 1), ("bolt", 1), ("", 2)])
def test_each_item_is_one_write_unit(stage: Stage, publisher: Publisher, token: str, items: int) -> None:
    """One for a user; one for an address, and one for a source that comes without a token."""
    kinds: tuple[LimitOf, ...] = ("endpoint", "user", "traffic_source", "source_address")
    a_limited(stage, *(Limit(of, 1000, 1000) for of in kinds))
    a_limited(stage, vanity_uri="free")
    publisher.ping(auth_token=token)

    def calls(uri: str) -> int:
        dynamo = Counting(stage.client, SETTINGS)
        world = stage.world_over(dynamo)
        world.endpoint(uri)
        before = dynamo.calls
        assert publisher.send("ping", uri, world=world, json_body={"auth_token": token}).code == 200
        return dynamo.calls - before

    assert calls("my_endpoint") - calls("free") == items


def test_forty_five_sources_of_a_user_fit_one_write_unit(stage: Stage) -> None:
    sources = tuple(f"a source with a long name, {n}" for n in range(45))
    user = User("acme", "publisher", sources)
    endpoint = an_endpoint(users=(user,), limits=(Limit("user", 9999, 9999), Limit("traffic_source", 999, 999)))
    callers = stage.world().callers
    for source in sources:
        for count in limits.counts(endpoint, user, "192.0.2.1", source, {"pings", "posts"}):
            callers.count_request(count.scope, count.value, count.most, stage.clock())
    [item] = stage.client.scan(TableName=SETTINGS.callers_table)["Items"]
    sizes = [len(name) + len(value.get("B", b"")) + len(value.get("N", "")) // 2 + 1 for name, value in item.items()]
    assert len(item) == 2 + 2 + 2 * 45
    assert sum(sizes) <= 1024
