"""What the hourly work gives of reservations that nobody else has given."""

from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain import reservations
from shared.domain.caps import Cap
from shared.domain.models import DAY, Buyer, CallRules, Endpoint, Pays
from shared.domain.reservations import TOMBSTONE_SECONDS
from shared.domain.schedule import local_time
from shared.operators.hourly_work import do_hourly_work
from shared.operators.leftovers import UNCALLED_SECONDS, Leftovers
from shared.operators.repair import QUIET_SECONDS
from shared.store.counters import Counters, items
from shared.store.dynamo import Dynamo
from shared.store.records import Records
from shared.store.reservations import Reservations
from tests.build import CALLER, KEYS, SETTINGS, Publisher, Stage, a_buyer, an_endpoint
from tests.phone import Phone

LIMITS = (
    Cap("sales", 5, "total"),
    Cap("attempts", 5, "total"),
    Cap("converted", 5, "total"),
    Cap("revenue", 50_000, "total"),
    Cap("concurrent", 5),
    Cap("connected", 5, "total", "my_endpoint"),
)
HOLD_SECONDS = 300
"""Of the pool."""


def calling(**buyer: Any) -> Endpoint:
    return replace(an_endpoint(buyers=(a_buyer(caps=LIMITS, **buyer),)), calls=CallRules("main"))


def give(stage: Stage, endpoint: Endpoint) -> int:
    return Leftovers(Dynamo(stage.client, SETTINGS), stage.clock).give([endpoint])


def counts(stage: Stage, buyer: Buyer) -> dict[str, int]:
    """What is counted, by kind, and how much is held."""
    dynamo = Dynamo(stage.client, SETTINGS)
    found = Counters(dynamo, {}).counts(items(buyer), stage.clock())[buyer.id]
    held = [item["held"]["M"] for item in Counters(dynamo, {}).read_items(items(buyer)).values()]
    entries = sum("B" in value for each in held for value in each.values())
    return {name.partition("-")[0]: number for name, number in found.items() if number} | {
        "held": entries, "tombstones": sum(map(len, held)) - entries,
    }  # fmt: skip


def reserve(stage: Stage, endpoint: Endpoint, key: str) -> None:
    [buyer] = endpoint.buyers
    now = stage.clock()
    stage.world().counters.counts(items(buyer), now)
    stage.world().reservations.take(buyer.id, key, buyer.caps, local_time("UTC", now), 2500, now + HOLD_SECONDS)


ALL = {"sales": 1, "attempts": 1, "converted": 1, "revenue": 2500, "connected": 1}


def test_what_an_attempt_that_died_has_reserved_is_given_once_it_can_record_nothing(
    stage: Stage, publisher: Publisher
) -> None:
    endpoint = calling()
    stage.publish(endpoint)
    [buyer] = endpoint.buyers
    ping = stage.kept(publisher.ping(caller_id=CALLER).body["try_all_buyers_ping_id"]).ping
    assert ping
    reserve(stage, endpoint, reservations.key(ping.id, b"a dead 1"))
    assert counts(stage, buyer) == ALL | {"concurrent": 1, "held": 2, "tombstones": 0}
    stage.clock.forward(QUIET_SECONDS - 1)
    assert give(stage, endpoint) == 0
    stage.clock.forward(1)
    assert give(stage, endpoint) == 2
    assert counts(stage, buyer) == {"held": 0, "tombstones": 2}
    stage.clock.forward(TOMBSTONE_SECONDS)
    assert give(stage, endpoint) == 0
    assert counts(stage, buyer) == {"held": 0, "tombstones": 0}


@pytest.mark.parametrize(("pays", "kept"), [(None, {"sales": 1}), (Pays("sale"), {"sales": 1, "revenue": 2500})])
def test_a_sale_that_was_never_called_and_never_given_keeps_what_is_sold(
    stage: Stage, publisher: Publisher, pays: Pays | None, kept: dict[str, int]
) -> None:
    endpoint = calling(pays=pays)
    stage.publish(endpoint)
    assert publisher.full(caller_id=CALLER).body["success"]
    stage.clock.forward(HOLD_SECONDS + UNCALLED_SECONDS - 1)
    assert give(stage, endpoint) == 0
    stage.clock.forward(1)
    assert give(stage, endpoint) == 2
    assert counts(stage, endpoint.buyers[0]) == kept | {"held": 0, "tombstones": 2}


def test_what_a_settled_call_has_left_is_given_and_a_running_one_keeps_it(
    stage: Stage, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = calling(conversion_seconds=90)
    stage.publish(endpoint)
    phone = Phone(stage, publisher.full(caller_id=CALLER).body["forwarding_number"])
    phone.rings()
    stage.clock.forward(2 * QUIET_SECONDS)
    assert give(stage, endpoint) == 0
    with monkeypatch.context() as broken:
        broken.setattr(Reservations, "give", lambda *_: None)
        phone.talks(60)
    assert counts(stage, endpoint.buyers[0])["held"] == 2
    assert give(stage, endpoint) == 2
    found = counts(stage, endpoint.buyers[0])
    assert found == {"sales": 1, "attempts": 1, "connected": 1, "held": 0, "tombstones": found["tombstones"]}


@pytest.mark.parametrize("attempt", [b"attempt1", 1])
def test_where_ping_or_call_are_gone_everything_stays_counted(stage: Stage, attempt: bytes | int) -> None:
    endpoint = calling()
    stage.publish(endpoint)
    reserve(stage, endpoint, reservations.key(b"gone forever", attempt))
    stage.clock.forward(DAY - 1)
    assert give(stage, endpoint) == 0
    stage.clock.forward(1)
    assert give(stage, endpoint) == 2
    assert counts(stage, endpoint.buyers[0]) == ALL | {"held": 0, "tombstones": 2}


def test_an_entry_of_a_newer_release_is_left_alone(stage: Stage) -> None:
    endpoint = calling()
    stage.publish(endpoint)
    reserve(stage, endpoint, reservations.key(b"of something", b"attempt1"))
    stage.client.update_item(
        TableName="leases",
        Key={"pk": {"S": "B1"}, "sk": {"S": "CAPS"}},
        UpdateExpression="SET held.newer = :entry",
        ExpressionAttributeValues={":entry": {"B": b"of another length"}},
    )
    stage.clock.forward(DAY)
    assert give(stage, endpoint) == 2


def test_counts_of_calls_are_never_lowered_to_the_rows_of_sales(stage: Stage, publisher: Publisher) -> None:
    endpoint = calling()
    stage.publish(endpoint)
    assert publisher.full(caller_id=CALLER).body["success"]
    [buyer] = endpoint.buyers
    now = stage.clock()
    assert stage.world().counters.take(
        buyer.id, LIMITS[:1], local_time("UTC", now), 2500, b"some ping id", b"dead", now + 60, now
    )
    stage.clock.forward(QUIET_SECONDS)
    records = Records(Dynamo(stage.client, SETTINGS), KEYS, stage.clock)
    done = do_hourly_work(stage.repair(), records)
    assert (done.caps.repaired, done.given) == ([], 0)
    assert counts(stage, buyer)["sales"] == 2
