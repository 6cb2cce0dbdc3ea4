"""POST: a number for one buyer, in three ways; and why there is none."""

import time
from typing import Any
from urllib.parse import urlencode

import pytest

from shared.domain.keys import caller_hash, ping_id, read_ping_id
from shared.domain.models import Field
from shared.store.dynamo import ATTEMPT_SECONDS, Dynamo
from shared.store.pings import State
from tests.build import (
    BUYERS,
    CALLER,
    CONTACT_FIELDS,
    KEYS,
    Answer,
    Counting,
    Publisher,
    Stage,
    a_buyer,
    a_pool,
    an_endpoint,
)

SALE = [
    "success", "status", "errors", "trackdrive_number", "forwarding_number", "forwarding_number_status", "buyer_name",
    "buyer_id", "number_expires_at",
]  # fmt: skip
OTHER_CALLER = "+16145550124"


def refused(answer: Answer, status: str) -> bool:
    """Whether the answer is this refusal, in the shape of all refusals."""
    body = answer.body
    return (
        answer.code == 200
        and list(body)[:4] == ["success", "status", "errors", "buyers"]
        and (body["success"], body["status"], len(body["errors"]), body["buyers"]) == (False, status, 1, [])
    )


def pinged(publisher: Publisher, **sent: Any) -> list[str]:
    """Ping ids: of try-all, of buyer 1, of buyer 2, …"""
    body = publisher.ping(**sent).body
    rows = sorted(body["buyers"], key=lambda row: row["buyer_id"])
    return [body["try_all_buyers_ping_id"], *(row["ping_id"] for row in rows)]


@pytest.fixture
def sold(stage: Stage, publisher: Publisher) -> str:
    """The ping id of buyer 1, sold to it."""
    stage.publish(an_endpoint())
    ping = pinged(publisher)[1]
    assert publisher.post(ping_id=ping, caller_id=CALLER).body["success"]
    return ping


@pytest.mark.parametrize("named", [{}, {"buyer_id": 2}, {"buyer_id": "2"}])
def test_a_buyers_ping_id_is_sold_to_that_buyer(stage: Stage, publisher: Publisher, named: dict[str, Any]) -> None:
    stage.publish(an_endpoint())
    answer = publisher.post(ping_id=pinged(publisher)[2], caller_id=CALLER, **named)
    assert (answer.code, list(answer.body)) == (200, SALE)
    number = answer.body["trackdrive_number"]
    assert answer.body == {
        "success": True,
        "status": "success",
        "errors": [],
        "trackdrive_number": number,
        "forwarding_number": number,
        "forwarding_number_status": "accepted",
        "buyer_name": "Buyer B",
        "buyer_id": 2,
        "number_expires_at": "2100-01-01T00:05:00Z",
    }
    assert f"+{number}" in a_pool().shards[0].numbers


