"""How soon a change of the configuration shows, and what it costs that it does."""

from typing import Any

import pytest

from shared.domain.keys import token_hash
from shared.domain.models import Buyer, Shard, User
from shared.domain.refusals import TemporarilyUnavailable
from shared.store.dynamo import Dynamo
from shared.store.rings import FOR_EVER, Rings
from tests.build import BUYERS, CALLER, KEYS, Counting, Publisher, Stage, a_buyer, a_pool, an_endpoint

NEW_BUYER = a_buyer(id=3, name="Buyer C", bid_cents=9900)


def with_a_new_buyer(**overrides: Any) -> Any:
    return an_endpoint(version=2, buyers=(*BUYERS, NEW_BUYER), **overrides)


def buyers(publisher: Publisher) -> list[int]:
    return [row["id"] for row in publisher.ping().body["buyers"]]


def calls(stage: Stage, publisher: Publisher, uri: str = "my_endpoint") -> int:
    """How often the store is called for a PING."""
    dynamo = Counting(stage.client, stage.settings)
    publisher.send("ping", uri, world=stage.world_over(dynamo))
    return dynamo.calls


@pytest.fixture
def _warm(stage: Stage, publisher: Publisher) -> None:
    """The endpoint is in memory, and was changed right after it was read."""
    stage.publish(an_endpoint())
    assert buyers(publisher) == [1, 2]
    stage.publish(with_a_new_buyer())


@pytest.mark.usefixtures("_warm")
def test_the_configuration_is_not_read_again_for_five_seconds(stage: Stage, publisher: Publisher) -> None:
    stage.clock.forward(4)
    assert calls(stage, publisher) == 1
    assert buyers(publisher) == [1, 2]


@pytest.mark.usefixtures("_warm")
@pytest.mark.parametrize("seconds", [5, 10, 11, 59, 60, 10**6])
def test_a_copy_that_is_five_seconds_old_is_read_again_before_it_decides(
    stage: Stage, publisher: Publisher, seconds: int
) -> None:
    stage.clock.forward(seconds)
    assert buyers(publisher) == [3, 1, 2]


@pytest.mark.parametrize("verb", ["ping", "post", "post-only", "full"])
@pytest.mark.parametrize("sandbox", [False, True], ids=["real", "sandbox"])
@pytest.mark.parametrize("left", [(a_buyer(paused=True), BUYERS[1]), BUYERS[1:]], ids=["paused", "taken out"])
def test_nothing_that_comes_ten_seconds_after_a_pause_is_sold_to_that_buyer(
    stage: Stage, publisher: Publisher, verb: str, sandbox: bool, left: tuple[Buyer, ...]
) -> None:
    world = stage.world().of_sandbox() if sandbox else stage.world()
    for version, seconds in ((1, 10), (3, 11), (5, 59)):
        stage.publish(an_endpoint(version=version))
        stage.clock.forward(10)
        ping = publisher.send("ping", world=world, json_body={}).body["try_all_buyers_ping_id"]
        stage.publish(an_endpoint(version=version + 1, buyers=left))
        stage.clock.forward(seconds)

        sent = {"caller_id": f"+161455501{version:02}"} | ({"ping_id": ping} if verb == "post" else {})
        answer = publisher.send(verb.removesuffix("-only"), world=world, json_body=sent).body

        assert answer["success"]
        assert [row["id"] for row in answer.get("buyers", [])] in ([], [2])
        assert answer.get("buyer_id", 2) == 2


@pytest.mark.parametrize("verb", ["ping", "full"])
def test_a_copy_costs_no_call_for_five_seconds_and_one_read_then(stage: Stage, publisher: Publisher, verb: str) -> None:
    """The version itself is read only where it is another one."""
    stage.publish(an_endpoint())
    found = []
    for seconds in (0, 4, 1, 4, 1):
        stage.clock.forward(seconds)
        dynamo = Counting(stage.client, stage.settings)
        sent = {"caller_id": f"+1614555{stage.clock() % 10_000:04}"}
        publisher.send(verb, world=stage.world_over(dynamo), json_body=sent)
        found.append(dynamo.calls)
    cold, *warm = found
    assert [calls - warm[0] for calls in warm] == [0, 1, 0, 1]
    assert cold == warm[0] + 2
    stage.publish(with_a_new_buyer())
    stage.clock.forward(5)
    assert calls(stage, publisher) == 3


@pytest.mark.usefixtures("_warm")
@pytest.mark.parametrize("verb", ["ping", "post", "full"])
def test_where_dynamodb_is_not_reached_an_old_copy_decides_nothing(
    stage: Stage, publisher: Publisher, verb: str
) -> None:
    before = stage.contents()
    stage.clock.forward(5)

    class NotReached(Dynamo):
        def send(self, *_: Any, **__: Any) -> Any:
            raise TemporarilyUnavailable(not_done=True)

    answer = publisher.send(
        verb, world=stage.world_over(NotReached(stage.client, stage.settings)), json_body={"caller_id": CALLER}
    )
    assert (answer.code, answer.headers["Retry-After"]) == (503, "1")
    assert stage.contents() == before
    assert buyers(publisher) == [3, 1, 2]


@pytest.mark.usefixtures("_warm")
def test_a_clock_that_is_set_back_keeps_no_copy(stage: Stage, publisher: Publisher) -> None:
    stage.clock.forward(-3600)
    assert buyers(publisher) == [3, 1, 2]
    assert calls(stage, publisher) == 1


