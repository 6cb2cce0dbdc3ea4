"""What PING, POST and FULL write, over an engine that counts: how often, how much, and to which tables."""

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

import msgspec
import pytest

from bench.counted import Call, Counted
from shared.domain.caps import Cap
from shared.domain.models import User
from shared.store.dynamo import Dynamo
from tests.build import BUYERS, CALLER, SETTINGS, Publisher, Stage, a_buyer, a_pool, an_endpoint
from tests.component.test_wire_rules import suppress

LEAD_BYTES = 460
OTHER = "+16145550124"
STATIC_NUMBER = "+18005550170"
CAPS = (Cap("sales", 100, "hour"), Cap("sales", 100, "day"), Cap("revenue", 10**6, "month"), Cap("concurrent", 20))
SETTINGS_OF_A_SELLER = replace(SETTINGS, journal_table="")
"""As the stack gives them to the functions that publishers call."""
PINGS, LEASES, CALLERS = SETTINGS.pings_table, SETTINGS.leases_table, SETTINGS.callers_table


class Market:
    """Endpoints whose requests are sent by a function of publishers, and what each of them writes."""

    def __init__(self, stage: Stage) -> None:
        capped = tuple(msgspec.structs.replace(buyer, caps=CAPS) for buyer in BUYERS)
        windowed = tuple(msgspec.structs.replace(buyer, duplicate_seconds=3600) for buyer in capped)
        stage.publish(
            an_endpoint(pool=a_pool(100)),
            an_endpoint(vanity_uri="static", static_numbers={STATIC_NUMBER: "1023"}),
            an_endpoint(vanity_uri="empty", buyers=(a_buyer(paused=True),)),
            an_endpoint(vanity_uri="capped", pool=a_pool(100, no=2), buyers=capped),
            an_endpoint(vanity_uri="ruled", pool=a_pool(100, no=3), buyers=windowed, suppression=("dnc",)),
            an_endpoint(vanity_uri="tiny", pool=a_pool(1, no=4)),
            an_endpoint(vanity_uri="with-caller", require_caller_id=True),
        )
        self.stage = stage
        self.publisher = Publisher(stage)
        self.tables = set[str]()

    def send(self, verb: str, uri: str = "my_endpoint", **sent: Any) -> tuple[dict[str, Any], list[Call]]:
        """The answer, and the writes of the request."""
        counted = Counted(self.stage.client, SETTINGS_OF_A_SELLER)
        answer = self.publisher.send(verb, uri, world=self.stage.world_over(counted), json_body=sent)
        self.tables |= {call.table for call in counted.trace}
        return answer.body, [call for call in counted.trace if call.writes]

    def ping(self, uri: str = "my_endpoint", **sent: Any) -> tuple[dict[str, Any], list[Call]]:
        """A PING and what its POST needs."""
        body, written = self.send("ping", uri, **sent)
        kept: dict[str, Any] = {name: sent[name] for name in ("caller_id", "trackdrive_number") if name in sent}
        return {**kept, "ping_id": body.get("try_all_buyers_ping_id", "")}, written


@pytest.fixture
def market(fast_stage: Stage) -> Market:
    return Market(fast_stage)


def a_lead(**more: str) -> dict[str, str]:
    """One that takes so many bytes once it is compressed, because nothing in it repeats."""
    lead = {"caller_id": CALLER, **more}
    while len(zlib.compress(msgspec.msgpack.encode(lead))) < LEAD_BYTES:
        lead[f"field_{len(lead):02}"] = os.urandom(20).hex()
    return lead


def targets(written: list[Call]) -> list[str]:
    return [call.table for call in written]


def units(written: list[Call]) -> float:
    return sum(call.units for call in written)


@pytest.mark.parametrize("uri", ["my_endpoint", "capped", "ruled", "empty"])
def test_a_ping_is_one_put_also_if_nobody_wants_it(market: Market, uri: str) -> None:
    _, written = market.ping(uri, **a_lead())
    assert [(call.method, call.table, call.units) for call in written] == [("put_item", PINGS, 1)]


def test_a_ping_to_a_static_number_leaves_a_route_as_well(market: Market) -> None:
    _, written = market.ping("static", **a_lead(trackdrive_number=STATIC_NUMBER))
    assert (targets(written), units(written)) == ([PINGS] * 2, 2)


def test_a_post_writes_claim_lease_and_sale(market: Market) -> None:
    post, _ = market.ping(**a_lead())
    body, written = market.send("post", **post)
    assert body["success"]
    assert (targets(written), units(written)) == ([PINGS, LEASES, PINGS], 3)


def test_caps_are_a_write_more(market: Market) -> None:
    for _ in range(5):  # so that its buyer has places and periods that are counted
        market.send("post", "capped", **market.ping("capped", **a_lead())[0])
    post, _ = market.ping("capped", **a_lead())
    body, written = market.send("post", "capped", **post)
    assert body["success"]
    assert (targets(written), units(written)) == ([PINGS, LEASES, LEASES, PINGS], 4)


def test_a_window_marks_the_caller(market: Market) -> None:
    post, _ = market.ping("ruled", **a_lead())
    body, written = market.send("post", "ruled", **post)
    assert body["success"]
    assert targets(written) == [PINGS, LEASES, CALLERS, LEASES, PINGS]