def test_the_try_all_ping_id_is_sold_to_the_best_buyer(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    assert publisher.post(ping_id=pinged(publisher)[0], caller_id=CALLER).body["buyer_id"] == 1


def test_the_try_all_ping_id_with_a_buyer_id_is_sold_to_that_buyer(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    assert publisher.post(ping_id=pinged(publisher)[0], buyer_id=2, caller_id=CALLER).body["buyer_id"] == 2


@pytest.mark.parametrize(("named", "buyer"), [({}, 1), ({"buyer_id": "2"}, 2)])
def test_without_a_ping_id_a_post_finds_its_buyer_itself(
    stage: Stage, publisher: Publisher, named: dict[str, str], buyer: int
) -> None:
    stage.publish(an_endpoint())
    answer = publisher.post(caller_id=CALLER, **named)
    assert (list(answer.body), answer.body["buyer_id"]) == (SALE, buyer)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_post_may_be_sent_in_the_query(stage: Stage, publisher: Publisher, method: str) -> None:
    stage.publish(an_endpoint())
    query = urlencode({"PING_ID": pinged(publisher)[2], "caller_id": CALLER, "buyer_id": "2"})
    assert publisher.send("post", method=method, query=query).body["buyer_id"] == 2


def test_a_post_may_be_sent_as_a_form_and_in_parts(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    one, two = pinged(publisher)[1], pinged(publisher)[1]
    assert publisher.send("post", form={"ping_id": one, "caller_id": CALLER}).body["success"]
    assert publisher.send("post", query=f"ping_id={two}", json_body={"caller_id": CALLER}).body["success"]


def test_the_number_expires_when_its_hold_ends(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(pool=a_pool(hold_seconds=3600, cooldown_seconds=900)))
    ping = pinged(publisher)[1]
    stage.clock.forward(61)
    sale = publisher.post(ping_id=ping, caller_id=CALLER)
    assert sale.body["number_expires_at"] == "2100-01-01T01:01:01Z"


def test_each_sale_has_a_number_of_its_own(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    sales = [publisher.post(ping_id=pinged(publisher)[0], caller_id=CALLER).body for _ in range(8)]
    assert len({sale["trackdrive_number"] for sale in sales}) == 8


# What the POST adds to the PING


FIELDS = (
    Field(name="caller_id", type="phone"),
    Field(name="zip", type="us_zip", required_on=("ping",)),
    Field(name="state", type="us_state", required_on=("ping", "post")),
    Field(name="email", type="email", required_on=("post",)),
    Field(name="age", type="integer", default="18", required_on=("post",)),
)


def test_a_field_that_was_sent_on_ping_need_not_be_sent_again(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=FIELDS))
    ping = pinged(publisher, zip="30340", state="TX", email="name@example.com")[1]
    assert publisher.post(ping_id=ping).body["success"]


def test_a_field_may_first_appear_on_the_post(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=FIELDS))
    ping = pinged(publisher, zip="30340", state="TX")[1]
    assert publisher.post(ping_id=ping, email="name@example.com", caller_id=CALLER, state="ga").body["success"]
    sale = stage.kept(ping).sale
    assert sale
    assert sale.posted == {"email": "name@example.com", "caller_id": CALLER, "state": "GA"}


def test_every_bad_field_of_the_post_is_told_at_once_and_the_ping_can_still_be_sold(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint(fields=FIELDS))
    ping = pinged(publisher, zip="30340", state="TX")[1]
    answer = publisher.post(ping_id=ping, caller_id="555", zip="x")
    assert answer.code == 422
    assert answer.body == {
        "status": 422,
        "success": False,
        "errors": {
            "email": ["email is required on post. You did not send a value."],
            "caller_id": ["caller_id must be a telephone number, for example +16145550123."],
            "zip": ["zip must be a US ZIP code of five digits, for example 30340."],
        },
        "metadata": {"root": None},
    }
    assert publisher.post(ping_id=ping, email="name@example.com").body["success"]


def test_a_post_without_a_ping_needs_what_ping_and_post_need(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=FIELDS))
    answer = publisher.post(caller_id=CALLER)
    assert (answer.code, answer.body["errors"]) == (
        422,
        {
            "zip": ["zip is required on ping. You did not send a value."],
            "state": ["state is required on ping. You did not send a value."],
            "email": ["email is required on post. You did not send a value."],
        },
    )
    assert publisher.post(zip="30340", state="TX", email="name@example.com").body["success"]


def test_a_caller_id_that_the_ping_lacked_is_asked_for_before_any_bad_field(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(fields=FIELDS))
    ping = pinged(publisher, zip="30340", state="TX")[1]
    stage.publish(an_endpoint(fields=FIELDS, require_caller_id=True, version=2))
    stage.memory.endpoints.clear()
    assert refused(publisher.post(ping_id=ping, zip="x"), "caller_id_required")
    assert publisher.post(ping_id=ping, caller_id=CALLER, email="name@example.com").body["success"]


# Ping ids that cannot be sold


def test_a_ping_of_another_endpoint_is_unknown(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(), an_endpoint(vanity_uri="other"))
    for ping in pinged(publisher):
        assert refused(publisher.post("other", ping_id=ping, caller_id=CALLER), "ping_id_unknown")


def test_what_was_never_given_out_is_unknown_without_a_look_at_the_store(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(), an_endpoint(vanity_uri="other"))
    ping = pinged(publisher)[1]
    publisher.ping("other")
    wrong = [
        *(ping[:place] + ("A" if ping[place] != "A" else "B") + ping[place + 1 :] for place in range(len(ping))),
        *(ping[:end] for end in range(1, len(ping))),
        "pg_" + ping[3:], ping + "=", ping * 2, "abc123", "0", "x" * 10_240, "pb_" + "é" * 32, "\x00", "👍",
    ]  # fmt: skip
    dynamo = Counting(stage.client, stage.settings)
    world = stage.world_over(dynamo)
    for text in wrong:
        answer = publisher.send("post", json_body={"ping_id": text, "caller_id": CALLER}, world=world)
        assert refused(answer, "ping_id_unknown"), text
    answer = publisher.send("post", "other", json_body={"ping_id": ping, "caller_id": CALLER}, world=world)
    assert refused(answer, "ping_id_unknown")
    assert dynamo.calls == 0


def test_a_ping_that_was_given_out_and_is_gone_is_unknown(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    gone = ping_id(KEYS, "my_endpoint", bytes(12))
    assert refused(publisher.post(ping_id=gone, caller_id=CALLER), "ping_id_unknown")
    assert stage.contents()["pings"] == []


def test_a_ping_can_be_sold_until_it_expires(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(ping_ttl_seconds=120))
    one, other = pinged(publisher)[1], pinged(publisher)[1]
    stage.clock.forward(119)
    assert publisher.post(ping_id=one, caller_id=CALLER).body["success"]
    stage.clock.forward(1)
    assert refused(publisher.post(ping_id=other, caller_id=CALLER), "ping_id_expired")


def test_a_stale_ping_cannot_be_sold_twice(stage: Stage, publisher: Publisher, sold: str) -> None:
    stage.clock.forward(300)
    before = stage.contents()
    assert refused(publisher.post(ping_id=sold, caller_id=CALLER), "ping_id_used")
    assert stage.contents() == before


@pytest.mark.parametrize("choice", [0, 2], ids=["try all", "buyer 2"])
def test_a_sold_ping_is_used_for_every_other_id_of_it(
    stage: Stage, publisher: Publisher, sold: str, choice: int
) -> None:
    known = read_ping_id(KEYS, "my_endpoint", sold)
    assert known
    before = stage.contents()
    other = ping_id(KEYS, "my_endpoint", known[0], choice)
    assert refused(publisher.post(ping_id=other, caller_id=CALLER), "ping_id_used")
    assert stage.contents() == before


@pytest.mark.parametrize("caller", [{"caller_id": OTHER_CALLER}, {}], ids=["another", "none"])
def test_a_sold_ping_is_used_for_another_caller(
    stage: Stage, publisher: Publisher, sold: str, caller: dict[str, str]
) -> None:
    before = stage.contents()
    assert refused(publisher.post(ping_id=sold, **caller), "ping_id_used")
    assert stage.contents() == before


def test_a_ping_sold_through_try_all_is_used_for_its_buyers_id(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    try_all, first, second = pinged(publisher)
    assert publisher.post(ping_id=try_all, caller_id=CALLER).body["buyer_id"] == 1
    for ping in (first, second):
        assert refused(publisher.post(ping_id=ping, caller_id=CALLER), "ping_id_used")
    assert refused(publisher.post(ping_id=try_all, buyer_id=1, caller_id=CALLER), "ping_id_used")


@pytest.mark.parametrize("named", ["2", "3", "0", "-1", "1.5", "one", "9" * 5000, "1, 2"])
def test_a_buyer_id_that_is_not_the_buyer_of_the_ping_id_is_a_mismatch(
    stage: Stage, publisher: Publisher, named: str
) -> None:
    stage.publish(an_endpoint())
    ping = pinged(publisher)[1]
    before = stage.contents()
    assert refused(publisher.post(ping_id=ping, buyer_id=named, caller_id=CALLER), "buyer_mismatch")
    assert stage.contents() == before
    assert publisher.post(ping_id=ping, buyer_id="1", caller_id=CALLER).body["success"]


@pytest.mark.parametrize("named", ["3", "0", "x"])
def test_a_buyer_id_that_did_not_bid_is_a_mismatch(stage: Stage, publisher: Publisher, named: str) -> None:
    stage.publish(an_endpoint(buyers=(*BUYERS, a_buyer(id=3, paused=True))))
    ping = pinged(publisher)[0]
    assert refused(publisher.post(ping_id=ping, buyer_id=named, caller_id=CALLER), "buyer_mismatch")
    assert refused(publisher.post(buyer_id=named, caller_id=CALLER), "buyer_mismatch")
    assert publisher.post(ping_id=ping, caller_id=CALLER).body["success"]


def without_buyer_1(stage: Stage) -> None:
    """Buyer 1 is paused, and everybody knows."""
    stage.publish(an_endpoint(buyers=(a_buyer(paused=True), BUYERS[1]), version=2))
    stage.memory.endpoints.clear()


def test_a_buyer_that_was_paused_since_the_ping_is_unavailable(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    try_all, first, _ = pinged(publisher)
    without_buyer_1(stage)
    assert refused(publisher.post(ping_id=first, caller_id=CALLER), "buyer_unavailable")
    assert refused(publisher.post(ping_id=try_all, buyer_id=1, caller_id=CALLER), "buyer_unavailable")
    assert publisher.post(ping_id=try_all, caller_id=CALLER).body["buyer_id"] == 2


def test_a_buyer_that_was_removed_since_the_ping_is_unavailable(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    ping = pinged(publisher)[1]
    stage.publish(an_endpoint(buyers=BUYERS[1:], version=2))
    stage.memory.endpoints.clear()
    assert refused(publisher.post(ping_id=ping, caller_id=CALLER), "buyer_unavailable")


def test_nobody_is_left_to_try(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(buyers=BUYERS[:1]))
    ping = pinged(publisher)[0]
    without_buyer_1(stage)
    stage.publish(an_endpoint(buyers=(a_buyer(paused=True),), version=2))
    assert refused(publisher.post(ping_id=ping, caller_id=CALLER), "no_matching_buyer")


def test_a_bid_keeps_its_price_until_the_post(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    ping = pinged(publisher)[1]
    stage.publish(an_endpoint(buyers=(a_buyer(bid_cents=1),), version=2))
    stage.memory.endpoints.clear()
    assert publisher.post(ping_id=ping, caller_id=CALLER).body["success"]
    sale = stage.kept(ping).sale
    assert sale
    assert sale.cents == 2500


def test_a_refused_post_leaves_the_ping_as_it_was_but_for_how_it_was_refused(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint())
    ping = pinged(publisher)[1]
    without_buyer_1(stage)
    before = stage.contents()
    [was] = stage.client.scan(TableName=stage.settings.pings_table)["Items"]
    assert refused(publisher.post(ping_id=ping, caller_id=CALLER), "buyer_unavailable")
    [now] = stage.client.scan(TableName=stage.settings.pings_table)["Items"]
    assert now.pop("released")  # so that the claim cannot arrive once more
    caller = {"B": caller_hash(stage.keys, CALLER)}  # so that erasing finds it
    assert now == was | {
        "refused": {"S": "buyer_unavailable"},
        "refused_at": {"N": str(stage.clock())},
        "refusals": {"N": "1"},
        "pool_used": {"N": "0"},
        "caller": caller,
    }
    assert stage.contents() | {"pings": before["pings"]} == before


def test_a_ping_that_another_post_works_on_is_waited_for_until_the_deadline(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    ping = pinged(publisher)[1]
    known = read_ping_id(KEYS, "my_endpoint", ping)
    assert known
    assert stage.world().pings.claim(known[0], b"attempt", a_pool().terms, stage.clock()).state is State.FREE
    in_time = Dynamo(stage.client, stage.settings, deadline=time.monotonic() + ATTEMPT_SECONDS + 3)
    answer = publisher.send("post", json_body={"ping_id": ping, "caller_id": CALLER}, world=stage.world_over(in_time))
    assert (answer.code, answer.body["status"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "11"  # what is left of the other one's claim
    stage.clock.forward(11)
    assert publisher.post(ping_id=ping, caller_id=CALLER).body["success"]


@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_without_time_for_a_call_the_publisher_is_told_to_retry(stage: Stage, publisher: Publisher, verb: str) -> None:
    stage.publish(an_endpoint())
    too_late = stage.world_over(Dynamo(stage.client, stage.settings, deadline=time.monotonic()))
    answer = publisher.send(verb, json_body={"caller_id": CALLER}, world=too_late)
    assert (answer.code, answer.headers["Retry-After"]) == (503, "1")
    assert list(answer.body) == ["success", "status", "errors", "buyers", "request_id"]


def test_a_post_without_a_caller_is_a_bad_field_where_the_offer_asks_for_one(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint(fields=CONTACT_FIELDS))
    answer = publisher.post(ping_id=pinged(publisher)[1])
    assert answer.body["errors"] == {"caller_id": ["caller_id is required on post. You did not send a value."]}