@pytest.mark.usefixtures("_warm")
@pytest.mark.parametrize("verb", ["post", "full"])
def test_a_post_reads_a_change_too(stage: Stage, publisher: Publisher, verb: str) -> None:
    assert publisher.send(verb, json_body={"caller_id": CALLER}).body["buyer_id"] == 1
    stage.clock.forward(5)
    assert publisher.send(verb, json_body={"caller_id": "+16145550124"}).body["buyer_id"] == 3


@pytest.mark.usefixtures("_warm")
def test_a_post_whose_ping_knows_a_newer_version_reads_it(stage: Stage, publisher: Publisher) -> None:
    elsewhere = Publisher(Stage(stage.client, clock=stage.clock))
    ping = elsewhere.ping().body["buyers"][0]
    assert ping["id"] == 3
    assert publisher.post(ping_id=ping["ping_id"], caller_id=CALLER).body["buyer_name"] == "Buyer C"


def test_a_post_whose_ping_knows_an_older_version_reads_nothing(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    ping = publisher.ping().body["try_all_buyers_ping_id"]
    stage.publish(with_a_new_buyer())
    elsewhere = Stage(stage.client, clock=stage.clock)
    Publisher(elsewhere).ping()
    dynamo = Counting(stage.client, stage.settings)
    sent = {"ping_id": ping, "caller_id": CALLER}
    sale = Publisher(elsewhere).send("post", json_body=sent, world=elsewhere.world_over(dynamo))
    assert sale.body["buyer_id"] == 1
    assert dynamo.calls == 4  # claim and look, lease, record


def test_a_post_that_meets_a_retired_shard_reads_the_new_one(stage: Stage, publisher: Publisher) -> None:
    pool = a_pool(2)
    stage.publish(an_endpoint(pool=pool))
    ping = publisher.ping().body["try_all_buyers_ping_id"]
    Rings(Dynamo(stage.client, stage.settings), {}).close(pool.no, pool.shards[0], FOR_EVER)
    successor = Shard(7, ("+18005557001",))
    stage.publish(an_endpoint(version=2, pool=a_pool(shards=(successor,))))
    sale = publisher.post(ping_id=ping, caller_id=CALLER).body
    assert sale["trackdrive_number"] == "18005557001"


def test_a_post_that_looked_at_shards_of_an_older_pool_leases_from_the_new_one(
    stage: Stage, publisher: Publisher
) -> None:
    stage.publish(an_endpoint())
    publisher.ping()
    stage.publish(an_endpoint(version=2, pool=a_pool(shards=(Shard(7, ("+18005557001",)),))))
    ping = Publisher(Stage(stage.client, clock=stage.clock)).ping().body["try_all_buyers_ping_id"]
    assert publisher.post(ping_id=ping, caller_id=CALLER).body["trackdrive_number"] == "18005557001"


def test_a_post_needs_a_number_if_its_endpoint_became_static_since_the_ping(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    ping = publisher.ping().body["try_all_buyers_ping_id"]
    stage.publish(an_endpoint(version=2, static_numbers={"+18005550170": "1023"}))
    stage.clock.forward(5)
    assert list(publisher.post(ping_id=ping, caller_id=CALLER).body["errors"]) == ["trackdrive_number"]


def test_an_endpoint_that_was_unknown_is_looked_for_again_after_five_seconds(
    stage: Stage, publisher: Publisher
) -> None:
    assert publisher.ping().code == 404
    stage.publish(an_endpoint())
    stage.clock.forward(4)
    assert publisher.ping().code == 404
    assert calls(stage, publisher) == 0
    stage.clock.forward(1)
    assert publisher.ping().code == 200


def test_an_endpoint_that_was_taken_away_is_unknown_after_five_seconds(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    publisher.ping()
    live = {"pk": {"S": "ENDPOINT#my_endpoint"}, "sk": {"S": "LIVE"}}
    stage.client.delete_item(TableName=stage.settings.config_table, Key=live)
    stage.clock.forward(4)
    assert publisher.ping().code == 200
    stage.clock.forward(1)
    assert publisher.ping().code == 404


def test_a_token_is_good_for_a_minute_after_it_was_taken_away(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(require_auth_token=True, users=(User("acme", "publisher"),)))
    stage.give_token("secret", "acme")
    assert publisher.ping(auth_token="secret").code == 200
    key = {"pk": {"S": f"TOKEN#{token_hash(KEYS, 'secret')}"}, "sk": {"S": "TOKEN"}}
    stage.client.delete_item(TableName=stage.settings.config_table, Key=key)
    stage.clock.forward(59)
    assert publisher.ping(auth_token="secret").code == 200
    stage.clock.forward(1)
    assert publisher.ping(auth_token="secret").code == 401


def test_a_new_token_is_good_at_once(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint(require_auth_token=True, users=(User("acme", "publisher"),)))
    assert publisher.ping(auth_token="secret").code == 401
    stage.give_token("secret", "acme")
    assert publisher.ping(auth_token="secret").code == 200


def test_memory_is_bounded_whatever_is_asked_for(stage: Stage, publisher: Publisher) -> None:
    stage.publish(an_endpoint())
    for n in range(1500):
        publisher.send("ping", f"nowhere-{n}", method="GET")
    assert len(stage.memory.endpoints) <= 1000
    assert publisher.ping().code == 200