def test_a_post_to_a_static_number_writes_its_route_in_the_place_of_a_lease(market: Market) -> None:
    post, _ = market.ping("static", **a_lead(trackdrive_number=STATIC_NUMBER))
    body, written = market.send("post", "static", **post)
    assert body["success"]
    assert (targets(written), units(written)) == ([PINGS] * 3, 3)


@pytest.mark.parametrize("verb", ["post", "full"])
def test_what_is_sold_at_once_writes_a_retry_key_more(market: Market, verb: str) -> None:
    body, written = market.send(verb, **a_lead())
    assert body["success"]
    assert (targets(written), units(written)) == ([PINGS, PINGS, LEASES, PINGS], 4)


def test_the_same_answer_again_writes_nothing(market: Market) -> None:
    post, _ = market.ping(**a_lead())
    first, _ = market.send("post", **post)
    again, written = market.send("post", **post)
    assert again == first
    assert [call.refused for call in written] == [True]


def test_a_refused_post_writes_its_claim_and_why(market: Market) -> None:
    assert market.send("full", "tiny", **a_lead(caller_id=OTHER))[0]["success"]
    post, _ = market.ping("tiny", **a_lead())
    body, written = market.send("post", "tiny", **post)
    assert body["status"] == "no_number_available"
    assert (targets(written), units(written)) == ([PINGS] * 2, 2)


def test_a_request_that_is_refused_before_pricing_is_one_small_put(market: Market) -> None:
    body, written = market.send("ping", "with-caller", **a_lead(caller_id=""))
    assert body["status"] == "caller_id_required"
    assert [(call.method, call.table, call.units) for call in written] == [("put_item", PINGS, 1)]


def test_a_request_that_is_not_recognised_writes_nothing(market: Market) -> None:
    assert market.send("ping", "nowhere", **a_lead())[1] == []
    assert market.send("post", ping_id="pb_unknown", caller_id=CALLER)[1] == []


def test_what_publishers_call_touches_no_journal(market: Market) -> None:
    market.stage.client.delete_table(TableName=SETTINGS.journal_table)
    suppress(market.stage, "dnc", "+16145550199")
    for uri in ("my_endpoint", "capped", "ruled", "static", "empty", "tiny", "with-caller"):
        more = {"trackdrive_number": STATIC_NUMBER} if uri == "static" else {}
        for caller in (CALLER, "+16145550199", ""):
            post, _ = market.ping(uri, **a_lead(caller_id=caller, **more))
            market.send("post", uri, **post)
            market.send("full", uri, **a_lead(caller_id=caller, **more))
    assert market.tables == {SETTINGS.config_table, PINGS, LEASES, CALLERS}


def test_a_sale_and_a_refusal_note_how_full_their_pool_was(market: Market) -> None:
    stage = market.stage
    stage.publish(an_endpoint(version=2, pool=a_pool(4, no=5, overflow_number="")))
    stage.memory.endpoints.clear()
    posts = [market.ping(caller_id=f"+161455501{n:02}")[0] for n in range(5)]
    bodies = [market.send("post", **post)[0] for post in posts]
    assert [body["success"] for body in bodies] == [True] * 4 + [False]
    sales = [stage.kept(post["ping_id"]).sale for post in posts[:4]]
    assert [(sale.pool, sale.pool_used) for sale in sales if sale] == [
        ("pool-5", 0), ("pool-5", 25), ("pool-5", 50), ("pool-5", 75)
    ]  # fmt: skip
    [refused] = [item for item in stage.client.scan(TableName=PINGS)["Items"] if "refused" in item]
    assert refused["pool_used"] == {"N": "100"}


def test_the_overflow_number_is_sold_where_the_pool_is_full(market: Market) -> None:
    stage = market.stage
    stage.publish(an_endpoint(version=2, pool=a_pool(1, no=6, overflow_number="+18005550199")))
    stage.memory.endpoints.clear()
    market.send("full", caller_id=OTHER)
    post, _ = market.ping(caller_id=CALLER)
    assert market.send("post", **post)[0]["trackdrive_number"] == "18005550199"
    sale = stage.kept(post["ping_id"]).sale
    assert sale
    assert (sale.overflow, sale.pool, sale.pool_used) == (True, "pool-6", 100)


class Hanging(Dynamo):
    """The use of a token is not noted before the end of the test."""

    ended = Event()

    def send(self, method: Any, sendings: int, *args: Any, **request: Any) -> Any:
        if request.get("TableName") == CALLERS:
            assert self.ended.wait(10)
        return super().send(method, sendings, *args, **request)


def test_a_note_that_hangs_is_not_waited_for(market: Market) -> None:
    stage = market.stage
    stage.publish(
        an_endpoint(vanity_uri="closed", users=(User("acme", "publisher"),), require_auth_token=True, pool=a_pool(no=7))
    )
    stage.give_token("secret", "acme", scope="post")
    hanging = Hanging(stage.client, SETTINGS_OF_A_SELLER)
    with ThreadPoolExecutor(4) as io_pool:
        stage.io_pool = io_pool
        sent = {"caller_id": CALLER, "auth_token": "secret"}
        answer = market.publisher.send("full", "closed", world=stage.world_over(hanging), json_body=sent)
        hanging.ended.set()
    assert answer.body["success"], answer.text
